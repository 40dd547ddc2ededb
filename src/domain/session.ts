/** The whole durable state of a session that decisions are made from. Jobs and history are kept beside it. */
import type { AttemptId, ContainerId, Generation, SessionId, TenantId } from "./ids.ts";
import type { Candidate, Closed, OpenLease, Stopping } from "./lease.ts";
import type { ProviderName } from "./provider-names.ts";
import type { TerminateReason } from "./reasons.ts";
import type { Workspace } from "./workspace.ts";

export interface Limits {
  readonly timeoutMs: number;
  /** null: the idle clock is off. */
  readonly idleTimeoutMs: number | null;
  readonly maxLifetimeMs: number;
}

export interface LifecyclePolicy {
  readonly onTimeout: "kill" | "pause";
  readonly onLoss: "hold" | "relaunch" | "terminate";
}

/** Carried along, never decided on (but `critical`, by the fleet). */
export interface Profile {
  readonly labels: Readonly<Record<string, string>>;
  readonly agentType: string | null;
  readonly taskId: string | null;
  readonly critical: boolean;
  /** A new job, stdin or connect resumes a paused session; reads never do. The shell asks; the machine only resumes. */
  readonly autoResume: boolean;
}

export type ProvisionStep =
  | { readonly type: "waiting"; readonly notBefore: number }
  | { readonly type: "opening"; readonly attemptId: AttemptId; readonly deadline: number };

/** Why the last try did not lead to a sandbox. */
export interface FailedTry {
  readonly code: string;
  readonly message: string;
  readonly at: number;
  /** Since when every try met this. Absent in a row that older code wrote: `at`. */
  readonly since?: number;
}

/** The way to a running sandbox, from the intent until a lease is held. */
export interface Provision {
  readonly purpose: "create" | "resume" | "relaunch" | "rebuild";
  readonly deadline: number;
  readonly step: ProvisionStep;
  /** Failed tries so far: openings and launches together; drives the backoff. */
  readonly failures: number;
  readonly lastError: FailedTry | null;
  /** Minted once and kept through retries: a crash between mint and reserve asks again for the same. */
  readonly candidate: Candidate | null;
  /** The shared container that refused to be written to: its registry hears of it with the next reservation (CAP-3). */
  readonly unusable?: { readonly container: ContainerId; readonly why: string };
}

export type Desired =
  | { readonly type: "running"; readonly provision: Provision | null }
  | {
      readonly type: "suspended";
      readonly cause: "pause" | "loss";
      readonly since: number;
      readonly resumeQueued: boolean;
    }
  | {
      readonly type: "terminated";
      readonly reason: TerminateReason;
      readonly at: number;
      /** When nothing of it was left; null while something may be. Never changes once set (I10). */
      readonly endedAt: number | null;
      /** In words, for a failure. */
      readonly failure: string | null;
    };

/** What the idle clock reads. */
export interface Activity {
  readonly lastAt: number;
  /** Jobs running as last reported or started, and when we learned it. */
  readonly activeJobs: number;
  readonly reportedAt: number;
}

export interface SnapshotRef {
  readonly id: string;
  readonly provider: ProviderName;
  readonly takenAt: number;
  readonly generation: Generation;
}

/** Pauses in a row that `on_timeout: pause` asked for and whose saves failed: the next waits, and they are counted. */
export interface PauseTries {
  /** When the first of them began. */
  readonly since: number;
  readonly tries: number;
  /** The clocks that ask for a pause do not fire before this. */
  readonly notBefore: number;
  /** Of the last one; null while the first is under way. */
  readonly error: string | null;
}

/** Why the last resume or rebuild did not lead to a sandbox. */
export interface Setback {
  readonly code: string;
  readonly message: string;
  readonly at: number;
}

export interface Session {
  readonly id: SessionId;
  readonly tenant: TenantId;
  readonly provider: ProviderName;
  readonly isolation: "session" | "shared";
  /** Never changes (CLK-5). */
  readonly createdAt: number;
  /** The next one to mint. Only ever grows. */
  readonly nextGeneration: Generation;
  readonly limits: Limits;
  readonly lifecycle: LifecyclePolicy;
  readonly profile: Profile;
  readonly desired: Desired;
  readonly endAt: number;
  readonly startedAt: number | null;
  readonly refreshedAt: number | null;
  readonly activity: Activity;
  /** Time with a sandbox: what max lifetime counts. */
  readonly alive: { readonly totalMs: number; readonly since: number | null };
  /** Replacements made after a loss. */
  readonly relaunches: number;
  /** The `since` of the pause whose end was announced already. */
  readonly warnedOfPause: number | null;
  /** null: the last one that a clock asked for succeeded, or none was. */
  readonly pauseTries: PauseTries | null;
  /** null: it runs since, or another try is under way. */
  readonly setback: Setback | null;
  /** What is prepared before the first job; null: nothing is. */
  readonly workspace: Workspace | null;
  /** What a resume or rebuild restores; null: nothing is saved. */
  readonly snapshot: SnapshotRef | null;
  /** Snapshots that are to be deleted, kept until the provider has confirmed: also those of saves that failed, which may land late. */
  readonly discarded: readonly SnapshotRef[];
  /** The newest generation's lease; null before the first and when the newest became a ghost. */
  readonly newest: OpenLease | Closed | null;
  /** Open leases that were replaced before they were proven gone, oldest first. */
  readonly ghosts: readonly Stopping[];
  /** Reservations asked for and never used: to be given back. */
  readonly cancellations: readonly Generation[];
}

export type DesiredKey = "running" | "paused" | "lost" | "terminated";
export type PhaseKey = "none" | "launching" | "held" | "stopping" | "closed";

export function desiredKey(desired: Desired): DesiredKey {
  switch (desired.type) {
    case "running":
      return "running";
    case "suspended":
      return desired.cause === "pause" ? "paused" : "lost";
    case "terminated":
      return "terminated";
  }
}

export function phaseKey(session: Session): PhaseKey {
  return session.newest === null ? "none" : session.newest.phase;
}

/** A snapshot that nobody will restore. */
export function discard(session: Session, snapshot: SnapshotRef | null): Session {
  return snapshot === null ? session : { ...session, discarded: [...session.discarded, snapshot] };
}

/** The save under way, by the name its snapshot would have; null: none is. */
export function saveUnderWay(session: Session, now: number): SnapshotRef | null {
  const lease = session.newest;
  if (lease?.phase !== "held" || lease.gate.type !== "saving") return null;
  return { id: lease.gate.attemptId, provider: lease.provider, takenAt: now, generation: lease.generation };
}

/** Every lease that may still have something physical. */
export function openLeases(session: Session): readonly OpenLease[] {
  return session.newest !== null && session.newest.phase !== "closed"
    ? [...session.ghosts, session.newest]
    : session.ghosts;
}

export function failedTry(
  before: FailedTry | null,
  { code, message }: Pick<FailedTry, "code" | "message">,
  now: number,
): FailedTry {
  return { code, message, at: now, since: before?.code === code ? (before.since ?? before.at) : now };
}

export function startProvision(purpose: Provision["purpose"], now: number, provisionMs: number): Provision {
  return {
    purpose,
    deadline: now + provisionMs,
    step: { type: "waiting", notBefore: now },
    failures: 0,
    lastError: null,
    candidate: null,
  };
}
