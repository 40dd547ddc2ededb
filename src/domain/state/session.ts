/** The whole durable state of a session that decisions are made from. Jobs and history are kept beside it. */
import type { Profile } from "./profile.ts";
import type { RestoreProgress } from "./failure.ts";
import type { AttemptId, ContainerId, Generation, SessionId, TenantId } from "./ids.ts";
import type { Requester } from "./requester.ts";
import type { Candidate, Closed, OpenLease, Stopping } from "./lease.ts";
import type { ProviderName } from "./provider-names.ts";
import type { TerminateReason } from "./reasons.ts";
import type { SessionNetwork } from "./network.ts";
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
  /** How far a restore under way is. */
  readonly progress?: RestoreProgress;
}

/** `upgrade`: nobody asked for it. It keeps the place of the sandbox that it replaces, and moves no clock. */
export type ProvisionPurpose = "create" | "resume" | "relaunch" | "rebuild" | "upgrade";

/** The way to a running sandbox, from the intent until a lease is held. */
export interface Provision {
  readonly purpose: ProvisionPurpose;
  readonly deadline: number;
  readonly step: ProvisionStep;
  /** Failed tries so far: openings and launches together; drives the backoff. */
  readonly failures: number;
  readonly lastError: FailedTry | null;
  /** Minted once and kept through retries: a crash between mint and reserve asks again for the same. */
  readonly candidate: Candidate | null;
  /** The shared container that refused to be written to: its registry hears of it with the next reservation. */
  readonly unusable?: { readonly container: ContainerId; readonly why: string };
}

export type Desired =
  | { readonly type: "running"; readonly provision: Provision | null }
  | {
      readonly type: "suspended";
      readonly cause: "pause" | "loss";
      readonly since: number;
      readonly resumeQueued: boolean;
      /** Who asked for the pause; absent: nobody was named. */
      readonly by?: Requester;
    }
  | {
      readonly type: "terminated";
      readonly reason: TerminateReason;
      readonly at: number;
      /** When nothing of it was left; null while something may be. Never changes once set. */
      readonly endedAt: number | null;
      /** In words, for a failure. */
      readonly failure: string | null;
      /** Who asked; absent: the reason says enough. */
      readonly by?: Requester;
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
  /** As the provider answered the save. Absent: of a save that was not answered, or by code that did not keep it. */
  readonly bytes?: number;
  /** The session that saved it, when it is a snapshot of the tenant: this session only reads it. Absent: it is this session's own. */
  readonly source?: SessionId;
}

/** A drill restored this session's own snapshot elsewhere, read it whole, and found this. */
export interface RestoreProof {
  readonly at: number;
  readonly snapshotId: string;
  readonly files: number;
  readonly bytes: number;
  /** SHA-256 over every path and every file's own SHA-256. */
  readonly manifest: string;
}

/**
 * What became of a snapshot of the tenant that this session took. Kept until the tenant's registry has heard of it.
 * `effect`: `unknown` when the save was given up without hearing its end, so files of it may still land.
 */
export type TakenSnapshot =
  | { readonly id: string; readonly outcome: "saved"; readonly bytes: number; readonly generation: Generation }
  | { readonly id: string; readonly outcome: "failed"; readonly why: string; readonly effect: "none" | "unknown" };

export type SnapshotDeletion =
  | { readonly type: "waiting"; readonly notBefore: number }
  | { readonly type: "acting"; readonly attemptId: AttemptId; readonly deadline: number };

/** A snapshot that nobody will restore. It stays listed until the provider has confirmed that it is gone. */
export interface DiscardedSnapshot extends SnapshotRef {
  readonly discardedAt: number;
  readonly deletion: SnapshotDeletion;
  /** Failed attempts so far; drives the backoff. */
  readonly failures: number;
  /** Of the last failed attempt; null before the first. */
  readonly lastError: string | null;
}

/** A snapshot that an operator took off the session although the provider has not confirmed its deletion. */
export interface ForgottenSnapshot extends SnapshotRef {
  readonly forgottenAt: number;
  readonly by: string;
  readonly reason: string;
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

/** Money, in billionths of the operator's currency. */
export interface Budget {
  /** null: the session has no budget of its own. */
  readonly maxNanos: number | null;
  /** Of every sandbox that is no longer held. */
  readonly spentNanos: number;
  /** When the pause began that a used-up budget asked for; null: none did. It is tried once. */
  readonly pausedAt: number | null;
  /** The tenant's own budget is used up since then: as if this one were. null: it is not. */
  readonly tenantSpentAt: number | null;
  /** The `maxNanos` whose warning was given; null: none was. */
  readonly warnedOf: number | null;
}

export const noBudget: Budget = { maxNanos: null, spentNanos: 0, pausedAt: null, tenantSpentAt: null, warnedOf: null };

/** What the last pause, resume, rebuild or upgrade came to when it failed. */
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
  /** The operator's name of what its sandboxes start from. Absent: the default one. */
  readonly template?: string;
  /** Absent: its sandbox may reach everything, and nothing else was ever asked for. */
  readonly network?: SessionNetwork;
  /** Never changes. */
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
  readonly budget: Budget;
  /** Replacements made after a loss. */
  readonly relaunches: number;
  /** The `since` of the pause whose end was announced already. */
  readonly warnedOfPause: number | null;
  /** The `endAt` whose warning was given; null: none was. */
  readonly warnedOfEnd: number | null;
  /** null: the last one that a clock asked for succeeded, or none was. */
  readonly pauseTries: PauseTries | null;
  /** null: nothing failed, a later try succeeded, or a client has asked for something else since. */
  readonly setback: Setback | null;
  /** What is prepared before the first job; null: nothing is. */
  readonly workspace: Workspace | null;
  /** What a resume or rebuild restores; null: nothing is saved. */
  readonly snapshot: SnapshotRef | null;
  /** Snapshots to delete, one at a time. A save that failed is among them: its snapshot may still land. */
  readonly discarded: readonly DiscardedSnapshot[];
  /** Snapshots that an operator took off the list above, newest last. */
  readonly forgotten: readonly ForgottenSnapshot[];
  /** The newest generation's lease; null before the first and when the newest became a ghost. */
  readonly newest: OpenLease | Closed | null;
  /** Open leases that were replaced before they were proven gone, oldest first. */
  readonly ghosts: readonly Stopping[];
  /** Reservations asked for and never used: to be given back. */
  readonly cancellations: readonly Generation[];
  /** Snapshots of the tenant that were taken, or were not: the registry is to be told. */
  readonly taken: readonly TakenSnapshot[];
  /** The last drill that went well; its snapshot may have been replaced since. null: there was none. */
  readonly restoreProof: RestoreProof | null;
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

/** Every lease that may still have something physical. */
export function openLeases(session: Session): readonly OpenLease[] {
  return session.newest !== null && session.newest.phase !== "closed"
    ? [...session.ghosts, session.newest]
    : session.ghosts;
}

/** The session has ended and nothing of it is left but what an operator asserted gone; only the date of its end is missing. */
export function endIsUndated(session: Session): boolean {
  const { desired, newest, discarded, ghosts } = session;
  if (desired.type !== "terminated" || desired.endedAt !== null) return false;
  const nothingOpen = newest === null || newest.phase === "closed";
  return nothingOpen && discarded.length === 0 && ghosts.every((ghost) => ghost.assertion !== null);
}

export function failedTry(
  before: FailedTry | null,
  { code, message, progress }: Pick<FailedTry, "code" | "message" | "progress">,
  now: number,
): FailedTry {
  const since = before?.code === code ? (before.since ?? before.at) : now;
  return { code, message, at: now, since, ...(progress === undefined ? {} : { progress }) };
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
