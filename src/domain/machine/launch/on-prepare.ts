/**
 * Cells for preparing a workspace. The steps run in the wrapper, which owns their progress: here is only what was heard of
 * it, the deadline, and what a failure means. The gate stays closed to jobs until every step has succeeded.
 */
import { endSession, loseSandbox, stopNewest } from "../stop/ending.ts";
import type { Effect, EventOf } from "../events.ts";
import type { Gate, Held } from "../../state/lease.ts";
import { ignored, moved, note, type Context, type Moved, type Outcome } from "../outcome.ts";
import type { Session } from "../../state/session.ts";
import { hasFailed, stepFailure, withReport, type StepReport, type Workspace } from "../../state/workspace.ts";

interface Preparing {
  readonly lease: Held;
  readonly gate: Extract<Gate, { type: "preparing" }>;
  readonly workspace: Workspace;
}

function preparing(session: Session): Preparing | null {
  const { newest: lease, workspace } = session;
  if (lease?.phase !== "held" || lease.gate.type !== "preparing" || workspace === null) return null;
  return { lease, gate: lease.gate, workspace };
}

/** How much of a step's output one history event keeps, in characters. */
const saidInHistory = 1_000;

/** Stored before it is asked, as if no answer would come: a crash in between asks again. */
export function preparationAsked(session: Session, event: EventOf<"preparationAsked">, context: Context): Outcome {
  const now = preparing(session);
  if (now === null) return ignored("nothing is being prepared");
  if (now.gate.nextAt > context.now) return ignored("it is not time to ask");
  const nextAt = context.now + context.policy.observeMs + context.policy.renewRetryMs;
  return moved({ ...session, newest: { ...now.lease, gate: { ...now.gate, nextAt, attemptId: event.attemptId } } });
}

export function preparationReported(
  session: Session,
  event: EventOf<"preparationReported">,
  context: Context,
): Outcome {
  const now = preparing(session);
  if (now === null) return ignored("nothing is being prepared");
  if (now.gate.attemptId !== event.attemptId) return ignored("the answer to an older question");
  const workspace = withReport(now.workspace, event.steps);
  if (session.setback?.code === unanswered) return preparationReported({ ...session, setback: null }, event, context);
  const notes = progress(now.workspace, workspace, now.lease);
  const failed = workspace.steps.find(hasFailed);
  if (failed !== undefined) {
    return failPreparation({ ...session, workspace }, stepFailure(failed, workspace.planned), notes, context);
  }
  if (workspace.state !== "prepared") {
    const gate: Gate = { ...now.gate, nextAt: context.now };
    return moved({ ...session, workspace, newest: { ...now.lease, gate } }, ...notes);
  }
  const ready: Session = {
    ...session,
    workspace,
    newest: { ...now.lease, gate: { type: "open" } },
    // Until now nobody could use the sandbox, so the idle clock starts here.
    activity: { ...session.activity, lastAt: Math.max(session.activity.lastAt, context.now) },
  };
  return moved(ready, ...notes, note("running", "the workspace is prepared", now.lease.generation));
}

/** A question that is asked again. The view shows what it met, and the answer to a later one clears it. */
const unanswered = "workspace_unanswered";

/** Trying the same order again is useless. */
const hopeless: ReadonlySet<string> = new Set(["invalid", "unsupported", "not_found", "protocol_unsupported"]);

export function preparationUnanswered(
  session: Session,
  event: EventOf<"preparationUnanswered">,
  context: Context,
): Outcome {
  const now = preparing(session);
  if (now === null) return ignored("nothing is being prepared");
  if (now.gate.attemptId !== event.attemptId) return ignored("the answer to an older question");
  const { failure } = event;
  if (failure.code === "foreign_instance") return loseSandbox(session, "foreign", failure.message, context);
  if (hopeless.has(failure.code)) {
    return failPreparation(session, `The workspace could not be prepared: ${failure.message}`, [], context);
  }
  // Whether the wrapper still lives is for its renewals to find out.
  const nextAt = context.now + context.policy.renewRetryMs;
  const message = `The last question about the workspace was not answered: ${failure.message}`;
  return moved({
    ...session,
    newest: { ...now.lease, gate: { ...now.gate, nextAt } },
    setback: { code: unanswered, message, at: context.now },
  });
}

export const notPreparing = (): Outcome => ignored("nothing is being prepared");

/** The whole of it took too long, whatever the single steps were allowed. */
export function overduePreparation(session: Session, context: Context): Outcome {
  const now = preparing(session);
  if (now === null || context.now < now.gate.deadline) return ignored("no preparation is overdue");
  const { steps, planned } = now.workspace;
  const last = steps.at(-1);
  const how =
    last === undefined ? `none of its ${planned.length} steps has begun` : `step "${last.name}" was the last to begin`;
  const why = session.setback?.code === unanswered ? ` ${session.setback.message}` : "";
  const words = `The workspace could not be prepared: it was not done ${Math.round(context.policy.prepareMs / 1_000)} s after its sandbox was ready; ${how}.${why}`;
  return failPreparation({ ...session, workspace: { ...now.workspace, state: "failed" } }, words, [], context);
}

/**
 * A session that is being created fails. A session that existed before keeps what it has: it becomes lost, as if its new sandbox
 * had not come up, and a rebuild tries again.
 */
function failPreparation(session: Session, words: string, notes: readonly Effect[], context: Context): Moved {
  const generation = session.newest?.generation ?? null;
  const failed: Session =
    session.workspace === null ? session : { ...session, workspace: { ...session.workspace, state: "failed" } };
  const said = [...notes, note("workspace_failed", words, generation)];
  if (preparing(session)?.gate.purpose === "create") {
    const ended = endSession(failed, "failed", words, context);
    return moved(ended.session, ...said, ...ended.effects);
  }
  return moved(
    {
      ...stopNewest(failed, "unprepared", context),
      setback: { code: "workspace_failed", message: words, at: context.now },
      desired: { type: "suspended", cause: "loss", since: context.now, resumeQueued: false },
    },
    ...said,
  );
}

/** A line for each step that began and each that ended since the last report. */
function progress(before: Workspace, after: Workspace, { generation }: Held): readonly Effect[] {
  const of = after.planned.length;
  return after.steps.flatMap((step, index): Effect[] => {
    const known = before.steps[index];
    const facts = { step: step.name, index: index + 1, of };
    const begun: Effect[] =
      known === undefined
        ? [note("workspace_step_started", step.name, generation, { ...facts, started_at: iso(step.startedAt) })]
        : [];
    if (step.endedAt === null || (known !== undefined && known.endedAt !== null)) return begun;
    return [...begun, note("workspace_step_ended", step.name, generation, { ...facts, ...ended(step, step.endedAt) })];
  });
}

function ended(step: StepReport, endedAt: number) {
  return {
    state: step.state,
    started_at: iso(step.startedAt),
    ended_at: iso(endedAt),
    duration_ms: Math.max(0, endedAt - step.startedAt),
    exit_code: step.exitCode,
    last_output: step.lastOutput.slice(-saidInHistory),
  };
}

function iso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
