/**
 * Saving a sandbox's files for a pause, a rebuild or an upgrade, and deleting saved files. The order is the guarantee: first
 * no job is admitted, then none runs, then the files are read. Only a snapshot that was read back lets the sandbox go.
 */
import { bounded } from "../../../calls/bounded-call.ts";
import { failed } from "../../../domain/state/failure.ts";
import type { Generation } from "../../../domain/state/ids.ts";
import type { Held } from "../../../domain/state/lease.ts";
import type { Session, SnapshotRef } from "../../../domain/state/session.ts";
import { askToPause } from "./pause-admission.ts";
import type { StepContext } from "../step-context.ts";

/** How often a draining wrapper is asked whether its jobs have ended. */
const drainPollMs = 500;

function isByClock({ pauseTries, desired }: Session): boolean {
  return pauseTries !== null || (desired.type === "suspended" && desired.by === "clock:budget");
}

/** Waits for running jobs until the gate's deadline, then interrupts them. */
export async function drain(context: StepContext, generation: Generation): Promise<void> {
  const { ports, calls, jobs } = context;
  const { clock, policy } = ports;
  const attemptId = calls.attempt();
  if (calls.dispatch({ type: "drainStarted", generation, attemptId }).type !== "moved") return;
  const callOff = async (why: string): Promise<void> => {
    calls.dispatch({ type: "drainFailed", generation, attemptId, why });
    await admitAgain(context, generation);
  };
  let admitted = false;
  for (;;) {
    const lease = heldLease(context, generation);
    // Called off while the wrapper was asked; another attempt may have begun since.
    if (lease?.gate.type !== "draining" || lease.gate.attemptId !== attemptId) return;
    // A clock pauses without a request, so this pause was not admitted yet. Ask before the wrapper stops taking jobs. For a used-up
    // budget as well: with a tiny one a tenant could otherwise have any number of paused sessions. What finds no place then ends.
    if (!admitted && lease.gate.for === "pause" && isByClock(calls.session())) {
      const refusal = await askToPause(ports, calls.session());
      if (refusal !== null) return callOff(refusal.words);
      admitted = true;
      continue;
    }
    let empty = await isEmpty(context, lease);
    const late = clock.now() >= lease.gate.deadline;
    // A client did not ask for the upgrade, so it never interrupts a job.
    if (late && !empty && lease.gate.for !== "upgrade") {
      await jobs.end(lease, jobs.handedTo(lease), "interrupted", policy.jobGraceMs + policy.observeMs);
      empty = await isEmpty(context, lease);
    }
    if (empty) {
      // Read the results of the jobs before their sandbox goes.
      await Promise.all(jobs.handedTo(lease).map((id) => jobs.refresh(id)));
      calls.dispatch({ type: "drained", generation, attemptId, saveAttemptId: calls.attempt() });
      return;
    }
    if (late) return callOff("Jobs still ran, or could not be asked about, when the time to save had come.");
    await clock.sleep(drainPollMs);
  }
}

/** As the wrapper says: it admits no job, and none runs. */
async function isEmpty({ ports, calls, jobs }: StepContext, lease: Held): Promise<boolean> {
  const wrapper = jobs.wrapperOf(lease);
  if (wrapper === null) return false;
  const answer = await calls.call(ports.policy.observeMs, "drain", (bound) => wrapper.drain(bound));
  return answer.ok && answer.value.activeJobs === 0;
}

export async function save(context: StepContext, generation: Generation): Promise<void> {
  const { ports, calls } = context;
  const lease = heldLease(context, generation);
  if (lease?.gate.type !== "saving") return;
  const { clock, policy } = ports;
  const { attemptId, deadline } = lease.gate;
  const snapshots = calls.provider(lease)?.snapshots;
  const boundMs = Math.max(1_000, Math.min(policy.snapshotMs, deadline - clock.now()));
  const saved =
    snapshots === undefined
      ? failed("unsupported", `The provider ${lease.provider} cannot save a sandbox.`, "none")
      : await calls.call(boundMs, "save", (bound) => snapshots.save(calls.target(lease), attemptId, bound));
  if (saved.ok) {
    const { provider } = lease;
    const { bytes } = saved.value;
    const snapshot: SnapshotRef = { id: attemptId, provider, takenAt: clock.now(), generation, bytes };
    calls.dispatch({ type: "saveSucceeded", generation, attemptId, snapshot });
    return;
  }
  calls.dispatch({ type: "saveFailed", generation, attemptId, failure: saved.failure });
  await admitAgain(context, generation);
}

/**
 * The session runs on, so its wrapper may take jobs again. If this call is lost, the next delivery of a job repeats it
 * (jobs.ts). Only while the gate is open: after a late answer, another drain may be under way, and that one must stand.
 */
async function admitAgain(context: StepContext, generation: Generation): Promise<void> {
  const { ports, jobs } = context;
  const lease = heldLease(context, generation);
  const wrapper = lease?.gate.type === "open" ? jobs.wrapperOf(lease) : null;
  if (wrapper !== null) await bounded(ports.clock, ports.policy.observeMs, (bound) => wrapper.admit(bound));
}

/** The attempt is stored before the call: after a crash in between, the next attempt waits for this one's bound. */
export async function deleteSnapshot({ ports, calls }: StepContext, snapshotId: string): Promise<void> {
  const { id: session, discarded } = calls.session();
  const snapshot = discarded.find((each) => each.id === snapshotId);
  if (snapshot === undefined) return;
  const attemptId = calls.attempt();
  if (calls.dispatch({ type: "snapshotDeletionStarted", snapshotId, attemptId }).type !== "moved") return;
  const snapshots = ports.providers.get(snapshot.provider)?.snapshots;
  const removed =
    snapshots === undefined
      ? failed("unsupported", `No adapter for provider ${snapshot.provider} is wired.`, "none")
      : await calls.call(ports.policy.observeMs, "remove snapshot", (bound) =>
          snapshots.remove(session, snapshotId, bound),
        );
  if (removed.ok) {
    calls.dispatch({ type: "snapshotDeleted", snapshotId });
    return;
  }
  const { failure } = removed;
  const jitter = ports.ids.random();
  calls.dispatch({ type: "snapshotDeletionFailed", snapshotId, attemptId, failure, jitter });
  ports.logger.warn("a snapshot could not be deleted yet", { snapshot: snapshotId, code: failure.code });
}

function heldLease({ calls }: StepContext, generation: Generation): Held | null {
  const lease = calls.lease(generation);
  return lease?.phase === "held" ? lease : null;
}
