/** Released E2B SDKs, unmodified, as they are installed out there: each walks the life of a sandbox with a key in E2B's form. */
import { Sandbox as Sandbox31 } from "e2b-2.31";
import { Sandbox as Sandbox39 } from "e2b-2.39";
import { Sandbox as Sandbox45 } from "e2b-2.45";
import { Sandbox as Sandbox50 } from "e2b-2.50";
import { Sandbox as Sandbox51 } from "e2b";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { e2bFormOf } from "../../../src/protocol/api-keys.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";

let world: TemporaryStack;
beforeAll(async () => {
  world = await temporaryStack({ vars: { ...calmVars, TENANT_MAX_SANDBOXES: "4" } });
});
afterAll(() => world.stop());

/** The classes differ in types that play no part here; the newest one's are close enough to write one test. */
const releases: readonly (readonly [string, typeof Sandbox51])[] = [
  ["2.31", Sandbox31 as unknown as typeof Sandbox51],
  ["2.39", Sandbox39 as unknown as typeof Sandbox51],
  ["2.45", Sandbox45 as unknown as typeof Sandbox51],
  ["2.50", Sandbox50 as unknown as typeof Sandbox51],
  ["2.51", Sandbox51],
];

describe.each(releases)("SDK %s", (version, Sandbox) => {
  it("creates, lists, pauses, connects and kills with a key in E2B's form [BUG-61] [TRA-14]", async () => {
    const { url } = world.stack;
    const apiKey = e2bFormOf(await world.stack.apiKey(`release-${version.replace(".", "-")}`));
    const options = { apiKey, apiUrl: url, sandboxUrl: url };
    const lifecycle = { onTimeout: "pause", autoResume: true } as const;
    const sandbox = await Sandbox.create("base", { ...options, metadata: { release: version }, lifecycle });
    const { sandboxId } = sandbox;
    expect(await sandbox.isRunning()).toBe(true);
    const listed = await Sandbox.list(options).nextItems();
    expect(listed.map((each) => [each.sandboxId, each.metadata])).toEqual([[sandboxId, { release: version }]]);
    await sandbox.setTimeout(600_000);
    expect(await sandbox.getInfo()).toMatchObject({ sandboxId, state: "running" });
    // Every SDK but the newest sends `memory: true` with a pause, which is E2B's default.
    expect([await sandbox.pause(), await sandbox.pause()]).toEqual([true, false]);
    expect(await sandbox.isRunning()).toBe(false);
    const connected = await Sandbox.connect(sandboxId, options);
    expect(await connected.isRunning()).toBe(true);
    expect(await Sandbox.kill(sandboxId, options)).toBe(true);
    expect(await Sandbox.kill(sandboxId, options)).toBe(false);
    await expect(Sandbox.connect(sandboxId, options)).rejects.toThrow(/gone|not found/i);
  });
});
