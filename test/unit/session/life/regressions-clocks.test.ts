/**
 * Time: a clock that goes back, calls that hang or are slow, tries that follow each other too fast or count as work. Each of
 * these failed before its defect was mended.
 */
import { describe, expect, it } from "vitest";
import type { SandboxId } from "../../../../src/domain/state/ids.ts";
import type { Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

const lasting = { idle_timeout_seconds: null, timeout_seconds: 86_400 } as const;

/** An hour back, and something makes the session look: what was armed lies an hour ahead. */
function goBack(rig: SessionRig): void {
  rig.rig.clock.jump(-hour);
  rig.alarm = rig.rig.clock.now();
}

describe("after the clock went back an hour", () => {
  it("a launch that waits its turn is tried again in minutes, and the create still ends in its time [CLK-13]", async () => {
    const rig = new SessionRig();
    // No launch succeeds, now or later: the host's own clock did not go back, to it each one is late.
    let broken = true;
    rig.fault = ({ op }): Fault =>
      broken && op === "launch" ? { type: "fail_before", effect: "none" } : { type: "none" };
    await rig.during(3 * second, rig.commands.create(rig.id, caller, {}, null, 0));
    await rig.pass(17 * second);
    const before = rig.calls("launch");
    goBack(rig);
    broken = false;
    await rig.pass(rig.policy.launchBackoffCapMs + minute);
    expect(rig.calls("launch")).toBeGreaterThan(before);
    await rig.pass(rig.policy.provisionMs);
    expect(await rig.view()).toMatchObject({ status: "failed", terminate_reason: "provision_timeout" });
  });

  it("a lane that rested after a write that failed does not rest for the hour [CLK-13]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.delete(caller, "requested");
    rig.storageFails = true;
    await rig.pass(1_500);
    // What the stop came to could not be written.
    expect((await rig.view()).status).toBe("terminating");
    rig.storageFails = false;
    goBack(rig);
    await rig.pass(5 * minute);
    expect((await rig.view()).status).toBe("terminated");
    expect(rig.rig.world.processes()).toEqual([]);
  });

  it("nor does the alarm wait for such a rest: what is owed is given back in minutes [CLK-13] [I5]", async () => {
    const rig = new SessionRig();
    // The clock is an hour ahead while the give-back fails and its lane takes a rest; then it is set right.
    await rig.running();
    await rig.commands.delete(caller, "requested");
    await rig.pass(30 * second);
    expect((await rig.view()).status).toBe("terminated");
    rig.registryFate = () => Promise.reject(new Error("the network is down"));
    rig.rig.clock.jump(hour);
    rig.sql.run("UPDATE session SET record = json_set(record, '$.cancellations', json_array(1))");
    rig.reincarnate();
    void rig.commands.engine.wake("alarm");
    await rig.pass(second);
    rig.rig.clock.jump(-hour);
    // The give-back is under way again when whatever else there was to do has been done.
    rig.registryFate = (call) => (call === "cancelReservation" ? new Promise(() => {}) : Promise.resolve());
    await rig.commands.poke("maintenance");
    await rig.rig.time.settle();
    expect(rig.alarm).toBeLessThanOrEqual(rig.rig.clock.now() + 5 * minute);
  });

  it("a sandbox that vanishes is noticed in minutes [CLK-13]", async () => {
    const rig = new SessionRig();
    const { generation } = await rig.running(lasting);
    await rig.pass(30 * second);
    goBack(rig);
    rig.rig.world.mischief.disappear(`${rig.id}-g${generation}` as SandboxId);
    await rig.pass(5 * minute);
    expect((await rig.view()).status).toBe("lost");
  });

  it("whoever wakes the object, its alarm is brought back from where it was left, an hour ahead [CLK-13] [LEA-7]", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    rig.rig.clock.jump(-hour);
    rig.reincarnate();
    // A read changes nothing; the load before it is what looks.
    expect((await rig.view()).status).toBe("running");
    await rig.rig.time.settle();
    expect(rig.alarm).toBeLessThanOrEqual(rig.rig.clock.now() + rig.policy.renewMs);
  });

  it("whoever asks, an object that is awake notices it too [CLK-13]", async () => {
    const rig = new SessionRig();
    const { generation } = await rig.running(lasting);
    await rig.pass(30 * second);
    rig.rig.clock.jump(-hour);
    rig.rig.world.mischief.disappear(`${rig.id}-g${generation}` as SandboxId);
    await rig.view();
    await rig.pass(5 * minute);
    expect((await rig.view()).status).toBe("lost");
  });

  it("a job that is called off is armed for with the write, before anything else is looked at [CLK-13] [I1]", async () => {
    const rig = new SessionRig();
    // It waits for its launch, and the index has not heard of it.
    rig.fault = ({ op }) => (op === "launch" ? { type: "fail_before", effect: "none" } : { type: "none" });
    rig.indexFails = true;
    await rig.during(3 * second, rig.commands.create(rig.id, caller, lasting, null, 0));
    const made = await rig.commands.createJob(caller, { command: "true" });
    if (!made.ok) throw new Error(made.problem.detail);
    await rig.pass(minute);
    rig.rig.clock.jump(-hour);
    rig.reincarnate();
    // Up to its first await, which is as far as a crash may let it come.
    void rig.commands.cancelJob(caller, made.value.job.id);
    expect(rig.alarm).toBeLessThanOrEqual(rig.rig.clock.now() + 5 * minute);
  });

  it("what was under way notices it too: a crash right after it finds an alarm close by [CLK-13] [LEA-7]", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    await rig.commands.createJob(caller, { command: "sleep 600" });
    await rig.pass(second);
    rig.fault = ({ op }) => (op === "endJob" ? { type: "slow", ms: 2 * second } : { type: "none" });
    await rig.commands.delete(caller, "requested");
    await rig.pass(second);
    rig.rig.clock.jump(-hour);
    // Its answer is all that comes.
    await rig.rig.time.run(second + 1);
    expect(rig.calls("stop")).toBe(1);
    expect(rig.alarm).toBeLessThanOrEqual(rig.rig.clock.now() + minute);
  });

  it("a load that finds its alarm in time writes nothing", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    await rig.pass(2 * minute);
    const armed = rig.alarm;
    rig.reincarnate();
    let moved = 0;
    Object.defineProperty(rig, "alarm", {
      get: () => armed,
      set: () => {
        moved += 1;
      },
    });
    await rig.view();
    await rig.rig.time.settle();
    expect(moved).toBe(0);
  });

  it("a stop that waits for its second look waits a second, not the hour [CLK-13]", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    await rig.commands.delete(caller, "requested");
    await rig.pass(0);
    expect(rig.calls("observe")).toBe(2);
    goBack(rig);
    await rig.pass(2 * minute);
    expect((await rig.view()).status).toBe("terminated");
  });

  it("an id used again whose create was cut off is refused its numbers, but does not ask for them without pause or end [CLK-13] [LEA-22]", async () => {
    const rig = new SessionRig({ retentionMs: 5 * second });
    await rig.running();
    await rig.commands.delete(caller, "requested");
    await rig.pass(20 * second);
    expect(rig.commands.state.mode.type).toBe("absent");
    rig.reincarnate();
    rig.rig.clock.jump(-minute);
    let asked = 0;
    rig.registryFate = (call) => {
      if (call === "reserve") asked += 1;
      // Only this stands between a hot loop and the test.
      return asked > 100 ? new Promise(() => {}) : Promise.resolve();
    };
    const answers = rig.registryFate;
    rig.registryFate = () => new Promise(() => {});
    void rig.commands.create(rig.id, caller, {}, null, 0);
    await rig.pass(second);
    rig.reincarnate();
    rig.registryFate = answers;
    await rig.pass(30 * second);
    expect(asked).toBeGreaterThan(1);
    expect(asked).toBeLessThan(10);
    // To the registry it is older than the life it knows: no number is new enough, and its create ends in its time.
    await rig.pass(rig.policy.provisionMs);
    expect(asked).toBeLessThan(30);
    expect(rig.indexed.map((report) => report.status)).toContain("failed");
    expect(rig.commands.state.mode.type).toBe("absent");
    expect(rig.registry.ledger()).toMatchObject({ used: 0, counts: { granted: 1, proven: 1 }, imbalances: [] });
  });
});

describe("a call that takes its time", () => {
  it("for the details of jobs never costs the lease its renewals [PHY-8]", async () => {
    const rig = new SessionRig({
      leaseTtlMs: 8 * second,
      renewMs: 2 * second,
      observeMs: 2 * second,
      alarmSlipMs: 0,
      staleActivityMs: 4 * second,
    });
    const { generation } = await rig.running(lasting);
    for (let index = 0; index < rig.policy.maxActiveJobs; index += 1)
      await rig.commands.createJob(caller, { command: "sleep 3" });
    await rig.pass(second);
    rig.fault = ({ op }): Fault => (op === "job" ? { type: "hang", deaf: false } : { type: "none" });
    let longest = 0;
    for (let passed = 0; passed < 5 * minute; passed += second) {
      await rig.pass(second);
      const lease = rig.commands.state.session?.newest;
      if (lease?.phase === "held") longest = Math.max(longest, rig.rig.clock.now() - lease.acceptedSentAt);
    }
    expect(await rig.view()).toMatchObject({ status: "running", generation });
    expect(longest).toBeLessThan(rig.policy.leaseTtlMs - rig.policy.observeMs);
  });

  it("to launch, and never answers, does not hold up a DELETE [PHY-8] [DEL-1]", async () => {
    const rig = new SessionRig();
    let launches = 0;
    rig.fault = ({ op }): Fault => {
      if (op !== "launch") return { type: "none" };
      launches += 1;
      return launches === 1 ? { type: "fail_before", effect: "none" } : { type: "hang", deaf: true };
    };
    await rig.during(3 * second, rig.commands.create(rig.id, caller, {}, null, 0));
    await rig.pass(3 * second);
    expect([(await rig.view()).status, launches]).toEqual(["provisioning", 2]);
    await rig.commands.delete(caller, "requested");
    await rig.pass(5 * second);
    expect((await rig.view()).status).toBe("terminated");
    expect(rig.rig.world.processes()).toEqual([]);
  });
});

describe("our own tries", () => {
  it("to hand a job over are not activity: a session that takes none ends by its idle clock [CLK-7] [I12]", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: 60 });
    rig.fault = ({ op }): Fault => (op === "startJob" ? { type: "fail_before", effect: "none" } : { type: "none" });
    await rig.commands.createJob(caller, { id: "job", command: "echo hi" });
    const { idle_at: idleAt } = await rig.view();
    await rig.pass(30 * second);
    expect(rig.calls("startJob")).toBeGreaterThan(3);
    expect((await rig.view()).idle_at).toBe(idleAt);
    await rig.pass(minute);
    expect((await rig.view()).terminate_reason).toBe("idle_timeout");
    expect((await rig.job("job")).state).toBe("cancelled");
  });
});

describe("a parked teardown", () => {
  it("is looked at once more for a client that waits, however often it repeats its DELETE [LEA-12]", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    rig.fault = () => ({ type: "hang", deaf: false });
    await rig.commands.delete(caller, "requested");
    const teardown = async () => (await rig.view()).teardown;
    for (let passed = 0; passed < 24 && (await teardown())?.parked !== true; passed += 1) await rig.pass(10 * minute);
    // Past its first hour it looks by itself once an hour only.
    await rig.pass(2 * hour);
    const parked = await teardown();
    expect(parked?.parked).toBe(true);
    const own = Date.parse(parked?.next_attempt_at ?? "") - rig.rig.clock.now();
    expect(own).toBeGreaterThan(10 * minute);
    const asked = () => rig.asked.map(({ op }) => op);
    const before = asked().length;
    await rig.during(2 * minute, rig.commands.delete(caller, "requested"));
    const once = asked();
    expect(once.length).toBeGreaterThan(before);
    // It only looks; nothing is killed for who waits.
    expect(once.slice(before)).not.toContain("stop");
    for (let repeats = 0; repeats < 8; repeats += 1) await rig.during(minute, rig.commands.delete(caller, "requested"));
    expect(asked()).toEqual(once);
  });
});

describe("a session made anew under an id that was erased", () => {
  it("while the clock is behind its first life begins after it: it runs, is counted and is listed [LEA-2] [CLK-13]", async () => {
    const rig = new SessionRig({ retentionMs: 5 * second });
    const first = await rig.running();
    await rig.commands.delete(caller, "requested");
    await rig.pass(20 * second);
    expect(await rig.commands.get(caller)).toMatchObject({ ok: false, problem: { code: "not_found" } });
    // The host's clock waits until this one has caught up: its launch takes as long.
    rig.rig.clock.jump(-25 * second);
    const again = await rig.during(minute, rig.commands.create(rig.id, caller, {}, null, 0));
    expect(again).toMatchObject({ ok: true });
    const view = await rig.view();
    expect(view.status).toBe("running");
    expect(view.generation).toBeGreaterThan(first.generation ?? Infinity);
    expect(Date.parse(view.created_at)).toBeGreaterThan(Date.parse(first.created_at));
    // Its own clocks are set by the clock there is.
    expect(Date.parse(view.end_at)).toBeLessThanOrEqual(rig.rig.clock.now() + rig.policy.defaultTimeoutMs);
    await rig.pass(minute);
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
    expect(rig.registry.sessions(null, 10)).toMatchObject([{ status: "running", erasedAt: null }]);
    await rig.commands.delete(caller, "requested");
    await rig.pass(minute);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    expect(rig.rig.world.processes()).toEqual([]);
  });
});
