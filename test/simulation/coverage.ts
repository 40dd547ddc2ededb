/**
 * How often each fault met each phase: a fault that never met one has proven nothing about it. Every cell is either reachable,
 * and then a zero is a gap, or declared unreachable with the reason; an unreachable one that is hit is a wrong declaration.
 */
import type { SeenLease, SeenSession } from "./oracle/model.ts";
import { drawableFaults } from "./play/sim-plan.ts";

/**
 * `restoring` launches from a snapshot (a resume, a rebuild); `opening` is on the way to its next lease; `asleep` is suspended
 * with nothing left running; `closed` is over.
 */
export const coveredPhases = [
  "opening",
  "launching",
  "restoring",
  "preparing",
  "held",
  "draining",
  "saving",
  "stopping",
  "parked",
  "ghost",
  "closed",
  "asleep",
] as const;
export type CoveredPhase = (typeof coveredPhases)[number];

export const netTroubles = ["lost_request", "lost_reply", "late_request", "late_reply", "twice", "hang"] as const;

/** Of calls to the provider; between objects; of the objects themselves; and what people and stray processes do. */
const groups = {
  provider: [...drawableFaults, "sick_silent", "sick_failing"],
  net: netTroubles.map((trouble) => `rpc_${trouble}`),
  object: [
    "crash_before",
    "crash_after",
    "crash_any",
    "crash_registry",
    "storage_before",
    "storage_commit",
    "storage_registry",
    "storage_index",
    "alarm_late",
    "clock_jump",
    "clock_stands",
  ],
  rows: ["rows_unreadable", "rows_newer", "key_lost", "deploy"],
  endless: ["endless_sandbox", "endless_index", "endless_registry", "endless_snapshots"],
  stray: ["came_duplicate", "came_stranger", "came_legacy"],
  operator: ["operator_retry_stop", "operator_assert_absent", "operator_abandon"],
} as const;

interface Unreachable {
  readonly faults: (fault: string) => boolean;
  readonly phases: readonly CoveredPhase[];
  readonly why: string;
}

const inGroup = (group: keyof typeof groups) => (fault: string) => (groups[group] as readonly string[]).includes(fault);
const runs = [
  "launching",
  "restoring",
  "preparing",
  "held",
  "draining",
  "saving",
  "stopping",
  "parked",
  "ghost",
] as const;

/** The first that fits says why. */
const unreachable: readonly Unreachable[] = [
  {
    faults: (fault) => fault.startsWith("lie_"),
    phases: ["closed", "asleep"],
    why: "A lie is told to a look, and what is closed is not looked at any more.",
  },
  {
    faults: (fault) => fault === "lie_wrong_host",
    phases: ["opening"],
    why: "The host that answers first is the host of the lease: there is none yet that another could be taken for.",
  },
  {
    faults: (fault) => ["disappear", "kill_wrapper", "freeze", "sick_silent", "sick_failing"].includes(fault),
    phases: ["asleep"],
    why: "What sleeps asks its provider only to delete snapshots, and such a call is about no sandbox.",
  },
  {
    faults: inGroup("stray"),
    phases: coveredPhases.filter((phase) => !(runs as readonly string[]).includes(phase)),
    why: "Stray processes come into a sandbox in which a wrapper lives.",
  },
  {
    faults: inGroup("operator"),
    phases: coveredPhases.filter((phase) => !["stopping", "parked", "ghost"].includes(phase)),
    why: "The operator acts on what is stuck: on stops.",
  },
];

export type CoverageCounts = Record<string, Record<string, number>>;

/** Calls by `op × phase`, and of those the hits of each fault: `hits[fault]["op × phase"]`. */
export interface CallCounts {
  readonly calls: Record<string, number>;
  readonly hits: CoverageCounts;
}

export class Coverage {
  readonly counts: CoverageCounts = {};
  readonly calls: CallCounts = { calls: {}, hits: {} };

  /** A call to a provider, made while its lease was in these phases; `fault` null: nothing befell it. */
  called(op: string, phases: Iterable<CoveredPhase>, fault: string | null): void {
    for (const phase of new Set(phases)) {
      const cell = `${op} × ${phase}`;
      this.calls.calls[cell] = (this.calls.calls[cell] ?? 0) + 1;
      if (fault === null) continue;
      const row = (this.calls.hits[fault] ??= {});
      row[cell] = (row[cell] ?? 0) + 1;
    }
  }

  count(fault: string, phases: Iterable<CoveredPhase>): void {
    const row = (this.counts[fault] ??= {});
    for (const phase of new Set(phases)) row[phase] = (row[phase] ?? 0) + 1;
  }
}

/** Where one generation stands; null: it has no lease yet. */
export function phaseOfLease(lease: SeenLease | null, isGhost: boolean, restores: boolean): CoveredPhase {
  if (lease === null) return "opening";
  if (isGhost) return "ghost";
  switch (lease.phase) {
    case "launching":
      return restores ? "restoring" : "launching";
    case "held":
      // Either way its files are being read.
      if (lease.gate.type === "copying") return "saving";
      return lease.gate.type === "open" ? "held" : lease.gate.type;
    case "stopping":
      return lease.step.type === "parked" ? "parked" : "stopping";
    case "closed":
      return "closed";
  }
}

/** Where a whole session stands: its newest lease, or what it wants when none is open; and that there are ghosts. */
export function phasesOfSession(session: SeenSession | null): readonly CoveredPhase[] {
  if (session === null) return ["opening"];
  const { newest, desired, ghosts, snapshot } = session;
  const resting = { running: "opening", suspended: "asleep", terminated: "closed" } as const;
  const open = newest !== null && newest.phase !== "closed";
  const own = open ? phaseOfLease(newest, false, snapshot !== null) : resting[desired.type];
  return ghosts.length > 0 ? [own, "ghost"] : [own];
}

export function addCoverage(sum: CoverageCounts, more: CoverageCounts): void {
  for (const [fault, row] of Object.entries(more)) {
    const total = (sum[fault] ??= {});
    for (const [phase, count] of Object.entries(row)) total[phase] = (total[phase] ?? 0) + count;
  }
}

export interface CoverageGaps {
  /** Reachable and never hit, as `fault × phase`. */
  readonly zeros: readonly string[];
  /** Hit, though declared unreachable; or a fault or phase that the table does not know. */
  readonly surprises: readonly string[];
}

export function coverageGaps(counts: CoverageCounts): CoverageGaps {
  const zeros: string[] = [];
  const surprises: string[] = [];
  const known: readonly string[] = Object.values(groups).flat();
  for (const fault of known) {
    for (const phase of coveredPhases) {
      const count = counts[fault]?.[phase] ?? 0;
      const closed = whyUnreachable(fault, phase) !== null;
      // What never ends hits a few sessions of a few schedules: where it finds them is not for anybody to choose.
      const chosen = !(groups.endless as readonly string[]).includes(fault);
      if (count === 0 && !closed && chosen) zeros.push(`${fault} × ${phase}`);
      if (count > 0 && closed) surprises.push(`${fault} × ${phase}`);
    }
  }
  for (const fault of Object.keys(counts)) if (!known.includes(fault)) surprises.push(fault);
  return { zeros, surprises };
}

function whyUnreachable(fault: string, phase: CoveredPhase): string | null {
  return unreachable.find((each) => each.faults(fault) && each.phases.includes(phase))?.why ?? null;
}

/** `highlight` marks a gap. An unreachable cell is a dot with the number of its reason, told below the table. */
export function coverageTable(counts: CoverageCounts, highlight: (text: string) => string): string {
  const known: readonly string[] = Object.values(groups).flat();
  const faults = [...known, ...Object.keys(counts).filter((fault) => !known.includes(fault))];
  const width = Math.max(...faults.map((fault) => fault.length));
  const head = ["fault".padEnd(width), ...coveredPhases.map((phase) => phase.padStart(9))].join(" ");
  const reasons = unreachable.map(({ why }, index) => `·${index + 1}  ${why}`);
  const rows = faults.map((fault) => {
    const cells = coveredPhases.map((phase) => {
      const count = counts[fault]?.[phase] ?? 0;
      const closed = unreachable.findIndex((each) => each.faults(fault) && each.phases.includes(phase));
      if (closed >= 0) return count === 0 ? `·${closed + 1}`.padStart(9) : highlight(`${count}?`.padStart(9));
      return count === 0 ? highlight("0!".padStart(9)) : String(count).padStart(9);
    });
    return [fault.padEnd(width), ...cells].join(" ");
  });
  const { zeros, surprises } = coverageGaps(counts);
  return [
    head,
    ...rows,
    "",
    ...reasons,
    `0!  reachable, and never hit: ${zeros.length}`,
    ...(surprises.length === 0 ? [] : [`?   hit, though declared unreachable: ${surprises.join(", ")}`]),
  ].join("\n");
}

/** Adds up the calls of several schedules. */
export function addCalls(sum: { calls: Record<string, number>; hits: CoverageCounts }, more: CallCounts): void {
  for (const [cell, count] of Object.entries(more.calls)) sum.calls[cell] = (sum.calls[cell] ?? 0) + count;
  addCoverage(sum.hits, more.hits);
}

/** A cell that is met this often and never hit is a gap; what is met less often may have had bad luck. */
const oftenEnough = 400;

export interface OperationGaps {
  /** `fault × operation × phase`: that call was made often enough in that phase, and the fault never befell it. */
  readonly zeros: readonly string[];
  /** How many cells were hit, and how many could have been. */
  readonly hit: number;
  readonly reachable: number;
}

/** Faults of calls to the provider, by the operation that they hit and the phase that its lease was in. */
export function operationGaps({ calls, hits }: CallCounts): OperationGaps {
  const zeros: string[] = [];
  let hit = 0;
  let reachable = 0;
  for (const [cell, count] of Object.entries(calls)) {
    const op = cell.slice(0, cell.indexOf(" "));
    for (const fault of groups.provider) {
      if (!fitsOperation(fault, op)) continue;
      const met = (hits[fault]?.[cell] ?? 0) > 0;
      if (!met && count < oftenEnough) continue;
      reachable += 1;
      if (met) hit += 1;
      else zeros.push(`${fault} × ${cell}`);
    }
  }
  return { zeros, hit, reachable };
}

/** About no sandbox: what befalls one cannot come with these. */
const aboutNoSandbox: ReadonlySet<string> = new Set([
  "remove",
  "enumerate",
  "retireContainer",
  "observeContainer",
  "destroyContainer",
]);

function fitsOperation(fault: string, op: string): boolean {
  if (fault.startsWith("lie_")) return op === "observe";
  const ofASandbox = ["disappear", "kill_wrapper", "freeze", "sick_silent", "sick_failing"].includes(fault);
  return !ofASandbox || !aboutNoSandbox.has(op);
}

/** One line for each operation: in how many of the cells that it can be met in each fault was met. */
export function operationTable(counts: CallCounts): string {
  const cells = Object.keys(counts.calls);
  const ops = [...new Set(cells.map((cell) => cell.slice(0, cell.indexOf(" "))))].toSorted();
  const lines = ops.map((op) => {
    const own = cells.filter((cell) => cell.startsWith(`${op} `));
    const made = own.reduce((sum, cell) => sum + (counts.calls[cell] ?? 0), 0);
    const fitting = groups.provider.filter((fault) => fitsOperation(fault, op));
    const met = fitting.reduce(
      (sum, fault) => sum + own.filter((cell) => (counts.hits[fault]?.[cell] ?? 0) > 0).length,
      0,
    );
    const phases = own.map((cell) => cell.slice(cell.indexOf("× ") + 2)).join(" ");
    return `${op.padEnd(18)}${String(made).padStart(10)}${`${met} of ${fitting.length * own.length}`.padStart(14)}  ${phases}`;
  });
  const { zeros, hit, reachable } = operationGaps(counts);
  return [
    `${"operation".padEnd(18)}${"calls".padStart(10)}${"cells met".padStart(14)}  phases it was called in`,
    ...lines,
    "",
    `${hit} of ${reachable} cells fault × operation × phase were met`,
    ...(zeros.length === 0 ? [] : [`called at least ${oftenEnough} times and never hit: ${zeros.join(", ")}`]),
  ].join("\n");
}
