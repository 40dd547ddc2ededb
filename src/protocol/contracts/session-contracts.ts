/** `/v1/sessions` and what is done to one session. */
import { z } from "zod";
import { changeProblems, contract, sessionProblems } from "../contract.ts";
import { usageView } from "../fleet.ts";
import { explainView } from "../explain.ts";
import { logsQuery, logsView, resourcesView } from "../insight.ts";
import { cursor, labelFilter, pageLimit, timeParameter } from "../query.ts";
import {
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
  teardownView,
} from "../sessions.ts";

const tenant = { access: "tenant", tag: "Sessions" } as const;

/** Why a new sandbox may not be started now. */
const launchProblems = [
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
  keepalive: contract({
    ...tenant,
    operation: "keepSessionAlive",
    method: "POST",
    path: "/v1/sessions/:id/keepalive",
    summary: "Restart the idle clock",
    description: "`end_at` does not move.",
    body: "no fields",
    answers: { 200: { means: "The clocks as they stand now.", body: keepaliveReply, headers: ["etag"] } },
    problems: ["session_gone", "session_paused", "sandbox_lost", "session_not_running", ...changeProblems],
  }),
  pause: contract({
    ...tenant,
    operation: "pauseSession",
    method: "POST",
    path: "/v1/sessions/:id/pause",
    summary: "Save its files and give the sandbox back",
    description: "Running jobs end with the sandbox. While it is paused none of its clocks but its retention runs.",
    body: "no fields",
    answers: { 202: { means: "Stored; `status` tells how far it is.", body: sessionView, headers: ["etag"] } },
    problems: [
      "unsupported_by_provider",
      "session_ended",
      "sandbox_lost",
      "session_not_running",
      "conflict",
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
    problems: ["session_ended", "sandbox_lost", "conflict", "snapshot_missing", ...launchProblems, ...changeProblems],
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
      ...launchProblems,
      ...changeProblems,
    ],
  }),
  interrupt: contract({
    ...tenant,
    operation: "interruptSession",
    method: "POST",
    path: "/v1/sessions/:id/interrupt",
    summary: "End the running jobs, keep the queue",
    body: "no fields",
    answers: { 200: { means: "What is being ended, and what stays queued.", body: interruptReply } },
    problems: ["session_gone", ...changeProblems],
  }),
  teardown: contract({
    ...tenant,
    operation: "getTeardown",
    method: "GET",
    path: "/v1/sessions/:id/teardown",
    summary: "How far its end is, and the receipt",
    description: "`verified_absent_at` is set only by two independent looks that found nothing.",
    answers: { 200: { means: "The newest teardown.", body: teardownView } },
    problems: sessionProblems,
  }),
  explain: contract({
    ...tenant,
    operation: "explainSession",
    method: "GET",
    path: "/v1/sessions/:id/explain",
    summary: "Why it is as it is, and what to call",
    description:
      "What keeps it alive, what each clock says and which fires next, what blocks it, and the exact next call: `next_call` can be sent as it is, from `not_before` on. A read: nothing is woken by it.",
    answers: { 200: { means: "As it stands now.", body: explainView } },
    problems: sessionProblems,
  }),
  usage: contract({
    ...tenant,
    operation: "getUsage",
    method: "GET",
    path: "/v1/sessions/:id/usage",
    summary: "Seconds by status and provider",
    answers: { 200: { means: "Figures that add up to the session's age.", body: usageView } },
    problems: sessionProblems,
  }),
  logs: contract({
    ...tenant,
    operation: "getLogs",
    method: "GET",
    path: "/v1/sessions/:id/logs",
    summary: "The sandbox's log and the last words of its jobs",
    description: "A read: nothing is woken by it.",
    query: logsQuery,
    answers: { 200: { means: "What is there, with hints where something looks wrong.", body: logsView } },
    problems: sessionProblems,
  }),
  resources: contract({
    ...tenant,
    operation: "getResources",
    method: "GET",
    path: "/v1/sessions/:id/resources",
    summary: "What the sandbox uses",
    description: "A read: nothing is woken by it. The first one takes a second, because it looks twice.",
    answers: { 200: { means: "The newest sample and a short history, with hints.", body: resourcesView } },
    problems: [
      "session_gone",
      "session_paused",
      "sandbox_lost",
      "session_not_running",
      "sandbox_unreachable",
      ...sessionProblems,
    ],
  }),
} as const;
