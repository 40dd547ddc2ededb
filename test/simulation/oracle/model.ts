/**
 * What the oracle knows of a session: the shape of what is stored, in types of its own.
 *
 * Nothing in this folder imports from the code under test, not even a type: an oracle that asks the code what is right finds
 * the code right. The rules come from the design (docs/decisions) and are written down here a second time, on purpose.
 * A change of the stored format has to be made here as well.
 */

/** The numbers that the rules depend on, ms. The plan's own policy is one. */
export interface Timers {
  readonly launchCallMs: number;
  readonly readyWaitMs: number;
  readonly provisionMs: number;
  readonly renewMs: number;
  readonly renewRetryMs: number;
  readonly leaseTtlMs: number;
  readonly observeMs: number;
  readonly stopAttemptMs: number;
  readonly stopBackoffBaseMs: number;
  readonly stopBackoffCapMs: number;
  readonly stopBackoffJitter: number;
  readonly stopAttempts: number;
  readonly absenceLookGapMs: number;
  readonly parkedFirstProbeMs: number;
  readonly parkedProbeSlowMs: number;
  readonly assertedProbeMs: number;
  readonly launchBackoffCapMs: number;
  readonly relaunchBudget: number;
  readonly maxGhosts: number;
  readonly jobGraceMs: number;
  readonly stopGraceMs: number;
  readonly alarmSlipMs: number;
  readonly reclaimMs: number;
  readonly drainMs: number;
  readonly snapshotMs: number;
  readonly pauseTries: number;
  readonly pauseBackoffCapMs: number;
  readonly prepareMs: number;
  readonly upgradeRetryMs: number;
  readonly staleActivityMs: number;
  readonly pausedRetentionMs: number;
  readonly pausedWarningMs: number;
  readonly retentionMs: number;
  readonly unreadableRetryMs: number;
  readonly newerRetryMs: number;
  readonly maxActiveJobs: number;
  readonly queuePollMs: number;
}

export interface SeenLook {
  readonly answer: "present" | "absent" | "unknown";
  readonly provider: string;
  readonly host: string | null;
  readonly boot: string | null;
  readonly sandboxId: string;
  readonly generation: number;
  readonly beganAt: number;
  readonly residue: readonly unknown[];
}

export interface SeenAttempt {
  readonly attemptId: string;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly outcome: string;
}

export interface SeenRetirement {
  readonly at: number;
  readonly host: string;
  readonly boot: string;
}

interface Identity {
  readonly generation: number;
  readonly instanceId: string;
  readonly sandboxId: string;
  readonly container?: string;
  readonly provider: string;
  readonly host: string | null;
  readonly openedAt: number;
}

interface SeenRenewals {
  readonly sequence: number;
  readonly lastSentAt: number | null;
  readonly sendsUntil: number | null;
}

export interface SeenLaunching extends Identity {
  readonly phase: "launching";
  readonly step:
    | { readonly type: "waiting"; readonly notBefore: number }
    | { readonly type: "acting"; readonly attemptId: string; readonly deadline: number }
    | { readonly type: "confirming"; readonly nextAt: number };
  readonly launchNotAfter: number;
  readonly deadline: number;
  readonly renewals: SeenRenewals;
}

export type SeenGate =
  | { readonly type: "open" }
  | { readonly type: "preparing"; readonly nextAt: number; readonly deadline: number }
  | { readonly type: "draining"; readonly for: string; readonly deadline: number }
  | { readonly type: "saving"; readonly for: string; readonly attemptId: string; readonly deadline: number }
  | { readonly type: "copying"; readonly snapshotId: string; readonly deadline: number };

export interface SeenHeld extends Identity {
  readonly phase: "held";
  readonly heldAt: number;
  readonly terms?: { readonly nanosPerSecond?: number };
  readonly renewals: SeenRenewals;
  readonly acceptedSentAt: number;
  readonly nextRenewalAt: number;
  readonly failures: number;
  readonly launchNotAfter: number;
  readonly wrapper: {
    readonly replacement: { readonly type: string; readonly at?: number };
  };
  readonly gate: SeenGate;
}

export interface SeenStopping extends Identity {
  readonly phase: "stopping";
  readonly reason: string;
  readonly requestedAt: number;
  readonly certainExpiry: number;
  readonly step:
    | { readonly type: "waiting"; readonly nextAttemptAt: number }
    | { readonly type: "acting"; readonly attemptId: string; readonly deadline: number }
    | { readonly type: "parked"; readonly since: number; readonly nextProbeAt: number };
  readonly attempts: readonly SeenAttempt[];
  readonly earlierAttempts: number;
  readonly retired: SeenRetirement | null;
  readonly assertion: { readonly at: number } | null;
}

export interface SeenClosed extends Identity {
  readonly phase: "closed";
  readonly receipt: {
    readonly reason: string;
    readonly requestedAt: number;
    readonly attempts: readonly SeenAttempt[];
    readonly observations: readonly SeenLook[];
    readonly retired: SeenRetirement;
    readonly verifiedAbsentAt: number;
  };
}

export type SeenOpenLease = SeenLaunching | SeenHeld | SeenStopping;
export type SeenLease = SeenOpenLease | SeenClosed;

export type SeenDesired =
  | {
      readonly type: "running";
      readonly provision: {
        readonly purpose: "create" | "resume" | "relaunch" | "rebuild";
        readonly deadline: number;
        readonly step:
          | { readonly type: "waiting"; readonly notBefore: number }
          | { readonly type: "opening"; readonly deadline: number };
        readonly failures: number;
        readonly lastError: { readonly code: string } | null;
      } | null;
    }
  | {
      readonly type: "suspended";
      readonly cause: "pause" | "loss";
      readonly since: number;
      readonly resumeQueued: boolean;
      readonly by?: string;
    }
  | {
      readonly type: "terminated";
      readonly reason: string;
      readonly at: number;
      readonly endedAt: number | null;
    };

export interface SeenDiscarded {
  readonly id: string;
  readonly deletion:
    | { readonly type: "waiting"; readonly notBefore: number }
    | { readonly type: "acting"; readonly attemptId: string; readonly deadline: number };
}

export interface SeenSession {
  readonly id: string;
  readonly tenant: string;
  readonly isolation: "session" | "shared";
  readonly createdAt: number;
  readonly nextGeneration: number;
  readonly limits: {
    readonly timeoutMs: number;
    readonly idleTimeoutMs: number | null;
    readonly maxLifetimeMs: number;
  };
  readonly lifecycle: { readonly onTimeout: "kill" | "pause"; readonly onLoss: "hold" | "relaunch" | "terminate" };
  readonly desired: SeenDesired;
  readonly endAt: number;
  readonly activity: { readonly lastAt: number; readonly activeJobs: number; readonly reportedAt: number };
  readonly alive: { readonly totalMs: number; readonly since: number | null };
  readonly budget: {
    readonly maxNanos: number | null;
    readonly spentNanos: number;
    readonly tenantSpentAt: number | null;
  };
  readonly relaunches: number;
  readonly warnedOfPause: number | null;
  readonly pauseTries: { readonly since: number; readonly tries: number; readonly notBefore: number } | null;
  /** `source`: it is a snapshot of the tenant, which this session only reads. */
  readonly snapshot: {
    readonly id: string;
    readonly takenAt: number;
    readonly generation: number;
    readonly source?: string;
  } | null;
  readonly discarded: readonly SeenDiscarded[];
  readonly newest: SeenLease | null;
  readonly ghosts: readonly SeenStopping[];
  readonly cancellations: readonly number[];
  /** Snapshots of the tenant of which the registry was not told yet. */
  readonly taken: readonly { readonly id: string }[];
}

/** Leases that may still have something physical: the ghosts, oldest first, and the newest. */
export function openOf(session: SeenSession): readonly SeenOpenLease[] {
  return session.newest !== null && session.newest.phase !== "closed"
    ? [...session.ghosts, session.newest]
    : session.ghosts;
}

export function openLeaseOf(session: SeenSession, generation: number): SeenOpenLease | null {
  return openOf(session).find((lease) => lease.generation === generation) ?? null;
}

/** The table of docs/SPEC.md, a second time. */
export function seenStatus({ desired, newest }: SeenSession): string {
  const phase = newest === null || newest.phase === "closed" ? "none" : newest.phase;
  switch (desired.type) {
    case "running":
      if (phase === "stopping") return "recovering";
      return newest?.phase === "held" && newest.gate.type !== "preparing" ? "running" : "provisioning";
    case "suspended":
      if (phase === "none") return desired.cause === "pause" ? "paused" : "lost";
      return desired.cause === "pause" ? "pausing" : "recovering";
    case "terminated":
      // Ended once, it stays so while a latecomer is reaped.
      if (desired.endedAt === null) return "terminating";
      return desired.reason === "failed" || desired.reason === "provision_timeout" ? "failed" : "terminated";
  }
}

/** Something is to be given back or deleted. */
export function owesSomething(session: SeenSession): boolean {
  return session.cancellations.length > 0 || session.taken.length > 0 || session.discarded.length > 0;
}
