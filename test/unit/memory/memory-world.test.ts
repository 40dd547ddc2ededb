import { describe, expect, it } from "vitest";
import type { Generation, InstanceId, SandboxId, SessionId } from "../../../src/domain/state/ids.ts";
import { MemoryRig } from "../../support/memory-rig.ts";

describe("launch in the memory world", () => {
  it("starts one process for one instance, however often and at once it is asked", async () => {
    const rig = new MemoryRig();
    const order = rig.order();
    const replies = await rig.done(
      Promise.all(Array.from({ length: 8 }, () => rig.sandbox.launch(order, rig.bound()))),
    );
    expect(replies.every((reply) => reply.ok)).toBe(true);
    expect(rig.kinds(order.sandboxId)).toEqual(["guardian", "wrapper"]);
  });

  it("starts nothing again for an instance that has ended", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    rig.world.mischief.disappear(order.sandboxId);
    await rig.done(rig.sandbox.launch(order, rig.bound()));
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("refuses what is retired, late, or meant for another's sandbox, and starts nothing", async () => {
    const rig = new MemoryRig();
    const order = rig.order();
    await rig.done(rig.sandbox.retire(rig.target(order), rig.bound()));
    const retired = await rig.done(rig.sandbox.launch(order, rig.bound()));
    const next = rig.order({ generation: (order.generation + 1) as Generation, launchNotAfter: rig.clock.now() - 1 });
    const late = await rig.done(rig.sandbox.launch(next, rig.bound()));
    const running = await rig.running({ generation: (order.generation + 2) as Generation });
    const occupied = await rig.done(
      rig.sandbox.launch({ ...running, instanceId: "another" as InstanceId }, rig.bound()),
    );
    const failureOf = (reply: typeof retired) => (reply.ok ? null : reply.failure);
    expect(failureOf(retired)).toMatchObject({ code: "refused_retired", effect: "none" });
    expect(failureOf(late)).toMatchObject({ code: "refused_late", effect: "none" });
    expect(failureOf(occupied)).toMatchObject({ code: "foreign_instance", effect: "none" });
    expect(rig.world.processes()).toHaveLength(2);
  });

  it("a wrapper that comes up after launchNotAfter ends itself, having done nothing", async () => {
    const rig = new MemoryRig({ startMs: 5_000 });
    const order = rig.order({ launchNotAfter: rig.clock.now() + 4_000 });
    expect((await rig.done(rig.sandbox.launch(order, rig.bound()))).ok).toBe(true);
    expect(rig.kinds(order.sandboxId)).toEqual(["guardian", "wrapper"]);
    await rig.time.run(5_000);
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("what is retired stays retired through destroy, restart and reboot", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    const target = rig.target(order);
    await rig.done(rig.sandbox.retire(target, rig.bound()));
    await rig.done(rig.sandbox.stop(target, 10_000, rig.bound()));
    expect((await rig.done(rig.sandbox.destroy(target, rig.bound()))).ok).toBe(true);
    const host = rig.world.mischief.hostOf(order.sandboxId);
    rig.world.mischief.restartHost(host, 0);
    rig.world.mischief.rebootHost(host, 0);
    await rig.time.run(1);
    expect(await rig.done(rig.sandbox.launch(order, rig.bound()))).toMatchObject({
      ok: false,
      failure: { code: "refused_retired" },
    });
  });
});

describe("stop in the memory world", () => {
  it("ends a job that ignores TERM, and its children in sessions of their own, within the grace", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.startJob(order, "stubborn", "ignore-term; fork; sleep 1000");
    expect(rig.kinds(order.sandboxId)).toEqual(["guardian", "job", "job", "wrapper"]);
    const began = rig.time.elapsed;
    const stopped = await rig.done(rig.sandbox.stop(rig.target(order), 10_000, rig.bound()));
    expect(stopped).toEqual({ ok: true, value: { remaining: [] } });
    expect(rig.time.elapsed - began).toBe(order.jobGraceMs);
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("kills a frozen sandbox when the grace is over", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    rig.world.mischief.freeze(order.sandboxId, "everything", 3_600_000);
    const began = rig.time.elapsed;
    await rig.done(rig.sandbox.stop(rig.target(order), 10_000, rig.bound()));
    expect(rig.time.elapsed - began).toBe(10_000);
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("is a success when nothing is there", async () => {
    const rig = new MemoryRig();
    const stopped = await rig.done(rig.sandbox.stop(rig.target(rig.order()), 10_000, rig.bound()));
    expect(stopped).toEqual({ ok: true, value: { remaining: [] } });
  });

  it("strikes the instance it names and no other in the same sandbox", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    const other = rig.world.smuggle({ ...order, instanceId: "another" as InstanceId });
    const stopped = await rig.done(rig.sandbox.stop(rig.target(order), 10_000, rig.bound()));
    expect(other.processes()).toHaveLength(2);
    expect(stopped.ok && stopped.value.remaining.map((residue) => residue.instanceId)).toEqual(["another", "another"]);
  });

  it("with no instance named strikes every instance of the generation, duplicates and legacy included", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    rig.world.smuggle(order);
    rig.world.mischief.addLegacy(order.sessionId, null, null);
    expect((await rig.observe(order)).residue).toHaveLength(5);
    await rig.done(rig.sandbox.stop(rig.target(order, { instanceId: null }), 10_000, rig.bound()));
    expect(await rig.observe(order)).toMatchObject({ answer: "absent" });
  });

  it("never signals a pid that was given to somebody else", async () => {
    const rig = new MemoryRig({ pidSpace: 6 });
    const order = await rig.running();
    // The stop is on its way to a frozen instance when that dies and its pids are taken by another session's.
    rig.world.mischief.freeze(order.sandboxId, "everything", 3_600_000);
    const stopping = rig.sandbox.stop(rig.target(order), 10_000, rig.bound());
    await rig.time.run(1_000);
    rig.world.mischief.disappear(order.sandboxId);
    const session = "bbbbbbbbbbbbbbbbbbbb" as SessionId;
    const newer = await rig.running({ sessionId: session });
    for (let round = 0; round < 3; round += 1) await rig.startJob(newer, `job-${round}`, "true");
    await rig.startJob(newer, "kept", "sleep 1000");
    await rig.done(stopping);
    await rig.time.run(20_000);
    expect(rig.kinds(newer.sandboxId)).toEqual(["guardian", "job", "wrapper"]);
  });
});

describe("observation in the memory world", () => {
  it("a session id that begins another never matches it", async () => {
    const rig = new MemoryRig();
    const long = await rig.running({ sessionId: "aaaaaaaaaaaaaaaaaaaab" as SessionId });
    expect(await rig.observe({ ...long, sessionId: "aaaaaaaaaaaaaaaaaaaa" as SessionId })).toMatchObject({
      answer: "absent",
    });
    expect(await rig.observe({ ...long, sandboxId: long.sandboxId.slice(0, -1) as SandboxId })).toMatchObject({
      answer: "absent",
    });
  });

  it("a host that has not scanned yet is unknown, and so is one that does not exist", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    rig.world.mischief.restartHost(rig.world.mischief.hostOf(null), 2_000);
    expect(await rig.observe(order)).toMatchObject({ answer: "unknown", host: null });
    await rig.time.run(2_000);
    expect(await rig.observe(order)).toMatchObject({ answer: "present", host: "memory-host" });
    expect(await rig.observe(order, { host: "nowhere" })).toMatchObject({ answer: "unknown" });
  });

  it("a restart of the host keeps its boot, a reboot changes it and ends everything", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    const before = await rig.observe(order);
    rig.world.mischief.restartHost(rig.world.mischief.hostOf(null), 0);
    expect((await rig.observe(order)).boot).toBe(before.boot);
    rig.world.mischief.rebootHost(rig.world.mischief.hostOf(null), 0);
    const after = await rig.observe(order);
    expect(after.answer).toBe("absent");
    expect(after.boot).not.toBe(before.boot);
  });
});
