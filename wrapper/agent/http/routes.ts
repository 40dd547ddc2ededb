/** The routes of a wrapper over its lease and its jobs; shapes in src/protocol/sandbox/wrapper.ts. */
import { statfs } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import { jobIdText, limits } from "../../../src/protocol/primitives.ts";
import {
  renewalRequest,
  wrapperJobOrder,
  type RenewalReply,
  type WrapperBoot,
  type WrapperHealth,
  type WrapperJobDetail,
} from "../../../src/protocol/sandbox/wrapper.ts";
import { bootstrapRequest } from "../../../src/protocol/sandbox/workspace.ts";
import { wrapperFreeze } from "../../../src/protocol/sandbox/wrapper-calls.ts";
import { ok, refuse, type Answer } from "./answer.ts";
import type { Bootstrap } from "../bootstrap/bootstrap.ts";
import type { Fence } from "../fence.ts";
import type { Freezer } from "../freezer.ts";
import type { Route, RouteRequest } from "./http-server.ts";
import type { Job } from "../jobs/job.ts";
import { isInsideAsText } from "../jobs/job-directory.ts";
import type { JobTable } from "../jobs/job-table.ts";
import type { SteadyClock } from "../steady-clock.ts";
import type { Traffic } from "../traffic/traffic.ts";
import { version } from "../version.ts";

export interface RouteDependencies {
  readonly boot: WrapperBoot;
  readonly clock: SteadyClock;
  readonly fence: Fence;
  readonly jobs: JobTable;
  readonly bootstrap: Bootstrap;
  readonly traffic: Traffic;
  readonly freezer: Freezer;
  readonly startedAt: number;
  /** What could not be proven of its jobs; null: nobody looked. */
  readonly unproven: readonly string[] | null;
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
    { ...served, method: "POST", path: /^\/drain$/, handle: () => drain(dependencies, true) },
    { ...served, method: "DELETE", path: /^\/drain$/, handle: () => drain(dependencies, false) },
    { ...served, method: "POST", path: /^\/cut$/, handle: () => cut(dependencies) },
    { ...served, method: "POST", path: /^\/freeze$/, handle: (request) => freeze(dependencies, request) },
    { ...served, method: "DELETE", path: /^\/freeze$/, handle: (request) => thaw(dependencies, request) },
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
  { boot, fence, jobs, bootstrap, traffic, unproven }: RouteDependencies,
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
    active_jobs: jobs.running + traffic.working,
    idle_ms: bootstrap.busy ? 0 : Math.min(jobs.idleMs, traffic.idleMs),
    disk: await disk(boot.workspace_dir),
    jobs: jobs.all().map((job) => job.view()),
    ...(unproven === null ? {} : { jobs_unproven: [...unproven] }),
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

/** An instance that is ending has lost its right to act before it comes here, so a drain cannot be taken back then. */
async function drain({ boot, clock, jobs, traffic, freezer }: RouteDependencies, draining: boolean): Promise<Answer> {
  // What stands still for a snapshot neither comes to its end nor hears a signal, so it goes on first.
  if (draining && !(await freezer.drain()))
    return refuse("internal", "Not everything that stood still for a snapshot goes on yet. Ask again.");
  if (!draining) freezer.admit();
  // Nothing drains then: the snapshot's own end lets everything go on.
  if (!draining && freezer.holds) return ok({ active_jobs: jobs.running });
  jobs.draining = draining;
  // While a job runs its files change anyway. Once none does, nothing may change what is about to be saved. A process has no record to
  // be read later, and a terminal never ends by itself, so nobody waits for them as for jobs.
  if (!draining) traffic.release();
  else if (jobs.running === 0) await traffic.hold(clock.now() + boot.job_grace_ms);
  // What a job kept has no end to wait for either. It is only stopped: should the save fail, the session runs on with it.
  if (!draining || jobs.running === 0) await jobs.holdKept(draining);
  return ok({ active_jobs: jobs.running });
}

/** The order that precedes a stop. What runs for clients is ended, but not waited for. */
function cut({ boot, clock, traffic }: RouteDependencies): Answer {
  void traffic.hold(clock.now() + boot.job_grace_ms);
  return { type: "empty" };
}

/** For a snapshot of a sandbox that goes on running. */
async function freeze({ fence, freezer }: RouteDependencies, { body }: RouteRequest): Promise<Answer> {
  if (!fence.mayAct()) return refuse("draining", "This instance is ending.");
  const request = parse(wrapperFreeze, body);
  if (typeof request === "string") return refuse("invalid", request);
  const outcome = await freezer.freeze(request.snapshot_id ?? null, request.for_ms);
  if (outcome === "draining") return refuse("draining", "A drain is under way: jobs come to their end.");
  if (outcome === "moving") return refuse("internal", "Not every process could be stopped, so all of them go on.");
  return ok({ frozen: true });
}

async function thaw({ freezer }: RouteDependencies, { query }: RouteRequest): Promise<Answer> {
  const goesOn = await freezer.thaw(query.get("snapshot"));
  return goesOn ? ok({ frozen: false }) : refuse("internal", "Not every process goes on yet. It is tried again.");
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
