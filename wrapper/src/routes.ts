/** The routes of a wrapper over its lease and its jobs; shapes in src/protocol/wrapper.ts. */
import { statfs } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import { jobIdText, limits } from "../../src/protocol/primitives.ts";
import {
  renewalRequest,
  wrapperJobOrder,
  type RenewalReply,
  type WrapperBoot,
  type WrapperHealth,
  type WrapperJobDetail,
} from "../../src/protocol/wrapper.ts";
import { bootstrapRequest } from "../../src/protocol/workspace.ts";
import { ok, refuse, type Answer } from "./answer.ts";
import type { Bootstrap } from "./bootstrap.ts";
import type { Fence } from "./fence.ts";
import type { Route, RouteRequest } from "./http-server.ts";
import type { Job } from "./job.ts";
import type { JobTable } from "./job-table.ts";
import type { SteadyClock } from "./steady-clock.ts";
import { version } from "./version.ts";

export interface RouteDependencies {
  readonly boot: WrapperBoot;
  readonly clock: SteadyClock;
  readonly fence: Fence;
  readonly jobs: JobTable;
  readonly bootstrap: Bootstrap;
  readonly startedAt: number;
}

const smallBodyBytes = 4_096;
/** A job at every limit of the public API, each character as a six-byte escape. */
const orderBodyBytes =
  6 * (limits.commandBytes + limits.stdinBytes + limits.envCount * (limits.envName + limits.envValue)) + smallBodyBytes;
/** All that a create may carry, each character as a six-byte escape. */
const bootstrapBodyBytes = 6 * limits.bodyBytes + smallBodyBytes;
/** A request is answered in the time that an idle connection has. */
const maxWaitMs = 30_000;
const stdinBodyBytes = 1_024 * 1_024;
const maxTailBytes = 1_024 * 1_024;
/** A file system that hangs must not hang the lease. */
const statfsMs = 1_000;
const jobPath = /^\/jobs\/([A-Za-z0-9_-]{1,64})$/;

export function routes(dependencies: RouteDependencies): readonly Route[] {
  const { jobs } = dependencies;
  const withJob =
    (handle: (job: Job, request: RouteRequest) => Answer | Promise<Answer>) =>
    (request: RouteRequest): Answer | Promise<Answer> => {
      const job = jobs.get(request.parameters[0] ?? "");
      return job === null ? refuse("not_found", "No such job.") : handle(job, request);
    };
  const served = { maxBodyBytes: smallBodyBytes, beforeRenewal: false };
  return [
    {
      ...served,
      method: "GET",
      path: /^\/health$/,
      beforeRenewal: true,
      handle: ({ protocol }) => ok(health(dependencies, protocol)),
    },
    {
      ...served,
      method: "POST",
      path: /^\/lease$/,
      beforeRenewal: true,
      handle: (request) => renew(dependencies, request),
    },
    {
      ...served,
      method: "POST",
      path: /^\/bootstrap$/,
      maxBodyBytes: bootstrapBodyBytes,
      handle: (request) => prepare(dependencies, request),
    },
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
    { ...served, method: "POST", path: /^\/drain$/, handle: () => drain(jobs, true) },
    { ...served, method: "DELETE", path: /^\/drain$/, handle: () => drain(jobs, false) },
  ];
}

function health({ boot, clock, jobs, bootstrap, startedAt }: RouteDependencies, protocol: number): WrapperHealth {
  return {
    session_id: boot.session_id,
    instance_id: boot.instance_id,
    generation: boot.generation,
    version,
    protocol,
    pid: process.pid,
    uptime_ms: Math.round(clock.now() - startedAt),
    active_jobs: jobs.running,
    draining: jobs.draining,
    preparing: bootstrap.preparing,
  };
}

async function renew(
  { boot, fence, jobs, bootstrap }: RouteDependencies,
  { body, protocol }: RouteRequest,
): Promise<Answer> {
  const request = parse(renewalRequest, body);
  if (typeof request === "string") return refuse("invalid", request);
  const renewal = fence.renew(request);
  if (renewal.type === "stale")
    return refuse("stale_renewal", "A renewal at or above this sequence was accepted before.");
  if (renewal.type === "ending") return refuse("draining", "This instance is ending.");
  const reply: RenewalReply = {
    protocol,
    instance_id: boot.instance_id,
    generation: boot.generation,
    version,
    expires_in_ms: renewal.expiresInMs,
    active_jobs: jobs.running,
    idle_ms: bootstrap.busy ? 0 : jobs.idleMs,
    disk: await disk(boot.workspace_dir),
    jobs: jobs.all().map((job) => job.view()),
  };
  return ok(reply);
}

async function disk(path: string): Promise<RenewalReply["disk"]> {
  const measured = statfs(path).then(
    ({ blocks, bavail, bsize }) => ({ total_bytes: blocks * bsize, free_bytes: bavail * bsize }),
    () => null,
  );
  return Promise.race([measured, pause(statfsMs, null, { ref: false })]);
}

async function prepare({ fence, bootstrap }: RouteDependencies, { body }: RouteRequest): Promise<Answer> {
  const request = parse(bootstrapRequest, body);
  if (typeof request === "string") return refuse("invalid", request);
  if (!fence.mayAct()) return refuse("draining", "This instance is ending.");
  if (!bootstrap.start(request.order)) return refuse("job_mismatch", "Another workspace was ordered before.");
  return ok(await bootstrap.progress(request.seen, Math.min(request.wait_ms, maxWaitMs)));
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
  const texts = [order.command ?? "", ...(order.argv ?? []), order.cwd ?? "", ...environment.map(([, value]) => value)];
  return texts.some((text) => text.includes("\0")) ? "A NUL character." : null;
}

async function showJob(job: Job, { query }: RouteRequest): Promise<Answer> {
  const bytes = whole(query.get("tail_bytes") ?? "0");
  if (bytes === null || bytes > maxTailBytes) return refuse("invalid", `tail_bytes: 0 to ${maxTailBytes}.`);
  // The view first: a tail may be newer than it, never older.
  const view = job.view();
  const kept = job.output.keptBytes;
  const tail = (await job.output.tail(bytes)).toString("base64");
  const detail: WrapperJobDetail = { ...view, tail_base64: tail, tail_offset: Math.max(0, kept - bytes) };
  return ok(detail);
}

function streamOutput(job: Job, { query }: RouteRequest): Answer {
  const offset = whole(query.get("offset") ?? "0");
  if (offset === null) return refuse("invalid", "offset: a whole number of bytes.");
  if (offset > job.output.keptBytes) return refuse("invalid", `offset: only ${job.output.keptBytes} bytes are kept.`);
  return { type: "bytes", offset, chunks: (signal) => job.output.follow(offset, signal) };
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

/** An instance that is ending has lost its right to act before it comes here, so a drain cannot be taken back then. */
function drain(jobs: JobTable, draining: boolean): Answer {
  jobs.draining = draining;
  return ok({ active_jobs: jobs.running });
}

/** A string says what is wrong. */
function parse<T>(schema: z.ZodType<T>, body: Buffer): T | string {
  let json: unknown;
  try {
    json = JSON.parse(body.toString("utf8"));
  } catch {
    return "The body is not JSON.";
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  return parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
}

function whole(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}
