/**
 * The calls of a wrapper whose bodies wrapper.ts does not name, and where every call is:
 *
 *   GET    /health
 *   POST   /lease                         renewalRequest → renewalReply
 *   POST   /bootstrap                     bootstrapRequest → bootstrapReply (workspace.ts; since protocol 2)
 *   POST   /jobs                          wrapperJobOrder → wrapperJob
 *   GET    /jobs/{id}?tail_bytes=N        → wrapperJobDetail (&wait_ms=M: once it has ended, or after that time)
 *   GET    /jobs/{id}/output?offset=N     → bytes without a gap, until the job has ended and all was sent, or the next byte
 *                                           was dropped; `mooring-offset` says where they begin: later when that byte was dropped
 *   DELETE /jobs/{id}?as=cancelled        (or interrupted) → wrapperJob, once it has ended
 *   POST   /jobs/{id}/stdin?end=1         (or 0) bytes → nothing
 *   POST   /drain                         → wrapperDrained: no job is admitted from now on
 *   DELETE /drain                         → wrapperDrained: they are again, and so is traffic
 *   POST   /cut                           → nothing: open traffic is broken off, and none is taken until DELETE /drain
 *   POST   /freeze                        wrapperFreeze → wrapperFrozen, once every process of the sandbox stands still
 *   DELETE /freeze?snapshot               → wrapperFrozen: they go on, if they stand still for that snapshot; without one, anyway
 *
 * What begins with /traffic/ is no call of a controller: traffic.ts.
 */
import { z } from "zod";

export const wrapperDrained = z.object({ active_jobs: z.int().nonnegative() });

export const wrapperFreeze = z.object({
  for_ms: z.int().positive().max(3_600_000),
  /** An earlier controller sends none. */
  snapshot_id: z.string().min(1).max(200).optional(),
});
export const wrapperFrozen = z.object({ frozen: z.boolean() });

/** Success is the status; there is nothing to tell. */
export const nothingToTell = z.unknown();

/** Read before the rest of a renewal's reply: an unsupported protocol may well have another shape. */
export const spokenProtocol = z.looseObject({ protocol: z.int() });
