/** Snapshots of the tenant over the real shell: taken while work goes on, interrupted at every point, and begun with. */
import { describe, expect, it } from "vitest";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import type { SnapshotView } from "../../../src/protocol/resources/tenant/snapshots.ts";
import type { SnapshotOrder } from "../../../src/session/reports/reports.ts";
import type { SnapshotRequest } from "../../../src/session/session-api.ts";
import { SnapshotKeeper } from "../../../src/tenant/snapshots/snapshot-keeper.ts";
import { caller, SessionRig } from "../../support/session-rig.ts";
import { aWhile, always, journalOf, once, ran } from "../../support/suspension.ts";

const second = 1_000;
const minute = 60 * second;

const request: SnapshotRequest = { name: "base", replace: false, purpose: "kept" };

async function taken(rig: SessionRig, changes: Partial<SnapshotRequest> = {}): Promise<SnapshotView> {
  const reply = await rig.during(aWhile, rig.commands.snapshot(caller, { ...request, ...changes }, 5_000));
  if (!reply.ok) throw new Error(`${reply.problem.code}: ${reply.problem.detail}`);
  return reply.value;
}

/** The registry's own work on what is due, as its alarm would do it. */
async function registryWorks(rig: SessionRig): Promise<void> {
  const logger = { info: () => {}, warn: () => {}, error: () => {} };
  const providers = { get: () => rig.rig.sandbox };
  const ports = { clock: rig.rig.clock, logger, providers, callMs: rig.policy.observeMs };
  const keeper = new SnapshotKeeper(ports, rig.registry, async (write) => write());
  await rig.during(aWhile, keeper.work());
}

const shelf = (rig: SessionRig) => rig.rig.world.snapshots.of(rig.id);

describe("a snapshot of a running session", () => {
  it("has its files, and the job that runs meanwhile goes on to its end [TRA-15]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await ran(rig, "write notes.txt kept");
    const job = await rig.commands.createJob(caller, { command: "sleep 30; write late.txt after" });
    await rig.pass(second);
    const snapshot = await taken(rig);
    expect(snapshot).toMatchObject({ name: "base", status: "ready", session_id: rig.id, failure: null });
    expect(snapshot.size_bytes).toBeGreaterThan(0);
    // No job ran while its files were read.
    expect(journalOf(rig, "saved").map((entry) => entry.jobs)).toEqual([0]);
    expect((await rig.view()).status).toBe("running");
    await rig.pass(minute);
    expect(job.ok && (await rig.job(job.value.job.id)).state).toBe("succeeded");
    expect(rig.rig.world.snapshots.restored(rig.id, snapshot.id)?.has("late.txt")).toBe(false);
  });

  it("is what another session begins with, and outlives its own [TRA-15]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await ran(rig, "write notes.txt kept");
    const snapshot = await taken(rig);
    await rig.commands.delete(caller, "requested");
    await rig.pass(aWhile);
    expect((await rig.view()).status).toBe("terminated");
    expect(shelf(rig)).toEqual([snapshot.id]);
    await rig.pass(rig.policy.retentionMs + minute);
    expect(rig.commands.state.session).toBeNull();
    await rig.running({ snapshot: "base" });
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
    // What it was restored from stays: it is the tenant's.
    expect(shelf(rig)).toEqual([snapshot.id]);
    await rig.commands.delete(caller, "requested");
    await rig.pass(aWhile);
    expect(shelf(rig)).toEqual([snapshot.id]);
  });

  it("goes with proof when it is deleted, and a session that would begin with it is refused [TRA-15]", async () => {
    const rig = new SessionRig();
    await rig.running();
    const { id } = await taken(rig);
    rig.registry.snapshots.delete("base");
    rig.fault = always("inspectSnapshot", { type: "fail_before", effect: "none" });
    await registryWorks(rig);
    expect(rig.registry.snapshots.get(id)).toMatchObject({
      phase: "deleting",
      deletion: { attempts: 1, verifiedAbsentAt: null },
    });
    rig.fault = null;
    await rig.pass(minute);
    await registryWorks(rig);
    expect(rig.registry.snapshots.get(id)).toMatchObject({ phase: "gone", deletion: { attempts: 2, lastError: null } });
    expect(rig.registry.snapshots.get(id)?.deletion?.evidence).toContain("found no file");
    expect(shelf(rig)).toEqual([]);
    await rig.commands.delete(caller, "requested");
    await rig.pass(rig.policy.retentionMs + 10 * minute);
    const refused = await rig.during(aWhile, rig.commands.create(rig.id, caller, { snapshot: id }, null, 0));
    expect(refused).toMatchObject({ ok: false, problem: { code: "snapshot_missing" } });
    expect(rig.commands.state.session).toBeNull();
  });

  it("that the provider cannot save leaves the session running and nothing behind [TRA-15]", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = once("save", { type: "fail_before", effect: "none" });
    const reply = await rig.during(aWhile, rig.commands.snapshot(caller, request, 5_000));
    expect(reply).toMatchObject({ ok: false, problem: { code: "snapshot_failed" } });
    expect(await ran(rig, "echo goes on")).toBe("goes on\n");
    await registryWorks(rig);
    expect([shelf(rig), rig.registry.snapshots.snapshotCounts().count]).toEqual([[], 0]);
    // The name is free again.
    expect((await taken(rig)).status).toBe("ready");
  });

  it("is taken once for a name, unless the older one is to be replaced [TRA-15]", async () => {
    const rig = new SessionRig();
    await rig.running();
    const first = await taken(rig);
    const again = await rig.during(aWhile, rig.commands.snapshot(caller, request, 5_000));
    expect(again).toMatchObject({ ok: false, problem: { code: "already_exists" } });
    const second_ = await taken(rig, { replace: true });
    await registryWorks(rig);
    expect(rig.registry.snapshots.get("base")?.id).toBe(second_.id);
    expect(rig.registry.snapshots.get(first.id)?.phase).toBe("gone");
    expect(shelf(rig)).toEqual([second_.id]);
  });
});

describe("what interrupts the taking of a snapshot", () => {
  /** The save is answered a minute late: something else can happen meanwhile. */
  async function takingSlowly(): Promise<{
    readonly rig: SessionRig;
    readonly answer: ReturnType<SessionRig["commands"]["snapshot"]>;
  }> {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 3_600, idle_timeout_seconds: null });
    rig.fault = once("save", { type: "slow", ms: minute });
    const answer = rig.commands.snapshot(caller, request, 5 * minute);
    await rig.pass(2 * second);
    expect(rig.commands.state.session?.newest).toMatchObject({ gate: { type: "copying" } });
    return { rig, answer };
  }

  it("a restart of the session's object: the same snapshot is taken to its end [TRA-15]", async () => {
    const { rig } = await takingSlowly();
    rig.reincarnate();
    rig.commands.engine.pump();
    await rig.pass(5 * minute);
    const snapshot = rig.registry.snapshots.get("base");
    expect(snapshot?.phase).toBe("kept");
    expect(shelf(rig)).toEqual([snapshot?.id]);
    expect(await ran(rig, "echo goes on")).toBe("goes on\n");
  });

  it("the end of the session: nothing of it is kept [TRA-15]", async () => {
    const { rig, answer } = await takingSlowly();
    await rig.commands.delete(caller, "requested");
    await rig.pass(5 * minute);
    expect(await answer).toMatchObject({ ok: false, problem: { code: "snapshot_failed" } });
    await registryWorks(rig);
    expect(shelf(rig)).toEqual([]);
    // The save was under way when its session ended: what it may still write is looked for once it must be over.
    await rig.pass(rig.policy.snapshotMs + minute);
    await registryWorks(rig);
    expect([shelf(rig), rig.registry.snapshots.snapshotCounts()]).toEqual([[], { count: 0, bytes: 0, deleting: 0 }]);
    expect((await rig.view()).status).toBe("terminated");
  });

  it("the end of the session while the sandbox is being told to stand still: nothing is saved any more [DEL-12]", async () => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 3_600, idle_timeout_seconds: null });
    rig.fault = once("freeze", { type: "slow", ms: 5 * second });
    const answer = rig.commands.snapshot(caller, request, 5 * minute);
    await rig.pass(2 * second);
    expect(rig.commands.state.session?.newest).toMatchObject({ gate: { type: "copying" } });
    await rig.commands.delete(caller, "requested");
    await rig.pass(5 * minute);
    expect(await answer).toMatchObject({ ok: false, problem: { code: "snapshot_failed" } });
    expect(rig.calls("save")).toBe(0);
    expect((await rig.view()).status).toBe("terminated");
  });

  it("a pause: it saves what the sandbox ended with, and the snapshot is given up [TRA-15]", async () => {
    const { rig, answer } = await takingSlowly();
    expect((await rig.commands.pause(caller)).ok).toBe(true);
    await rig.pass(5 * minute);
    expect(await answer).toMatchObject({ ok: false, problem: { code: "snapshot_failed" } });
    await registryWorks(rig);
    expect((await rig.view()).status).toBe("paused");
    expect(shelf(rig)).toEqual([rig.commands.state.session?.snapshot?.id]);
    await rig.during(aWhile, rig.commands.resume(caller, null, 5_000));
    expect((await rig.view()).status).toBe("running");
  });

  it("a session that is never heard of again: its registry deletes what may have been saved [TRA-15]", async () => {
    const { rig } = await takingSlowly();
    const id = rig.registry.snapshots.get("base")?.id ?? "";
    rig.registryFate = (call) => (call === "settleSnapshot" ? Promise.reject(new Error("down")) : Promise.resolve());
    await rig.pass(30 * minute);
    await registryWorks(rig);
    expect(rig.registry.snapshots.get(id)).toMatchObject({
      phase: "gone",
      failure: "Nobody told in time what became of it.",
    });
    expect(shelf(rig)).toEqual([]);
    // The session still has to say it, and then forgets it.
    expect(rig.commands.state.session?.taken).toHaveLength(1);
    rig.registryFate = () => Promise.resolve();
    await rig.pass(10 * minute);
    expect(rig.commands.state.session?.taken).toEqual([]);
    expect(rig.registry.snapshots.get(id)?.phase).toBe("gone");
  });
});

describe("a save that may still be under way when it is given up", () => {
  const givenUp = async (effect: "none" | "unknown"): Promise<{ readonly rig: SessionRig; readonly id: string }> => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = once("save", { type: "fail_before", effect });
    const reply = await rig.during(aWhile, rig.commands.snapshot(caller, request, 5_000));
    expect(reply).toMatchObject({ ok: false, problem: { code: "snapshot_failed" } });
    await registryWorks(rig);
    const [snapshot] = rig.registry.snapshots.list({ sessionId: null, name: null, after: null, limit: 1 });
    return { rig, id: snapshot?.id ?? "" };
  };

  it("is not called gone before it must have ended, so what lands late is found and removed [TRA-15]", async () => {
    const { rig, id } = await givenUp("unknown");
    expect(rig.registry.snapshots.get(id)).toMatchObject({
      phase: "deleting",
      deletion: { verifiedAbsentAt: null, lastError: expect.stringContaining("may still be under way") },
    });
    rig.rig.world.snapshots.landLate(rig.id, id);
    await rig.pass(rig.policy.snapshotMs + 6 * minute);
    await registryWorks(rig);
    expect(rig.registry.snapshots.get(id)).toMatchObject({ phase: "gone", deletion: { lastError: null } });
    expect(shelf(rig)).toEqual([]);
  });

  it("that certainly did nothing is gone at once [TRA-15]", async () => {
    const { rig } = await givenUp("none");
    expect(rig.registry.snapshots.snapshotCounts()).toEqual({ count: 0, bytes: 0, deleting: 0 });
  });

  it("deleted by its tenant while it is taken, is called gone only when the session has told of its end [TRA-15]", async () => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 3_600, idle_timeout_seconds: null });
    rig.fault = once("save", { type: "slow", ms: minute });
    const answer = rig.commands.snapshot(caller, request, 5 * minute);
    await rig.pass(2 * second);
    const { id = "" } = rig.registry.snapshots.delete("base") ?? {};
    await registryWorks(rig);
    expect(rig.registry.snapshots.get(id)?.phase).toBe("deleting");
    await rig.pass(2 * minute);
    await answer;
    await registryWorks(rig);
    expect(rig.registry.snapshots.get(id)?.phase).toBe("gone");
    expect(shelf(rig)).toEqual([]);
  });
});

describe("the registry", () => {
  const order = (rig: SessionRig, id: string): SnapshotOrder => ({
    id,
    sessionId: rig.id,
    name: null,
    replaces: false,
    purpose: "kept",
    provider: "memory",
    template: null,
    withinMs: minute,
  });

  it("gives no more places than there are, counts what is not proven gone, and never twice for one id [TRA-15]", () => {
    const rig = new SessionRig({}, 10, { maxPaused: 10, maxSnapshots: 2, maxSnapshotBytes: 1_000 });
    const ask = (id: string) => rig.registry.snapshots.reserve(order(rig, id));
    expect([ask("a"), ask("a"), ask("b")]).toEqual([{ granted: true }, { granted: true }, { granted: true }]);
    expect(ask("c")).toEqual({ granted: false, of: "snapshots", limit: 2, used: 2 });
    rig.registry.snapshots.settle(rig.id, { id: "a", outcome: "saved", bytes: 1, generation: 1 as never });
    rig.registry.snapshots.delete("a");
    expect(ask("c")).toMatchObject({ granted: false });
    rig.registry.snapshots.takeDue(10);
    rig.registry.snapshots.deletionFinished("a", { type: "absent", at: 1, evidence: "nothing" });
    expect(ask("c")).toEqual({ granted: true });
  });

  it("refuses more bytes than the tenant may have saved [TRA-15]", () => {
    const rig = new SessionRig({}, 10, { maxPaused: 10, maxSnapshots: 10, maxSnapshotBytes: 1_000 });
    rig.registry.snapshots.reserve(order(rig, "a"));
    rig.registry.snapshots.settle(rig.id, { id: "a", outcome: "saved", bytes: 1_000, generation: 1 as never });
    expect(rig.registry.snapshots.reserve(order(rig, "b"))).toMatchObject({ granted: false, of: "snapshot_bytes" });
  });

  it("keeps one of a name: what was still being taken when another replaced it does not come beside it [TRA-15]", () => {
    const rig = new SessionRig();
    const saved = (id: string) =>
      rig.registry.snapshots.settle(rig.id, { id, outcome: "saved", bytes: 1, generation: 1 as never });
    rig.registry.snapshots.reserve({ ...order(rig, "a"), name: "base" });
    rig.registry.snapshots.reserve({ ...order(rig, "b"), name: "base", replaces: true });
    saved("b");
    saved("a");
    expect(rig.registry.snapshots.get("base")?.id).toBe("b");
    expect(rig.registry.snapshots.get("a")).toMatchObject({ phase: "deleting", failure: expect.stringContaining("b") });
  });

  it("believes nobody but the session that takes it [TRA-15]", () => {
    const rig = new SessionRig();
    rig.registry.snapshots.reserve(order(rig, "a"));
    const other = "b".repeat(20) as SessionId;
    rig.registry.snapshots.settle(other, { id: "a", outcome: "saved", bytes: 1, generation: 1 as never });
    expect(rig.registry.snapshots.get("a")?.phase).toBe("taking");
  });
});
