/**
 * How often each fault met each phase: a fault that never met one has proven nothing about it. Every cell is either reachable,
 * and then a zero is a gap, or declared unreachable with the reason; an unreachable one that is hit is a wrong declaration.
 */
import { isOpen, type Lease } from "../../src/domain/lease.ts";
import type { Session } from "../../src/domain/session.ts";
import { drawableFaults } from "./sim-plan.ts";

/**
 * `restoring` launches from a snapshot (a resume, a rebuild); `opening` is on the way to its next lease; `asleep` is suspended
 * with nothing left running; `closed` is over.
 */
export const coveredPhases = [
  "opening",
  "launching",
  "restoring",
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
  object: ["crash_before", "crash_after", "crash_any", "crash_registry", "storage_fails", "alarm_late", "clock_jump"],
  stray: ["came_duplicate", "came_stranger", "came_legacy"],
  operator: ["operator_retry_stop", "operator_assert_absent", "operator_abandon"],
} as const;

interface Unreachable {
  readonly faults: (fault: string) => boolean;
  readonly phases: readonly CoveredPhase[];
  readonly why: string;
}

const inGroup = (group: keyof typeof groups) => (fault: string) => (groups[group] as readonly string[]).includes(fault);
const runs = ["launching", "restoring", "held", "draining", "saving", "stopping", "parked", "ghost"] as const;

/** The first that fits says why. */
const unreachable: readonly Unreachable[] = [
  {
    faults: (fault) => fault.startsWith("lie_"),
    phases: ["closed", "asleep"],
    why: "A lie is told to a look, and what is closed is not looked at any more.",
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

export class Coverage {
  readonly counts: CoverageCounts = {};

  count(fault: string, phases: Iterable<CoveredPhase>): void {
    const row = (this.counts[fault] ??= {});
    for (const phase of new Set(phases)) row[phase] = (row[phase] ?? 0) + 1;
  }
}

/** Where one generation stands; null: it has no lease yet. */
export function phaseOfLease(lease: Lease | null, isGhost: boolean, restores: boolean): CoveredPhase {
  if (lease === null) return "opening";
  if (isGhost) return "ghost";
  switch (lease.phase) {
    case "launching":
      return restores ? "restoring" : "launching";
    case "held":
      // Nobody in the simulation asks for a workspace yet: one that is being prepared would be held like any other.
      return lease.gate.type === "open" || lease.gate.type === "preparing" ? "held" : lease.gate.type;
    case "stopping":
      return lease.step.type === "parked" ? "parked" : "stopping";
    case "closed":
      return "closed";
  }
}

/** Where a whole session stands: its newest lease, or what it wants when none is open; and that there are ghosts. */
export function phasesOfSession(session: Session | null): readonly CoveredPhase[] {
  if (session === null) return ["opening"];
  const { newest, desired, ghosts, snapshot } = session;
  const resting = { running: "opening", suspended: "asleep", terminated: "closed" } as const;
  const own = isOpen(newest) ? phaseOfLease(newest, false, snapshot !== null) : resting[desired.type];
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
      if (count === 0 && !closed) zeros.push(`${fault} × ${phase}`);
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
