/** `…/jobs/{job}/output`: server-sent events with resume, or the bare bytes. */
import { jobContracts, outputQuery } from "../../protocol/contracts/job-contracts.ts";
import { wrapperHeaders } from "../../protocol/wrapper.ts";
import { accepts, acceptsOneOf, readQuery, resumePosition } from "../headers.ts";
import { outputEvents, type OutputEnd } from "../output-stream.ts";
import { jobNotFound } from "../problem.ts";
import { askSession, problem, type Route, serve, type TenantAsk } from "../route.ts";
import { sseHeaders } from "../sse.ts";
import { isEnded, jobIdOf } from "./jobs.ts";

const bytesType = "application/octet-stream";
const eventsType = "text/event-stream";

async function output(from: TenantAsk): Promise<Response> {
  const job = jobIdOf(from);
  if (job === null) return problem(from, jobNotFound);
  if (!acceptsOneOf(from.request, [eventsType, bytesType])) {
    return problem(from, {
      code: "not_acceptable",
      detail: `Output is a stream and comes as ${eventsType} or ${bytesType}. Name one of them in Accept; its end is also in \`output_tail\` of the job.`,
    });
  }
  const query = readQuery(from.request, outputQuery);
  if (!query.ok) return problem(from, query.problem);
  const offset = resumePosition(from.request, query.value.offset);
  if (!offset.ok) return problem(from, offset.problem);
  const reply = await askSession(from, "read", (session) => session.jobOutput(from.caller, job, offset.value));
  if (!reply.ok) return problem(from, reply.problem);
  const headers = { [wrapperHeaders.offset]: String(reply.value.from) };
  const raw = accepts(from.request, bytesType) && !accepts(from.request, eventsType);
  if (raw) return new Response(reply.value.body, { headers: { ...headers, "content-type": bytesType } });
  const events = outputEvents(reply.value, () => describeEnd(from, job), from.clock);
  return new Response(events, { headers: { ...headers, ...sseHeaders } });
}

/** Why the stream ended, read from the records afterwards: the stream itself only knows that it did. */
async function describeEnd(from: TenantAsk, id: string): Promise<OutputEnd> {
  const job = await askSession(from, "read", (session) => session.job(from.caller, id, 0));
  if (!job.ok)
    return {
      state: "lost",
      exit_code: null,
      reason: job.problem.code === "not_found" ? "session_ended" : "disconnected",
    };
  const { state, exit_code, generation } = job.value;
  if (isEnded(state) && state !== "lost") return { state, exit_code, reason: "finished" };
  const session = await askSession(from, "read", (each) => each.get(from.caller));
  if (!session.ok) return { state, exit_code, reason: "disconnected" };
  const { status, generation: newest } = session.value.body;
  if (status === "terminating" || status === "terminated" || status === "failed") {
    return { state, exit_code, reason: "session_ended" };
  }
  const replaced = state === "lost" || (generation !== null && newest !== null && newest > generation);
  return { state, exit_code, reason: replaced ? "sandbox_replaced" : "disconnected" };
}

export const outputRoutes: readonly Route[] = [serve(jobContracts.output, output)];
