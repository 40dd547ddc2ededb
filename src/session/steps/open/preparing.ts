/**
 * Asks a wrapper to prepare its workspace, and reads its progress. The wrapper owns the progress and accepts the same order
 * any number of times, so an eviction, a lost reply or a second question costs one more question and nothing else.
 */
import { failed, succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import type { AttemptId, Generation } from "../../../domain/state/ids.ts";
import type { Held } from "../../../domain/state/lease.ts";
import type { StepReport } from "../../../domain/state/workspace.ts";
import {
  bootstrapOrderOf,
  type BootstrapOrder,
  type BootstrapReply,
  type BootstrapStep,
} from "../../../protocol/sandbox/workspace.ts";
import type { StepContext } from "../step-context.ts";

export async function prepare(context: StepContext, generation: Generation): Promise<void> {
  const { ports, calls, workspaceVersions } = context;
  const lease = calls.lease(generation);
  if (lease?.phase !== "held") return;
  const attemptId = calls.attempt();
  if (calls.dispatch({ type: "preparationAsked", generation, attemptId }).type !== "moved") return;
  const order = await workspaceOrder(context);
  // Decrypting took time: the sandbox may be stopping by now, and its wrapper must not be told to begin.
  if (!isAsked(context, generation, attemptId)) return;
  const answer = order.ok ? await ask(context, lease, order.value) : order;
  if (!answer.ok) {
    calls.dispatch({ type: "preparationUnanswered", generation, attemptId, failure: answer.failure }, "sandbox");
    return;
  }
  workspaceVersions.clear();
  workspaceVersions.set(generation, answer.value.version);
  const steps = answer.value.steps.map((step) => stepReport(step, ports.clock.now()));
  calls.dispatch({ type: "preparationReported", generation, attemptId, steps }, "sandbox");
}

/** This question is still the last one that is stored. */
function isAsked({ calls }: StepContext, generation: Generation, attemptId: AttemptId): boolean {
  const lease = calls.lease(generation);
  return lease?.phase === "held" && lease.gate.type === "preparing" && lease.gate.attemptId === attemptId;
}

async function workspaceOrder({ ports, calls, secrets }: StepContext): Promise<ProviderResult<BootstrapOrder>> {
  const read = await secrets.launch(calls.session().id);
  // A missing key may come back: the step's deadline limits how long to wait for it.
  if (!read.ok) return failed("unavailable", `The order for the workspace cannot be read: ${read.why}`, "none");
  const { workspace } = read.value;
  if (workspace === undefined) return failed("invalid", "There is no order for a workspace.", "none");
  try {
    return succeeded(bootstrapOrderOf(workspace, ports.policy.prepareStepMs));
  } catch (error) {
    // The same order throws again at every try: waiting for the deadline would hold a sandbox for nothing.
    const words = error instanceof Error ? error.message : String(error);
    ports.logger.error("an order for a workspace cannot be made", { error: words });
    return failed("invalid", `No order can be made of what was asked for (${words}).`, "none");
  }
}

async function ask(
  { ports, calls, jobs, workspaceVersions }: StepContext,
  lease: Held,
  order: BootstrapOrder,
): Promise<ProviderResult<BootstrapReply>> {
  const { observeMs } = ports.policy;
  const wrapper = jobs.wrapperOf(lease);
  if (wrapper === null) return failed("unavailable", `No adapter for provider ${lease.provider} is wired.`, "none");
  // The wrapper waits for half of the bound; its answer needs some of the rest.
  const request = { order, seen: workspaceVersions.get(lease.generation) ?? 0, wait_ms: Math.floor(observeMs / 2) };
  return calls.call(observeMs, "prepare", (bound) => wrapper.prepare(request, bound));
}

function stepReport(step: BootstrapStep, now: number): StepReport {
  return {
    name: step.name,
    state: step.state,
    startedAt: now - step.started_ago_ms,
    endedAt: step.ended_ago_ms === null ? null : now - step.ended_ago_ms,
    exitCode: step.exit_code,
    diskFull: step.disk_full,
    // Only a failed step keeps much of its output: the size of a session's record is bounded.
    lastOutput: step.last_output.slice(step.state === "failed" || step.state === "timed_out" ? -4_096 : -512),
  };
}
