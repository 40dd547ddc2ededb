/** The routes of a wrapper: its lease, its workspace, drains and snapshots; those over its jobs are in job-routes.ts. The shapes are in src/protocol/sandbox/wrapper.ts. */
import { statfs } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { limits } from "../../../src/protocol/primitives.ts";
import { type RenewalReply, renewalRequest, type WrapperHealth } from "../../../src/protocol/sandbox/wrapper.ts";
import { bootstrapRequest } from "../../../src/protocol/sandbox/workspace.ts";
import { wrapperFreeze } from "../../../src/protocol/sandbox/wrapper-calls.ts";
import { type Answer, ok, refuse } from "./answer.ts";
import type { Route, RouteRequest } from "./http-server.ts";
import { version } from "../version.ts";
import { maxWaitMs, parse } from "./read-request.ts";
import { type RouteDependencies, served } from "./route-dependencies.ts";
import { jobRoutes } from "./job-routes.ts";

/** All that a create may carry, each character as a six-byte escape. */
const bootstrapBodyBytes = 6 * limits.bodyBytes + served.maxBodyBytes;
/** A file system that hangs must not hang the lease. */
const statfsMs = 1_000;

export function routes(dependencies: RouteDependencies): readonly Route[] {
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
    ...jobRoutes(dependencies),
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
