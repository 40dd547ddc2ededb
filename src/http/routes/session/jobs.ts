/** Jobs: run, list, look, cancel, stdin. Their output is in output.ts. */
import { anySessionContracts } from "../../../protocol/contracts/operator/any-session-contracts.ts";
import { jobContracts as contracts, stdinQuery } from "../../../protocol/contracts/session/job-contracts.ts";
import { type JobState } from "../../../protocol/resources/session/jobs.ts";
import { jobIdText } from "../../../protocol/primitives.ts";
import { readBytes } from "../../request/body.ts";
import { commandTooLong } from "../../guard/size-limits.ts";
import { preferredWaitMs, readQuery } from "../../request/headers.ts";
import type { Caller } from "../../../session/session-api.ts";
import { refused } from "../../answer/problem.ts";
import { type AdminContext, askSession, json, type Route, type TenantContext } from "../../route.ts";
import { type BodyOf, type Made, type QueryOf, serve, serveBody, serveQuery } from "../../serve.ts";
import { jobRanges } from "../../request/validation.ts";
import { jobNotFound } from "../../../protocol/not-found.ts";

/** null: it cannot be a job's id, so there is none (and nothing odd reaches an object). */
export function jobIdOf(context: TenantContext | AdminContext): string | null {
  const id = jobIdText.safeParse(context.param("job"));
  return id.success ? id.data : null;
}

async function create(context: TenantContext, body: BodyOf<typeof contracts.create>): Promise<Made> {
  const heavy = commandTooLong(body, context.config.sizes);
  if (heavy !== null) return refused(heavy);
  const reply = await askSession(context, "write", (session) => session.createJob(context.caller, body));
  if (!reply.ok) return reply;
  const { job, replayed } = reply.value;
  return json(replayed ? 200 : 201, job, {
    location: `/v1/sessions/${job.session_id}/jobs/${job.id}`,
    ...(replayed ? { "idempotency-replayed": "true" } : {}),
  });
}

/** `caller` null: an operator asks. */
async function list(
  context: TenantContext | AdminContext,
  caller: Caller | null,
  query: QueryOf<typeof contracts.list>,
): Promise<Made> {
  const { limit, cursor } = query;
  const reply = await askSession(context, "read", (session) => session.jobs(caller, cursor ?? null, limit));
  if (!reply.ok) return reply;
  // A full page may be the last one: the next is then empty, which costs one request and skips nothing.
  const last = reply.value.length === limit ? reply.value.at(-1) : undefined;
  return json(200, { data: reply.value, next_cursor: last?.id ?? null });
}

async function get(context: TenantContext | AdminContext, caller: Caller | null): Promise<Made> {
  const job = jobIdOf(context);
  if (job === null) return refused(jobNotFound);
  const waitMs = preferredWaitMs(context.request);
  const reply = await askSession(context, "read", (session) => session.job(caller, job, waitMs));
  if (!reply.ok) return reply;
  return json(200, reply.value, waitMs === 0 ? {} : { "preference-applied": `wait=${waitMs / 1_000}` });
}

async function cancel(context: TenantContext): Promise<Made> {
  const job = jobIdOf(context);
  if (job === null) return refused(jobNotFound);
  const reply = await askSession(context, "write", (session) => session.cancelJob(context.caller, job));
  if (!reply.ok) return reply;
  return json(isEnded(reply.value.state) ? 200 : 202, reply.value);
}

async function stdin(context: TenantContext): Promise<Made> {
  const job = jobIdOf(context);
  if (job === null) return refused(jobNotFound);
  const query = readQuery(context.request, stdinQuery);
  if (!query.ok) return query;
  const bytes = await readBytes(context.request);
  if (!bytes.ok) return bytes;
  const end = query.value.end === "true";
  if (bytes.value.length === 0 && !end) {
    return refused({
      code: "validation_failed",
      detail:
        "The body is empty and `end` is not set, so there was nothing to do. Send the bytes as the body, or `?end=true` to close stdin.",
      errors: [{ pointer: "", detail: "Send bytes to write, or `?end=true` to close it." }],
    });
  }
  const reply = await askSession(context, "write", (session) =>
    session.writeStdin(context.caller, job, bytes.value, end),
  );
  return reply.ok ? new Response(null, { status: 204 }) : reply;
}

const ended: Readonly<Record<JobState, boolean>> = {
  queued: false,
  sent: false,
  running: false,
  succeeded: true,
  failed: true,
  timed_out: true,
  cancelled: true,
  interrupted: true,
  lost: true,
};
export function isEnded(state: JobState): boolean {
  return ended[state];
}

export const jobRoutes: readonly Route[] = [
  serveBody(contracts.create, create, () => jobRanges),
  serveQuery(contracts.list, (context, query) => list(context, context.caller, query)),
  serveQuery(anySessionContracts.jobs, (context, query) => list(context, null, query)),
  serve(contracts.get, (context) => get(context, context.caller)),
  serve(anySessionContracts.job, (context) => get(context, null)),
  serve(contracts.cancel, cancel),
  serve(contracts.stdin, stdin),
];
