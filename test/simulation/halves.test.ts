/**
 * Each half of what the simulation claims, by itself: a limit that never fires, an index that says something else, a storage that
 * fails after its body, a clock that was set, a fault that never ends, a schedule that never does. Without its half, its test fails.
 */
import { describe, expect, it } from "vitest";
import { defaultPolicy } from "../../src/domain/rules/policy.ts";
import { ShardIndex } from "../../src/fleet/shard/shard-index.ts";
import { failed } from "../../src/domain/state/failure.ts";
import type { AgentSandbox, LaunchOrder } from "../../src/sandbox/agent-sandbox.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { generation, report, sessionId } from "../support/reports.ts";
import { VirtualClock, VirtualTime } from "../support/virtual-time.ts";
import { watchedSandbox } from "./checks/watched-sandbox.ts";
import { SimStorage } from "./objects/sim-storage.ts";
import { longestRestMs, wakeMs } from "./oracle/deadlines.ts";
import { ClockJumps, Disturbances } from "./oracle/disturbances.ts";
import { Evidence } from "./oracle/evidence.ts";
import { counterFaults, indexFaults, readIndex } from "./oracle/index-rows.ts";
import { LateWatch } from "./oracle/late.ts";
import type { SeenHeld, SeenSession, SeenStopping, Timers } from "./oracle/model.ts";
import { StopWatch } from "./oracle/stops.ts";
import { simPlan, type SimPlan } from "./play/sim-plan.ts";
import { StorageFaults } from "./play/storage-faults.ts";
import { simulate } from "./simulation.ts";

const timers: Timers = defaultPolicy;
const begin = Date.UTC(2026, 0, 1);
const minute = 60_000;
const far = 100 * 24 * 60 * minute;
const id = sessionId("seen");

const held: SeenHeld = {
  ...{ generation: generation(1), instanceId: "i", sandboxId: `${id}-g1`, provider: "memory", host: "h" },
  ...{ openedAt: begin, phase: "held", heldAt: begin, acceptedSentAt: begin + far, failures: 0, launchNotAfter: begin },
  renewals: { sequence: 1, lastSentAt: begin, sendsUntil: null },
  nextRenewalAt: begin + far,
  wrapper: { replacement: { type: "none" } },
  gate: { type: "open" },
};

function seen(changes: Partial<SeenSession> = {}): SeenSession {
  return {
    ...{ id, tenant: "acme", isolation: "session", createdAt: begin, nextGeneration: generation(2) },
    limits: { timeoutMs: far, idleTimeoutMs: null, maxLifetimeMs: far },
    lifecycle: { onTimeout: "kill", onLoss: "hold" },
    desired: { type: "running", provision: null },
    endAt: begin + far,
    activity: { lastAt: begin, activeJobs: 0, reportedAt: begin },
    alive: { totalMs: 0, since: begin },
    ...{ relaunches: 0, warnedOfPause: null, pauseTries: null, snapshot: null, discarded: [], ghosts: [] },
    budget: { maxNanos: null, spentNanos: 0, tenantSpentAt: null },
    ...{ cancellations: [], taken: [], restoreProof: null, newest: held },
    ...changes,
  };
}

const limits = { timeoutMs: far, idleTimeoutMs: null, maxLifetimeMs: far };
const paused = { type: "suspended", cause: "pause", resumeQueued: false } as const;

describe("a launch that may have started its instance", () => {
  it("must not be sent again; one that the provider refused may be [I6]", async () => {
    const found: string[] = [];
    const answers = ["none", "none", "unknown", "none"] as const;
    let launches = 0;
    const launch = () => Promise.resolve(failed("unavailable", "no answer", answers[launches++] ?? "none"));
    const sandbox = watchedSandbox({ launch } as unknown as AgentSandbox, new Evidence(), (what) => found.push(what));
    const order = { sessionId: id, generation: generation(1), instanceId: "i" } as unknown as LaunchOrder;
    const bound = { timeoutMs: 1, signal: new AbortController().signal };
    for (let count = 1; count < answers.length; count += 1) await sandbox.launch(order, bound);
    expect(found).toEqual([]);
    await sandbox.launch(order, bound);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain("is launched again though the launch before may have started it");
  });
});

describe("a limit that never fires", () => {
  const due = begin + 10 * minute;
  it.each([
    ["end_at", seen({ endAt: due })],
    ["idle", seen({ limits: { ...limits, idleTimeoutMs: 10 * minute } })],
    ["max lifetime", seen({ limits: { ...limits, maxLifetimeMs: 10 * minute } })],
    ["renewal", seen({ newest: { ...held, nextRenewalAt: due } })],
    [
      "retention of a pause",
      seen({
        newest: null,
        desired: { ...paused, since: due - timers.pausedRetentionMs },
        warnedOfPause: due - timers.pausedRetentionMs,
      }),
    ],
  ] as const)("is late, by name: %s [SIM-1]", (name, session) => {
    const watch = new LateWatch(timers, new Disturbances());
    watch.stored(session, true, begin, () => true);
    // Longer than any slip, any wake and any call that is waited for.
    const patience = timers.alarmSlipMs + 3 * wakeMs + 4 * timers.observeMs + timers.renewMs + timers.renewRetryMs;
    expect(watch.check(due, () => true)).toEqual([]);
    expect(watch.check(due + patience, () => true)).toEqual([`LATE: ${name} was due ${patience} ms ago`]);
  });

  it.each([
    ["that nobody heard of since is late, whatever was stored after it", false, 1],
    ["that was heard of, and only not noted, is not the lateness of what was stored after it", true, 0],
  ] as const)("a version %s [SIM-1]", (_, isHeard, late) => {
    const watch = new LateWatch(timers, new Disturbances());
    const patience = timers.alarmSlipMs + 3 * wakeMs + 4 * timers.observeMs + longestRestMs;
    watch.stored(seen({ endAt: due + 2 * patience }), false, begin, () => true);
    const now = begin + patience;
    watch.stored(seen({ endAt: due + 2 * patience }), false, now, () => isHeard);
    const reports = watch.check(now, () => false).filter((each) => each.startsWith("LATE: report"));
    expect(reports).toHaveLength(late);
  });

  it("is late as well after a clock was set: the check begins anew, it is not switched off [SIM-5]", () => {
    const disturbances = new Disturbances();
    const watch = new LateWatch(timers, disturbances);
    watch.stored(seen({ endAt: due }), true, begin, () => true);
    disturbances.clockSet(due, 20_000);
    const patience = timers.alarmSlipMs + 3 * wakeMs;
    expect(watch.check(due + 20_000, () => true)).toEqual([]);
    expect(watch.check(due + 20_000 + patience, () => true)).toHaveLength(1);
  });
});

describe("waits between two stop attempts", () => {
  const attempt = (number: number, ended: boolean) => ({
    ...{ attemptId: `a${number}`, startedAt: begin, outcome: ended ? "failed" : "acting" },
    endedAt: ended ? begin : null,
  });
  const stopping = (attempts: SeenStopping["attempts"]): SeenStopping => ({
    ...{ generation: held.generation, instanceId: "i", sandboxId: held.sandboxId, provider: "memory", host: "h" },
    ...{ openedAt: begin, phase: "stopping", reason: "terminated", requestedAt: begin, certainExpiry: begin },
    step: { type: "acting", attemptId: "a", deadline: begin + far },
    ...{ attempts, earlierAttempts: 0, retired: null, assertion: null },
  });

  it("are still checked in a schedule whose clock was set an hour before [SIM-5]", () => {
    const jumps = new ClockJumps();
    let elapsed = 0;
    const watch = new StopWatch(timers, jumps, () => elapsed);
    jumps.add(0, 60 * minute);
    elapsed = 10 * minute;
    const found: string[] = [];
    // Five attempts, each right after the one before.
    for (let number = 1; number <= 5; number += 1) {
      const before = Array.from({ length: number - 1 }, (_, index) => attempt(index + 1, true));
      for (const ended of [false, true])
        found.push(...watch.stored(seen({ newest: stopping([...before, attempt(number, ended)]) })));
    }
    expect(found.some((what) => what.startsWith("LEA-10: the next stop attempt came after 0 ms"))).toBe(true);
  });
});

const parkedStop = (attempts: number, earlierAttempts: number, acts: boolean): SeenStopping => ({
  ...{ generation: held.generation, instanceId: "i", sandboxId: held.sandboxId, provider: "memory", host: "h" },
  ...{ openedAt: begin, phase: "stopping", reason: "terminated", requestedAt: begin, certainExpiry: begin },
  step: acts ? { type: "acting", attemptId: "a", deadline: begin + far } : ({ type: "parked" } as never),
  attempts: Array.from({ length: attempts }, (_, index) => ({
    ...{ attemptId: `a${index}`, startedAt: begin, outcome: "failed", endedAt: begin },
  })),
  ...{ earlierAttempts, retired: null, assertion: null },
});

describe("a parked stop", () => {
  it("acts again only when an operator asked for it [SIM-1]", () => {
    const watch = new StopWatch(timers, new ClockJumps(), () => 0);
    const all = timers.stopAttempts;
    expect(watch.stored(seen({ newest: parkedStop(all, 0, false) })).filter((what) => what.includes("nobody"))).toEqual(
      [],
    );
    watch.retryAsked();
    expect(watch.stored(seen({ newest: parkedStop(0, all, true) }))).toEqual([]);
    expect(watch.stored(seen({ newest: parkedStop(all, all, false) }))).toEqual([]);
    expect(watch.stored(seen({ newest: parkedStop(0, 2 * all, true) }))).toEqual([
      "I7: a parked stop acts again, and nobody asked for it",
    ]);
  });
});

describe("two parked stops", () => {
  it("both act again when an operator asked once, each in a write of its own [SIM-1]", () => {
    const watch = new StopWatch(timers, new ClockJumps(), () => 0);
    const all = timers.stopAttempts;
    const stop = (generation: number, again: boolean): SeenStopping => ({
      ...parkedStop(again ? 0 : all, again ? all : 0, again),
      generation,
    });
    const nobody = (ghost: SeenStopping, newest: SeenStopping) =>
      watch.stored(seen({ ghosts: [ghost], newest })).filter((what) => what.includes("nobody"));
    expect(nobody(stop(1, false), stop(2, false))).toEqual([]);
    watch.retryAsked();
    const newest = stop(2, true);
    expect(nobody(stop(1, false), newest)).toEqual([]);
    expect(nobody(stop(1, true), newest)).toEqual([]);
  });
});

describe("the index", () => {
  function indexed() {
    const storage = new SimStorage("shard", true);
    const clock = new VirtualClock(new VirtualTime(new SeededRandom(1)), begin);
    return { storage, index: new ShardIndex(storage, clock) };
  }
  const session = seen({ newest: null, desired: { ...paused, since: begin } });
  const told = { status: "paused", endAt: session.endAt } as const;

  it("that says what is stored passes; one that says another status, end or version is named [SIM-2]", () => {
    const { storage, index } = indexed();
    index.report(report(id, 3, told));
    expect(indexFaults(readIndex(storage), session, 3)).toEqual([]);
    expect(counterFaults(storage)).toEqual([]);
    expect(indexFaults(readIndex(storage), session, 4)).toHaveLength(1);
    expect(indexFaults(readIndex(storage), { ...session, endAt: begin }, 3)).toHaveLength(1);
    expect(
      indexFaults(readIndex(storage), { ...session, desired: { ...paused, cause: "loss", since: begin } }, 3),
    ).toHaveLength(1);
    storage.close();
  });

  it("that has lost a row, or keeps another count than its rows, is named [SIM-2]", () => {
    const { storage, index } = indexed();
    index.report(report(id, 3, told));
    storage.damage(`UPDATE counters SET body = '{"status:running":99}'`);
    expect(counterFaults(storage).length).toBeGreaterThan(0);
    storage.damage("DELETE FROM session");
    expect(indexFaults(readIndex(storage), session, 3)).toEqual([`FLT-1: ${id} is not in the index`]);
    storage.close();
  });
});

describe("storage that fails", () => {
  const planned = (changes: Partial<SimPlan>): SimPlan => ({
    ...simPlan(1, new SeededRandom(1)),
    ...{ storageFailRate: 0, storageBurstEveryMs: null },
    ...changes,
  });
  function failing(plan: SimPlan) {
    const time = new VirtualTime(new SeededRandom(1));
    const faults = new StorageFaults({ plan, random: new SeededRandom(2), time, faulty: () => true });
    const storage = new SimStorage("session", false);
    const failures: string[] = [];
    faults.attach(storage, (failure) => failures.push(failure));
    return { time, faults, storage, failures };
  }

  it("does so before its body, and after all of it: then rows, tables and the alarm are as before [SIM-4]", () => {
    const { storage, failures } = failing(planned({ storageFailRate: 1 }));
    let bodies = 0;
    for (let tries = 0; tries < 40; tries += 1) {
      expect(() =>
        storage.transaction(() => {
          bodies += 1;
          storage.run("CREATE TABLE thing (name TEXT)");
          storage.setAlarm(begin);
        }),
      ).toThrow("cannot write");
      expect(storage.alarmAt).toBeNull();
      expect(storage.run("SELECT name FROM sqlite_master WHERE name = 'thing'")).toEqual([]);
    }
    expect(new Set(failures)).toEqual(new Set(["before", "commit"]));
    expect(bodies).toBe(failures.filter((failure) => failure === "commit").length);
    storage.close();
  });

  it("does so in bursts: well before, bad for a while, and well again [SIM-4]", async () => {
    const plan = planned({ storageBurstEveryMs: 1 });
    const { time, faults, storage } = failing(plan);
    const outcomes = (): number => {
      let failed = 0;
      for (let tries = 0; tries < 20; tries += 1) if (storage.fails() !== null) failed += 1;
      return failed;
    };
    expect(outcomes()).toBe(0);
    faults.burst();
    expect(outcomes()).toBeGreaterThan(10);
    await time.run(2 * plan.unitMs + 1);
    expect(outcomes()).toBe(0);
    storage.close();
  });

  it("is a session's, the registry's and the index's [SIM-4]", async () => {
    const failed = new Set<string>();
    const fits = (plan: SimPlan) =>
      plan.storageFailRate > 0 && plan.storageBurstEveryMs !== null && plan.neverEnds === null;
    const seeds = Array.from({ length: 200 }, (_, index) => index + 1).filter((seed) => fits(planOf(seed)));
    for (const seed of seeds.slice(0, 12)) {
      const { coverage } = await simulate(seed, { traced: false });
      for (const fault of Object.keys(coverage)) if (fault.startsWith("storage_")) failed.add(fault);
      if (failed.size === 4) break;
    }
    expect(failed).toEqual(new Set(["storage_before", "storage_commit", "storage_registry", "storage_index"]));
  });
});

function firstSeed(fits: (plan: SimPlan) => boolean): number {
  for (let seed = 1; seed < 10_000; seed += 1) if (fits(planOf(seed))) return seed;
  throw new Error("no schedule of the first ten thousand does that");
}
const planOf = (seed: number): SimPlan => simPlan(seed, new SeededRandom(seed).stream("plan"));

describe("faults that never end", () => {
  it("are in one schedule of six, of each kind [SIM-7]", () => {
    const plans = Array.from({ length: 600 }, (_, index) => planOf(index + 1));
    const endless = plans.filter(({ neverEnds }) => neverEnds !== null);
    expect(endless.length / plans.length).toBeGreaterThan(0.1);
    expect(new Set(endless.map(({ neverEnds }) => neverEnds))).toEqual(
      new Set(["sandbox", "snapshots", "index", "registry"]),
    );
  });

  it("go on past the retention while what they hold up is watched, and everything ends after them [SIM-7]", async () => {
    const seed = firstSeed((plan) => plan.neverEnds === "snapshots" && plan.faultyMs < 7 * plan.unitMs);
    const { trace, violations } = await simulate(seed, { traced: true });
    const at = (words: string) => trace.findIndex((line) => line.includes(words));
    expect(at("the faults are over")).toBeGreaterThan(0);
    expect(at("what never ends has ended")).toBeGreaterThan(at("the faults are over"));
    expect(violations).toEqual([]);
  });
});

it("a schedule that does not come to its end is a failure, not a hang [SIM-9]", async () => {
  const bounds = { steps: 20, cpuMs: 60_000 };
  const tooMany = await simulate(1, { traced: false, bounds });
  expect(tooMany.violations).toEqual(["SIM-9: still busy after 20 steps"]);
  const tooLong = await simulate(1, { traced: false, bounds: { steps: 400_000, cpuMs: 0 } });
  expect(tooLong.violations).toEqual(["SIM-9: still busy after 0 ms of its own time"]);
});
