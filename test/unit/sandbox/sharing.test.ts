/** Which provider on Cloudflare offers a place in a shared container: none whose members could not be kept apart. */
import { expect, it } from "vitest";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ContainerId, Generation, InstanceId, SandboxId, SessionId } from "../../../src/domain/state/ids.ts";
import type { LaunchOrder } from "../../../src/sandbox/agent-sandbox.ts";
import { repository } from "../../../scripts/repository.ts";
import { cloudflareSandbox } from "../../../src/sandbox/cloudflare/cloudflare-sandbox.ts";
import { systemClock, systemIds } from "../../support/system-runtime.ts";

const launch: LaunchOrder = {
  sessionId: "s".repeat(20) as SessionId,
  sandboxId: `${"s".repeat(20)}-g7` as SandboxId,
  container: "shared-1" as ContainerId,
  generation: 7 as Generation,
  instanceId: "i" as InstanceId,
  secret: "x".repeat(64),
  launchNotAfter: Number.MAX_SAFE_INTEGER,
  leaseTtlMs: 60_000,
  jobGraceMs: 100,
  stopGraceMs: 500,
  env: {},
};

const nowhere = (): never => {
  throw new Error("no object is asked");
};

it.each(["cloudflare", "sandbox-sdk"] as const)(
  "[BUG-23] %s gives no place in a shared container, asks no object for one, and still ends those of an earlier release",
  async (name) => {
    const parts = { bucket: null, clock: systemClock, ids: systemIds, object: nowhere };
    const adapter = cloudflareSandbox({ ...parts, name, sharing: "only ending" });
    expect(adapter.capabilities.shared).toBe(false);
    expect(adapter.containers).toBeDefined();
    const bound = { timeoutMs: 1_000, signal: new AbortController().signal };
    expect(await adapter.launch(launch, bound)).toMatchObject({
      ok: false,
      failure: { code: "unsupported", effect: "none", message: expect.stringContaining("no place") as string },
    });
    // What the deployed Worker is wired with.
    expect(readFileSync(join(repository, "src/wiring/wiring.ts"), "utf8")).not.toContain('sharing: "offered"');
  },
);

it("[BUG-93] nobody reaches a container over ssh: it is off for each container application", () => {
  const tables = readFileSync(join(repository, "wrangler.toml"), "utf8").split(/^(?=\[)/m);
  const applications = tables.flatMap((table, index) => (table.startsWith("[[containers]]") ? [index] : []));
  expect(applications.length).toBeGreaterThan(1);
  for (const index of applications) expect(tables[index + 1]).toMatch(/^\[containers\.ssh\]\nenabled = false$/m);
});
