/** The routes of a wrapper over its jobs; shapes in src/protocol/sandbox/wrapper.ts. */
import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import { jobIdText, limits } from "../../../src/protocol/primitives.ts";
import { type WrapperJobDetail, wrapperJobOrder } from "../../../src/protocol/sandbox/wrapper.ts";
import { type Answer, ok, refuse } from "./answer.ts";
import type { Route, RouteRequest } from "./http-server.ts";
import type { Job } from "../jobs/job.ts";
import { isInsideAsText } from "../jobs/job-directory.ts";
import type { JobTable } from "../jobs/job-table.ts";
import { maxWaitMs, parse, whole } from "./read-request.ts";
import { type RouteDependencies, served } from "./route-dependencies.ts";

/** A job at every limit of the public API, each character as a six-byte escape. */
const orderBodyBytes =
  6 * (limits.commandBytes + limits.stdinBytes + limits.envCount * (limits.envName + limits.envValue)) +
  served.maxBodyBytes;
const stdinBodyBytes = 1_024 * 1_024;
const maxTailBytes = 1_024 * 1_024;
const jobPath = /^\/jobs\/([A-Za-z0-9_-]{1,64})$/;

export function jobRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { jobs } = dependencies;
  const withJob =
    (handle: (job: Job, request: RouteRequest) => Answer | Promise<Answer>) =>
    (request: RouteRequest): Answer | Promise<Answer> => {
      const job = jobs.get(request.parameters[0] ?? "");
      return job === null ? refuse("not_found", "No such job.") : handle(job, request);
    };
  return [
    {
      ...served,
      method: "POST",
      path: /^\/jobs$/,
      maxBodyBytes: orderBodyBytes,
      handle: (request) => startJob(dependencies, request),
    },
    { ...served, method: "GET", path: /^\/jobs$/, handle: () => ok({ jobs: jobs.all().map((job) => job.view()) }) },
    { ...served, method: "GET", path: jobPath, handle: withJob(showJob) },
    { ...served, method: "DELETE", path: jobPath, handle: withJob((job, request) => endJob(jobs, job, request)) },
    { ...served, method: "GET", path: /^\/jobs\/([A-Za-z0-9_-]{1,64})\/output$/, handle: withJob(streamOutput) },
    {
      ...served,
      method: "POST",
      path: /^\/jobs\/([A-Za-z0-9_-]{1,64})\/stdin$/,
      maxBodyBytes: stdinBodyBytes,
      handle: withJob((job, request) => writeStdin(dependencies, job, request)),
    },
  ];
}

async function startJob({ fence, jobs, bootstrap }: RouteDependencies, { body }: RouteRequest): Promise<Answer> {
  const order = parse(wrapperJobOrder, body);
  if (typeof order === "string") return refuse("invalid", order);
  const wrong = wrongOrder(order);
  if (wrong !== null) return refuse("invalid", wrong);
  if (!fence.mayAct()) return refuse("draining", "This instance is ending.");
  if (bootstrap.preparing) return refuse("preparing", "No job is taken before the workspace is prepared.");
  const answer = await jobs.start(order);
  if (answer.type === "refused") return refuse(answer.refusal.code, answer.refusal.message);
  return ok(answer.job.view(), answer.isNew ? 201 : 200);
}

/** What the schema cannot say and the kernel would choke on. */
function wrongOrder(order: z.infer<typeof wrapperJobOrder>): string | null {
  if (!jobIdText.safeParse(order.id).success) return "id: 1 to 64 letters, digits, hyphens or underscores.";
  if ((order.command === undefined) === (order.argv === undefined)) return "Exactly one of command and argv.";
  if ((order.command ?? order.argv?.[0]) === "") return "An empty command.";
  if (order.timeout_ms > 2 ** 31 - 1) return "timeout_ms: at most 24 days.";
  const environment = Object.entries(order.env ?? {});
  if (environment.some(([name]) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || name.startsWith("MOORING_")))
    return "env: a name that may not be used.";
  if (order.cwd !== undefined && !isInsideAsText(order.cwd))
    return "cwd: a path relative to the workspace, without `..`.";
  const texts = [order.command ?? "", ...(order.argv ?? []), order.cwd ?? "", ...environment.map(([, value]) => value)];
  return texts.some((text) => text.includes("\0")) ? "A NUL character." : null;
}

async function showJob(job: Job, { query }: RouteRequest): Promise<Answer> {
  const bytes = whole(query.get("tail_bytes") ?? "0");
  if (bytes === null || bytes > maxTailBytes) return refuse("invalid", `tail_bytes: 0 to ${maxTailBytes}.`);
  const wait = query.get("wait_ms");
  const waitMs = whole(wait ?? "0");
  if (waitMs === null) return refuse("invalid", "wait_ms: a whole number of milliseconds.");
  if (waitMs > 0) await endedWithin(job, Math.min(waitMs, maxWaitMs));
  // The view first: a tail may be newer than it, never older.
  const view = job.view();
  const isWanted = wait === null || view.state !== "running";
  const tail = await job.output.tail(isWanted ? bytes : 0);
  const detail: WrapperJobDetail = {
    ...view,
    tail_base64: tail.bytes.toString("base64"),
    tail_offset: tail.offset,
  };
  return ok(detail);
}

async function endedWithin(job: Job, ms: number): Promise<void> {
  const ended = new AbortController();
  const bound = pause(ms, null, { ref: false, signal: ended.signal }).catch(() => {});
  await Promise.race([job.ended, bound]);
  ended.abort();
}

function streamOutput(job: Job, { query }: RouteRequest): Answer {
  const offset = whole(query.get("offset") ?? "0");
  if (offset === null) return refuse("invalid", "offset: a whole number of bytes.");
  const start = job.output.startOf(offset);
  if (start === null) return refuse("invalid", `offset: the output has ${job.output.totalBytes} bytes.`);
  return { type: "bytes", offset: start, chunks: (signal) => job.output.follow(start, signal) };
}

async function endJob(jobs: JobTable, job: Job, { query }: RouteRequest): Promise<Answer> {
  const verdict = query.get("as");
  if (verdict !== "cancelled" && verdict !== "interrupted") return refuse("invalid", "as: cancelled or interrupted.");
  if (job.running) await jobs.end(job, verdict);
  return ok(job.view());
}

function writeStdin({ fence }: RouteDependencies, job: Job, { body, query }: RouteRequest): Answer {
  if (!fence.mayAct()) return refuse("draining", "This instance is ending.");
  switch (job.write(body, query.get("end") === "1")) {
    case "taken":
      return { type: "empty" };
    case "full":
      return refuse("stdin_full", "The job does not read; nothing of this was taken.");
    case "not_open":
      return refuse("invalid", "The stdin of this job is not open.");
    case "ended":
      return refuse("job_ended", "The job has ended.");
  }
}
