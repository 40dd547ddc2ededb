/**
 * The stored form of a session, without its leases: JSON beside plain columns, checked on every load. A record that does not match
 * is `unreadable`; nothing is guessed.
 *
 * The last line ties the schema to the domain's type: a field that one of the two forgets fails to compile, instead of
 * being dropped by the next load.
 */
import { z } from "zod";
import type { SessionId } from "../../domain/state/ids.ts";
import { noBudget, type Session } from "../../domain/state/session.ts";
import {
  requester,
  attempt,
  container,
  generation,
  instanceId,
  instant,
  limits,
  provider,
  purpose,
  type Same,
  sandboxId,
  terminateReason,
  text,
} from "./record-values.ts";

const candidate = z.object({
  generation,
  instanceId,
  sandboxId,
  container: container.exactOptional(),
  provider,
  secret: z.string(),
});

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
      by: requester.exactOptional(),
    }),
    z.object({
      type: z.literal("terminated"),
      reason: terminateReason,
      at: instant,
      endedAt: instant.nullable(),
      failure: z.string().nullable(),
      by: requester.exactOptional(),
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
type StoredSession = Omit<
  Session,
  "id" | "tenant" | "provider" | "isolation" | "createdAt" | "nextGeneration" | "newest" | "ghosts"
>;

true satisfies Same<z.output<typeof sessionRecord>, StoredSession>;
