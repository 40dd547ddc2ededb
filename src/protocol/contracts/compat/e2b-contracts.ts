/**
 * E2B's control plane as its SDK calls it, under `/sandboxes` and, for newer clients, under `/v2/sandboxes`. Fields,
 * units and errors are E2B's, so every error is listed.
 */
import { z } from "zod";
import { type Answer, contract } from "../../contract.ts";
import {
  e2bConnect,
  e2bError,
  e2bFork,
  e2bForkResult,
  e2bListedSandbox,
  e2bMetric,
  e2bNewSandbox,
  e2bNewSnapshot,
  e2bPause,
  e2bRefresh,
  e2bRules,
  e2bSandbox,
  e2bSandboxDetail,
  e2bSnapshot,
  e2bState,
  e2bTimeout,
} from "../../compat/e2b.ts";
import { plainText } from "../../primitives.ts";
import { timeParameter, wholeNumber } from "../../query.ts";

const meanings = {
  400: "Something in the request is not valid; the message says what.",
  401: "No valid API key.",
  404: "There is no such sandbox, or it is gone.",
  409: "The sandbox is paused (for a resume: it runs).",
  413: "The body is too large.",
  429: "No more sandboxes for this tenant (no `Retry-After`), or too many requests (with one).",
  500: "A mistake of Mooring's own.",
  501: "Not offered here; the message says what is.",
  503: "Not now: the message says why. Nothing was changed, or it says so.",
  504: "Not ready in time; the message says what becomes of it.",
} as const;

const refused = (...statuses: readonly (keyof typeof meanings)[]): Record<number, Answer> =>
  Object.fromEntries(
    statuses.map((status): [number, Answer] => [
      status,
      {
        means: meanings[status],
        body: e2bError,
        headers: status === 401 ? ["www-authenticate"] : status === 429 || status === 503 ? ["retry-after"] : [],
      },
    ]),
  );
const everywhere = [400, 401, 429, 500, 503] as const;

const metadata = z
  .string()
  .max(8_192)
  .describe("`user=abc&app=prod`, keys and values encoded once more by themselves. Every pair must be there.");

/** `running,paused`. A client may as well name the parameter twice. */
const states = z
  .string()
  .transform((text) => text.split(","))
  .pipe(z.array(e2bState))
  .describe("`running`, `paused`, or both with a comma. Left out: both.");

export const e2bListQuery = z.object({
  limit: wholeNumber({ min: 1, max: 100, usual: 100 }),
  nextToken: z.string().max(100).optional().describe("`X-Next-Token` of the page before."),
  state: states.optional(),
  metadata: metadata.optional(),
  startedAfter: timeParameter.optional().describe("At or after."),
  template: plainText(256).optional(),
  order: z.enum(["asc", "desc"]).default("desc").describe("By start; `desc` is newest first."),
});
export const e2bSnapshotListQuery = z.object({
  limit: wholeNumber({ min: 1, max: 100, usual: 100 }),
  name: plainText(256).optional().describe("Its name or id, with or without a team and a tag."),
  nextToken: z.string().max(100).optional().describe("`X-Next-Token` of the page before."),
  sandboxID: plainText(64).optional().describe("Only those taken from this sandbox."),
});
export const e2bListRunningQuery = z.object({ metadata: metadata.optional() });

const epochSeconds = z
  .string()
  .regex(/^\d{1,12}$/, "Whole seconds since 1970.")
  .transform(Number)
  .optional();
export const e2bMetricsQuery = z.object({ start: epochSeconds, end: epochSeconds });

const tenant = { access: "tenant", tag: "E2B", ownErrors: true } as const;

function under<const P extends "/sandboxes" | "/v2/sandboxes">(base: P, version: string) {
  return {
    create: contract({
      ...tenant,
      operation: `e2bCreate${version}`,
      method: "POST",
      path: base,
      summary: "Create a sandbox",
      description:
        "Answers when it runs. Its end is absolute, 300 s from now unless said, and idleness ends nothing. One that is not ready in time is ended.",
      body: { schema: e2bNewSandbox, required: false, lenient: true },
      answers: { 201: { means: "It runs.", body: e2bSandbox }, ...refused(...everywhere, 413, 504) },
    }),
    info: contract({
      ...tenant,
      operation: `e2bInfo${version}`,
      method: "GET",
      path: `${base}/:id`,
      summary: "One sandbox",
      answers: { 200: { means: "As it stands.", body: e2bSandboxDetail }, ...refused(...everywhere, 404) },
    }),
    kill: contract({
      ...tenant,
      operation: `e2bKill${version}`,
      method: "DELETE",
      path: `${base}/:id`,
      summary: "Kill a sandbox",
      answers: { 204: { means: "This request ended it." }, ...refused(...everywhere, 404) },
    }),
    connect: contract({
      ...tenant,
      operation: `e2bConnect${version}`,
      method: "POST",
      path: `${base}/:id/connect`,
      summary: "Use a sandbox, resuming it if it is paused",
      description:
        "Only ever moves its end out. A session that the native API made is resumed only if it is `auto_resume`; else 409.",
      body: { schema: e2bConnect, required: false, lenient: true },
      answers: {
        200: { means: "It ran.", body: e2bSandbox },
        201: { means: "It did not run, and does now.", body: e2bSandbox },
        ...refused(...everywhere, 404, 409, 413, 504),
      },
    }),
    resume: contract({
      ...tenant,
      operation: `e2bResume${version}`,
      method: "POST",
      path: `${base}/:id/resume`,
      summary: "Resume a paused sandbox (older clients)",
      body: { schema: e2bConnect, required: false, lenient: true },
      answers: { 201: { means: "It runs again.", body: e2bSandbox }, ...refused(...everywhere, 404, 409, 413, 504) },
    }),
    pause: contract({
      ...tenant,
      operation: `e2bPause${version}`,
      method: "POST",
      path: `${base}/:id/pause`,
      summary: "Save a sandbox's files and stop it",
      body: { schema: e2bPause, required: false, lenient: true },
      answers: { 204: { means: "It is paused." }, ...refused(...everywhere, 404, 409, 413, 504) },
    }),
    timeout: contract({
      ...tenant,
      operation: `e2bTimeout${version}`,
      method: "POST",
      path: `${base}/:id/timeout`,
      summary: "Set a sandbox's end",
      description: "So many seconds from now; none or fewer end it now.",
      body: { schema: e2bTimeout, required: true, lenient: true },
      answers: { 204: { means: "It is stored." }, ...refused(...everywhere, 404, 409, 413) },
    }),
    refresh: contract({
      ...tenant,
      operation: `e2bRefresh${version}`,
      method: "POST",
      path: `${base}/:id/refreshes`,
      summary: "Move a sandbox's end out (older clients)",
      body: { schema: e2bRefresh, required: false, lenient: true },
      answers: { 204: { means: "It is stored." }, ...refused(...everywhere, 404, 409, 413) },
    }),
    network: contract({
      ...tenant,
      operation: `e2bNetwork${version}`,
      method: "PUT",
      path: `${base}/:id/network`,
      summary: "Change what a sandbox may reach",
      description:
        "In place of all rules before. By host name: all traffic denied, hosts allowed beside that, headers for hosts. A rule about an address is refused.",
      body: { schema: e2bRules, required: false, lenient: true },
      answers: { 204: { means: "It is stored, and the sandbox was told." }, ...refused(...everywhere, 404, 413) },
    }),
    fork: contract({
      ...tenant,
      operation: `e2bFork${version}`,
      method: "POST",
      path: `${base}/:id/fork`,
      summary: "Fork a sandbox",
      description:
        "One snapshot of its files is taken while it goes on, and `count` sandboxes are made from it. Each entry is a sandbox or says why it is none.",
      body: { schema: e2bFork, required: false, lenient: true },
      answers: {
        201: { means: "What became of each.", body: z.array(e2bForkResult) },
        ...refused(...everywhere, 404, 409, 413),
      },
    }),
    snapshot: contract({
      ...tenant,
      operation: `e2bSnapshot${version}`,
      method: "POST",
      path: `${base}/:id/snapshots`,
      summary: "Take a snapshot of a sandbox's files",
      description: "The sandbox goes on. An older snapshot of the same name is deleted.",
      body: { schema: e2bNewSnapshot, required: false, lenient: true },
      answers: { 201: { means: "It is taken.", body: e2bSnapshot }, ...refused(...everywhere, 404, 409, 413, 504) },
    }),
    metrics: contract({
      ...tenant,
      operation: `e2bMetrics${version}`,
      method: "GET",
      path: `${base}/:id/metrics`,
      summary: "What a sandbox uses",
      query: e2bMetricsQuery,
      answers: {
        200: { means: "Oldest first; empty while it does not run.", body: z.array(e2bMetric) },
        ...refused(...everywhere, 404),
      },
    }),
  };
}

export const e2bContracts = [under("/sandboxes", "V1"), under("/v2/sandboxes", "V2")] as const;

export const e2bReadContracts = {
  listRunning: contract({
    ...tenant,
    operation: "e2bListRunning",
    method: "GET",
    path: "/sandboxes",
    summary: "Running sandboxes, newest first (older clients)",
    query: e2bListRunningQuery,
    answers: { 200: { means: "All of them.", body: z.array(e2bListedSandbox) }, ...refused(...everywhere) },
  }),
  list: contract({
    ...tenant,
    operation: "e2bList",
    method: "GET",
    path: "/v2/sandboxes",
    summary: "Sandboxes by state, metadata, template and start",
    query: e2bListQuery,
    answers: {
      200: { means: "A bare array.", body: z.array(e2bListedSandbox), headers: ["x-next-token"] },
      ...refused(...everywhere),
    },
  }),
  health: contract({
    access: "sandbox",
    tag: "E2B",
    ownErrors: true,
    operation: "e2bHealth",
    method: "GET",
    path: "/health",
    summary: "Whether a sandbox runs",
    description:
      "What the SDK's `isRunning()` asks, of `E2B_SANDBOX_URL`. The credential is the `envdAccessToken` that create and connect gave, as `X-Access-Token`; an API key does as well.",
    headers: ["e2b-sandbox-id"],
    answers: {
      204: { means: "It runs." },
      502: {
        means: "It is paused, or gone.",
        body: z.object({ sandboxId: z.string(), message: z.string(), code: z.literal(502) }),
      },
      ...refused(...everywhere),
    },
  }),
} as const;

export const e2bSnapshotContracts = {
  list: contract({
    ...tenant,
    operation: "e2bListSnapshots",
    method: "GET",
    path: "/snapshots",
    summary: "List snapshots",
    query: e2bSnapshotListQuery,
    answers: {
      200: { means: "Newest first.", body: z.array(e2bSnapshot), headers: ["x-next-token"] },
      ...refused(...everywhere),
    },
  }),
  delete: contract({
    ...tenant,
    operation: "e2bDeleteTemplate",
    method: "DELETE",
    path: "/templates/:template",
    summary: "Delete a snapshot",
    parameters: { template: plainText(256) },
    answers: {
      204: { means: "It is deleted, or will be: nobody can use it any more." },
      ...refused(...everywhere, 404),
    },
  }),
} as const;
