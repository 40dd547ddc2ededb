/**
 * The stored form of a session and its leases: JSON beside plain columns, checked on every load. What does not match is
 * `unreadable`, never guessed at (LEA-4). The schemas mirror domain/session.ts and domain/lease.ts.
 */
import { z } from "zod";
import { providerNames } from "../domain/provider-names.ts";
import { stopReasons, terminateReasons, type StopReason, type TerminateReason } from "../domain/reasons.ts";

const instant = z.number();
const stopReason = z.enum(Object.keys(stopReasons) as [StopReason, ...StopReason[]]);
const terminateReason = z.enum(Object.keys(terminateReasons) as [TerminateReason, ...TerminateReason[]]);
const provider = z.enum(providerNames);

const candidate = z.object({
  generation: z.int(),
  instanceId: z.string(),
  sandboxId: z.string(),
  container: z.string().optional(),
  provider,
  secret: z.string(),
});

const purpose = z.enum(["create", "resume", "relaunch", "rebuild"]);
const savedFor = z.enum(["pause", "rebuild", "upgrade"]);

const provision = z.object({
  purpose,
  deadline: instant,
  step: z.discriminatedUnion("type", [
    z.object({ type: z.literal("waiting"), notBefore: instant }),
    z.object({ type: z.literal("opening"), attemptId: z.string(), deadline: instant }),
  ]),
  failures: z.int(),
  lastError: z.object({ code: z.string(), message: z.string(), at: instant, since: instant.optional() }).nullable(),
  candidate: candidate.nullable(),
  unusable: z.object({ container: z.string(), why: z.string() }).optional(),
});

const snapshot = z.object({ id: z.string(), provider, takenAt: instant, generation: z.int() });

const workspace = z.object({
  planned: z.array(z.string()),
  state: z.enum(["pending", "preparing", "prepared", "restored", "failed"]),
  generation: z.int().nullable(),
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

/** Everything of a session but its identity columns and its leases. */
export const sessionRecord = z.object({
  limits: z.object({ timeoutMs: z.number(), idleTimeoutMs: z.number().nullable(), maxLifetimeMs: z.number() }),
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
  }),
  desired: z.discriminatedUnion("type", [
    z.object({ type: z.literal("running"), provision: provision.nullable() }),
    z.object({
      type: z.literal("suspended"),
      cause: z.enum(["pause", "loss"]),
      since: instant,
      resumeQueued: z.boolean(),
    }),
    z.object({
      type: z.literal("terminated"),
      reason: terminateReason,
      at: instant,
      endedAt: instant.nullable(),
      failure: z.string().nullable(),
    }),
  ]),
  endAt: instant,
  startedAt: instant.nullable(),
  refreshedAt: instant.nullable(),
  activity: z.object({ lastAt: instant, activeJobs: z.int(), reportedAt: instant }),
  alive: z.object({ totalMs: z.number(), since: instant.nullable() }),
  relaunches: z.int(),
  warnedOfPause: instant.nullable(),
  // Absent in records of before they were kept.
  pauseTries: z
    .object({ since: instant, tries: z.int(), notBefore: instant, error: z.string().nullable() })
    .nullable()
    .default(null),
  setback: z.object({ code: z.string(), message: z.string(), at: instant }).nullable().default(null),
  // Rows of before there were workspaces have none.
  workspace: workspace.nullable().default(null),
  snapshot: snapshot.nullable(),
  discarded: z.array(snapshot),
  cancellations: z.array(z.int()),
});

const observation = z.object({
  answer: z.enum(["present", "absent", "unknown"]),
  provider,
  host: z.string().nullable(),
  boot: z.string().nullable(),
  sandboxId: z.string(),
  generation: z.int(),
  beganAt: instant,
  residue: z.array(
    z.object({
      kind: z.enum(["container", "guardian", "wrapper", "job", "legacy"]),
      instanceId: z.string().nullable(),
      pid: z.int().nullable(),
    }),
  ),
  detail: z.string(),
  containment: z.enum(["container", "cgroup", "user", "marker"]).optional(),
});
const retired = z.object({ at: instant, host: z.string(), boot: z.string() });
const assertion = z.object({ at: instant, by: z.string(), reason: z.string() });
const renewals = z.object({
  sequence: z.int(),
  lastSentAt: instant.nullable(),
  sendsUntil: instant.nullable().default(null),
});
const stopAttempt = z.object({
  attemptId: z.string(),
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
      z.object({ type: z.literal("acting"), attemptId: z.string(), deadline: instant }),
      z.object({ type: z.literal("confirming"), nextAt: instant }),
    ]),
    attempts: z.array(
      z.object({
        attemptId: z.string(),
        sentAt: instant,
        outcome: z.enum(["acting", "launched", "failed", "unknown"]),
        error: z.string().nullable(),
      }),
    ),
    launchNotAfter: instant,
    deadline: instant,
    renewals,
  }),
  z.object({
    phase: z.literal("held"),
    heldAt: instant,
    renewals,
    acceptedSentAt: instant,
    nextRenewalAt: instant,
    failures: z.int(),
    launchNotAfter: instant,
    // Rows of before: held by code that spoke protocol 1, with a wrapper of that protocol.
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
      z.object({ type: z.literal("preparing"), purpose, nextAt: instant, deadline: instant }),
      z.object({ type: z.literal("draining"), for: savedFor, deadline: instant }),
      z.object({
        type: z.literal("saving"),
        for: savedFor,
        attemptId: z.string(),
        deadline: instant,
      }),
    ]),
  }),
  z.object({
    phase: z.literal("stopping"),
    reason: stopReason,
    requestedAt: instant,
    certainExpiry: instant,
    step: z.discriminatedUnion("type", [
      z.object({ type: z.literal("waiting"), nextAttemptAt: instant }),
      z.object({ type: z.literal("acting"), attemptId: z.string(), deadline: instant }),
      z.object({ type: z.literal("parked"), since: instant, nextProbeAt: instant, hastened: z.boolean() }),
    ]),
    attempts: z.array(stopAttempt),
    earlierAttempts: z.int(),
    retired: retired.nullable(),
    observations: z.array(observation),
    lastError: z.string().nullable(),
    assertion: assertion.nullable(),
  }),
  z.object({
    phase: z.literal("closed"),
    receipt: z.object({
      reason: stopReason,
      requestedAt: instant,
      attempts: z.array(stopAttempt),
      earlierAttempts: z.int(),
      observations: z.array(observation),
      retired,
      verifiedAbsentAt: instant,
      assertion: assertion.nullable(),
    }),
  }),
]);
