/** Jobs: run, list, look, cancel, stdin. Their output is in output.ts. */
import { anySessionContracts } from "../../../protocol/contracts/operator/any-session-contracts.ts";
import {
  jobContracts as contracts,
  jobListQuery,
  stdinQuery,
} from "../../../protocol/contracts/session/job-contracts.ts";
import { createJob, type JobState } from "../../../protocol/resources/session/jobs.ts";
import { jobIdText } from "../../../protocol/primitives.ts";
import { readBytes, readJson, readNoFields } from "../../request/body.ts";
import { commandTooLong } from "../../guard/size-limits.ts";
import { preferredWaitMs, readQuery } from "../../request/headers.ts";
import type { Caller } from "../../../session/session-api.ts";
import { type AdminAsk, askSession, json, problem, type Route, serve, type TenantAsk } from "../../route.ts";
import { jobRanges } from "../../request/validation.ts";
import { jobNotFound } from "../../../protocol/not-found.ts";

/** null: it cannot be a job's id, so there is none (and nothing odd reaches an object). */
export function jobIdOf(from: TenantAsk | AdminAsk): string | null {
  const id = jobIdText.safeParse(from.param("job"));
  return id.success ? id.data : null;
}

async function create(from: TenantAsk): Promise<Response> {
  const body = await readJson(from.request, createJob, { ranges: jobRanges, empty: "refused" });
  if (!body.ok) return problem(from, body.problem);
  const heavy = commandTooLong(body.value, from.config.sizes);
  if (heavy !== null) return problem(from, heavy);
  const reply = await askSession(from, "write", (session) => session.createJob(from.caller, body.value));
  if (!reply.ok) return problem(from, reply.problem);
  const { job, replayed } = reply.value;
  return json(replayed ? 200 : 201, job, {
    location: `/v1/sessions/${job.session_id}/jobs/${job.id}`,
    ...(replayed ? { "idempotency-replayed": "true" } : {}),
  });
}

/** `caller` null: an operator asks. */
async function list(from: TenantAsk | AdminAsk, caller: Caller | null): Promise<Response> {
  const query = readQuery(from.request, jobListQuery);
  if (!query.ok) return problem(from, query.problem);
  const { limit, cursor } = query.value;
  const reply = await askSession(from, "read", (session) => session.jobs(caller, cursor ?? null, limit));
  if (!reply.ok) return problem(from, reply.problem);
  // A full page may be the last one: the next is then empty, which costs one request and skips nothing.
  const last = reply.value.length === limit ? reply.value.at(-1) : undefined;
  return json(200, { data: reply.value, next_cursor: last?.id ?? null });
}

async function get(from: TenantAsk | AdminAsk, caller: Caller | null): Promise<Response> {
  const job = jobIdOf(from);
  if (job === null) return problem(from, jobNotFound);
  const waitMs = preferredWaitMs(from.request);
  const reply = await askSession(from, "read", (session) => session.job(caller, job, waitMs));
  if (!reply.ok) return problem(from, reply.problem);
  return json(200, reply.value, waitMs === 0 ? {} : { "preference-applied": `wait=${waitMs / 1_000}` });
}

async function cancel(from: TenantAsk): Promise<Response> {
  const job = jobIdOf(from);
  if (job === null) return problem(from, jobNotFound);
  const none = await readNoFields(from.request);
  if (!none.ok) return problem(from, none.problem);
  const reply = await askSession(from, "write", (session) => session.cancelJob(from.caller, job));
  if (!reply.ok) return problem(from, reply.problem);
  return json(isEnded(reply.value.state) ? 200 : 202, reply.value);
}

async function stdin(from: TenantAsk): Promise<Response> {
  const job = jobIdOf(from);
  if (job === null) return problem(from, jobNotFound);
  const query = readQuery(from.request, stdinQuery);
  if (!query.ok) return problem(from, query.problem);
  const bytes = await readBytes(from.request);
  if (!bytes.ok) return problem(from, bytes.problem);
  const end = query.value.end === "true";
  if (bytes.value.length === 0 && !end) {
    return problem(from, {
      code: "validation_failed",
      detail:
        "The body is empty and `end` is not set, so there was nothing to do. Send the bytes as the body, or `?end=true` to close stdin.",
      errors: [{ pointer: "", detail: "Send bytes to write, or `?end=true` to close it." }],
    });
  }
  const reply = await askSession(from, "write", (session) => session.writeStdin(from.caller, job, bytes.value, end));
  return reply.ok ? new Response(null, { status: 204 }) : problem(from, reply.problem);
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
  serve(contracts.create, create),
  serve(contracts.list, (from) => list(from, from.caller)),
  serve(anySessionContracts.jobs, (from) => list(from, null)),
  serve(contracts.get, (from) => get(from, from.caller)),
  serve(anySessionContracts.job, (from) => get(from, null)),
  serve(contracts.cancel, cancel),
  serve(contracts.stdin, stdin),
];
