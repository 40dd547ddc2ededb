/**
 * Why a session is as it is, for people: what keeps it alive, what each clock says and which fires next, what blocks it, and
 * the exact call to make. It folds over the same rows and functions that decide, and decides nothing itself.
 */
import { clocks, idleAt, jobsBelievedRunning, type ClockName, type ClockRow } from "../domain/rules/clocks.ts";
import type { Generation, SandboxId } from "../domain/state/ids.ts";
import { lapsesAt, type OpenLease, type Stopping } from "../domain/state/lease.ts";
import { nextStepsFor, type Advice } from "./next-steps.ts";
import type { Policy } from "../domain/rules/policy.ts";
import { stopReasons, terminateReasons } from "../domain/state/reasons.ts";
import { nextDeadline } from "../domain/rules/reconcile.ts";
import {
  currentRestoreProof,
  failingDeletions,
  openLeases,
  type Provision,
  type Session,
} from "../domain/state/session.ts";
import { blockedBy, statusOf, type Blocked, type Status } from "../domain/rules/status.ts";

export interface ExplainContext {
  readonly now: number;
  readonly policy: Policy;
  readonly adapterMissing: boolean;
  /** Its provider can save a sandbox: it may pause. */
  readonly canSave: boolean;
  /** Jobs that were not handed over yet. */
  readonly queuedJobs: number;
  /** The ETag that an operator's call must carry. */
  readonly etag: string;
}

export interface ExplainedClock {
  readonly name: ClockName;
  /** Epoch ms; null: it does not run now, and `says` tells why. */
  readonly dueAt: number | null;
  readonly does: string;
  readonly movedBy: string;
  readonly says: string;
}

export interface ExplainedSandbox {
  readonly generation: Generation;
  readonly sandboxId: SandboxId;
  readonly phase: OpenLease["phase"];
  readonly ghost: boolean;
  /** Of a held one, epoch ms: its last accepted renewal, the next, and when it is taken for lost without one. null: it is not held. */
  readonly lease: { readonly renewedAt: number; readonly nextRenewalAt: number; readonly lapsesAt: number } | null;
  readonly says: string;
}

export interface Explanation extends Advice {
  readonly status: Status;
  /** The whole of it in two or three sentences. */
  readonly summary: string;
  /** Why it is still there; or why it is not. */
  readonly alive: string;
  readonly clocks: readonly ExplainedClock[];
  /** The one that fires first; null: none runs. */
  readonly nextClock: ExplainedClock | null;
  /** When Mooring itself looks again, whatever for; null: there is nothing left to do. */
  readonly nextLookAt: number | null;
  readonly blocked: (Blocked & { readonly says: string }) | null;
  /** What physically may exist of it, oldest first. */
  readonly sandboxes: readonly ExplainedSandbox[];
}

export function explain(session: Session, context: ExplainContext): Explanation {
  const { now, policy } = context;
  const status = statusOf(session);
  const all = (Object.keys(clocks) as ClockName[]).map((name) => clockOf(session, name, context));
  const running = all.filter(({ dueAt, name }) => dueAt !== null && clocks[name].action.type !== "announce");
  const nextClock = running.toSorted((a, b) => (a.dueAt ?? 0) - (b.dueAt ?? 0))[0] ?? null;
  const blocked = blockedBy(session, context.adapterMissing);
  const advice = nextStepsFor(session, nextClock?.name ?? null, context);
  const alive = whyAlive(session, status, context);
  const leftovers = leftoverWords(session);
  const says = blocked === null ? null : blockedWords(session, blocked, policy);
  const summary = [
    `It is ${status}: ${alive}`,
    ...(says === null ? [] : [says]),
    ...(leftovers === "" ? [] : [leftovers]),
    ...(nextClock?.dueAt == null
      ? []
      : [`The next clock is ${nextClock.name}, ${at(nextClock.dueAt)}: ${nextClock.does}.`]),
    ...(advice.next === null ? [] : [advice.next.why]),
  ].join(" ");
  return {
    status,
    summary,
    alive,
    clocks: all,
    nextClock,
    nextLookAt: nextDeadline(session, policy),
    blocked: blocked === null || says === null ? null : { ...blocked, says },
    sandboxes: openLeases(session).map((lease) => sandboxOf(session, lease, now, policy)),
    ...advice,
  };
}

function at(instant: number): string {
  return `at ${new Date(instant).toISOString()}`;
}

function clockOf(session: Session, name: ClockName, context: ExplainContext): ExplainedClock {
  const row: ClockRow = clocks[name];
  const { now, policy } = context;
  // As in `idle_at`: while a job runs the idle clock has no date.
  const works = name === "idle" && idleAt(session, policy) !== null && jobsBelievedRunning(session, now, policy);
  const dueAt = works ? null : row.dueAt(session, policy);
  const does = doing(session, row.action);
  const says = works
    ? "It stands while a job runs."
    : dueAt === null
      ? standing(session, name)
      : `${row.words[0]?.toUpperCase() ?? ""}${row.words.slice(1)}.${retrying(session, name)}`;
  return { name, dueAt, does, movedBy: row.movedBy, says };
}

function doing(session: Session, action: ClockRow["action"]): string {
  switch (action.type) {
    case "onTimeout":
      return session.lifecycle.onTimeout === "pause"
        ? "its contents are saved and it pauses"
        : `it ends, with the reason ${action.reason}`;
    case "terminate":
      return `it ends, with the reason ${action.reason}`;
    case "budget":
      return "its contents are saved and it pauses; what cannot be saved ends, with the reason budget";
    case "announce":
      return "an event says so, nothing changes";
    case "provisionFailed":
      return session.desired.type === "running" && session.desired.provision?.purpose !== "create"
        ? "it goes back to where it was, with what is saved"
        : "it ends as failed";
  }
}

/** Why a clock has no date. */
function standing(session: Session, name: ClockName): string {
  if (session.desired.type === "terminated") return "The session has ended: no clock runs.";
  const paused = session.desired.type === "suspended" && session.desired.cause === "pause";
  switch (name) {
    case "end_at":
      return "It stands while the session is paused.";
    case "idle":
      return session.limits.idleTimeoutMs === null ? "It is switched off." : "It runs only while a sandbox runs.";
    case "max_lifetime":
      return "It stands while the session has no sandbox.";
    case "budget":
      return session.budget.maxNanos === null ? "The session has no budget." : "It runs only while a sandbox is held.";
    case "budget_warning":
      if (session.budget.maxNanos === null) return "The session has no budget.";
      return session.budget.warnedOf === session.budget.maxNanos
        ? "The warning was given."
        : "It runs only while a sandbox is held.";
    case "ending_soon":
      return session.warnedOfEnd === session.endAt
        ? "The warning was given."
        : "It runs only while a sandbox is held, of a session that is longer than a few minutes.";
    case "provision":
      return "It runs only while a sandbox is being started.";
    case "paused_warning":
      return paused ? "The warning was given." : "It runs only while the session is paused.";
    case "paused_retention":
      return "It runs only while the session is paused.";
  }
}

function retrying({ pauseTries }: Session, name: ClockName): string {
  if (pauseTries === null || (name !== "end_at" && name !== "idle")) return "";
  return ` A pause was tried ${times(pauseTries.tries)} and did not save anything (${pauseTries.error ?? "unfinished"}); this is the next try.`;
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}

const purposes: Readonly<Record<Provision["purpose"], string>> = {
  create: "its first sandbox is being started",
  resume: "a sandbox for what was saved is being started",
  relaunch: "its sandbox was lost, and another is being started in its place",
  rebuild: "a new sandbox was asked for and is being started",
  upgrade: "its sandbox is being replaced by one with a newer agent; its files are carried over",
};

function whyAlive(session: Session, status: Status, { now, policy, queuedJobs }: ExplainContext): string {
  const { desired, newest, activity } = session;
  switch (desired.type) {
    case "running": {
      if (newest?.phase === "held") {
        const saving =
          newest.gate.type === "open"
            ? failedWords(session)
            : " Its contents are being saved; no job is admitted meanwhile.";
        if (jobsBelievedRunning(session, now, policy)) return `${jobWords(activity.activeJobs, "run")}.${saving}`;
        const waiting = queuedJobs > 0 ? ` ${jobWords(queuedJobs, "wait")} to be handed over.` : "";
        return `nothing runs in it since ${new Date(activity.lastAt).toISOString()}; it stays until a clock is due.${waiting}${saving}`;
      }
      const { provision } = desired;
      const tries =
        provision?.lastError?.code === "restoring"
          ? ` ${provision.lastError.message}`
          : provision === null || provision.failures === 0
            ? ""
            : ` ${provision.failures === 1 ? "One try" : `${provision.failures} tries`} failed (${provision.lastError?.message ?? "no answer"}).`;
      const behind =
        newest?.phase === "stopping" ? " The one before it must be proven gone, or certainly expired, first." : "";
      return `${provision === null ? "it is being started" : purposes[provision.purpose]}.${tries}${behind}`;
    }
    case "suspended": {
      const { setback } = session;
      const failed = setback === null ? "" : ` The last try to start it failed: ${setback.message}.`;
      if (desired.cause === "loss")
        return `its sandbox was lost and nothing is replaced unasked; ${session.snapshot === null ? "nothing of it is saved" : "what was saved is kept"}.${failed}`;
      if (desired.resumeQueued) return "it was resumed, and waits for its old sandbox to make way.";
      if (status === "pausing")
        return `its contents are being saved, or its sandbox is being stopped after that.${failed}`;
      return `its contents are saved and it has no sandbox.${provenWords(session)}${failed}`;
    }
    case "terminated": {
      const why = `it was ended because ${terminateReasons[desired.reason].words}`;
      const failed = desired.failure === null ? "" : ` ${desired.failure}.`;
      if (status === "terminating") return `${why}, and what is left of it is being stopped or deleted.${failed}`;
      return `${why}; nothing of it is left.${failed}`;
    }
  }
}

/** What a drill of these very files has shown; "" when there was none. */
function provenWords(session: Session): string {
  const proof = currentRestoreProof(session);
  if (proof === null) return "";
  const { at, files } = proof;
  return ` They were restored elsewhere and read whole at ${new Date(at).toISOString()}: ${files} files.`;
}

/** Why the last pause or rebuild failed, while the session runs on. */
function failedWords({ setback }: Session): string {
  return setback === null ? "" : ` ${setback.message}`;
}

/** Words about snapshots that could not be deleted, while the session goes on. */
function leftoverWords(session: Session): string {
  const failing = session.desired.type === "terminated" ? [] : failingDeletions(session);
  if (failing.length === 0) return "";
  const which = failing.length === 1 ? "One earlier snapshot" : `${failing.length} earlier snapshots`;
  return `${which} of it could not be deleted yet (${failing.at(-1)?.lastError ?? "no error was told"}); that is tried again.`;
}

function jobWords(count: number, verb: "run" | "wait"): string {
  return count === 1 ? `a job ${verb}s` : `${count} jobs ${verb}`;
}

function blockedWords(session: Session, blocked: Blocked, policy: Policy): string {
  switch (blocked.code) {
    case "parked": {
      const { newest } = session;
      const error = newest?.phase === "stopping" ? newest.lastError : null;
      return `Its sandbox could not be proven gone: the stop attempts are used up (${error ?? "no error was told"}), and it is only probed, slowly.`;
    }
    case "adapter_missing":
      return `This Mooring has no adapter for its provider (${session.newest?.provider ?? session.provider}), so nothing is known of its sandbox.`;
    case "env_unreadable":
      return "What it was given as env is sealed with a key that this Mooring does not have now; once its operator has put the key back it goes on by itself.";
    case "snapshot_not_deleted": {
      const error = session.discarded.find(({ lastError }) => lastError !== null)?.lastError ?? "no error was told";
      return `Its end waits for a snapshot that its provider does not delete (${error}). It is tried again, ever more slowly.`;
    }
    case "pause_failing": {
      const { pauseTries } = session;
      const left = pauseTries === null ? 0 : policy.pauseTries - pauseTries.tries;
      return `Its time is over and its files cannot be saved (${pauseTries?.error ?? "the saves did not finish"}). After ${left === 1 ? "one more try" : `${left} more tries`} it ends and they are lost: fetch them with a job, or move its end.`;
    }
    case "unavailable": {
      const error = session.desired.type === "running" ? session.desired.provision?.lastError?.message : null;
      return `It cannot be started: ${error ?? "nobody answered"} It is tried again.`;
    }
    case "no_capacity":
      return "There is no room for its sandbox at the moment; it is asked for again.";
    case "quota_exhausted":
      return "Its tenant has as many sandboxes as it may; it is asked for again.";
    case "budget_spent": {
      const error = session.desired.type === "running" ? session.desired.provision?.lastError?.message : null;
      return `${error ?? "The tenant has spent what it may in this month."} It is asked for again.`;
    }
    case "insufficient_space":
    case "space_unmeasurable":
    case "filesystem_unusable": {
      const error = session.desired.type === "running" ? session.desired.provision?.lastError : null;
      return `Its workspace cannot be prepared: ${error?.message ?? blocked.code}. It is tried again.`;
    }
    case "unreadable":
    case "newer_record":
      return "Its record cannot be read.";
  }
}

function sandboxOf(session: Session, lease: OpenLease, now: number, policy: Policy): ExplainedSandbox {
  const ghost = session.ghosts.some((other) => other.generation === lease.generation);
  const { generation, sandboxId, phase } = lease;
  const says = leaseWords(lease, ghost, now, policy);
  if (lease.phase !== "held") return { generation, sandboxId, phase, ghost, lease: null, says };
  const { acceptedSentAt: renewedAt, nextRenewalAt } = lease;
  const clock = { renewedAt, nextRenewalAt, lapsesAt: lapsesAt(lease, policy) };
  return { generation, sandboxId, phase, ghost, lease: clock, says };
}

function leaseWords(lease: OpenLease, ghost: boolean, now: number, policy: Policy): string {
  switch (lease.phase) {
    case "launching":
      return `It is being launched since ${new Date(lease.openedAt).toISOString()}, and must accept its lease by ${new Date(lease.deadline).toISOString()}.`;
    case "held": {
      const failing = lease.failures === 0 ? "" : ` The last ${times(lease.failures)} it did not answer.`;
      return `It holds its lease; renewed ${Math.max(0, Math.round((now - lease.acceptedSentAt) / 1_000))} s ago.${failing}`;
    }
    case "stopping":
      return stoppingWords(lease, ghost, policy);
  }
}

function stoppingWords(lease: Stopping, ghost: boolean, policy: Policy): string {
  const first = `${ghost ? "It was replaced before it was proven gone. " : ""}It is being stopped because ${stopReasons[lease.reason]}`;
  const { step, assertion } = lease;
  switch (step.type) {
    case "acting":
      return `${first}; attempt ${lease.attempts.length} of ${policy.stopAttempts} is under way.`;
    case "waiting":
      return `${first}; attempt ${lease.attempts.length + 1} of ${policy.stopAttempts} begins ${at(step.nextAttemptAt)}.`;
    case "parked": {
      const looked = `it is looked at again ${at(step.nextProbeAt)}`;
      return assertion === null
        ? `${first}; all ${policy.stopAttempts} attempts are used up, and ${looked}.`
        : `${first}; ${assertion.by} said that it is gone (${assertion.reason}), which is no proof: ${looked}.`;
    }
  }
}
