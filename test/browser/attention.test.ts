/** Attention and the list of sessions in the console: as cards on a phone, searched, and an operator's way out of a stuck teardown. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { repository } from "../../scripts/repository.ts";
import { until } from "../support/until.ts";
import { browserMissing, launchBrowser, signIn, type VisitOptions, visit, type Visit } from "./support/browser.ts";
import { axeFindings, settled } from "./support/page.ts";
import { type Scene, setScene } from "./support/scene.ts";

/** Not in git: whoever changed a page looks at these. */
const pictures = join(repository, "coverage/console");

describe.skipIf(browserMissing !== null)("attention and the list, with a parked teardown", () => {
  let scene: Scene;
  let browser: Browser;
  beforeAll(async () => {
    mkdirSync(pictures, { recursive: true });
    // A round of two attempts is over after some seconds, where eight take ten minutes.
    [scene, browser] = await Promise.all([setScene({ STOP_ATTEMPTS: "2" }), launchBrowser()]);
    await until(
      "its attempts are used up",
      async () => (await scene.api.session(scene.stuck.id)).blocked?.code === "parked",
    );
  });
  afterAll(async () => {
    await browser?.close();
    await scene?.world.stop();
  });

  const enter = async (around: VisitOptions = {}): Promise<Visit> => {
    const visited = await visit(browser, scene.url, around);
    await signIn(visited, scene.url, scene.adminToken);
    return visited;
  };
  const item = ({ page }: Visit) => page.locator(".items > li", { hasText: scene.stuck.id });
  /** The index hears of it a moment after the session itself has parked. */
  const openAttention = async (visited: Visit): Promise<void> => {
    await until("attention lists it", async () => {
      await visited.page.goto(`${scene.url}/console`);
      await settled(visited.page);
      return (await item(visited).getByRole("button", { name: "Try to stop it again" }).count()) === 1;
    });
  };

  it.each([
    ["light", "desktop"],
    ["dark", "desktop"],
    ["light", "phone"],
    ["dark", "phone"],
  ] as const)("show it, %s, %s: nothing that a screen reader or a thumb cannot use", async (theme, size) => {
    const visited = await enter({ theme, size });
    const { page } = visited;
    const findings: string[] = [];
    const look = async (name: string): Promise<void> => {
      await page.screenshot({ path: join(pictures, `parked-${name}-${theme}-${size}.png`), fullPage: true });
      findings.push(...(await axeFindings(page)).map((finding) => `${name}: ${finding}`));
      const wide = await page.evaluate<number>("document.documentElement.scrollWidth - window.innerWidth");
      if (wide > 1) findings.push(`${name}: ${wide} px wider than the screen`);
    };
    await openAttention(visited);
    await look("attention");
    await page.goto(`${scene.url}/console/sessions`);
    await settled(page);
    await page.locator("tr", { hasText: scene.stuck.id }).getByText("parked").waitFor();
    await look("sessions");
    expect(findings).toEqual([]);
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  it("find sessions by label, template, status and id, and keep what is shown in the address", async () => {
    const visited = await enter();
    const { page } = visited;
    await page.goto(`${scene.url}/console/sessions`);
    await settled(page);
    await page.getByRole("searchbox", { name: "Search sessions" }).fill("team=data");
    await page.keyboard.press("Enter");
    await expect.poll(() => page.locator("tbody tr").count()).toBe(1);
    expect(page.url()).toContain("q=team%3Ddata");
    await page.reload();
    await settled(page);
    expect(await page.locator("tbody .id").allTextContents()).toEqual([scene.stuck.id]);
    for (const [template, found] of [
      ["base", 1],
      ["python", 0],
    ] as const) {
      await page.getByRole("searchbox", { name: "Search sessions" }).fill(`team=data template:${template}`);
      await page.keyboard.press("Enter");
      await page.getByText(`mooring sessions --all --template ${template} --label team=data`).waitFor();
      await settled(page);
      await expect.poll(() => page.locator("tbody tr").count()).toBe(found);
    }
    await page.getByRole("searchbox", { name: "Search sessions" }).fill(scene.ended.id);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: scene.ended.id }).waitFor();
    await visited.close();
  });

  it("show times as relative, with UTC on hover and in what is copied", async () => {
    const visited = await enter();
    const { page } = visited;
    await openAttention(visited);
    const since = item(visited).locator("time").first();
    const [shown, utc] = [await since.textContent(), (await since.getAttribute("title")) ?? ""];
    expect(shown).toMatch(/ ago$|just now/);
    expect(utc).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
    const copied = await page.evaluate<string>(`(() => {
      getSelection().selectAllChildren(document.querySelector("main"));
      const event = new ClipboardEvent("copy", { clipboardData: new DataTransfer(), bubbles: true, cancelable: true });
      document.querySelector("main").dispatchEvent(event);
      return event.clipboardData.getData("text/plain");
    })()`);
    expect(copied).toContain(utc);
    expect(copied).toContain(scene.stuck.id);
    expect(copied.split("\n").length).toBeGreaterThan(5);
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  it("lead to a session whose timeline says since when nothing runs in it", async () => {
    const visited = await enter();
    const { page } = visited;
    await page.goto(`${scene.url}/console/sessions/${scene.strangers.id}`);
    const idle = page.locator(".timeline .s-idle");
    await idle.waitFor({ state: "attached" });
    expect(await idle.locator("title").textContent()).toMatch(/^idle since /);
    await visited.close();
  });

  it("end it with a proof when an operator begins a new round, once its host is well [PEO-1] [PEO-3] [PEO-4]", async () => {
    const visited = await enter();
    const { page } = visited;
    await openAttention(visited);
    expect(await item(visited).locator(".why").textContent()).toContain("the stop attempts are used up");
    await scene.clearFaults();
    await item(visited).getByRole("button", { name: "Try to stop it again" }).click();
    const dialog = page.getByRole("dialog");
    expect(await dialog.textContent()).toContain(`mooring resolve ${scene.stuck.id} --action retry_stop`);
    const act = dialog.getByRole("button", { name: "Try to stop it again" });
    // Not without a reason, which the log keeps.
    expect(await act.isDisabled()).toBe(true);
    await dialog.getByLabel("Why").fill("the host is back");
    await act.click();
    await dialog.getByText("It is stored.").waitFor();
    await dialog.getByRole("button", { name: "Close", exact: true }).last().click();
    // Nothing is reloaded: attention forgets it by itself.
    await item(visited).waitFor({ state: "detached" });
    await page.goto(`${scene.url}/console/sessions/${scene.stuck.id}`);
    await page.getByText("its sandbox is proven gone").waitFor();
    await page.goto(`${scene.url}/console/log`);
    const kept = page.locator("tr", { hasText: "session.resolve.retry_stop" });
    expect(await kept.filter({ hasText: scene.stuck.id }).textContent()).toContain("the host is back");
    expect(visited.faults).toEqual([]);
    await visited.close();
  });
});
