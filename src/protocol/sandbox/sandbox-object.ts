/**
 * The shapes of what a Sandbox object answers over object RPC (sandbox/cloudflare/object-api.ts): parsed before it is believed, like
 * anything that came over a wire. An object of an older or newer version may be what answers in the middle of a deploy.
 */
import { z } from "zod";
import { providerFailureCodes } from "../../domain/state/failure.ts";

const objectFailure = z.object({
  code: z.enum(providerFailureCodes),
  message: z.string(),
  effect: z.enum(["none", "unknown"]),
  retryAfterMs: z.number().optional(),
});

/** Its value is parsed apart. */
export const objectAnswer = z.union([
  z.object({ ok: z.literal(true), value: z.unknown() }),
  z.object({ ok: z.literal(false), failure: objectFailure }),
]);

const objectResidue = z.object({
  kind: z.enum(["container", "guardian", "wrapper", "job", "legacy"]),
  instanceId: z.string().nullable(),
  pid: z.int().nullable(),
});

/** The answer to a launch and to a retirement. */
export const objectPlace = z.object({ host: z.string().min(1), boot: z.string() });
export const objectLook = z.object({
  host: z.string().min(1),
  boot: z.string(),
  answer: z.enum(["present", "absent", "unknown"]),
  residue: z.array(objectResidue),
  detail: z.string(),
  containment: z.enum(["container", "cgroup", "user", "marker"]).optional(),
});
export const objectStopped = z.object({ remaining: z.array(objectResidue) });
export const objectSaved = z.object({ bytes: z.int().positive() });
export const objectLogs = z.object({ text: z.string(), lastWrittenAgoMs: z.number().nullable() });
export const objectResources = z.object({
  processes: z.int(),
  cpuSeconds: z.number(),
  memoryBytes: z.number(),
  diskUsedBytes: z.number().nullable(),
  operations: z.number().nullable(),
});
export const objectCapacity = z.object({ freeBytes: z.int().nonnegative(), totalBytes: z.int().nonnegative() });
export const objectReclaimed = z.object({
  removed: z.array(z.string()),
  freedBytes: z.number().nonnegative(),
  kept: z.array(z.object({ name: z.string(), why: z.string() })),
});
export const objectNothing = z.null();
