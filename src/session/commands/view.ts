/** What a client sees of a session: one projection of the stored state, so that nothing is reported that was not stored. */
import { clocks, expiresAt, idleAt, jobsBelievedRunning } from "../../domain/rules/clocks.ts";
import type { SessionId } from "../../domain/state/ids.ts";
import { isOpen, type Closed, type Lease, type StopAttempt, type Stopping } from "../../domain/state/lease.ts";
import type { Containment } from "../../domain/state/observation.ts";
import { nanosPerUnit, spentBy } from "../../domain/rules/price.ts";
import type { Policy } from "../../domain/rules/policy.ts";
import type { Session } from "../../domain/state/session.ts";
import { currentRestoreProof } from "../../domain/rules/saved-files.ts";
import { defaultTemplate } from "../../domain/state/template.ts";
import type { Workspace } from "../../domain/state/workspace.ts";
import { blockedBy, statusOf } from "../../domain/rules/status.ts";
import { whatFailed } from "../../explain/what-failed.ts";
import type { JobView } from "../../protocol/resources/session/jobs.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import { type SessionView, type TeardownView, viewOfLook } from "../../protocol/resources/session/sessions.ts";
import type { Job } from "../jobs/job-row.ts";
import type { HeldBackBy } from "../jobs/job-delivery.ts";

export interface ViewContext {
  readonly now: number;
  readonly policy: Policy;
  readonly adapterMissing: boolean;
  /** A step of ours throws; null: none does. */
  readonly trouble: string | null;
  /** Closed leases that are not the newest, oldest first. */
  readonly receipts: readonly Closed[];
}

const at = (epochMs: number | null): string | null => (epochMs === null ? null : rfc3339(epochMs));

export function sessionView(session: Session, context: ViewContext): SessionView {
  const { desired, limits, lifecycle, profile } = session;
  const blocked = blockedBy(session, context.adapterMissing);
  const working = jobsBelievedRunning(session, context.now, context.policy);
  return {
    id: session.id,
    status: statusOf(session),
    blocked:
      blocked === null ? null : { code: blocked.code, since: rfc3339(blocked.since), retry_at: at(blocked.retryAt) },
    terminate_reason: desired.type === "terminated" ? desired.reason : null,
    created_at: rfc3339(session.createdAt),
    started_at: at(session.startedAt),
    refreshed_at: at(session.refreshedAt),
    end_at: rfc3339(session.endAt),
    idle_at: working ? null : at(idleAt(session, context.policy)),
    expires_at: at(working ? expiresWithoutIdle(session, context.policy) : expiresAt(session, context.policy)),
    terminated_at: desired.type === "terminated" ? at(desired.endedAt) : null,
    generation: session.newest?.generation ?? null,
    provider: session.provider,
    isolation: session.isolation,
    container_id: isOpen(session.newest) ? (session.newest.container ?? null) : null,
    jobs_apart: jobsApart(session.newest),
    template: session.template ?? defaultTemplate,
    network: networkOf(session),
    timeout_seconds: Math.round(limits.timeoutMs / 1_000),
    idle_timeout_seconds: limits.idleTimeoutMs === null ? null : Math.round(limits.idleTimeoutMs / 1_000),
    max_lifetime_seconds: Math.round(limits.maxLifetimeMs / 1_000),
    ...moneyOf(session, context),
    on_timeout: lifecycle.onTimeout,
    on_loss: lifecycle.onLoss,
    auto_resume: profile.autoResume,
    public_ports: profile.publicPorts === true,
    port_host: profile.portHost ?? null,
    labels: profile.labels,
    agent_type: profile.agentType,
    task_id: profile.taskId,
    critical: profile.critical,
    workspace: session.workspace === null ? null : workspaceView(session.workspace),
    restoring: restoringView(session),
    failure: desired.type === "terminated" ? whatFailed(session) : (context.trouble ?? whatFailed(session)),
    last_proven_restorable_at: at(currentRestoreProof(session)?.at ?? null),
    ghosts: session.ghosts.length,
    teardown: sessionTeardown(session, context.receipts),
  };
}

/** How far the saved files are, while a launch waits for them. */
function restoringView({ desired, newest }: Session): SessionView["restoring"] {
  const last = desired.type === "running" && newest?.phase === "launching" ? desired.provision?.lastError : null;
  if (last?.code !== "restoring" || last.progress === undefined) return null;
  return { done_bytes: last.progress.doneBytes, total_bytes: last.progress.totalBytes };
}

function networkOf({ network }: Session): SessionView["network"] {
  if (network === undefined) return { mode: "open", allow: [], inject: [], state: "applied" };
  const { mode, allow, inject, state } = network;
  return { mode, allow: [...allow], inject: inject.map(({ host, header }) => ({ host, header })), state };
}

function jobsApart(lease: Lease | null): SessionView["jobs_apart"] {
  const unproven = lease?.unproven;
  return unproven === undefined ? null : { proven: unproven.length === 0, unproven: [...unproven] };
}

function moneyOf(
  session: Session,
  { now, policy }: ViewContext,
): Pick<SessionView, "max_cost" | "cost" | "currency" | "budget_at"> {
  const { maxNanos } = session.budget;
  const priced = policy.prices.nanosPerSecond[session.provider] !== undefined || session.budget.spentNanos > 0;
  return {
    max_cost: maxNanos === null ? null : maxNanos / nanosPerUnit,
    cost: priced ? spentBy(session, now) / nanosPerUnit : null,
    currency: priced || maxNanos !== null ? policy.prices.currency : null,
    budget_at: at(clocks.budget.dueAt(session)),
  };
}

function workspaceView(workspace: Workspace): NonNullable<SessionView["workspace"]> {
  const steps = workspace.planned.map((name, index) => {
    const step = workspace.steps[index];
    if (step === undefined) return { ...unbegun, name };
    return {
      name,
      state: step.state,
      started_at: rfc3339(step.startedAt),
      ended_at: at(step.endedAt),
      duration_ms: step.endedAt === null ? null : Math.max(0, step.endedAt - step.startedAt),
      exit_code: step.exitCode,
      last_output: step.lastOutput,
    };
  });
  return { state: workspace.state, generation: workspace.generation, steps };
}

const unbegun = {
  state: "pending",
  started_at: null,
  ended_at: null,
  duration_ms: null,
  exit_code: null,
  last_output: null,
} as const;

/** While a job runs the idle clock has no date to show; the others do. */
function expiresWithoutIdle(session: Session, policy: Policy): number | null {
  const due = Object.entries(clocks).flatMap(([name, row]) => {
    const dueAt = row.expires && name !== "idle" ? row.dueAt(session, policy) : null;
    return dueAt === null ? [] : [dueAt];
  });
  return due.length === 0 ? null : Math.min(...due);
}

/** The teardown to show: what stops now, else the newest ghost, else the newest receipt. */
export function sessionTeardown(session: Session, receipts: readonly Closed[]): TeardownView | null {
  const lease = showable(session.newest) ?? session.ghosts.at(-1) ?? receipts.at(-1) ?? null;
  return lease === null ? null : teardownOf(session.id, lease);
}

function showable(lease: Lease | null): Stopping | Closed | null {
  return lease?.phase === "stopping" || lease?.phase === "closed" ? lease : null;
}

export function teardownOf(session: SessionId, lease: Stopping | Closed): TeardownView {
  const facts = lease.phase === "closed" ? lease.receipt : lease;
  const step = lease.phase === "stopping" ? lease.step : null;
  return {
    session_id: session,
    generation: lease.generation,
    sandbox_id: lease.sandboxId,
    phase: lease.phase,
    reason: facts.reason,
    requested_at: rfc3339(facts.requestedAt),
    attempts: facts.attempts.map((attempt, index) => attemptView(attempt, facts.earlierAttempts + index + 1)),
    observations: facts.observations.map(viewOfLook),
    parked: step?.type === "parked",
    next_attempt_at:
      step === null
        ? null
        : step.type === "waiting"
          ? rfc3339(step.nextAttemptAt)
          : step.type === "parked"
            ? rfc3339(step.nextProbeAt)
            : null,
    verified_absent_at: lease.phase === "closed" ? rfc3339(lease.receipt.verifiedAbsentAt) : null,
    asserted_absent_at: at(facts.assertion?.at ?? null),
    evidence: lease.phase === "closed" ? evidence(lease) : null,
  };
}

function evidence(lease: Closed): string {
  const { retired, observations, attempts, earlierAttempts } = lease.receipt;
  const looks = observations.slice(-2).map((look) => rfc3339(look.beganAt));
  const count = attempts.length + earlierAttempts;
  return (
    `Provider ${lease.provider}, host ${retired.host}, retired generation ${lease.generation} at ${rfc3339(retired.at)}. ` +
    `After ${count} stop ${count === 1 ? "attempt" : "attempts"}, two looks at sandbox ${lease.sandboxId} (${looks.join(" and ")}) found nothing of it.` +
    reach(observations.slice(-2).map(({ containment }) => containment)) +
    unprovenWords(lease.unproven)
  );
}

/** No receipt claims more than its looks could see: the weaker of the two counts. */
function reach(looks: readonly (Containment | undefined)[]): string {
  for (const weakest of ["marker", "user", "cgroup", "container"] as const) {
    if (looks.includes(weakest)) return ` ${reachWords[weakest]}`;
  }
  return "";
}

/**
 * A proof at the start is said as well: without a word about it nobody could tell it from none. Only what every provider's
 * agent tries: that no process of root answers is tried in containers of one's own alone.
 */
function unprovenWords(unproven: readonly string[] | undefined): string {
  if (unproven === undefined) return "";
  return unproven.length === 0
    ? " Its jobs had a user of their own and no capability, and could not read what is its agent's: tried when it started."
    : ` Not proven of its jobs when it started: ${unproven.join(" ")}`;
}

const reachWords: { readonly [Reach in Containment]: string } = {
  container: "Whatever a job started was in the container that is gone.",
  cgroup:
    "The kernel counted its processes: whatever a job started was among them, unless it had root's rights and moved itself out.",
  user: "Its jobs had a user that nobody else had and could become no other: whatever a job started was looked for by that user.",
  marker:
    "It was told by environment and lineage: what hid from its group, its environment and its parents would not have been seen.",
};

function attemptView(attempt: StopAttempt, number: number): TeardownView["attempts"][number] {
  return {
    attempt: number,
    started_at: rfc3339(attempt.startedAt),
    ended_at: at(attempt.endedAt),
    outcome: attempt.outcome,
    error: attempt.error,
  };
}

export function jobView(session: Session, job: Job, by: HeldBackBy): JobView {
  return {
    id: job.id,
    session_id: session.id,
    state: job.state,
    command: job.body.command ?? null,
    argv: job.body.argv ?? null,
    created_at: rfc3339(job.createdAt),
    started_at: at(job.startedAt),
    ended_at: at(job.endedAt),
    exit_code: job.exitCode,
    signal: job.signal,
    failure: job.failure,
    keep: job.body.keep ?? false,
    tty: job.body.tty ?? false,
    left_running: job.leftRunning,
    generation: job.generation,
    output_bytes: job.outputBytes,
    output_truncated: job.outputTruncated,
    output_gap: job.outputGap,
    output_tail: job.tail === null ? null : new TextDecoder().decode(job.tail),
    timeout_seconds: Math.round(job.timeoutMs / 1_000),
    held_back: job.state === "queued" || job.state === "sent" ? heldBack(session, job, by) : null,
  };
}

const sealedWords =
  "Its env or stdin was sealed with a key that this Mooring does not have now. It is kept as it is and runs when the operator has put the key back; or cancel it and send it anew.";

function heldBack(session: Session, job: Job, by: HeldBackBy): JobView["held_back"] {
  if (by.type === "sealed") return { detail: sealedWords, retry_at: null };
  if (by.type === "not_taken")
    return { detail: `The sandbox did not take it: ${by.words} It is sent again.`, retry_at: null };
  if (job.state !== "queued") return null;
  const status = statusOf(session);
  const lease = session.newest;
  const stopping = lease?.phase === "stopping" ? lease.step : null;
  const provision = session.desired.type === "running" ? session.desired.provision : null;
  const waiting = provision?.step.type === "waiting" ? provision.step.notBefore : null;
  const retryAt =
    stopping?.type === "waiting"
      ? stopping.nextAttemptAt
      : stopping?.type === "parked"
        ? stopping.nextProbeAt
        : waiting;
  const detail =
    status === "running"
      ? "It waits for its turn: it is about to be handed over, or as many jobs run as may run at once."
      : `It waits until the session runs; its status is ${status}.`;
  return { detail, retry_at: at(retryAt) };
}
