/** Room on a real disk: a quota, a small filesystem that fills up, one that turns read-only, and directories that vanish. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { admitCold, type Measured } from "../../../src/domain/rules/cold-admission.ts";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import type { AgentSandbox } from "../../../src/sandbox/agent-sandbox.ts";
import { localSandbox } from "../../../src/sandbox/local/local-sandbox.ts";
import { bound, ContractSession, valueOf } from "../../contract/contract-session.ts";
import type { ProviderWorld } from "../../contract/provider-harness.ts";
import { RunningHost, type HostOptions } from "../../support/running-host.ts";
import { systemClock, systemIds, testControlPlane } from "../../support/system-runtime.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const mib = 2 ** 20;

async function hostWith(options: HostOptions): Promise<{ readonly host: RunningHost; readonly world: ProviderWorld }> {
  const host = await RunningHost.start(options);
  closing.push(() => host.close());
  const runtime = { clock: systemClock, ids: systemIds, fetch: (...call: Parameters<typeof fetch>) => fetch(...call) };
  const provider = localSandbox({ url: host.url, token: host.token, controlPlane: testControlPlane, ...runtime });
  const world: ProviderWorld = {
    provider,
    sessionId: () => host.session() as SessionId,
    now: Date.now,
    wait: (ms) => systemClock.sleep(ms),
    settle: (promise) => promise,
    jobs: { echo: String, exit: String, sleep: "sleep 300", ignoreTerm: "", fork: "", cat: "cat" },
    can: {},
    close: async () => {},
  };
  return { host, world };
}

/** A filesystem of its own, so big; undefined where none may be mounted. */
function smallDisk(megabytes: number): string | undefined {
  const root = mkdtempSync(join(tmpdir(), "mooring-small-disk-"));
  closing.push(() => rmSync(root, { recursive: true, force: true }));
  if (spawnSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", root]).status !== 0) return undefined;
  closing.push(() => spawnSync("umount", ["-l", root]));
  return join(root, "state");
}

async function measured(provider: AgentSandbox, session: ContractSession): Promise<Measured> {
  const told = await provider.space?.inspectCapacity(session.target(), bound());
  if (told === undefined) throw new Error("it cannot measure");
  return told.ok ? { type: "space", ...told.value } : { type: "failed", failure: told.failure };
}

async function ran(session: ContractSession, id: string, command: string) {
  await session.startJob(id, command);
  const look = async () => valueOf(await session.wrapper().job(id as never, 1_000, bound()), id);
  return session.becomes(`job ${id}`, look, ({ state }) => state !== "running");
}

describe("a quota of the host", () => {
  it("that is used up refuses a cold start with the numbers, loses nothing of what runs, and gives back what ends [CAP-1] [CAP-4]", async () => {
    const { host, world } = await hostWith({ arguments: ["--quota-bytes", String(64 * mib)] });
    const { provider } = world;
    const busy = new ContractSession(world);
    await busy.held();
    await ran(busy, "fill", "head -c 50000000 /dev/urandom > big");
    const next = new ContractSession(world);
    const room = await measured(provider, next);
    expect(room).toMatchObject({ type: "space", totalBytes: 64 * mib });
    if (room.type !== "space") throw new Error("no space was measured");
    expect(room.freeBytes).toBeLessThan(17_200_000);
    expect(admitCold(room, null, 32 * mib)).toEqual({ type: "reclaim" });
    const reclaimed = valueOf(
      await world.settle(
        provider.space?.reclaim(next.target(), bound()) ?? Promise.reject(new Error("it cannot reclaim")),
      ),
      "reclaim",
    );
    expect(reclaimed.removed).toEqual([]);
    expect(reclaimed.kept).toMatchObject([{ name: busy.order.sandboxId, why: "something of it is running" }]);
    const outcome = { removed: 0, freedBytes: 0, failed: null };
    expect(admitCold(await measured(provider, next), outcome, 32 * mib)).toMatchObject({
      code: "insufficient_space",
      words: expect.stringMatching(/^\d+ of 67108864 bytes are free.*33554432 are needed/),
    });
    // What runs was not touched.
    const file = join(host.state, "sandboxes", busy.order.sandboxId, "workspace", "big");
    expect(readFileSync(file)).toHaveLength(50_000_000);
    valueOf(await busy.renew(), "renewal");
    valueOf(await busy.retire(), "retire");
    valueOf(await busy.stop(), "stop");
    await busy.becomesAbsent();
    valueOf(await provider.destroy(busy.target(), bound()), "destroy");
    expect(admitCold(await measured(provider, next), null, 32 * mib)).toEqual({ type: "admit" });
  });
});

describe("a filesystem", () => {
  it("that is full is told by its numbers, and is no broken one [CAP-3] [CAP-4]", async (context) => {
    const state = smallDisk(48) ?? context.skip("no small disk can be mounted here");
    const { world } = await hostWith({ state });
    const busy = new ContractSession(world);
    await busy.held();
    const filled = await ran(busy, "fill", "head -c 90000000 /dev/zero > big");
    expect(filled.state).toBe("failed");
    const next = new ContractSession(world);
    expect(await measured(world.provider, next)).toMatchObject({ type: "space", freeBytes: 0 });
    expect(await next.launch()).toMatchObject({ ok: false, failure: { code: "insufficient_space", effect: "none" } });
    expect((await next.observe()).answer).toBe("absent");
    valueOf(await busy.renew(), "renewal of what runs on the full disk");
    await ran(busy, "free", "rm big");
    await next.launched();
  });

  it("that turns read-only is unusable by a refused write, starts nothing, keeps what runs, and is well again after [CAP-3] [CAP-4]", async (context) => {
    const state = smallDisk(48) ?? context.skip("no small disk can be mounted here");
    const { world } = await hostWith({ state });
    const busy = new ContractSession(world);
    await busy.held();
    await ran(busy, "write", "echo kept > notes.txt");
    const remounted = (how: string) => spawnSync("mount", ["-o", `remount,${how}`, join(state, "..")]).status === 0;
    closing.push(() => remounted("rw"));
    if (!remounted("ro,force") && !remounted("ro")) {
      // Files open for writing keep it from turning: the running wrapper's log does.
      valueOf(await busy.stop(), "stop");
      await busy.becomesAbsent();
      if (!remounted("ro")) context.skip("it cannot be remounted here");
    }
    const next = new ContractSession(world);
    const room = await measured(world.provider, next);
    expect(room).toMatchObject({ failure: { code: "filesystem_unusable", effect: "none" } });
    expect(admitCold(room, null, 1)).toMatchObject({ type: "refuse", code: "filesystem_unusable" });
    expect(await next.launch()).toMatchObject({ ok: false, failure: { code: "filesystem_unusable", effect: "none" } });
    expect((await next.observe()).answer).toBe("absent");
    const notes = join(state, "sandboxes", busy.order.sandboxId, "workspace", "notes.txt");
    expect(readFileSync(notes, "utf8")).toBe("kept\n");
    expect(remounted("rw")).toBe(true);
    expect(await measured(world.provider, next)).toMatchObject({ type: "space" });
    await next.launched();
  });
});

describe("a directory that was deleted behind its back", () => {
  it("of a running session is a loss to its save and nothing else: it is stopped and proven gone as any other [CAP-4]", async () => {
    const { host, world } = await hostWith({});
    const session = new ContractSession(world);
    await session.held();
    rmSync(join(host.state, "sandboxes", session.order.sandboxId), { recursive: true });
    const saved = await world.provider.snapshots?.save(session.target(), "s1", bound());
    expect(saved).toMatchObject({ ok: false, failure: { code: "not_found" } });
    valueOf(await session.renew(), "renewal");
    valueOf(await session.retire(), "retire");
    valueOf(await session.stop(), "stop");
    await session.becomesAbsent();
    valueOf(await world.provider.destroy(session.target(), bound()), "destroy");
  });

  it("of all sandboxes is made again by the next launch; so is that of the host itself [CAP-4] [BUG-105]", async () => {
    const { host, world } = await hostWith({});
    rmSync(join(host.state, "sandboxes"), { recursive: true });
    const session = new ContractSession(world);
    expect(await measured(world.provider, session)).toMatchObject({ type: "space" });
    await session.launched();
    valueOf(await session.stop(), "stop");
    await session.becomesAbsent();
    rmSync(host.state, { recursive: true });
    expect(await measured(world.provider, new ContractSession(world))).toMatchObject({ type: "space" });
    expect(existsSync(host.state)).toBe(true);
  });
});
