/**
 * The quieter pages of the console with much in them, with nothing in them, and about what is not there: audits, shared containers, keys,
 * webhooks, snapshots and the log; and the commands that every page shows.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { repository } from "../../scripts/repository.ts";
import { misunderstood } from "../support/understood.ts";
import { until } from "../support/until.ts";
import { browserMissing, launchBrowser, signIn, type VisitOptions, visit, type Visit } from "./support/browser.ts";
import { type FullScene, longName, setFullScene } from "./support/full-scene.ts";
import { axeFindings, settled } from "./support/page.ts";

/** Not in git: whoever changed a page looks at these. */
const pictures = join(repository, "coverage/console");

describe.skipIf(browserMissing !== null)("the quieter pages of the console", () => {
  let scene: FullScene;
  let browser: Browser;
  beforeAll(async () => {
    mkdirSync(pictures, { recursive: true });
    [scene, browser] = await Promise.all([setFullScene(), launchBrowser()]);
  });
  afterAll(async () => {
    await browser?.close();
    await scene?.stop();
  });

  const enter = async (who: "both" | "tenant" | "newcomer", around: VisitOptions = {}): Promise<Visit> => {
    const visited = await visit(browser, scene.url, around);
    const credentials = {
      both: [scene.adminToken, scene.key],
      tenant: [scene.key],
      newcomer: [scene.adminToken, scene.emptyKey],
    };
    await signIn(visited, scene.url, ...credentials[who]);
    return visited;
  };
  const open = async ({ page }: Visit, path: string): Promise<void> => {
    await page.goto(`${scene.url}/console${path}`);
    await settled(page);
  };

  const full = (): Readonly<Record<string, string>> => ({
    audits: "/audits",
    "audit-open": `/audits/${scene.audits.open}`,
    "audit-applied": `/audits/${scene.audits.applied}`,
    "audit-empty": `/audits/${scene.audits.empty}`,
    containers: "/containers",
    "container-open": `/containers/${scene.containers.open}?tenant=acme`,
    "container-stopping": `/containers/${scene.containers.stopping}`,
    keys: "/keys/acme",
    "keys-nobody": "/keys",
    webhooks: "/webhooks",
    "webhook-taken": `/webhooks/${scene.webhooks.taken}`,
    "webhook-failing": `/webhooks/${scene.webhooks.failing}`,
    snapshots: "/snapshots",
    log: "/log",
    fleet: "/fleet",
    ledger: "/ledger",
    session: `/sessions/${scene.running.id}`,
  });
  /** With nothing to show, and about what is not there. */
  const bare: Readonly<Record<string, string>> = {
    "containers-gone": "/containers?phase=gone",
    "keys-unknown": "/keys/nobody-yet",
    webhooks: "/webhooks",
    snapshots: "/snapshots",
    "no-audit": "/audits/a0000000000000000000",
    "no-container": "/containers/c0000000000000000001",
    "no-webhook": "/webhooks/wh_00000000000000000000",
    "no-session": "/sessions/00000000000000000000",
    "no-match": "/sessions?q=team%3Dnobody&only=no_capacity",
  };

  it.each([
    ["light", "desktop"],
    ["dark", "phone"],
  ] as const)(
    "are whole with much in them and with nothing, %s, %s: a screen reader and a thumb can use them",
    async (theme, size) => {
      const findings: string[] = [];
      for (const [who, pages] of [
        ["both", full()],
        ["newcomer", bare],
      ] as const) {
        const visited = await enter(who, { theme, size });
        const { page } = visited;
        for (const [name, path] of Object.entries(pages)) {
          await open(visited, path);
          const said = `${who === "both" ? "full" : "bare"}-${name}`;
          await page.screenshot({ path: join(pictures, `${said}-${theme}-${size}.png`), fullPage: true });
          findings.push(...(await axeFindings(page)).map((finding) => `${said}: ${finding}`));
          // Not window.innerWidth: a phone widens it to what the page needs, and shows everything smaller.
          const width = await page.evaluate<number>("document.documentElement.scrollWidth");
          const wide = width - (page.viewportSize()?.width ?? 0);
          if (wide > 1) findings.push(`${said}: ${wide} px wider than the screen`);
        }
        expect(visited.faults).toEqual([]);
        await visited.close();
      }
      expect(findings).toEqual([]);
    },
  );

  it("show the command that does the same, as mooring takes it, with the filters of the page [PEO-4]", async () => {
    const visited = await enter("both");
    const { page } = visited;
    const inside = "jobs terminal files ports events logs resources receipt".split(" ");
    const paths = [
      ...[
        "",
        "/sessions",
        "/sessions?only=overdue",
        "/sessions?only=open",
        "/containers?phase=stopping",
        "/nothing-here",
      ],
      "/sessions?q=team%3Dweb%20agent%3Acoder&status=running",
      ...Object.values(full()),
      ...inside.map((tab) => `/sessions/${scene.running.id}?tab=${tab}`),
    ];
    const lines = new Map<string, string>();
    for (const path of paths) {
      await open(visited, path);
      const line = await page.locator("footer.page .command code").textContent();
      lines.set(path, line ?? "");
      expect(misunderstood(line ?? ""), path).toBeNull();
    }
    expect(lines.get("/sessions?only=open")).toBe("mooring api list-all-sessions --open true");
    expect(lines.get("/containers?phase=stopping")).toBe("mooring api list-containers --phase stopping");
    expect(lines.get("/sessions?q=team%3Dweb%20agent%3Acoder&status=running")).toBe(
      "mooring api list-all-sessions --status running --agent-type coder --label team=web",
    );
    expect(lines.get(`/audits/${scene.audits.open}`)).toBe(`mooring audit apply ${scene.audits.open}`);
    expect(lines.get(`/audits/${scene.audits.applied}`)).toBe(`mooring api get-audit ${scene.audits.applied}`);
    await visited.close();
  });

  it("show what fires with the command to run first, and no curl [PEO-1] [PEO-4]", async () => {
    const visited = await enter("both");
    const { page } = visited;
    const alerts = page.getByRole("region", { name: "Alerts" });
    await until(
      "an alert fires",
      async () => {
        await open(visited, "/fleet");
        return (await alerts.locator(".chip", { hasText: "firing" }).count()) > 0;
      },
      150_000,
    );
    const lines = await alerts.locator(".command code").allTextContents();
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) expect(misunderstood(line)).toBeNull();
    await visited.close();
  });

  it("narrow a tenant's list by what blocks, and say what only an operator can ask [PEO-5]", async () => {
    const visited = await enter("tenant");
    const { page } = visited;
    await open(visited, "/sessions");
    await page.getByLabel("Only").selectOption("parked");
    await page.getByText("No session fits.").waitFor();
    expect(page.url()).toContain("only=parked");
    expect(await page.locator("footer.page .command code").textContent()).toBe("mooring sessions --blocked parked");
    expect(await page.getByLabel("Only").locator("option").allTextContents()).not.toContain("stuck");
    await open(visited, "/sessions?only=stuck");
    expect(await page.getByRole("alert").textContent()).toContain("stuck");
    expect(visited.calls.filter((call) => call.includes("/v1/admin/"))).toEqual([]);
    await visited.close();
  });

  it("say of a session when it was last proven to live", async () => {
    const visited = await enter("tenant");
    await open(visited, `/sessions/${scene.running.id}`);
    const proof = visited.page.locator("p", { hasText: "Last proof of life" });
    expect(await proof.textContent()).toMatch(
      /Last proof of life (just now|\d+ s ago|\d+ min.* ago): it accepted a renewal/,
    );
    await visited.close();
  });

  it("keep long names whole", async () => {
    const visited = await enter("tenant", { size: "phone" });
    await open(visited, "/snapshots");
    const name = visited.page.getByText(longName).first();
    const box = await name.boundingBox();
    expect((box?.x ?? 0) + (box?.width ?? 1_000)).toBeLessThanOrEqual(390);
    await visited.close();
  });
});
