/**
 * Sessions to try the machine on, built by hand: every desired × phase, with the steps a lease can be in. They are frozen
 * all the way down, so that a machine that writes into what it was given throws. `at` is the present of all of them.
 */
import {
  isolatedSandboxId,
  type AttemptId,
  type ContainerId,
  type Generation,
  type InstanceId,
} from "../../src/domain/state/ids.ts";
import type {
  Candidate,
  Closed,
  Gate,
  Held,
  Launching,
  LeaseIdentity,
  SaveFor,
  Stopping,
} from "../../src/domain/state/lease.ts";
import type { Answer, Observation } from "../../src/domain/state/observation.ts";
import { defaultPolicy } from "../../src/domain/rules/policy.ts";
import type {
  DesiredKey,
  DiscardedSnapshot,
  PhaseKey,
  Provision,
  Session,
  SnapshotRef,
} from "../../src/domain/state/session.ts";
import { noBudget } from "../../src/domain/state/session.ts";
import type { SessionEvent } from "../../src/domain/machine/events.ts";
import { transition } from "../../src/domain/machine/transition.ts";
import type { Workspace } from "../../src/domain/state/workspace.ts";
import { wrapperProtocol } from "../../src/domain/state/wrapper-protocol.ts";
import type { Context, Ignored, Moved, Outcome, Rejected } from "../../src/domain/machine/outcome.ts";
import type { Policy } from "../../src/domain/rules/policy.ts";
import type { TenantId } from "../../src/domain/state/ids.ts";
import { born, generation, sessionId } from "./reports.ts";

export const second = 1_000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const policy = defaultPolicy;
export const at = born + 10 * minute;
/** The newest lease of every session here; `past` is the one before it, `ghostly` and `asserted` are open ghosts. */
export const newest = generation(5);
export const past = generation(4);
export const ghostly = generation(2);
export const asserted = generation(3);
export const shared = "c0000000000000000000" as ContainerId;
export const host = "host-a";
export const boot = "boot-1";

export function attempt(name: string): AttemptId {
  return name as AttemptId;
}

function freeze<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  for (const each of Object.values(value)) freeze(each);
  return Object.freeze(value);
}

export function candidate(of: Generation = newest): Candidate {
  return {
    generation: of,
    instanceId: `instance-${of - born}` as InstanceId,
    sandboxId: isolatedSandboxId(sessionId("s"), of),
    provider: "memory",
    secret: `secret-${of - born}`,
  };
}

function identity(of: Generation): LeaseIdentity {
  return { ...candidate(of), host, openedAt: at - 5 * minute };
}

/** Its launch was answered; it is asked for its first renewal. */
export function launching(changes: Partial<Launching> = {}): Launching {
  return {
    ...identity(newest),
    phase: "launching",
    openedAt: at - second,
    step: { type: "confirming", nextAt: at },
    attempts: [{ attemptId: attempt("launch-1"), sentAt: at - second, outcome: "launched", error: null }],
    launchNotAfter: at - second + policy.launchCallMs,
    deadline: at - second + policy.launchCallMs + policy.readyWaitMs,
    renewals: { sequence: 0, lastSentAt: null, sendsUntil: null },
    ...changes,
  };
}

/** Accepted its last renewal, the 7th, ten seconds ago. */
export function held(changes: Partial<Held> = {}): Held {
  return {
    ...identity(newest),
    phase: "held",
    heldAt: at - 4 * minute,
    renewals: { sequence: 7, lastSentAt: at - 10 * second, sendsUntil: null, ttlMs: policy.leaseTtlMs },
    acceptedSentAt: at - 10 * second,
    acceptedTtlMs: policy.leaseTtlMs,
    nextRenewalAt: at + 50 * second,
    failures: 0,
    launchNotAfter: at - 4 * minute,
    wrapper: { protocol: wrapperProtocol, launchedBy: wrapperProtocol, replacement: { type: "none" } },
    gate: { type: "open" },
    ...changes,
  };
}

/** Its first drain is under way. */
export function draining(purpose: SaveFor, deadline = at + second): Gate {
  return { type: "draining", for: purpose, deadline, attemptId: attempt("drain-1") };
}

/** Asked to stop a minute ago; its first attempt is due. */
export function stopping(changes: Partial<Stopping> = {}): Stopping {
  const base = identity(changes.generation ?? newest);
  return {
    ...base,
    phase: "stopping",
    reason: "lost",
    requestedAt: at - minute,
    certainExpiry: at + 4 * minute,
    step: { type: "waiting", nextAttemptAt: at },
    attempts: [],
    earlierAttempts: 0,
    retired: null,
    observations: [],
    lastError: null,
    assertion: null,
    cause: { by: "mooring", terminateReason: null },
    ...changes,
  };
}

export const acting = {
  step: { type: "acting", attemptId: attempt("stop-1"), deadline: at + minute },
  attempts: [
    { attemptId: attempt("stop-1"), startedAt: at - second, endedAt: null, outcome: "acting", error: null } as const,
  ],
} as const satisfies Partial<Stopping>;

export const parked = {
  step: { type: "parked", since: at - 30 * minute, nextProbeAt: at, hastened: false, attemptId: attempt("probe-1") },
  attempts: Array.from({ length: policy.stopAttempts }, (_, index) => ({
    attemptId: attempt(`stop-${index + 1}`),
    startedAt: at - hour + index * minute,
    endedAt: at - hour + index * minute + second,
    outcome: "unverified" as const,
    error: "nobody answered",
  })),
  lastError: "nobody answered",
  certainExpiry: at - hour,
} as const satisfies Partial<Stopping>;

export function closed(of: Generation = newest): Closed {
  return {
    ...identity(of),
    phase: "closed",
    receipt: {
      reason: "lost",
      requestedAt: at - 2 * minute,
      attempts: [],
      earlierAttempts: 0,
      observations: [],
      retired: { at: at - 90 * second, host, boot },
      verifiedAbsentAt: at - minute,
      assertion: null,
    },
  };
}

export function provision(changes: Partial<Provision> = {}): Provision {
  return {
    purpose: "create",
    deadline: at + 9 * minute,
    step: { type: "waiting", notBefore: at },
    failures: 0,
    lastError: null,
    candidate: null,
    ...changes,
  };
}

export const opening = provision({
  step: { type: "opening", attemptId: attempt("open-1"), deadline: at + 20 * second },
  candidate: candidate(generation(6)),
});

/** Running and held, unless changed. */
export function session(changes: Partial<Session> = {}): Session {
  return freeze({
    id: sessionId("s"),
    tenant: "tenant" as TenantId,
    provider: "memory",
    isolation: "session",
    createdAt: born,
    nextGeneration: generation(7),
    limits: { timeoutMs: hour, idleTimeoutMs: 15 * minute, maxLifetimeMs: 24 * hour },
    lifecycle: { onTimeout: "kill", onLoss: "hold" },
    profile: { labels: {}, agentType: null, taskId: null, critical: false, autoResume: false },
    desired: { type: "running", provision: null },
    endAt: born + hour,
    startedAt: at - 4 * minute,
    refreshedAt: null,
    activity: { lastAt: at - 20 * second, activeJobs: 0, reportedAt: at - 10 * second },
    alive: { totalMs: 0, since: at - 5 * minute },
    relaunches: 0,
    warnedOfPause: null,
    // Its warning was given: most tests are about something else.
    warnedOfEnd: changes.endAt ?? born + hour,
    budget: noBudget,
    pauseTries: null,
    setback: null,
    workspace: null,
    snapshot: null,
    discarded: [],
    forgotten: [],
    newest: held(),
    ghosts: [],
    cancellations: [],
    taken: [],
    restoreProof: null,
    ...changes,
  });
}

export const snapshot = { id: "snapshot-1", provider: "memory", takenAt: at - hour, generation: past } as const;

/** Its deletion is due, and was not tried yet. */
export function discarded(
  of: SnapshotRef = snapshot,
  at_ = at - minute,
  changes: Partial<DiscardedSnapshot> = {},
): DiscardedSnapshot {
  const deletion = { type: "waiting", notBefore: at_ } as const;
  return { ...of, discardedAt: at_, deletion, failures: 0, lastError: null, ...changes };
}

export function paused(changes: Partial<Session> = {}): Session {
  return session({
    desired: { type: "suspended", cause: "pause", since: at - minute, resumeQueued: false },
    newest: closed(),
    alive: { totalMs: 4 * minute, since: null },
    snapshot,
    ...changes,
  });
}

export function lost(changes: Partial<Session> = {}): Session {
  return session({
    desired: { type: "suspended", cause: "loss", since: at - minute, resumeQueued: false },
    newest: closed(),
    alive: { totalMs: 4 * minute, since: null },
    ...changes,
  });
}

/** Ended, with nothing left, unless a lease is put in. */
export function terminated(changes: Partial<Session> = {}): Session {
  const open = changes.newest !== undefined && changes.newest !== null && changes.newest.phase !== "closed";
  return session({
    desired: {
      type: "terminated",
      reason: "requested",
      at: at - minute,
      endedAt: open || changes.discarded !== undefined ? null : at - second,
      failure: null,
    },
    newest: closed(),
    alive: { totalMs: 4 * minute, since: null },
    ...changes,
  });
}

export function provisioning(changes: Partial<Provision> = {}, of: Partial<Session> = {}): Session {
  return session({ desired: { type: "running", provision: provision(changes) }, newest: null, ...of });
}

/** A workspace of one step. */
export const planned: Workspace = { planned: ["setup 1"], state: "pending", generation: null, steps: [] };

/** Held, and asked how far its workspace is. */
export function preparing(purpose: Provision["purpose"] = "create", changes: Partial<Session> = {}): Session {
  return session({
    newest: held({
      gate: { type: "preparing", purpose, nextAt: at, deadline: at + 20 * minute, attemptId: attempt("prepare-1") },
    }),
    workspace: { ...planned, state: "preparing", generation: newest },
    ...changes,
  });
}

/** Launched before this deployment, and known to be behind. */
export const outdated: Held["wrapper"] = { protocol: 1, launchedBy: 1, replacement: { type: "due", at } };

export interface Sample {
  readonly name: string;
  readonly desired: DesiredKey;
  readonly phase: PhaseKey;
  readonly session: Session;
  /** False: no sequence of events leads here. The machine must be total all the same. */
  readonly reachable: boolean;
}

const leases: Readonly<Record<PhaseKey, Readonly<Record<string, Session["newest"]>>>> = {
  none: { "": null },
  launching: {
    acting: launching({
      host: null,
      step: { type: "acting", attemptId: attempt("launch-1"), deadline: at + 59 * second },
      attempts: [{ attemptId: attempt("launch-1"), sentAt: at - second, outcome: "acting", error: null }],
    }),
    confirming: launching(),
    asked: launching({ renewals: { sequence: 1, lastSentAt: at - second, sendsUntil: null } }),
    waiting: launching({ step: { type: "waiting", notBefore: at } }),
  },
  held: {
    open: held(),
    "renewal failed": held({ failures: 1, nextRenewalAt: at }),
    draining: held({ gate: draining("rebuild") }),
    saving: held({ gate: { type: "saving", for: "rebuild", attemptId: attempt("save-1"), deadline: at + minute } }),
  },
  stopping: {
    waiting: stopping(),
    acting: stopping(acting),
    parked: stopping(parked),
    expired: stopping({ certainExpiry: at - hour }),
  },
  closed: { "": closed() },
};

function withDesired(desired: DesiredKey, phase: PhaseKey, lease: Session["newest"]): Session {
  switch (desired) {
    case "running": {
      if (phase === "held") return session({ newest: lease });
      return provisioning({}, { newest: lease });
    }
    case "paused": {
      const gate =
        lease?.phase === "held" && lease.gate.type !== "open" ? { ...lease.gate, for: "pause" as const } : null;
      return paused({ newest: lease?.phase === "held" && gate !== null ? { ...lease, gate } : lease });
    }
    case "lost":
      return lost({ newest: lease });
    case "terminated":
      return terminated({ newest: lease });
  }
}

function isReachable(desired: DesiredKey, lease: Session["newest"]): boolean {
  if (desired === "running" || lease === null || lease.phase === "stopping" || lease.phase === "closed") return true;
  return desired === "paused" && lease.phase === "held" && lease.gate.type !== "open";
}

const desires: readonly DesiredKey[] = ["running", "paused", "lost", "terminated"];
const phases: readonly PhaseKey[] = ["none", "launching", "held", "stopping", "closed"];

const ghost = stopping({ ...parked, generation: ghostly });
export const assertedGhost = stopping({
  ...parked,
  generation: asserted,
  assertion: { at: at - minute, by: "operator", reason: "the host burned down" },
});

/** Every desired × phase, each with every step its lease can be in, with and without ghosts. */
export function everySession(): readonly Sample[] {
  const samples: Sample[] = [];
  const add = (name: string, desired: DesiredKey, phase: PhaseKey, of: Session) =>
    samples.push({ name, desired, phase, session: of, reachable: isReachable(desired, of.newest) });
  for (const desired of desires) {
    for (const phase of phases) {
      for (const [step, lease] of Object.entries(leases[phase])) {
        const of = withDesired(desired, phase, lease);
        const name = `${desired} × ${phase}${step === "" ? "" : ` (${step})`}`;
        add(name, desired, phase, of);
        add(`${name} with ghosts`, desired, phase, freeze({ ...of, ghosts: [ghost, assertedGhost] }));
        add(
          `${name} with on_timeout pause and on_loss relaunch`,
          desired,
          phase,
          freeze({
            ...of,
            lifecycle: { onTimeout: "pause", onLoss: "relaunch" } as const,
          }),
        );
      }
    }
  }
  const price = { ttlMs: 180 * second, stopGraceMs: 30 * second, nanosPerSecond: 25_000 };
  add(
    "held at a price, with a budget",
    "running",
    "held",
    session({ newest: held({ terms: price }), budget: { ...noBudget, maxNanos: 50_000_000 } }),
  );
  for (const free of [null, closed()]) {
    add(
      "opening",
      "running",
      free === null ? "none" : "closed",
      session({ desired: { type: "running", provision: opening }, newest: free }),
    );
  }
  for (const purpose of ["create", "relaunch"] as const) {
    add(`preparing for a ${purpose}`, "running", "held", preparing(purpose));
  }
  add("about to prepare", "running", "launching", provisioning({}, { newest: launching(), workspace: planned }));
  add(
    "rules for its network are not confirmed",
    "running",
    "held",
    session({ network: { mode: "closed", allow: [], inject: [], version: 1, state: "pending" } }),
  );
  const copying = { type: "copying", snapshotId: "snapshot-2", deadline: at + 5 * minute } as const;
  add("a snapshot of it is taken", "running", "held", session({ newest: held({ gate: copying }) }));
  const cameToNothing = { id: "snapshot-2", outcome: "failed", why: "no room", effect: "none" } as const;
  add("a snapshot is to be told of", "running", "held", session({ taken: [cameToNothing] }));
  add("an older wrapper", "running", "held", session({ newest: held({ wrapper: outdated }) }));
  add(
    "an older wrapper is being replaced",
    "running",
    "held",
    session({
      newest: held({
        wrapper: outdated,
        gate: { type: "saving", for: "upgrade", attemptId: attempt("save-1"), deadline: at + minute },
      }),
    }),
  );
  add(
    "a member of a shared container waits for its next stop",
    "lost",
    "stopping",
    lost({
      isolation: "shared",
      newest: stopping({ container: shared, step: { type: "waiting", nextAttemptAt: at + minute } }),
    }),
  );
  add(
    "a resume is queued",
    "paused",
    "stopping",
    paused({
      newest: stopping({ reason: "paused" }),
      desired: { type: "suspended", cause: "pause", since: at - minute, resumeQueued: true },
    }),
  );
  add(
    "a snapshot is to be deleted",
    "terminated",
    "closed",
    terminated({ discarded: [discarded()], cancellations: [generation(6)] }),
  );
  add(
    "a snapshot is being deleted",
    "terminated",
    "closed",
    terminated({
      discarded: [
        discarded(snapshot, at - minute, {
          deletion: { type: "acting", attemptId: attempt("delete-1"), deadline: at },
          failures: 1,
          lastError: "unavailable: the store is away",
        }),
      ],
    }),
  );
  add(
    "its place is kept through an upgrade",
    "running",
    "stopping",
    provisioning({ purpose: "upgrade" }, { newest: stopping({ reason: "upgraded" }), snapshot }),
  );
  add(
    "resumed from what is saved",
    "running",
    "launching",
    provisioning({ purpose: "resume" }, { newest: launching(), snapshot }),
  );
  add(
    "a snapshot of the tenant is being taken",
    "running",
    "held",
    session({ newest: held({ gate: { type: "copying", snapshotId: "snapshot-2", deadline: at + minute } }) }),
  );
  add(
    "the registry has not heard yet that a snapshot was taken",
    "running",
    "held",
    session({
      newest: held(),
      taken: [{ id: "snapshot-2", outcome: "saved", bytes: 1_024, generation: newest }],
    }),
  );
  return samples;
}

/** `beganAt` counts from `at`. */
export function look(
  answer: Answer,
  beganAt: number,
  of: Candidate = candidate(),
  changes: Partial<Observation> = {},
): Observation {
  const nobody = answer === "unknown";
  return {
    answer,
    provider: of.provider,
    host: nobody ? null : host,
    boot: nobody ? null : boot,
    sandboxId: of.sandboxId,
    generation: of.generation,
    beganAt: at + beganAt,
    residue: answer === "present" ? [{ kind: "wrapper", instanceId: of.instanceId, pid: 7 }] : [],
    detail: `said ${answer}`,
    ...changes,
  };
}

/** What a stop attempt reports that found nothing left, `settledAt` ms after `at`. */
export function goneEvidence(settledAt = 0, of: Candidate = candidate()) {
  return {
    retired: { at: at + settledAt, host, boot },
    looks: [look("absent", settledAt, of), look("absent", settledAt + second, of)],
    settledAt: at + settledAt,
  };
}

export function when(offset = 0, changes: Partial<Policy> = {}): Context {
  return { now: at + offset, policy: { ...policy, ...changes } };
}

export function apply(before: Session, event: SessionEvent, context: Context = when()): Outcome {
  return transition(before, event, context);
}

/** The state after an event that must move it. */
export function move(before: Session, event: SessionEvent, context: Context = when()): Session {
  return moveWith(before, event, context).session;
}

export function moveWith(before: Session, event: SessionEvent, context: Context = when()): Moved {
  const outcome = transition(before, event, context);
  if (outcome.type !== "moved") throw new Error(`${event.type} did not move it: ${saidWhy(outcome)}`);
  return { ...outcome, session: freeze(outcome.session) };
}

/** Its drain begins, under a name of its own, and finds no job running. */
export function drainedFrom(before: Session, saveAttemptId: AttemptId, context: Context = when()): Session {
  const attemptId = attempt(`drain-for-${saveAttemptId}`);
  const draining = move(before, { type: "drainStarted", generation: newest, attemptId }, context);
  return move(draining, { type: "drained", generation: newest, attemptId, saveAttemptId }, context);
}

export function saidWhy(outcome: Ignored | Rejected): string {
  return outcome.type === "ignored" ? outcome.why : `${outcome.rejection.code}: ${outcome.rejection.detail}`;
}

export function noted(outcome: Moved): readonly string[] {
  return outcome.effects.flatMap((effect) => (effect.type === "note" ? [effect.note.type] : []));
}
