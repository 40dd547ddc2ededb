/** The stored form of a lease, tied to the domain's type by the last line as session-record.ts is. */
import { z } from "zod";
import type { Lease } from "../../domain/state/lease.ts";
import { stopReasons, type StopReason } from "../../domain/state/reasons.ts";
import {
  requester,
  attempt,
  generation,
  instanceId,
  instant,
  limits,
  provider,
  purpose,
  type Same,
  sandboxId,
  savedFor,
  terminateReason,
} from "./record-values.ts";

const stopReason = z.enum(Object.keys(stopReasons) as [StopReason, ...StopReason[]]);

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
const cause = z.object({ by: requester, terminateReason: terminateReason.nullable() });
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

true satisfies Same<z.output<typeof leaseRecord>, WithoutColumns<Lease>>;
