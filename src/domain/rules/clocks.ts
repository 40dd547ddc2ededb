/**
 * The clocks of a session, a row each: when it is due, what moves it, what it does. Deadlines, `expires_at`, firing and
 * `explain` fold over this table. A new clock is a new row; its words while it stands still (explain/clock-words.ts), its name in
 * the API (protocol/resources/session/explain.ts) and on the console do not compile until they are there.
 */
import { lapsesAt } from "./lease-times.ts";
import type { Policy } from "./policy.ts";
import { costReachedAt } from "./price.ts";
import type { TerminateReason } from "../state/reasons.ts";
import type { Session } from "../state/session.ts";

export type ClockAction =
  /** What the session's `on_timeout` says: kill, or pause. */
  | { readonly type: "onTimeout"; readonly reason: "timeout" | "idle_timeout" }
  /** `pausesSaved`: what to say when nothing ran since its contents were saved, and it pauses with them instead; null: it ends even then. */
  | { readonly type: "terminate"; readonly reason: TerminateReason; readonly pausesSaved: string | null }
  /** Something is announced, nothing changes. */
  | { readonly type: "announce"; readonly note: "retention_warning" | "budget_warning" | "ending_soon" }
  /** Its files are saved and it pauses, where that can be; else it ends. */
  | { readonly type: "budget" }
  /** The provision failed: what that means depends on what it was for. */
  | { readonly type: "provisionFailed" };

export interface ClockRow {
  /** Epoch ms; null: this clock does not run in this state. */
  readonly dueAt: (session: Session, policy: Policy) => number | null;
  readonly action: ClockAction;
  /** Part of `expires_at`: something a client plans by. */
  readonly expires: boolean;
  readonly movedBy: string;
  readonly words: string;
}

export const clocks = {
  end_at: {
    dueAt: (session, policy) => afterPauseTries(session, clockDue(session, "end_at", policy)),
    action: { type: "onTimeout", reason: "timeout" },
    expires: true,
    movedBy: "timeout, refresh, resume",
    words: "the session's own end",
  },
  idle: {
    dueAt: (session, policy) => idleAt(session, policy),
    action: { type: "onTimeout", reason: "idle_timeout" },
    expires: true,
    movedBy: "jobs, stdin, keepalive, timeout, refresh, resume; it stands while a job runs",
    words: "no activity for the idle timeout",
  },
  max_lifetime: {
    dueAt: (session) =>
      hasSandboxTime(session) && session.alive.since !== null
        ? session.alive.since + Math.max(0, session.limits.maxLifetimeMs - session.alive.totalMs)
        : null,
    action: { type: "terminate", reason: "max_lifetime", pausesSaved: "Its max lifetime was used up" },
    expires: true,
    movedBy:
      "nothing; it stands while the session has no sandbox, or is paused or lost and its sandbox is being stopped",
    words: "the longest time it may have a sandbox",
  },
  budget: {
    dueAt: (session) => budgetDue(session),
    action: { type: "budget" },
    expires: true,
    movedBy: "a larger max_cost; it stands while no sandbox is held",
    words: "its max_cost, or its tenant's for the month, is used up",
  },
  budget_warning: {
    dueAt: (session, policy) => {
      const { maxNanos, warnedOf } = session.budget;
      if (maxNanos === null || warnedOf === maxNanos) return null;
      return costReachedAt(session, Math.floor(maxNanos * policy.budgetWarningShare));
    },
    action: { type: "announce", note: "budget_warning" },
    expires: false,
    movedBy: "a larger max_cost",
    words: "most of its max_cost is used",
  },
  ending_soon: {
    dueAt: (session, policy) => {
      if (session.newest?.phase !== "held" || session.warnedOfEnd === session.endAt) return null;
      // A session that is meant to be short is not warned of: it would be at its beginning.
      const long = session.limits.timeoutMs > 2 * policy.endingSoonMs;
      const end = clockDue(session, "end_at", policy);
      return end === null || !long ? null : end - policy.endingSoonMs;
    },
    action: { type: "announce", note: "ending_soon" },
    expires: false,
    movedBy: "timeout, refresh, resume",
    words: "its end_at is near",
  },
  provision: {
    dueAt: (session) =>
      session.desired.type === "running" && session.desired.provision !== null
        ? session.desired.provision.deadline
        : null,
    action: { type: "provisionFailed" },
    expires: false,
    movedBy: "nothing",
    words: "a sandbox must be ready by then",
  },
  paused_warning: {
    dueAt: (session, policy) =>
      session.desired.type === "suspended" &&
      session.desired.cause === "pause" &&
      session.warnedOfPause !== session.desired.since
        ? session.desired.since + policy.pausedRetentionMs - policy.pausedWarningMs
        : null,
    action: { type: "announce", note: "retention_warning" },
    expires: false,
    movedBy: "resume",
    words: "a day before a paused session is ended",
  },
  paused_retention: {
    dueAt: (session, policy) =>
      session.desired.type === "suspended" && session.desired.cause === "pause"
        ? session.desired.since + policy.pausedRetentionMs
        : null,
    // Retention bounds how long saved contents are kept, so it must end a session that has nothing else.
    action: { type: "terminate", reason: "retention", pausesSaved: null },
    expires: true,
    movedBy: "resume",
    words: "how long a paused session is kept",
  },
} as const satisfies Record<string, ClockRow>;

/** Also of a session that cost its last coin in an earlier sandbox; a save that the budget itself asked for runs to its own end. */
function budgetDue(session: Session): number | null {
  const { budget, newest, desired } = session;
  if (newest?.phase !== "held" || desired.type === "terminated") return null;
  if (desired.type === "suspended" && desired.by === "clock:budget") return null;
  const own = budget.maxNanos === null ? null : costReachedAt(session, budget.maxNanos);
  if (budget.tenantSpentAt === null) return own;
  return own === null ? budget.tenantSpentAt : Math.min(own, budget.tenantSpentAt);
}

export type ClockName = keyof typeof clocks;
/** The two that `on_timeout` is about. */
export type ExpiryClock = "end_at" | "idle";

/** When it is due by what moves it alone, whatever became of the pauses it asked for; null: it does not run. */
export function clockDue(session: Session, clock: ExpiryClock, policy: Policy): number | null {
  if (clock === "end_at") return session.desired.type === "terminated" || isPaused(session) ? null : session.endAt;
  return quietUntil(session, policy);
}

/** After a pause that could not save, the clock that asked for it waits for the next try. */
function afterPauseTries(session: Session, dueAt: number | null): number | null {
  return dueAt === null || session.pauseTries === null ? dueAt : Math.max(dueAt, session.pauseTries.notBefore);
}

/**
 * A paused or lost session has its sandbox no longer than until that begins to stop: how long the proof takes is not the
 * client's time. Also of rows that were stored when it still counted.
 */
function hasSandboxTime({ desired, newest }: Session): boolean {
  if (desired.type === "running") return true;
  return desired.type === "suspended" && (newest?.phase === "held" || newest?.phase === "launching");
}

function isPaused(session: Session): boolean {
  return session.desired.type === "suspended" && session.desired.cause === "pause";
}

/** A report of running jobs counts as activity, but only while it is fresh. */
export function jobsBelievedRunning(session: Session, now: number, policy: Policy): boolean {
  return session.activity.activeJobs > 0 && now < session.activity.reportedAt + policy.staleActivityMs;
}

/**
 * When the idle clock is due; null when it is off or nothing is held. With jobs running it is due no earlier than their
 * report goes stale: each renewal moves that on.
 */
export function idleAt(session: Session, policy: Policy): number | null {
  return afterPauseTries(session, quietUntil(session, policy));
}

function quietUntil(session: Session, policy: Policy): number | null {
  const { idleTimeoutMs } = session.limits;
  if (idleTimeoutMs === null || session.desired.type !== "running" || session.newest?.phase !== "held") return null;
  // While the workspace is being prepared nobody can use the sandbox.
  if (session.newest.gate.type === "preparing") return null;
  const { lastAt, activeJobs, reportedAt } = session.activity;
  if (activeJobs === 0) return lastAt + idleTimeoutMs;
  return Math.max(lastAt, reportedAt) + Math.max(idleTimeoutMs, policy.staleActivityMs);
}

/**
 * A job's own end is learned from a renewal, so an idle clock that ran out is asked once more before it is believed:
 * it fires only when a renewal was *sent* since it became due (accepted or not), or the lease lapses anyway.
 */
export function idleIsConfirmed(session: Session, dueAt: number, now: number, policy: Policy): boolean {
  const lease = session.newest;
  if (lease?.phase !== "held") return true;
  return (
    lease.acceptedSentAt >= dueAt ||
    (lease.failures > 0 && (lease.renewals.lastSentAt ?? 0) >= dueAt) ||
    now >= lapsesAt(lease, policy)
  );
}

export interface DueClock {
  readonly name: ClockName;
  readonly dueAt: number;
}

/** Every running clock, soonest first. */
export function runningClocks(session: Session, policy: Policy): readonly DueClock[] {
  const due: DueClock[] = [];
  for (const name of Object.keys(clocks) as ClockName[]) {
    const dueAt = clocks[name].dueAt(session, policy);
    if (dueAt !== null) due.push({ name, dueAt });
  }
  return due.sort((a, b) => a.dueAt - b.dueAt);
}

/** The earliest clock a client plans by; null when none runs. */
export function expiresAt(session: Session, policy: Policy): number | null {
  return runningClocks(session, policy).find((clock) => clocks[clock.name].expires)?.dueAt ?? null;
}
