/**
 * The calls of a wrapper whose bodies wrapper.ts does not name, and where every call is:
 *
 *   GET    /health
 *   POST   /lease                         renewalRequest → renewalReply
 *   POST   /bootstrap                     bootstrapRequest → bootstrapReply (workspace.ts; since protocol 2)
 *   POST   /jobs                          wrapperJobOrder → wrapperJob
 *   GET    /jobs/{id}?tail_bytes=N        → wrapperJobDetail
 *   GET    /jobs/{id}/output?offset=N     → bytes, from offset, until the job has ended and all was sent
 *   DELETE /jobs/{id}?as=cancelled        (or interrupted) → wrapperJob, once it has ended
 *   POST   /jobs/{id}/stdin?end=1         (or 0) bytes → nothing
 *   POST   /drain                         → wrapperDrained: no job is admitted from now on
 *   DELETE /drain                         → wrapperDrained: they are again
 */
import { z } from "zod";

export const wrapperDrained = z.object({ active_jobs: z.int().nonnegative() });

/** Success is the status; there is nothing to tell. */
export const wrapperStdinTaken = z.unknown();

/** Read before the rest of a renewal's reply: an unsupported protocol may well have another shape. */
export const spokenProtocol = z.looseObject({ protocol: z.int() });
