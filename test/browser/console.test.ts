/**
 * The console in a real browser, against a real stack with sessions in every state. Each page is looked at as an operator, as a
 * tenant, in light and dark, at a desk and on a phone; each act is done as a person would do it.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { repository } from "../../scripts/repository.ts";
import { until } from "../support/until.ts";
import { browserMissing, launchBrowser, signIn, type VisitOptions, visit, type Visit } from "./support/browser.ts";
import { axeFindings, settled, show } from "./support/page.ts";
import { type Scene, setScene } from "./support/scene.ts";

/** Not in git: whoever changed a page looks at these. */
const pictures = join(repository, "coverage/console");

it("a browser is there, or the way to get one is told", () => {
  // In CI it must be: skipped tests would look like passing ones there.
  if (process.env["CI"] !== undefined) expect(browserMissing).toBeNull();
  // oxlint-disable-next-line no-console -- for whoever runs the tests
  else if (browserMissing !== null) console.log(`Tests of the console are skipped. ${browserMissing}`);
});

describe.skipIf(browserMissing !== null)("the console", () => {
  let scene: Scene;
  let browser: Browser;
  beforeAll(async () => {
    mkdirSync(pictures, { recursive: true });
    [scene, browser] = await Promise.all([setScene(), launchBrowser()]);
  });
  afterAll(async () => {
    await browser?.close();
    await scene?.world.stop();
  });

  const enter = async (who: "operator" | "tenant" | "both" | "stranger", around: VisitOptions = {}): Promise<Visit> => {
    const visited = await visit(browser, scene.url, around);
    const keys = {
      operator: [scene.adminToken],
      tenant: [scene.key],
      both: [scene.adminToken, scene.key],
      stranger: [scene.strangerKey],
    };
    await signIn(visited, scene.url, ...keys[who]);
    return visited;
  };
  const open = async ({ page }: Visit, path: string): Promise<void> => {
    await page.goto(`${scene.url}/console${path}`);
    await settled(page);
  };

  const views = (): Readonly<Record<string, string>> => ({
    attention: "",
    sessions: "/sessions",
    "session-running": `/sessions/${scene.running.id}`,
    "session-stuck": `/sessions/${scene.stuck.id}`,
    "session-lost": `/sessions/${scene.lost.id}`,
    "session-ended": `/sessions/${scene.ended.id}`,
    "session-paused": `/sessions/${scene.paused.id}`,
    jobs: `/sessions/${scene.running.id}?tab=jobs&job=build`,
    events: `/sessions/${scene.ended.id}?tab=events`,
    logs: `/sessions/${scene.running.id}?tab=logs`,
    resources: `/sessions/${scene.running.id}?tab=resources`,
    receipt: `/sessions/${scene.ended.id}?tab=receipt`,
    fleet: "/fleet",
    ledger: "/ledger",
    audits: "/audits",
    containers: "/containers",
    keys: "/keys/acme",
    snapshots: "/snapshots",
    webhooks: "/webhooks",
    log: "/log",
    unknown: "/nothing-here",
  });

  it("loads at most 60 kB at first, compressed, and from here alone", async () => {
    const visited = await visit(browser, scene.url);
    const sizes: Record<string, number> = {};
    visited.page.on("response", (response) => {
      void response.body().then(
        (body) => (sizes[new URL(response.url()).pathname] = gzipSync(body).length),
        () => {},
      );
    });
    await visited.page.goto(`${scene.url}/console`);
    await visited.page.getByLabel("Admin token or API key").waitFor();
    await visited.page.waitForLoadState("networkidle");
    const bytes = Object.values(sizes).reduce((sum, each) => sum + each, 0);
    // oxlint-disable-next-line no-console -- the figure that a reader of the run wants
    console.log(`First load of the console: ${bytes} bytes compressed in ${Object.keys(sizes).length} answers.`);
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThanOrEqual(60_000);
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  it("refuses a wrong credential in words that say what to do, and keeps nothing of it [PEO-4]", async () => {
    const visited = await visit(browser, scene.url);
    await visited.page.goto(`${scene.url}/console/sessions`);
    await visited.page.getByLabel("Admin token or API key").fill("not-the-token-of-this-mooring");
    await visited.page.getByRole("button", { name: "Sign in" }).click();
    await expect.poll(() => visited.page.getByRole("alert").textContent()).toContain("It is the secret ADMIN_TOKEN");
    expect(await visited.page.context().cookies()).toEqual([]);
    await visited.close();
  });

  it("keeps its sign-in where no script reads it, and signs out", async () => {
    const visited = await enter("operator");
    const [cookie] = await visited.page.context().cookies();
    expect(cookie).toMatchObject({ name: "mooring_operator", httpOnly: true, sameSite: "Strict" });
    expect(await visited.page.evaluate("document.cookie")).toBe("");
    await visited.page.getByRole("button", { name: "Sign out" }).click();
    await visited.page.getByLabel("Admin token or API key").waitFor();
    expect(await visited.page.context().cookies()).toEqual([]);
    await visited.close();
  });

  it("signs a browser in by the link that a program asked for, without the credential in its history", async () => {
    const asked = await fetch(`${scene.url}/console/ticket`, {
      method: "POST",
      headers: { authorization: `Bearer ${scene.adminToken}` },
    });
    const { path } = (await asked.json()) as { readonly path: string };
    const visited = await visit(browser, scene.url);
    await visited.page.goto(`${scene.url}${path}`);
    await visited.page.getByRole("heading", { name: "Needs attention" }).waitFor();
    expect(visited.page.url()).toBe(`${scene.url}/console`);
    await visited.close();
  });

  it("names what is wrong, since when and why, with the figures [PEO-1]", async () => {
    const visited = await enter("operator");
    await until("the lost one is listed", async () => {
      await open(visited, "");
      return (await visited.page.locator(".items .id", { hasText: scene.lost.id }).count()) > 0;
    });
    const item = visited.page.locator(".items > li", { hasText: scene.lost.id });
    expect(await item.locator(".why").textContent()).toContain("It is lost");
    expect(await item.textContent()).toContain("Its tenant can: rebuild it");
    expect(await visited.page.getByText("Sandboxes", { exact: true }).count()).toBe(1);
    await item.getByRole("link", { name: "Look" }).click();
    await visited.page.getByRole("heading", { level: 1, name: scene.lost.id }).waitFor();
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  // Before the acts: they end the faults that keep a session stuck.
  it.each([
    ["light", "desktop"],
    ["dark", "desktop"],
    ["light", "phone"],
    ["dark", "phone"],
  ] as const)(
    "shows every page, %s, %s: nothing refused by its policy, nothing that a screen reader or a thumb cannot use",
    async (theme, size) => {
      const visited = await enter("both", { theme, size });
      const findings: string[] = [];
      for (const [name, path] of Object.entries(views())) {
        await open(visited, path);
        await visited.page.screenshot({ path: join(pictures, `${name}-${theme}-${size}.png`), fullPage: true });
        // The README shows what a screen holds of these two.
        if (size === "desktop" && (name === "attention" || name === "session-stuck"))
          await visited.page.screenshot({
            path: join(pictures, `readme-${name}-${theme}.png`),
            clip: { x: 0, y: 0, width: 1280, height: name === "attention" ? 430 : 860 },
          });
        // The same markup in the other two: contrast differs by theme, layout by size, and both are covered.
        if ((theme === "light") === (size === "desktop"))
          findings.push(...(await axeFindings(visited.page)).map((finding) => `${name}: ${finding}`));
        const wide = await visited.page.evaluate<number>("document.documentElement.scrollWidth - window.innerWidth");
        if (wide > 1) findings.push(`${name}: ${wide} px wider than the screen`);
      }
      expect(findings).toEqual([]);
      expect(visited.faults).toEqual([]);
      await visited.close();
    },
  );

  it("shows a tenant its own sessions and nothing of another's, anywhere [PEO-5]", async () => {
    const visited = await enter("stranger");
    const foreign = [scene.running, scene.paused, scene.ended, scene.stuck, scene.lost].map(({ id }) => id);
    for (const path of Object.values(views())) {
      await open(visited, path);
      const text = (await visited.page.locator("main").innerText()).replaceAll(
        path.replace("/sessions/", "").split("?")[0] ?? "",
        "",
      );
      for (const id of foreign) expect(text, path).not.toContain(id);
      expect(text, path).not.toContain("acme");
      expect(text, path).not.toContain("build-42");
    }
    await open(visited, `/sessions/${scene.running.id}`);
    expect(await visited.page.getByText("There is no such session for you.").count()).toBe(1);
    await open(visited, "/sessions");
    expect(await visited.page.getByRole("link", { name: scene.strangers.id }).count()).toBe(1);
    // Nothing of an operator's is even asked for.
    expect(visited.calls.filter((call) => call.includes("/v1/admin/"))).toEqual([]);
    await visited.close();
  });

  it("makes no call while it is hidden, for a day, and at most one a second while it is seen [PEO-2]", async () => {
    for (const path of ["", "/sessions", "/fleet", `/sessions/${scene.running.id}`]) {
      const visited = await enter("operator");
      const { page, calls, atRest } = visited;
      await page.clock.install();
      await open(visited, path);
      const before = calls.length;
      for (let second = 0; second < 60; second += 1) await page.clock.runFor(1_000);
      await atRest();
      expect(calls.length - before, `${path}, seen for a minute`).toBeLessThanOrEqual(60);
      await show(page, "hidden");
      const hidden = calls.length;
      await page.clock.fastForward(60_000);
      for (let hour = 0; hour < 24; hour += 1) await page.clock.fastForward(3_600_000);
      expect(calls.slice(hidden), `${path}, hidden for a day`).toEqual([]);
      await show(page, "visible");
      await page.clock.runFor(2_000);
      await expect.poll(() => calls.length).toBeGreaterThan(hidden);
      await visited.close();
    }
  });

  it("makes no call on any page that is hidden for a day [PEO-2]", async () => {
    const visited = await enter("both");
    const { page, calls, atRest } = visited;
    await page.clock.install();
    const inside = ["terminal", "files", "ports"].map((tab) => `/sessions/${scene.running.id}?tab=${tab}`);
    for (const path of [...Object.values(views()), ...inside]) {
      await open(visited, path);
      await atRest();
      await show(page, "hidden");
      const hidden = calls.length;
      for (let hour = 0; hour < 24; hour += 1) await page.clock.fastForward(3_600_000);
      expect(calls.slice(hidden), path).toEqual([]);
    }
    await visited.close();
  });

  it("is used with the keyboard alone: rows, marks, help, search", async () => {
    const visited = await enter("operator");
    const { page } = visited;
    await open(visited, "/sessions");
    const ids = await page.locator("tbody .id").allTextContents();
    for (const key of ["j", "j", "x", "k", "x"]) await page.keyboard.press(key);
    expect(await page.locator('tr[aria-selected="true"] .id').allTextContents()).toEqual(ids.slice(0, 2));
    await page.keyboard.press("Escape");
    expect(await page.locator('tr[aria-selected="true"]').count()).toBe(0);
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("/");
    expect(await page.evaluate("document.activeElement.getAttribute('aria-label')")).toBe("Search sessions");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: ids[0] ?? "" }).waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("f");
    await page.getByRole("heading", { level: 1, name: "Fleet" }).waitFor();
    await visited.close();
  });

  it("follows a job's output as it is written, and cancels the job after saying what ends [PEO-3]", async () => {
    const visited = await enter("tenant");
    const { page } = visited;
    await open(visited, `/sessions/${scene.running.id}?tab=jobs`);
    await page
      .getByLabel("Command to run in the session")
      .fill("n=0; while true; do n=$((n+1)); echo line $n; sleep 0.3; done");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    const output = page.getByLabel("Output of the job");
    await expect.poll(() => output.textContent()).toContain("line 3\n");
    // Another tab for a while: the stream goes on at the byte, so no line is missing or told twice.
    for (const state of ["hidden", "visible"] as const) {
      await show(page, state);
    }
    const seen = (await output.textContent()) ?? "";
    const last = Number(/line (\d+)\n$/.exec(seen)?.[1] ?? 0);
    await expect.poll(() => output.textContent()).toContain(`line ${last + 3}\n`);
    const lines = ((await output.textContent()) ?? "").trim().split("\n");
    expect(lines).toEqual(lines.map((_, index) => `line ${index + 1}`));
    await page.getByRole("button", { name: "Cancel the job" }).click();
    const dialog = page.getByRole("dialog", { name: "Cancel the job" });
    expect(await dialog.textContent()).toContain("everything that it started is ended");
    await dialog.getByRole("button", { name: "Cancel the job" }).click();
    await dialog.getByRole("button", { name: "Close", exact: true }).last().click();
    await expect
      .poll(() => page.getByRole("region", { name: "Output", exact: true }).textContent())
      .toContain("cancelled");
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  it("ends marked sessions by plan and apply, with progress by id and receipts; one that changed is skipped [PEO-1] [PEO-3]", async () => {
    await scene.clearFaults();
    const [first, second] = [
      await scene.create({ labels: { bulk: "yes" } }),
      await scene.create({ labels: { bulk: "yes" } }),
    ];
    const visited = await enter("operator");
    const { page } = visited;
    await until("both are in the index", async () => {
      await open(visited, "/sessions?q=bulk%3Dyes&status=running");
      return (await page.locator("tbody tr").count()) === 2;
    });
    await page.getByRole("checkbox", { name: "Mark all on this page" }).check();
    await page.getByRole("button", { name: "End 2 …" }).click();
    const dialog = page.getByRole("dialog");
    const apply = dialog.getByRole("button", { name: "End 2" });
    expect(await apply.isDisabled()).toBe(true);
    for (const { id } of [first, second]) expect(await dialog.textContent()).toContain(id);
    // Between plan and apply one of them pauses.
    await scene.api.pause(second.id);
    await until("it is paused", async () => (await scene.api.session(second.id)).status === "paused");
    await dialog.getByLabel("Why").fill("they were bulk");
    await dialog.getByLabel("to say that you have seen the list").fill("2");
    await apply.click();
    await expect.poll(() => dialog.getByRole("status").textContent()).toBe("2 of 2 done.");
    expect(await dialog.locator("tr", { hasText: first.id }).textContent()).toContain("its end is stored");
    expect(await dialog.locator("tr", { hasText: second.id }).textContent()).toContain(
      "it was running when you looked and is paused now",
    );
    await until("it is gone", async () => (await scene.api.session(first.id)).status === "terminated");
    await dialog.getByRole("link", { name: "receipt" }).click();
    await page.getByRole("region", { name: /Receipt of generation/ }).waitFor();
    expect(await page.locator(".receipt").textContent()).toContain("found nothing of it");
    await visited.close();
  });

  it("cleans up by plan and hash, drains and takes sessions again, plans an audit: each with its reason in the log [PEO-1] [PEO-3]", async () => {
    const visited = await enter("operator");
    const { page } = visited;
    await open(visited, "/fleet");
    await page.getByRole("button", { name: "Emergency …" }).click();
    const emergency = page.getByRole("dialog");
    expect(await emergency.getByRole("button", { name: "Show the plan" }).isDisabled()).toBe(true);
    await emergency.getByLabel("Why").fill("only looking");
    await emergency.getByRole("button", { name: "Show the plan" }).click();
    await emergency.getByText("nothing ended yet").waitFor();
    expect(await emergency.textContent()).toContain(scene.running.id);
    await emergency.getByRole("button", { name: "Cancel" }).click();

    await page.getByRole("button", { name: "Drain …" }).click();
    const drain = page.getByRole("dialog");
    await drain.getByLabel("Why").fill("a new rack is moved in");
    await drain.getByRole("button", { name: "Drain", exact: true }).click();
    await drain.getByText("No new sessions are taken.").waitFor();
    await drain.getByRole("button", { name: "Close", exact: true }).last().click();
    await page.getByRole("button", { name: "Take sessions again …" }).click();
    await page.getByRole("dialog").getByLabel("Why").fill("it is in");
    await page.getByRole("dialog").getByRole("button", { name: "Take them again" }).click();
    await page.getByText("New sessions are taken.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Close", exact: true }).last().click();

    await open(visited, "/audits");
    await page.getByRole("button", { name: "Plan an audit" }).click();
    await page.getByRole("region", { name: "Findings" }).waitFor();

    await open(visited, "/log");
    const log = await page.locator("main").textContent();
    for (const words of [
      "cleanup.emergency.dry_run",
      "only looking",
      "a new rack is moved in",
      "it is in",
      "drain.end",
    ])
      expect(log).toContain(words);
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  it("ends a session of any tenant from its page, after saying what is lost [PEO-1] [PEO-3]", async () => {
    await scene.clearFaults();
    const doomed = await scene.create({ labels: { doomed: "yes" } });
    const visited = await enter("operator");
    const { page } = visited;
    await open(visited, `/sessions/${doomed.id}`);
    await page.getByRole("button", { name: "End it" }).click();
    const dialog = page.getByRole("dialog");
    expect(await dialog.textContent()).toContain("What is not saved is lost");
    expect((await scene.api.session(doomed.id)).status).toBe("running");
    // Not without a reason, which the log keeps.
    expect(await dialog.getByRole("button", { name: "End it" }).isDisabled()).toBe(true);
    await dialog.getByLabel("Why").fill("it runs away");
    await dialog.getByRole("button", { name: "End it" }).click();
    await dialog.getByRole("button", { name: "Close", exact: true }).last().click();
    // Nothing is reloaded: the page follows the history of the session.
    await page.getByText("its sandbox is proven gone").waitFor();
    await open(visited, "/log");
    const acts = page.locator("tr", { hasText: "session.delete" });
    expect(await acts.filter({ hasText: doomed.id }).textContent()).toContain("it runs away");
    expect(await page.locator("main").textContent()).toContain("they were bulk");
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  it("revokes a key by its middle part alone, and says so in the list [PEO-1]", async () => {
    const key = await scene.world.stack.apiKey("leaky");
    const visited = await enter("operator");
    const { page } = visited;
    await open(visited, "/keys/leaky");
    const sent: string[] = [];
    page.on("request", (request) => sent.push(`${request.url()} ${request.postData() ?? ""}`));
    await page.getByLabel("The key, or its middle part").fill(key);
    await page.getByRole("button", { name: "Revoke …" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke it for ever" }).click();
    await page.getByText("It is revoked.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Close", exact: true }).last().click();
    const middle = key.split("_")[2] ?? "";
    await page.getByRole("cell", { name: middle }).waitFor();
    expect(sent.filter((each) => each.includes(key.split("_")[3] ?? "?"))).toEqual([]);
    await visited.close();
  });

  it("has docs that are read, searched and linked, with every operation of the API in the reference [PEO-7]", async () => {
    const document = (await (await fetch(`${scene.url}/openapi.json`)).json()) as {
      readonly paths: Readonly<Record<string, object>>;
    };
    const described = Object.values(document.paths).reduce((sum, methods) => sum + Object.keys(methods).length, 0);
    for (const size of ["desktop", "phone"] as const) {
      const visited = await visit(browser, scene.url, { theme: size === "phone" ? "dark" : "light", size });
      const { page } = visited;
      const findings: string[] = [];
      for (const path of ["", "/guide", "/reference", "/operations", "/compat"]) {
        await page.goto(`${scene.url}/docs${path}`);
        await page.locator("article h1").first().waitFor();
        await page.screenshot({ path: join(pictures, `docs${path.replace("/", "-")}-${size}.png`) });
        findings.push(...(await axeFindings(page)).map((finding) => `${path}: ${finding}`));
        const wide = await page.evaluate<number>("document.documentElement.scrollWidth - window.innerWidth");
        if (wide > 1) findings.push(`${path}: ${wide} px wider than the screen`);
        const title = await page.locator("article h1").first().boundingBox();
        if (title === null || title.y > 300) findings.push(`${path}: its title is not on the first screen`);
        const unseen = await page.evaluate<readonly string[]>(
          "Promise.all([...document.images].map((each) => each.decode().then(() => [], () => [each.src]))).then((all) => all.flat())",
        );
        findings.push(...unseen.map((each) => `${path}: the picture ${each} does not load`));
      }
      await page.goto(`${scene.url}/docs/reference#resolveSession`);
      expect(await page.locator("details.operation").count()).toBe(described);
      await page.locator("#resolveSession[open]").waitFor();
      await page.getByRole("searchbox", { name: "Search the docs" }).fill("assert_absent");
      await page.locator(".found a").first().click();
      await page.waitForURL(/\/docs\/.+#/);
      expect(findings).toEqual([]);
      expect(visited.faults).toEqual([]);
      await visited.close();
    }
  });

  it("opens the page that a problem of the API names [PEO-4]", async () => {
    const answer = await fetch(`${scene.url}/v1/sessions/${scene.ended.id}/keepalive`, {
      method: "POST",
      headers: { authorization: `Bearer ${scene.key}` },
    });
    const { instance } = (await answer.json()) as { readonly instance: string };
    const visited = await enter("tenant");
    await visited.page.goto(instance);
    await visited.page.getByRole("heading", { level: 1, name: scene.ended.id }).waitFor();
    await visited.close();
  });
});
