/** What can be read of one session beside the session itself: its teardown, why it is as it is, usage, logs, resources. Reads wake nothing. */
import { contract, liveReadProblems, sessionProblems } from "../../contract.ts";
import { usageView } from "../../resources/operator/fleet.ts";
import { explainView } from "../../resources/session/explain.ts";
import { logsQuery, logsView, resourcesView } from "../../resources/session/insight.ts";
import { teardownView } from "../../resources/session/sessions.ts";

const tenant = { access: "tenant", tag: "Sessions" } as const;

export const sessionReadContracts = {
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
    problems: liveReadProblems,
  }),
} as const;
