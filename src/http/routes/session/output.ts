/** `…/jobs/{job}/output`: server-sent events with resume, or the bare bytes. */
import type { Reply } from "../../../protocol/problem.ts";
import type { JobView } from "../../../protocol/resources/session/jobs.ts";
import type { SessionView } from "../../../protocol/resources/session/sessions.ts";
import { anySessionContracts } from "../../../protocol/contracts/operator/any-session-contracts.ts";
import { jobContracts, outputQuery } from "../../../protocol/contracts/session/job-contracts.ts";
import { wrapperHeaders } from "../../../protocol/sandbox/wrapper.ts";
import { accepts, acceptsOneOf, readQuery, resumePosition } from "../../request/headers.ts";
import { outputEvents, type OutputEnd, type OutputSource } from "../../answer/output-stream.ts";
import type { Caller } from "../../../session/session-api.ts";
import { refused } from "../../answer/problem.ts";
import { type AdminContext, askSession, type Route, type TenantContext } from "../../route.ts";
import { type Made, serve } from "../../serve.ts";
import { sseHeaders, streamHeaders } from "../../answer/sse.ts";
import { isEnded, jobIdOf } from "./jobs.ts";
import { jobNotFound } from "../../../protocol/not-found.ts";

const bytesType = "application/octet-stream";
const bytesHeaders = { "content-type": bytesType, ...streamHeaders } as const;
const eventsType = "text/event-stream";

type ReaderContext = TenantContext | AdminContext;

/** `caller` null: an operator asks. */
async function output(context: ReaderContext, caller: Caller | null): Promise<Made> {
  const job = jobIdOf(context);
  if (job === null) return refused(jobNotFound);
  if (!acceptsOneOf(context.request, [eventsType, bytesType])) {
    return refused({
      code: "not_acceptable",
      detail: `Output is a stream and comes as ${eventsType} or ${bytesType}. Name one of them in Accept; its end is also in \`output_tail\` of the job.`,
    });
  }
  const query = readQuery(context.request, outputQuery);
  if (!query.ok) return query;
  const offset = resumePosition(context.request, query.value.offset);
  if (!offset.ok) return offset;
  const reply = await askSession(context, "read", (session) => session.jobOutput(caller, job, offset.value));
  if (!reply.ok) return reply;
  const headers = { [wrapperHeaders.offset]: String(reply.value.from) };
  const raw = accepts(context.request, bytesType) && !accepts(context.request, eventsType);
  if (raw) return new Response(reply.value.body, { headers: { ...headers, ...bytesHeaders } });
  const events = outputEvents(reply.value, whatFollows(context, caller, job), context.clock, offset.value);
  return new Response(events, { headers: { ...headers, ...sseHeaders } });
}

/** A part of the output has ended at an offset. What follows is read from the records: the stream itself only knows that it ended. */
function whatFollows(
  context: ReaderContext,
  caller: Caller | null,
  id: string,
): (offset: number) => Promise<OutputEnd | OutputSource> {
  let continuedAt: number | null = null;
  return async (offset) => {
    const { end, length } = await describeEnd(context, caller, id);
    // A job that runs on, and one that has more than was read: bytes were dropped there, or the stream broke off.
    const mayHaveMore = end.reason === "disconnected" || (end.reason === "finished" && offset < length);
    if (!mayHaveMore) return end;
    const rest = await askSession(context, "read", (session) => session.jobOutput(caller, id, offset));
    if (!rest.ok) return end;
    const isNew = rest.value.from > offset || (end.reason === "finished" && continuedAt !== offset);
    continuedAt = offset;
    if (isNew) return rest.value;
    await rest.value.body.cancel();
    return end;
  };
}

/** `length`: bytes of output in the record, 0 while the job runs. */
async function describeEnd(
  context: ReaderContext,
  caller: Caller | null,
  id: string,
): Promise<{ readonly end: OutputEnd; readonly length: number }> {
  const job = await askSession(context, "read", (session) => session.job(caller, id, 0));
  return { end: await endOf(context, caller, job), length: job.ok ? job.value.output_bytes : 0 };
}

async function endOf(context: ReaderContext, caller: Caller | null, job: Reply<JobView>): Promise<OutputEnd> {
  if (!job.ok)
    return {
      state: "lost",
      exit_code: null,
      reason: job.problem.code === "not_found" ? "session_ended" : "disconnected",
    };
  const { state, exit_code, generation } = job.value;
  if (isEnded(state) && state !== "lost") return { state, exit_code, reason: "finished" };
  const session = await standing(context, caller);
  if (session === null) return { state, exit_code, reason: "disconnected" };
  const { status, generation: newest } = session;
  if (status === "terminating" || status === "terminated" || status === "failed") {
    return { state, exit_code, reason: "session_ended" };
  }
  const replaced = state === "lost" || (generation !== null && newest !== null && newest > generation);
  return { state, exit_code, reason: replaced ? "sandbox_replaced" : "disconnected" };
}

async function standing(context: ReaderContext, caller: Caller | null): Promise<SessionView | null> {
  if (caller === null) {
    const seen = await askSession(context, "read", (each) => each.inspect());
    return seen.ok ? seen.value.session : null;
  }
  const seen = await askSession(context, "read", (each) => each.get(caller));
  return seen.ok ? seen.value.body : null;
}

export const outputRoutes: readonly Route[] = [
  serve(jobContracts.output, (context) => output(context, context.caller)),
  serve(anySessionContracts.output, (context) => output(context, null)),
];
