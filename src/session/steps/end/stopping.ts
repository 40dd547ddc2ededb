/**
 * Stops one sandbox and reports what proves that it is gone.
 *
 * Order matters. The generation is retired first, so that nothing can start it again. Then its jobs and its wrapper are
 * ended, then two looks say what is left. The state machine judges the looks; a probe of a parked lease only retires and
 * looks.
 */
import type { AttemptId, Generation } from "../../../domain/state/ids.ts";
import type { Retirement, Stopping } from "../../../domain/state/lease.ts";
import type { Observation } from "../../../domain/state/observation.ts";
import type { Target } from "../../../sandbox/agent-sandbox.ts";
import type { StepContext } from "../step-context.ts";

/** A wrapper that serves traffic answers within milliseconds. One that is frozen cuts nothing, and its connections break with its end. */
const cutMs = 1_000;

export async function stop(context: StepContext, generation: Generation): Promise<void> {
  const { ports, calls } = context;
  const attemptId = calls.attempt();
  if (calls.dispatch({ type: "stopStarted", generation, attemptId }).type !== "moved") return;
  const lease = calls.lease(generation);
  if (lease?.phase !== "stopping" || lease.step.type !== "acting") return;
  await ports.trace.span("mooring.stop", { ...calls.spanFacts(lease), reason: lease.reason }, async (note) => {
    note({ outcome: await attempt(context, lease, attemptId) });
  });
}

/** How it came out, for the span of the attempt. */
async function attempt(
  context: StepContext,
  lease: Stopping,
  attemptId: AttemptId,
): Promise<"given_up" | Observation["answer"]> {
  const { ports, calls } = context;
  const { generation, step } = lease;
  if (step.type !== "acting") return "given_up";
  const retired = await retire(context, lease);
  // An attempt that was given up must send no signal: only the attempt that replaced it counts.
  const current = (): boolean => isActing(context, generation, attemptId);
  if (!current()) return "given_up";
  const error = await end(context, lease, step.deadline, current);
  if (!current()) return "given_up";
  const settledAt = ports.clock.now();
  const looks = await lookTwice(context, lease);
  const jitter = ports.ids.random();
  const outcome = { generation, attemptId, retired, looks, settledAt, error, jitter };
  const finished = calls.dispatch({ type: "stopFinished", ...outcome }, "sandbox");
  if (finished.type === "moved") destroyIfClosed(context, lease);
  return looks.at(-1)?.answer ?? "unknown";
}

/** A look at a parked lease. It kills nothing, but it retires: without that no look could ever prove absence. */
export async function probe(context: StepContext, generation: Generation): Promise<void> {
  const { ports, calls } = context;
  const attemptId = calls.attempt();
  if (calls.dispatch({ type: "probeStarted", generation, attemptId }).type !== "moved") return;
  const lease = calls.lease(generation);
  if (lease?.phase !== "stopping") return;
  const retired = await retire(context, lease);
  const settledAt = ports.clock.now();
  const looks = await lookTwice(context, lease);
  const finished = calls.dispatch({ type: "probeFinished", generation, attemptId, retired, looks, settledAt });
  if (finished.type === "moved") destroyIfClosed(context, lease);
}

function isActing({ calls }: StepContext, generation: Generation, attemptId: AttemptId): boolean {
  const lease = calls.lease(generation);
  return lease?.phase === "stopping" && lease.step.type === "acting" && lease.step.attemptId === attemptId;
}

/** null: ended, or nothing was there. Otherwise what went wrong, in words. */
async function end(
  { ports, calls, jobs }: StepContext,
  lease: Stopping,
  deadline: number,
  current: () => boolean,
): Promise<string | null> {
  const { clock, policy } = ports;
  const provider = calls.provider(lease);
  if (provider === null) return `No adapter for provider ${lease.provider} is wired.`;
  // A client must not read the end of what we are about to kill as the end of its answer. Whether that could be done changes nothing.
  const wrapper = lease.attempts.length === 1 ? jobs.wrapperOf(lease) : null;
  if (wrapper !== null) await calls.call(cutMs, "cut traffic", (bound) => wrapper.cutTraffic(bound));
  if (!current()) return null;
  const looksMs = 2 * policy.observeMs + policy.absenceLookGapMs;
  if (lease.attempts.length === 1) {
    // The results of jobs are worth some time, as long as the stop itself keeps its full time.
    const spareMs = deadline - clock.now() - looksMs - policy.observeMs - policy.stopGraceMs;
    const ids = jobs.handedTo(lease);
    if (ids.length > 0) await jobs.end(lease, ids, "interrupted", Math.min(spareMs, policy.jobGraceMs + 2_000));
  }
  if (!current()) return null;
  const leftMs = Math.max(1_000, Math.min(policy.stopGraceMs + policy.observeMs, deadline - clock.now() - looksMs));
  const target = stopTarget(lease, calls.target(lease));
  const stopped = await calls.call(leftMs, "stop", (bound) => provider.stop(target, policy.stopGraceMs, bound));
  if (stopped.ok || stopped.failure.code === "not_found") return null;
  return `${stopped.failure.code}: ${stopped.failure.message}`;
}

/**
 * Without an instance id, a stop means every process of the generation, and never a newer one. Foreign and orphaned
 * processes have another instance id, and so may what a first attempt left: it would hold the lease open for ever.
 */
function stopTarget(lease: Stopping, target: Target): Target {
  const all = lease.reason === "orphaned" || lease.reason === "foreign" || lease.attempts.length > 1;
  return all ? { ...target, instanceId: null } : target;
}

async function retire({ ports, calls }: StepContext, lease: Stopping): Promise<Retirement | null> {
  const provider = calls.provider(lease);
  if (provider === null) return null;
  const { clock, policy } = ports;
  const target = calls.target(lease);
  const retired = await calls.call(policy.observeMs, "retire", (bound) => provider.retire(target, bound));
  return retired.ok ? { at: clock.now(), host: retired.value.host, boot: retired.value.boot } : null;
}

/** The second look is taken only when the first said absent. */
async function lookTwice({ ports, calls }: StepContext, lease: Stopping): Promise<readonly Observation[]> {
  const first = await calls.look(lease);
  if (first.answer !== "absent") return [first];
  // For a duration, not until an instant: a clock that is set back meanwhile would make that a wait of hours.
  await ports.clock.sleep(ports.policy.absenceLookGapMs);
  return [first, await calls.look(lease)];
}

/** Removes the files of a sandbox with a receipt. A failure is harmless: the sandbox id is never used again. */
function destroyIfClosed({ ports, calls }: StepContext, lease: Stopping): void {
  const provider = calls.provider(lease);
  if (calls.lease(lease.generation) !== null || provider === null) return;
  const target = calls.target(lease);
  void calls
    .call(ports.policy.observeMs, "destroy", (bound) => provider.destroy(target, bound))
    .then((result) => {
      if (result.ok) return;
      const { code } = result.failure;
      ports.logger.warn("could not remove a sandbox's files", { sandbox: lease.sandboxId, code });
    });
}
