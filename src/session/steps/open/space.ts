/**
 * Makes sure that there is space for a workspace before a new sandbox is opened: measure, reclaim stale files once, measure
 * again. Each step is an event of the session. domain/rules/cold-admission.ts decides, and the provider does the deleting.
 */
import type { OpeningFailure } from "../../../domain/machine/events.ts";
import { admitCold, type ColdStep, type Measured, type ReclaimOutcome } from "../../../domain/rules/cold-admission.ts";
import type { AttemptId } from "../../../domain/state/ids.ts";
import type { Candidate } from "../../../domain/state/lease.ts";
import type { SandboxLocation, Space } from "../../../sandbox/agent-sandbox.ts";
import type { StepContext } from "../step-context.ts";

/** null: there is space, or only a launch can tell with this provider. */
export async function ensureSpace(
  context: StepContext,
  candidate: Candidate,
  attemptId: AttemptId,
): Promise<OpeningFailure | null> {
  const { calls } = context;
  const space = calls.provider(candidate)?.space;
  if (space === undefined) return null;
  const { sandboxId, container } = candidate;
  const sessionId = calls.session().id;
  const location: SandboxLocation =
    container === undefined ? { sessionId, sandboxId } : { sessionId, sandboxId, container };
  let reclaimed: ReclaimOutcome | null = null;
  for (;;) {
    const step = await measure(context, space, location, attemptId, reclaimed);
    if (step === null) return givenUp;
    if (step.type === "admit") return null;
    if (step.type === "refuse")
      return { code: step.code, message: step.words, ...(container === undefined ? {} : { container }) };
    if (step.type === "ask_later")
      return {
        code: "unavailable",
        message: `The free space could not be measured (${step.words}), so no workspace is prepared. It is measured again.`,
      };
    reclaimed = await reclaim(context, space, location, attemptId);
    if (reclaimed === null) return givenUp;
  }
}

/** Nobody reads this failure: the session has gone on without this opening. */
const givenUp: OpeningFailure = {
  code: "unavailable",
  message:
    "This opening was given up while its disk space was measured or reclaimed: the session has ended or opened anew.",
};

/** null: this opening was given up meanwhile, so nothing is to be deleted for it. */
async function measure(
  { ports, calls }: StepContext,
  space: Space,
  location: SandboxLocation,
  attemptId: AttemptId,
  reclaimed: ReclaimOutcome | null,
): Promise<ColdStep | null> {
  const { observeMs, workspaceMinFreeBytes: neededBytes } = ports.policy;
  const result = await calls.call(observeMs, "inspectCapacity", (bound) => space.inspectCapacity(location, bound));
  const noted = result.ok ? calls.dispatch({ type: "spaceMeasured", attemptId, ...result.value, neededBytes }) : null;
  if (noted !== null && noted.type !== "moved") return null;
  const measured: Measured = result.ok
    ? { type: "space", ...result.value }
    : { type: "failed", failure: result.failure };
  return admitCold(measured, reclaimed, neededBytes);
}

/** null: the session went on without this opening, so what is deleted from here on is not its concern. */
async function reclaim(
  { ports, calls }: StepContext,
  space: Space,
  location: SandboxLocation,
  attemptId: AttemptId,
): Promise<ReclaimOutcome | null> {
  const result = await calls.call(ports.policy.reclaimMs, "reclaim", (bound) => space.reclaim(location, bound));
  const outcome = result.ok
    ? {
        removed: result.value.removed.length,
        freedBytes: result.value.freedBytes,
        kept: result.value.kept.length,
        failed: null,
      }
    : { removed: 0, freedBytes: 0, kept: 0, failed: `${result.failure.code}: ${result.failure.message}` };
  return calls.dispatch({ type: "spaceReclaimed", attemptId, ...outcome }).type === "moved" ? outcome : null;
}
