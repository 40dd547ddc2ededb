/**
 * What a seed means: how many sessions, how hostile the world is to them, and in which ways. Each seed leaves out about half
 * of the faults and is violent or mild with the rest: a schedule in which everything always fails finds only shallow bugs.
 */
import { defaultPolicy, type Policy } from "../../../src/domain/rules/policy.ts";
import type { FaultType, Lie } from "../../memory/fault-plan.ts";
import type { SeededRandom } from "../../support/seeded-random.ts";

export type DrawableFault = Exclude<FaultType, "none" | "stale_read"> | `lie_${Lie["type"]}`;

export const drawableFaults: readonly DrawableFault[] = [
  "fail_before",
  "lost_reply",
  "slow",
  "late_effect",
  "duplicate",
  "hang",
  "disappear",
  "kill_wrapper",
  "freeze",
  "host_restart",
  "host_reboot",
  "foreign_instance",
  "lie_absent",
  "lie_fewer",
  "lie_stale",
  "lie_wrong_host",
  "lie_wrong_boot",
  "lie_malformed",
];

/** Those that end a sandbox or a whole host: often enough to matter, seldom enough that the others get their turn. */
const heavy: ReadonlySet<DrawableFault> = new Set([
  "disappear",
  "kill_wrapper",
  "freeze",
  "host_restart",
  "host_reboot",
]);

/**
 * `sandbox`: the first that falls sick never answers again. `index`, `registry`: that object never answers again.
 * `snapshots`: none can be deleted any more.
 */
export type NeverEnding = "sandbox" | "index" | "registry" | "snapshots";

export interface SimPlan {
  readonly seed: number;
  readonly policy: Policy;
  /** What a minute is under the default timers, ms: with shortened timers everything comes closer together. */
  readonly unitMs: number;
  readonly sessions: number;
  /** How long clients act and faults happen, ms. */
  readonly faultyMs: number;
  /** Everything is deleted as the faults end; otherwise it is first waited for that everybody settles. */
  readonly deletedAtOnce: boolean;
  readonly tenantCap: number;
  /** Of a call to the provider to be hit by one of `faults`. */
  readonly faultRate: number;
  readonly faults: readonly (readonly [weight: number, fault: DrawableFault])[];
  /** Of a sandbox to fall sick for long: every call to it fails, and it is frozen. */
  readonly sickRate: number;
  /** The longest such sickness, in units. */
  readonly sickFor: number;
  /** Clients pause, resume and rebuild far more often than they would. */
  readonly restless: boolean;
  /** The longest a provider takes to save a sandbox that is well, ms. */
  readonly saveMs: number;
  /** How much slower than usual clients act: long schedules are about waiting. */
  readonly clientPace: number;
  /** Between rounds of an operator over what is stuck, ms; null: nobody looks. */
  readonly operatorEveryMs: number | null;
  /** Of a call between objects, or between a client and one. */
  readonly netFaultRate: number;
  /** At each call across an object's border, before and after it. */
  readonly crashRate: number;
  /** Between crashes that hit an object at any time, evictions among them, ms; null: none. */
  readonly crashEveryMs: number | null;
  /** Of a transaction to fail, before it begins or at its end: of sessions, of the registry, of the index alike. */
  readonly storageFailRate: number;
  /** Between storages that fail for a while, one object's at a time, ms; null: none does. */
  readonly storageBurstEveryMs: number | null;
  /** Sessions find their tables made, as after an erasure; otherwise each makes its own, as at a first wake. */
  readonly usedTables: boolean;
  /** Between arrivals of processes that nobody launched, ms: duplicates, strangers, legacy wrappers; null: none come. */
  readonly strangersEveryMs: number | null;
  /** Between sessions whose rows cannot be read for a while, or are of newer code, ms; null: none. */
  readonly damageEveryMs: number | null;
  /** Between losses of the key that secrets are sealed with, ms; null: it is never lost. */
  readonly keysLostEveryMs: number | null;
  /** When newer code with a newer wrapper takes over, ms; null: there is no deploy. */
  readonly deployAfterMs: number | null;
  /** Between audits, each with its plan applied, ms; null: none is made. */
  readonly auditEveryMs: number | null;
  /** What all tenants together may have. */
  readonly globalCap: number;
  /** What one class of faults goes on with after all others have ended; null: everything ends. */
  readonly neverEnds: NeverEnding | null;
  /** What sessions ask for that most do not. */
  readonly asks: {
    readonly workspace: number;
    readonly shared: number;
    readonly env: number;
    readonly budget: boolean;
  };
  /** Clients make a session anew under an id that was erased. */
  readonly again: boolean;
  /** Between jumps of the controllers' clock, ms; null: it never jumps. */
  readonly jumpEveryMs: number | null;
  /** The longest an alarm fires late, ms. */
  readonly alarmSlipMs: number;
  /** From a launch until its wrapper listens, ms. */
  readonly startMs: number;
  /** How long it takes to unpack what was saved, ms. */
  readonly restoreMs: number;
}

export function simPlan(seed: number, random: SeededRandom): SimPlan {
  const chosen = drawableFaults.filter(() => random.chance(0.5));
  const faults = chosen.map((fault) => [random.int(1, 5) * (heavy.has(fault) ? 0.2 : 1), fault] as const);
  const timers: Policy = random.chance(0.25) ? hasty : defaultPolicy;
  // With fewer attempts a stop is soon parked, and what happens to parked ones is met more often.
  const unitMs = timers.leaseTtlMs / 5;
  const neverEnds = random.chance(0.16)
    ? random.pick(["sandbox", "sandbox", "snapshots", "index", "registry"] as const)
    : null;
  // What goes on for ever is watched past the retention, which is then short.
  const soon = neverEnds !== null || random.chance(0.3);
  const policy: Policy = {
    ...timers,
    stopAttempts: random.pick([1, 3, timers.stopAttempts]),
    // Every other seed: a sandbox costs a thousandth a second, and its end and its budget are warned of within the schedule. Not drawn, so
    // that the other seeds stay what they were.
    ...(seed % 2 === 0
      ? { prices: { currency: "USD", nanosPerSecond: { memory: 1_000_000 } }, endingSoonMs: unitMs }
      : {}),
    ...(soon
      ? { retentionMs: 6 * unitMs, pausedRetentionMs: 12 * unitMs, pausedWarningMs: 4 * unitMs, prepareMs: 8 * unitMs }
      : {}),
  };
  // To be parked, or to be replaced unproven, takes long.
  const long = random.chance(0.16);
  return {
    seed,
    policy,
    unitMs,
    sessions: 5,
    faultyMs: random.pick(long ? [28, 45] : [3, 4, 6, 10]) * unitMs,
    deletedAtOnce: random.chance(0.6),
    tenantCap: random.pick([3, 5, 20]),
    faultRate: chosen.length === 0 ? 0 : random.pick([0.02, 0.08, 0.25]),
    faults,
    sickRate: random.pick(long ? [0.005, 0.02, 0.05] : [0, 0.005, 0.02]),
    sickFor: long ? 45 : 12,
    restless: random.chance(0.3),
    saveMs: random.pick([0, 1, 4]) * unitMs,
    clientPace: long ? 4 : 1,
    operatorEveryMs: random.chance(0.4) ? random.pick([1, 4]) * unitMs : null,
    netFaultRate: random.pick([0, 0.02, 0.1]),
    crashRate: random.pick([0, 0.003, 0.02]),
    crashEveryMs: random.pick([null, 5 * unitMs, unitMs]),
    storageFailRate: random.pick([0, 0, 0.02]),
    storageBurstEveryMs: random.chance(0.3) ? random.int(2, 8) * unitMs : null,
    usedTables: random.chance(0.8),
    strangersEveryMs: random.chance(0.3) ? random.int(2, 8) * unitMs : null,
    damageEveryMs: random.chance(0.15) ? random.int(2, 8) * unitMs : null,
    keysLostEveryMs: random.chance(0.15) ? random.int(2, 8) * unitMs : null,
    deployAfterMs: random.chance(0.2) ? random.int(1, 6) * unitMs : null,
    auditEveryMs: random.chance(0.15) ? random.int(3, 10) * unitMs : null,
    globalCap: random.pick([2, 4, 100, 100]),
    neverEnds,
    asks: {
      workspace: random.pick([0, 0, 0.5]),
      shared: random.pick([0, 0, 0.7]),
      env: random.pick([0, 0.5]),
      budget: seed % 2 === 0,
    },
    again: soon && random.chance(0.5),
    jumpEveryMs: random.chance(0.3) ? random.int(3, 15) * unitMs : null,
    alarmSlipMs: random.pick([0, 0.1, 1]) * policy.alarmSlipMs,
    startMs: random.pick([0, 0.005, 0.05]) * unitMs,
    restoreMs: random.pick([0, 0, 0.2, 2, 6]) * unitMs,
  };
}

/** The shortened timers that `npm run dev` takes for tests: the same rules hold, everything comes closer together. */
const hasty: Policy = {
  ...defaultPolicy,
  renewMs: 2_000,
  renewRetryMs: 1_000,
  leaseTtlMs: 10_000,
  observeMs: 2_000,
  launchCallMs: 5_000,
  readyWaitMs: 5_000,
  provisionMs: 20_000,
  stopAttemptMs: 20_000,
  stopBackoffBaseMs: 200,
  stopBackoffCapMs: 10_000,
  launchBackoffBaseMs: 200,
  launchBackoffCapMs: 5_000,
  jobGraceMs: 1_000,
  stopGraceMs: 2_000,
  alarmSlipMs: 1_000,
  parkedFirstProbeMs: 10_000,
  parkedProbeMs: 60_000,
  parkedProbeSlowAfterMs: 600_000,
  parkedProbeSlowMs: 600_000,
  drainMs: 2_000,
  snapshotMs: 10_000,
  pauseBackoffBaseMs: 1_000,
  pauseBackoffCapMs: 20_000,
  staleActivityMs: 10_000,
  sleepAfterMs: 20_000,
  unreadableRetryMs: 20_000,
  newerRetryMs: 10_000,
};
