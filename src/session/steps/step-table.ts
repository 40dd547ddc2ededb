/**
 * The steps that reconcile names, as one table: the lane a step runs in, how long it may take, and the function that
 * carries it out. A new step is a row here.
 *
 * A step stores its intent through an event, calls the provider within a bound, and reports the outcome as another event.
 * It decides nothing: when an outcome comes too late, the state machine ignores it.
 */
import { measuredMs, openingMs, type Policy } from "../../domain/rules/policy.ts";
import type { Step } from "../../domain/rules/reconcile.ts";
import { cancelReservation } from "./end/cancelling.ts";
import { copy, settleCopy } from "./save/copying.ts";
import { erase } from "./end/erasing.ts";
import { relaunch } from "./open/launching.ts";
import { openLease } from "./open/opening.ts";
import { prepare } from "./open/preparing.ts";
import { renew } from "./renewing.ts";
import { deleteSnapshot, drain, save } from "./save/saving.ts";
import type { StepContext } from "./step-context.ts";
import { probe, stop } from "./end/stopping.ts";

type StepType = Step["type"];
type StepOf<T extends StepType> = Extract<Step, { readonly type: T }>;

interface StepRow<T extends StepType> {
  /** A lane runs one step at a time; steps of different lanes run in parallel. */
  readonly lane: (step: StepOf<T>) => string;
  /** When every call of the step takes its whole bound. The attempt is given up after that. */
  readonly boundMs: (policy: Policy) => number;
  readonly run: (context: StepContext, step: StepOf<T>) => Promise<void>;
}

const table: { readonly [T in StepType]: StepRow<T> } = {
  openLease: {
    lane: () => "open",
    boundMs: (policy) => openingMs(policy) + measuredMs(false, policy) + policy.launchCallMs,
    run: openLease,
  },
  becomeGhost: {
    lane: () => "open",
    boundMs: ({ observeMs }) => 2 * observeMs,
    run: async ({ calls }) => void calls.dispatch({ type: "ghostNeeded" }),
  },
  launch: {
    // Apart from the lane of stops: a stop must not wait for a launch call that hangs.
    lane: ({ generation }) => `launch:${generation}`,
    boundMs: ({ launchCallMs }) => launchCallMs,
    run: (context, { generation }) => relaunch(context, generation),
  },
  renew: {
    // By generation, so that a ghost's stop does not hold up the renewals of its successor.
    lane: ({ generation }) => `renew:${generation}`,
    // The call; then a look or the details of its jobs; then the end of jobs that should not run.
    boundMs: ({ observeMs, jobGraceMs }) => 3 * observeMs + jobGraceMs,
    run: (context, { generation }) => renew(context, generation),
  },
  stop: {
    lane: ({ generation }) => `lease:${generation}`,
    // The state machine abandons the attempt after the same time, so the lane is free when the next attempt is due.
    boundMs: ({ stopAttemptMs }) => stopAttemptMs,
    run: (context, { generation }) => stop(context, generation),
  },
  probe: {
    lane: ({ generation }) => `lease:${generation}`,
    boundMs: ({ observeMs, absenceLookGapMs }) => 3 * observeMs + absenceLookGapMs,
    run: (context, { generation }) => probe(context, generation),
  },
  prepare: {
    lane: ({ generation }) => `prepare:${generation}`,
    boundMs: ({ observeMs }) => 2 * observeMs,
    run: (context, { generation }) => prepare(context, generation),
  },
  drain: {
    lane: ({ generation }) => `drain:${generation}`,
    // A question at the deadline, the end of the jobs, a second question, reading the results, and calling the drain off.
    boundMs: ({ drainMs, jobGraceMs, observeMs }) => drainMs + jobGraceMs + 5 * observeMs,
    run: (context, { generation }) => drain(context, generation),
  },
  save: {
    // By attempt: a save that hangs after its pause was called off must not hold up the next one.
    lane: ({ generation, attemptId }) => `save:${generation}:${attemptId}`,
    boundMs: ({ snapshotMs, observeMs }) => snapshotMs + observeMs,
    run: (context, { generation }) => save(context, generation),
  },
  copy: {
    lane: ({ generation, snapshotId }) => `copy:${generation}:${snapshotId}`,
    // The agent is told to hold everything still, the files are saved, and the agent is told to go on.
    boundMs: ({ snapshotMs, observeMs }) => snapshotMs + 2 * observeMs,
    run: (context, { generation }) => copy(context, generation),
  },
  settleCopy: {
    lane: ({ snapshotId }) => `settle:${snapshotId}`,
    boundMs: ({ observeMs }) => 2 * observeMs,
    run: (context, { snapshotId }) => settleCopy(context, snapshotId),
  },
  cancelReservation: {
    lane: ({ generation }) => `cancel:${generation}`,
    boundMs: ({ observeMs }) => 2 * observeMs,
    run: (context, { generation }) => cancelReservation(context, generation),
  },
  deleteSnapshot: {
    lane: () => "snapshots",
    boundMs: ({ observeMs }) => 2 * observeMs,
    run: (context, { snapshotId }) => deleteSnapshot(context, snapshotId),
  },
  erase: {
    lane: () => "erase",
    boundMs: ({ observeMs }) => 3 * observeMs,
    run: erase,
  },
};

/** The row of a step's own type: TypeScript cannot see by itself that the two belong together. */
function rowOf<T extends StepType>(step: StepOf<T>): StepRow<T> {
  return table[step.type];
}

export function laneOf(step: Step): string {
  return rowOf(step).lane(step);
}

export function stepBoundMs(step: Step, policy: Policy): number {
  return rowOf(step).boundMs(policy);
}

export async function runStep(context: StepContext, step: Step): Promise<void> {
  await rowOf(step).run(context, step);
}
