/**
 * Takes a snapshot of the tenant: freezes everything in the sandbox, saves its files under the snapshot's name, and lets it go on.
 *
 * Both calls are idempotent by name, so an object that restarts in between repeats the step. If this object never comes back, the agent
 * thaws by itself after the gate's deadline.
 */
import { bounded, timedOut } from "../../../calls/bounded-call.ts";
import { failed, type ProviderResult } from "../../../domain/state/failure.ts";
import type { Generation } from "../../../domain/state/ids.ts";
import type { Held } from "../../../domain/state/lease.ts";
import type { StepContext } from "../step-context.ts";

export async function copy(context: StepContext, generation: Generation): Promise<void> {
  const { ports, calls, jobs } = context;
  const lease = calls.lease(generation);
  if (lease?.phase !== "held" || lease.gate.type !== "copying") return;
  const { snapshotId, deadline } = lease.gate;
  const leftMs = Math.max(1_000, deadline - ports.clock.now());
  const saved = await savedWhileStill(context, lease, snapshotId, leftMs);
  // Also when it was not told to stand still for certain: the call may have arrived. A thaw that is lost comes by itself, later.
  const wrapper = jobs.wrapperOf(lease);
  if (wrapper !== null) await bounded(ports.clock, ports.policy.observeMs, (bound) => wrapper.thaw(snapshotId, bound));
  calls.dispatch(
    saved.ok
      ? { type: "copySucceeded", generation, snapshotId, bytes: saved.value.bytes }
      : { type: "copyFailed", generation, snapshotId, failure: saved.failure },
  );
}

async function savedWhileStill(
  context: StepContext,
  lease: Held,
  snapshotId: string,
  leftMs: number,
): Promise<ProviderResult<{ readonly bytes: number }>> {
  const { ports, calls, jobs } = context;
  const { observeMs, snapshotMs } = ports.policy;
  const wrapper = jobs.wrapperOf(lease);
  const snapshots = calls.provider(lease)?.snapshots;
  if (wrapper === null || snapshots === undefined)
    return failed("unsupported", `The provider ${lease.provider} cannot save a sandbox.`, "none");
  const forMs = leftMs + observeMs;
  const still = await calls.call(observeMs, "freeze", (bound) => wrapper.freeze(snapshotId, forMs, bound));
  // The freeze may have happened, but no save was sent: effect `none`.
  if (!still.ok)
    return still.failure.code === "not_found" ? olderAgent : failed(still.failure.code, still.failure.message, "none");
  // The session may have been lost or ended while it was being told to stand still.
  if (!isAsked(context, lease.generation, snapshotId)) return calledOff;
  const boundMs = Math.min(snapshotMs, leftMs);
  return calls.call(boundMs, "copy", (bound) => snapshots.save(calls.target(lease), snapshotId, bound));
}

function isAsked({ calls }: StepContext, generation: Generation, snapshotId: string): boolean {
  const lease = calls.lease(generation);
  return lease?.phase === "held" && lease.gate.type === "copying" && lease.gate.snapshotId === snapshotId;
}

const calledOff = failed("not_ready", "The snapshot was called off before anything was saved.", "none");

const olderAgent = failed(
  "unsupported",
  "The agent in this sandbox is of an earlier release and cannot hold its processes still. A rebuild, or a pause and a resume, replaces it.",
  "none",
);

/** Repeated until the registry has heard: a snapshot whose outcome it never hears is deleted. */
export async function settleCopy({ ports, calls }: StepContext, snapshotId: string): Promise<void> {
  const session = calls.session();
  const taken = session.taken.find(({ id }) => id === snapshotId);
  if (taken === undefined) return;
  try {
    const answer = await bounded(ports.clock, ports.policy.observeMs, () =>
      ports.tenant(session.tenant).settleSnapshot(session.id, taken),
    );
    if (answer !== timedOut) calls.dispatch({ type: "copySettled", snapshotId });
  } catch (error) {
    ports.logger.warn("could not tell what became of a snapshot", { snapshot: snapshotId, error: String(error) });
  }
}
