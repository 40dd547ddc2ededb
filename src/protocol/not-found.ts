/**
 * One text for each kind of thing that is not there, whoever finds it missing: the front by a malformed id, the object by its
 * rows. Unknown, erased and another tenant's are answered alike: which of them it was is nobody's business.
 */
import { nextCalls, say } from "../domain/state/next-calls.ts";
import type { Problem } from "./problem.ts";

const missing = (detail: string): Problem => ({ code: "not_found", detail });

export const sessionNotFound = missing(
  `There is no session with this id, or it ended long ago and was erased. Check the id; ${say(nextCalls.list)} lists your sessions.`,
);

export const jobNotFound = missing(
  `There is no job with this id in this session. ${say(nextCalls.jobs)} lists its jobs.`,
);

export const webhookNotFound = missing(
  "There is no webhook with this id. Check the id; GET /v1/webhooks lists your webhooks.",
);
