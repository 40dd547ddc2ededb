/**
 * The stored form of a session and its leases: JSON beside plain columns, checked on every load. A record that does not match
 * is `unreadable`; nothing is guessed.
 *
 * The last lines tie the schemas to the domain's types: a field that one of the two forgets fails to compile, instead of
 * being dropped by the next load.
 */
import { z } from "zod";
import type { Asker } from "../../domain/state/asker.ts";
import type { AttemptId, ContainerId, Generation, InstanceId, SandboxId, SessionId } from "../../domain/state/ids.ts";
import type { Lease } from "../../domain/state/lease.ts";
import { providerNames } from "../../domain/state/provider-names.ts";
import { stopReasons, terminateReasonNames, type StopReason } from "../../domain/state/reasons.ts";
import { noBudget, type Session } from "../../domain/state/session.ts";

/** Ids were checked when they came in, so a load checks only their kind of value. */
const text = <Id extends string>() => z.custom<Id>((value) => typeof value === "string");
const sandboxId = text<SandboxId>();
const instanceId = text<InstanceId>();
const attempt = text<AttemptId>();
const container = text<ContainerId>();
const generation = z.custom<Generation>((value) => Number.isSafeInteger(value));
const instant = z.number();
const stopReason = z.enum(Object.keys(stopReasons) as [StopReason, ...StopReason[]]);
const terminateReason = z.enum(terminateReasonNames);
const provider = z.enum(providerNames);

const asker = text<Asker>();
const limits = z.object({ timeoutMs: z.number(), idleTimeoutMs: z.number().nullable(), maxLifetimeMs: z.number() });

const candidate = z.object({
  generation,
  instanceId,
  sandboxId,
  container: container.exactOptional(),
  provider,
  secret: z.string(),
});

const purpose = z.enum(["create", "resume", "relaunch", "rebuild", "upgrade"]);
const savedFor = z.enum(["pause", "rebuild", "upgrade"]);

const provision = z.object({
  purpose,
  deadline: instant,
  step: z.discriminatedUnion("type", [
    z.object({ type: z.literal("waiting"), notBefore: instant }),
    z.object({ type: z.literal("opening"), attemptId: attempt, deadline: instant }),
  ]),
  failures: z.int(),
  lastError: z
    .object({
      code: z.string(),
      message: z.string(),
      at: instant,
      since: instant.exactOptional(),
      progress: z.object({ doneBytes: z.number(), totalBytes: z.number().nullable() }).exactOptional(),
    })
    .nullable(),
  candidate: candidate.nullable(),
  unusable: z.object({ container, why: z.string() }).exactOptional(),
});

const snapshot = z.object({
  id: z.string(),
  provider,
  takenAt: instant,
  generation,
  bytes: z.number().exactOptional(),
  source: text<SessionId>().exactOptional(),
});

/**
 * The plain column beside the record: every snapshot of its own, those to be deleted among them, so that each can be deleted when the
 * record cannot be read. `settled` then names those that are deleted or given up, although the record or a lease still names them.
 */
export const savedFiles = z.object({ files: z.array(snapshot), settled: z.array(z.string()) });
export type SavedFiles = z.output<typeof savedFiles>;

const taken = z.discriminatedUnion("outcome", [
  z.object({ id: z.string(), outcome: z.literal("saved"), bytes: z.number(), generation }),
  // Older code did not keep the effect.
  z.object({
    id: z.string(),
    outcome: z.literal("failed"),
    why: z.string(),
    effect: z.enum(["none", "unknown"]).default("unknown"),
  }),
]);

/** Rows from before attempts were stored hold only the reference: their deletion is due. */
const discarded = snapshot
  .extend({
    discardedAt: instant.optional(),
    deletion: z
      .discriminatedUnion("type", [
        z.object({ type: z.literal("waiting"), notBefore: instant }),
        z.object({ type: z.literal("acting"), attemptId: attempt, deadline: instant }),
      ])
      .optional(),
    failures: z.int().default(0),
    lastError: z.string().nullable().default(null),
  })
  .transform(({ discardedAt, deletion, ...rest }) => ({
    ...rest,
    discardedAt: discardedAt ?? rest.takenAt,
    deletion: deletion ?? { type: "waiting" as const, notBefore: rest.takenAt },
  }));

const forgotten = snapshot.extend({ forgottenAt: instant, by: z.string(), reason: z.string() });

const workspace = z.object({
  planned: z.array(z.string()),
  state: z.enum(["pending", "preparing", "prepared", "restored", "failed"]),
  generation: generation.nullable(),
  steps: z.array(
    z.object({
      name: z.string(),
      state: z.enum(["running", "succeeded", "failed", "timed_out"]),
      startedAt: instant,
      endedAt: instant.nullable(),
      exitCode: z.int().nullable(),
      diskFull: z.boolean(),
      lastOutput: z.string(),
    }),
  ),
});

const network = z.object({
  mode: z.enum(["open", "closed", "allow"]),
  allow: z.array(z.string()),
  inject: z.array(z.object({ host: z.string(), header: z.string() })),
  version: z.int(),
  state: z.enum(["applied", "pending", "partial"]),
});

/** Everything of a session but its identity columns and its leases. */
export const sessionRecord = z.object({
  template: z.string().exactOptional(),
  network: network.exactOptional(),
  limits,
  lifecycle: z.object({
    onTimeout: z.enum(["kill", "pause"]),
    onLoss: z.enum(["hold", "relaunch", "terminate"]),
  }),
  profile: z.object({
    labels: z.record(z.string(), z.string()),
    agentType: z.string().nullable(),
    taskId: z.string().nullable(),
    critical: z.boolean(),
    autoResume: z.boolean(),
    publicPorts: z.literal(true).exactOptional(),
    portHost: z.string().exactOptional(),
  }),
  desired: z.discriminatedUnion("type", [
    z.object({ type: z.literal("running"), provision: provision.nullable() }),
    z.object({
      type: z.literal("suspended"),
      cause: z.enum(["pause", "loss"]),
      since: instant,
      resumeQueued: z.boolean(),
      by: asker.exactOptional(),
    }),
    z.object({
      type: z.literal("terminated"),
      reason: terminateReason,
      at: instant,
      endedAt: instant.nullable(),
      failure: z.string().nullable(),
      by: asker.exactOptional(),
    }),
  ]),
  endAt: instant,
  startedAt: instant.nullable(),
  refreshedAt: instant.nullable(),
  activity: z.object({ lastAt: instant, activeJobs: z.int(), reportedAt: instant }),
  alive: z.object({ totalMs: z.number(), since: instant.nullable() }),
  // Records from before there were prices.
  budget: z
    .object({
      maxNanos: z.number().nullable(),
      spentNanos: z.number(),
      pausedAt: instant.nullable(),
      tenantSpentAt: instant.nullable(),
      warnedOf: z.number().nullable(),
    })
    .default(noBudget),
  relaunches: z.int(),
  warnedOfPause: instant.nullable(),
  warnedOfEnd: instant.nullable().default(null),
  // Records from before these were stored have neither.
  pauseTries: z
    .object({ since: instant, tries: z.int(), notBefore: instant, error: z.string().nullable() })
    .nullable()
    .default(null),
  setback: z.object({ code: z.string(), message: z.string(), at: instant }).nullable().default(null),
  // Records from before there were workspaces.
  workspace: workspace.nullable().default(null),
  snapshot: snapshot.nullable(),
  discarded: z.array(discarded),
  forgotten: z.array(forgotten).default([]),
  cancellations: z.array(generation),
  // Records from before a tenant had snapshots of its own.
  taken: z.array(taken).default([]),
  // Records from before there were drills.
  restoreProof: z
    .object({ at: instant, snapshotId: z.string(), files: z.int(), bytes: z.number(), manifest: z.string() })
    .nullable()
    .default(null),
});

const observation = z.object({
  answer: z.enum(["present", "absent", "unknown"]),
  provider,
  host: z.string().nullable(),
  boot: z.string().nullable(),
  sandboxId,
  generation,
  beganAt: instant,
  residue: z.array(
    z.object({
      kind: z.enum(["container", "guardian", "wrapper", "job", "legacy"]),
      instanceId: instanceId.nullable(),
      pid: z.int().nullable(),
    }),
  ),
  detail: z.string(),
  containment: z.enum(["container", "cgroup", "user", "marker"]).optional(),
});
const retired = z.object({ at: instant, host: z.string(), boot: z.string() });
const assertion = z.object({ at: instant, by: z.string(), reason: z.string() });
const cause = z.object({ by: asker, terminateReason: terminateReason.nullable() });
const charge = z.object({ ms: z.number(), nanosPerSecond: z.number(), nanos: z.number() });
const receiptFacts = z.object({
  cause,
  heldAt: instant.nullable(),
  endAt: instant,
  limits,
  charge: charge.nullable().default(null),
  snapshot: z.object({ id: z.string(), bytes: z.number().nullable(), fate: z.enum(["kept", "discarded"]) }).nullable(),
});
// Rows that older code wrote have none of the fields that are optional or have a default here.
const renewals = z.object({
  sequence: z.int(),
  lastSentAt: instant.nullable(),
  sendsUntil: instant.nullable().default(null),
  ttlMs: z.number().exactOptional(),
});
const terms = z
  .object({ ttlMs: z.number(), stopGraceMs: z.number(), nanosPerSecond: z.number().exactOptional() })
  .exactOptional();
const unsettledSave = attempt.exactOptional();
const unproven = z.array(z.string()).exactOptional();
const attemptId = attempt.nullable().default(null);
const stopAttempt = z.object({
  attemptId: attempt,
  startedAt: instant,
  endedAt: instant.nullable(),
  outcome: z.enum(["acting", "verified_absent", "still_present", "unverified", "failed", "abandoned"]),
  error: z.string().nullable(),
});

/** What a phase holds, without the identity columns. */
export const leaseRecord = z.discriminatedUnion("phase", [
  z.object({
    phase: z.literal("launching"),
    step: z.discriminatedUnion("type", [
      z.object({ type: z.literal("waiting"), notBefore: instant }),
      z.object({ type: z.literal("acting"), attemptId: attempt, deadline: instant }),
      z.object({ type: z.literal("confirming"), nextAt: instant }),
    ]),
    attempts: z.array(
      z.object({
        attemptId: attempt,
        sentAt: instant,
        outcome: z.enum(["acting", "launched", "failed", "unknown"]),
        error: z.string().nullable(),
      }),
    ),
    launchNotAfter: instant,
    deadline: instant,
    renewals,
    terms,
    unsettledSave,
    unproven,
  }),
  z.object({
    phase: z.literal("held"),
    heldAt: instant,
    renewals,
    acceptedSentAt: instant,
    acceptedTtlMs: z.number().exactOptional(),
    terms,
    unsettledSave,
    unproven,
    nextRenewalAt: instant,
    failures: z.int(),
    launchNotAfter: instant,
    // Rows from before this field: written by code that spoke protocol 1, for a wrapper of that protocol.
    wrapper: z
      .object({
        protocol: z.int(),
        launchedBy: z.int(),
        replacement: z.discriminatedUnion("type", [
          z.object({ type: z.literal("none") }),
          z.object({ type: z.literal("due"), at: instant }),
          z.object({ type: z.literal("impossible") }),
        ]),
      })
      .default({ protocol: 1, launchedBy: 1, replacement: { type: "none" } }),
    gate: z.discriminatedUnion("type", [
      z.object({ type: z.literal("open") }),
      z.object({ type: z.literal("preparing"), purpose, nextAt: instant, deadline: instant, attemptId }),
      z.object({ type: z.literal("draining"), for: savedFor, deadline: instant, attemptId }),
      z.object({
        type: z.literal("saving"),
        for: savedFor,
        attemptId: attempt,
        deadline: instant,
      }),
      z.object({ type: z.literal("copying"), snapshotId: z.string(), deadline: instant }),
    ]),
  }),
  z.object({
    phase: z.literal("stopping"),
    reason: stopReason,
    requestedAt: instant,
    certainExpiry: instant,
    terms,
    unsettledSave,
    unproven,
    step: z.discriminatedUnion("type", [
      z.object({ type: z.literal("waiting"), nextAttemptAt: instant }),
      z.object({ type: z.literal("acting"), attemptId: attempt, deadline: instant }),
      z.object({ type: z.literal("parked"), since: instant, nextProbeAt: instant, hastened: z.boolean(), attemptId }),
    ]),
    attempts: z.array(stopAttempt),
    earlierAttempts: z.int(),
    retired: retired.nullable(),
    observations: z.array(observation),
    lastError: z.string().nullable(),
    assertion: assertion.nullable(),
    heldAt: instant.exactOptional(),
    cause: cause.exactOptional(),
    charge: charge.exactOptional(),
  }),
  z.object({
    phase: z.literal("closed"),
    terms,
    unsettledSave,
    unproven,
    receipt: z.object({
      reason: stopReason,
      requestedAt: instant,
      attempts: z.array(stopAttempt),
      earlierAttempts: z.int(),
      observations: z.array(observation),
      retired,
      verifiedAbsentAt: instant,
      assertion: assertion.nullable(),
      facts: receiptFacts.exactOptional(),
    }),
  }),
]);

/** The fields of a lease with a column of their own. */
export const leaseColumns = [
  "generation",
  "instanceId",
  "sandboxId",
  "container",
  "provider",
  "host",
  "secret",
  "openedAt",
] as const satisfies readonly (keyof Lease)[];

type WithoutColumns<L extends Lease> = L extends Lease ? Omit<L, (typeof leaseColumns)[number]> : never;
type StoredSession = Omit<
  Session,
  "id" | "tenant" | "provider" | "isolation" | "createdAt" | "nextGeneration" | "newest" | "ghosts"
>;

/** Readonly and intersections are of no account in JSON. */
type Plain<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? Plain<Item>[]
    : { -readonly [Key in keyof T]: Plain<T[Key]> };
type Same<A, B> = (<T>() => T extends Plain<A> ? 1 : 2) extends <T>() => T extends Plain<B> ? 1 : 2 ? true : false;

true satisfies Same<z.output<typeof sessionRecord>, StoredSession>;
true satisfies Same<z.output<typeof leaseRecord>, WithoutColumns<Lease>>;
