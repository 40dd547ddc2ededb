/** `/v1/sessions` and what is done to one session. What can be read of it beside itself is in session-read-contracts.ts. */
import { z } from "zod";
import { changeProblems, contract, sessionProblems } from "../../contract.ts";
import { plainText } from "../../primitives.ts";
import { cursor, labelFilter, pageLimit, timeParameter } from "../../query.ts";
import {
  blockedCodes,
  budgetBody,
  createSession,
  interruptReply,
  keepaliveReply,
  rebuildBody,
  refreshBody,
  resumeBody,
  sessionPage,
  sessionStatuses,
  sessionView,
  setTimeoutBody,
  updateBody,
} from "../../resources/session/sessions.ts";

const tenant = { access: "tenant", tag: "Sessions" } as const;

/** Why a new sandbox may not be started now. */
export const launchProblems = [
  "quota_exhausted",
  "capacity_unavailable",
  "spawn_breaker_open",
  "draining",
  "insufficient_space",
  "space_unmeasurable",
  "filesystem_unusable",
] as const;
const clockProblems = ["session_ended", "session_paused", "sandbox_lost", "session_not_running", "conflict"] as const;

export const sessionListQuery = z.strictObject({
  limit: pageLimit,
  cursor: cursor.optional(),
  status: z.enum(sessionStatuses).optional(),
  template: plainText(64).optional(),
  blocked: z.enum(blockedCodes).optional(),
  created_after: timeParameter.optional(),
  label: labelFilter,
});

export const sessionContracts = {
  create: contract({
    ...tenant,
    operation: "createSession",
    method: "POST",
    path: "/v1/sessions",
    summary: "Create a session",
    description:
      "Stores the session and starts its sandbox. Send an `Idempotency-Key`: when the answer is lost, the same request again finds the same session and starts nothing twice. With `Prefer: wait=10` the answer comes when the session runs.",
    headers: ["idempotency-key", "prefer"],
    body: {
      schema: createSession,
      required: false,
      example: { timeout_seconds: 3_600, idle_timeout_seconds: 300, labels: { team: "web" } },
    },
    answers: {
      201: {
        means: "It runs, or has failed and says why.",
        body: sessionView,
        headers: ["location", "etag", "idempotency-replayed", "preference-applied"],
      },
      202: {
        means: "It is stored and its sandbox is being started.",
        body: sessionView,
        headers: ["location", "etag", "idempotency-replayed", "preference-applied"],
      },
    },
    problems: [
      "forbidden",
      "idempotency_mismatch",
      "idempotency_in_flight",
      "unsupported_by_provider",
      "snapshot_missing",
      "snapshot_damaged",
      ...launchProblems,
      ...changeProblems,
    ],
  }),
  list: contract({
    ...tenant,
    operation: "listSessions",
    method: "GET",
    path: "/v1/sessions",
    summary: "List your sessions",
    description: "Newest first, from an index that follows within moments: each row says in `as_of` how old it is.",
    query: sessionListQuery,
    answers: { 200: { means: "One page.", body: sessionPage } },
  }),
  get: contract({
    ...tenant,
    operation: "getSession",
    method: "GET",
    path: "/v1/sessions/:id",
    summary: "Read a session",
    headers: ["if-none-match"],
    answers: {
      200: { means: "The session as it stands.", body: sessionView, headers: ["etag"] },
      304: { means: "Nothing changed since the ETag that was sent.", headers: ["etag"] },
    },
    problems: sessionProblems,
  }),
  delete: contract({
    ...tenant,
    operation: "deleteSession",
    method: "DELETE",
    path: "/v1/sessions/:id",
    summary: "End a session",
    description:
      "Accepted in every state and safe to repeat. The end is stored before anything is stopped; `teardown` tells how far it is.",
    body: "no fields",
    answers: {
      200: { means: "It had ended already and is proven gone.", body: sessionView },
      202: { means: "It is being torn down.", body: sessionView },
    },
    problems: changeProblems,
  }),
  update: contract({
    ...tenant,
    operation: "updateSession",
    method: "PATCH",
    path: "/v1/sessions/:id",
    summary: "Change what the sandbox may reach",
    description:
      "The rules in the body replace those before, injected secrets included. They are stored first and hold for every later sandbox of the session; one that runs follows at once, and `network.state` tells whether it has confirmed. Connections other than HTTP and HTTPS that a sandbox was started with are closed, or opened, at its next start (`partial`).",
    body: {
      schema: updateBody,
      required: true,
      example: { network: { mode: "allow", allow: ["api.github.com", "*.pypi.org"] } },
    },
    answers: { 200: { means: "As it is stored now.", body: sessionView, headers: ["etag"] } },
    problems: ["session_ended", "unsupported_by_provider", "secret_missing", "conflict", ...changeProblems],
  }),
  timeout: contract({
    ...tenant,
    operation: "setSessionTimeout",
    method: "POST",
    path: "/v1/sessions/:id/timeout",
    summary: "Set when it ends, counted from now",
    description: "`end_at` becomes now + `timeout_seconds`, earlier or later than before. Restarts the idle clock.",
    body: { schema: setTimeoutBody, required: true, example: { timeout_seconds: 1_800 } },
    answers: { 200: { means: "As it is stored now.", body: sessionView, headers: ["etag"] } },
    problems: [...clockProblems, ...changeProblems],
  }),
  refresh: contract({
    ...tenant,
    operation: "refreshSession",
    method: "POST",
    path: "/v1/sessions/:id/refresh",
    summary: "Extend it",
    description:
      "`end_at` becomes now + `duration_seconds` unless it is later already: never shortens. Restarts the idle clock.",
    body: { schema: refreshBody, required: true, example: { duration_seconds: 1_800 } },
    answers: { 200: { means: "As it is stored now.", body: sessionView, headers: ["etag"] } },
    problems: [...clockProblems, ...changeProblems],
  }),
  budget: contract({
    ...tenant,
    operation: "setSessionBudget",
    method: "POST",
    path: "/v1/sessions/:id/budget",
    summary: "Set what it may cost",
    description:
      "`max_cost` counts from the beginning of the session, not from now. A session that was paused because its budget was used up can be resumed after it.",
    body: { schema: budgetBody, required: true, example: { max_cost: 2.5 } },
    answers: { 200: { means: "As it is stored now.", body: sessionView, headers: ["etag"] } },
    problems: ["session_ended", ...changeProblems],
  }),
  keepalive: contract({
    ...tenant,
    operation: "keepSessionAlive",
    right: "run",
    method: "POST",
    path: "/v1/sessions/:id/keepalive",
    summary: "Restart the idle clock",
    description: "`end_at` does not move.",
    body: "no fields",
    answers: { 200: { means: "The clocks as they stand now.", body: keepaliveReply } },
    problems: ["session_gone", "session_paused", "sandbox_lost", "session_not_running", ...changeProblems],
  }),
  pause: contract({
    ...tenant,
    operation: "pauseSession",
    method: "POST",
    path: "/v1/sessions/:id/pause",
    summary: "Save its files and give the sandbox back",
    description:
      "Running jobs end with the sandbox. While it is paused none of its clocks but its retention runs. `quota_exhausted`: the tenant has as many paused sessions, or as much saved, as it may have; the session runs on.",
    body: "no fields",
    answers: { 202: { means: "Stored; `status` tells how far it is.", body: sessionView, headers: ["etag"] } },
    problems: [
      "unsupported_by_provider",
      "session_ended",
      "sandbox_lost",
      "session_not_running",
      "conflict",
      "quota_exhausted",
      ...changeProblems,
    ],
  }),
  resume: contract({
    ...tenant,
    operation: "resumeSession",
    method: "POST",
    path: "/v1/sessions/:id/resume",
    summary: "Go on where a paused session was",
    description: "Restores its files into a new sandbox and sets `end_at` anew.",
    headers: ["prefer"],
    body: { schema: resumeBody, required: false, example: {} },
    answers: {
      202: {
        means: "Stored; `status` tells how far it is.",
        body: sessionView,
        headers: ["etag", "preference-applied"],
      },
    },
    problems: [
      "session_ended",
      "sandbox_lost",
      "conflict",
      "snapshot_missing",
      "snapshot_damaged",
      ...launchProblems,
      ...changeProblems,
    ],
  }),
  rebuild: contract({
    ...tenant,
    operation: "rebuildSession",
    method: "POST",
    path: "/v1/sessions/:id/rebuild",
    summary: "Replace its sandbox",
    description:
      "A running one is saved first and its files restored after; a lost one begins with what is saved, or empty. One that is not proven gone answers 409 with `retry_at`.",
    headers: ["prefer"],
    body: { schema: rebuildBody, required: true, example: { confirm: true } },
    answers: {
      202: {
        means: "Stored; `status` tells how far it is.",
        body: sessionView,
        headers: ["etag", "preference-applied"],
      },
    },
    problems: [
      "unsupported_by_provider",
      "session_ended",
      "session_paused",
      "session_not_running",
      "lease_not_expired",
      "conflict",
      "snapshot_missing",
      "snapshot_damaged",
      ...launchProblems,
      ...changeProblems,
    ],
  }),
  interrupt: contract({
    ...tenant,
    operation: "interruptSession",
    right: "run",
    method: "POST",
    path: "/v1/sessions/:id/interrupt",
    summary: "End the running jobs, keep the queue",
    body: "no fields",
    answers: { 200: { means: "What is being ended, and what stays queued.", body: interruptReply } },
    problems: ["session_gone", ...changeProblems],
  }),
} as const;
