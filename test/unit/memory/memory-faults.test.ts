import { describe, expect, it } from "vitest";
import type { Generation } from "../../../src/domain/state/ids.ts";
import { MemoryRig } from "../../support/memory-rig.ts";

describe("faults between a caller and the memory world", () => {
  it("a lost reply had its effect and says that it does not know", async () => {
    const rig = new MemoryRig();
    const order = rig.order();
    rig.failNext("launch", { type: "lost_reply" });
    expect(await rig.done(rig.sandbox.launch(order, rig.bound()))).toMatchObject({ failure: { effect: "unknown" } });
    expect(rig.kinds(order.sandboxId)).toEqual(["guardian", "wrapper"]);
  });

  it("a call that failed before had none, even when its error does not know", async () => {
    const rig = new MemoryRig();
    const order = rig.order();
    rig.failNext("launch", { type: "fail_before", effect: "unknown" });
    expect(await rig.done(rig.sandbox.launch(order, rig.bound()))).toMatchObject({ failure: { effect: "unknown" } });
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("a slow reply comes late and its effect does not; past the bound it is not waited for", async () => {
    const rig = new MemoryRig();
    const order = rig.order();
    rig.failNext("launch", { type: "slow", ms: 90_000 });
    const launching = rig.sandbox.launch(order, rig.bound(60_000));
    await rig.time.run(1);
    expect(rig.kinds(order.sandboxId)).toEqual(["guardian", "wrapper"]);
    expect(await rig.done(launching)).toMatchObject({ failure: { code: "timed_out", effect: "unknown" } });
    expect(rig.time.elapsed).toBe(60_000);
  });

  it("a launch that lands late is refused by its own time, or by the retirement it meets", async () => {
    const rig = new MemoryRig();
    const late = rig.order();
    rig.failNext("launch", { type: "late_effect", ms: 300_000, reply: "silence" });
    await rig.done(rig.sandbox.launch(late, rig.bound(60_000)));
    const retired = rig.order({ generation: (late.generation + 1) as Generation });
    rig.failNext("launch", { type: "late_effect", ms: 20_000, reply: "error" });
    await rig.done(rig.sandbox.launch(retired, rig.bound(60_000)));
    await rig.done(rig.sandbox.retire(rig.target(retired), rig.bound()));
    await rig.time.run(300_000);
    expect(rig.world.processes()).toEqual([]);
    expect(rig.world.journal.since(0).filter((entry) => entry.type === "launchRefused")).toMatchObject([
      { code: "refused_retired" },
      { code: "refused_late" },
    ]);
  });

  it("a stop that lands late kills nothing of the next generation", async () => {
    const rig = new MemoryRig();
    const old = await rig.running();
    rig.failNext("stop", { type: "late_effect", ms: 300_000, reply: "error" });
    await rig.done(rig.sandbox.stop(rig.target(old), 10_000, rig.bound()));
    rig.world.mischief.disappear(old.sandboxId);
    await rig.time.run(290_000);
    const next = await rig.running({ generation: (old.generation + 1) as Generation });
    await rig.time.run(60_000);
    expect(rig.kinds(next.sandboxId)).toEqual(["guardian", "wrapper"]);
  });

  it("a duplicated request has its effect twice", async () => {
    const rig = new MemoryRig();
    const order = rig.order();
    rig.failNext("launch", { type: "duplicate", afterMs: 5_000 });
    expect((await rig.done(rig.sandbox.launch(order, rig.bound()))).ok).toBe(true);
    await rig.time.run(5_000);
    rig.world.advance();
    expect(rig.world.journal.since(0).map((entry) => entry.type)).toEqual(["launched", "launchRepeated"]);
  });

  it("a hang ends with the caller's patience, or for the deaf never", async () => {
    const rig = new MemoryRig();
    const order = rig.order();
    rig.failNext("observe", { type: "hang", deaf: false });
    expect(await rig.observe(order)).toMatchObject({ answer: "unknown" });
    expect(rig.time.elapsed).toBe(10_000);
    rig.failNext("observe", { type: "hang", deaf: true });
    let answered = false;
    void rig.sandbox.observe(rig.target(order), rig.clock.now(), rig.bound(10_000)).then(() => (answered = true));
    await rig.time.run(3_600_000);
    expect(answered).toBe(false);
  });

  it("a list hides what is alive at one look, never at the next one that is heard", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    rig.fault = (call) => (call.op === "observe" ? { type: "stale_read", lie: { type: "absent" } } : { type: "none" });
    const answers = [];
    for (let look = 0; look < 6; look += 1) answers.push((await rig.observe(order)).answer);
    expect(answers).toEqual(["absent", "present", "absent", "present", "absent", "present"]);
  });

  it("a list from elsewhere says so: another host, another boot", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    const honest = await rig.observe(order);
    rig.failNext("observe", { type: "stale_read", lie: { type: "wrong_host" } });
    const elsewhere = await rig.observe(order);
    expect(elsewhere.answer).toBe("absent");
    expect(elsewhere.host).not.toBe(honest.host);
    await rig.observe(order);
    rig.failNext("observe", { type: "stale_read", lie: { type: "wrong_boot" } });
    const before = await rig.observe(order);
    expect(before).toMatchObject({ answer: "absent", host: honest.host });
    expect(before.boot).not.toBe(honest.boot);
  });

  it("a late list shows the dead and not yet the living; an unreadable one is unknown", async () => {
    const rig = new MemoryRig();
    await rig.time.run(60_000);
    const order = await rig.running();
    rig.failNext("observe", { type: "stale_read", lie: { type: "stale", ageMs: 30_000 } });
    expect((await rig.observe(order)).answer).toBe("absent");
    await rig.time.run(60_000);
    rig.world.mischief.disappear(order.sandboxId);
    rig.failNext("observe", { type: "stale_read", lie: { type: "stale", ageMs: 30_000 } });
    expect((await rig.observe(order)).answer).toBe("present");
    rig.failNext("observe", { type: "stale_read", lie: { type: "malformed" } });
    expect((await rig.observe(order)).answer).toBe("unknown");
  });

  it("a foreign answer leaves the instance that was meant untouched", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    rig.failNext("renew", { type: "foreign_instance" });
    expect(await rig.renew(order, 2)).toMatchObject({ failure: { code: "foreign_instance" } });
    expect(await rig.renew(order, 2)).toMatchObject({ ok: true });
  });
});
