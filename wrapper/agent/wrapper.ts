/**
 * Puts a wrapper together: boot, fence, jobs, server; and ends it. There is one way out, `end`, whatever the cause.
 *
 * It does nothing before its first accepted renewal, nothing past its deadline, and nothing once its guardian is gone.
 */
import type { Server } from "node:http";
import { join } from "node:path";
import { wrapperBoot, type WrapperBoot } from "../../src/protocol/sandbox/wrapper.ts";
import { Bootstrap } from "./bootstrap/bootstrap.ts";
import { boundedLog, logFile, type Log } from "./bounded-log.ts";
import { endClaimed } from "../proc/claimed-processes.ts";
import { exitCodes } from "./exit-codes.ts";
import { Fence, type EndCause } from "./fence.ts";
import { Freezer } from "./freezer.ts";
import { openGuardianLink, type TellGuardian } from "./guardian/guardian-link.ts";
import { serve } from "./http/http-server.ts";
import { JobTable } from "./jobs/job-table.ts";
import { outputLimits, OutputStore } from "./jobs/output-store.ts";
import { type JobProof, proveJobs } from "./jobs/job-proof.ts";
import { canKeepJobsApart } from "./user/job-user.ts";
import { routes } from "./http/routes.ts";
import { sharedLook } from "../proc/shared-look.ts";
import { steadyClock, type SteadyClock } from "./steady-clock.ts";
import { TrafficActivity } from "./traffic/activity.ts";
import { OwnListeners } from "./traffic/own-listeners.ts";
import { portProxy } from "./traffic/port-proxy.ts";
import { ServiceProcess } from "./traffic/service-process.ts";
import { serviceProxies } from "./traffic/service-proxy.ts";
import { Traffic } from "./traffic/traffic.ts";

/** What ending costs beyond the job grace: KILL rounds and looks at /proc. */
const endSlackMs = 500;

export async function runWrapper(): Promise<void> {
  const clock = steadyClock();
  const startedAt = clock.now();
  const { boot, guardianGone } = await readBoot();
  if (boot === null) process.exit(exitCodes.badBoot);
  await serveInstance({ boot, clock, startedAt, tell: openGuardianLink(), guardianGone, alone: false });
}

export interface InstanceOrder {
  readonly boot: WrapperBoot;
  readonly clock: SteadyClock;
  /** On that clock: a wrapper lives one TTL from then without a renewal. */
  readonly startedAt: number;
  readonly tell: TellGuardian;
  /** Resolves when nobody watches this process any more. */
  readonly guardianGone: Promise<void>;
  /** It has its container for itself. */
  readonly alone: boolean;
  /** Why its jobs have no user of their own although they should; absent: they have, or nobody asked for it. */
  readonly sharesUser?: string;
}

export async function serveInstance(order: InstanceOrder): Promise<void> {
  const { boot, clock, startedAt, tell, guardianGone, alone } = order;
  const guardian = process.ppid;
  if (Date.now() > boot.launch_not_after) process.exit(exitCodes.late);
  if (boot.job_user !== undefined && !canKeepJobsApart()) {
    process.stderr.write("mooring wrapper: jobs cannot be kept apart: not root, or able to gain rights\n");
    process.exit(exitCodes.badBoot);
  }

  const log = boundedLog(boot.state_dir, "wrapper");
  process.on("uncaughtException", (error) => {
    log("crashed", { error: String(error.stack ?? error) });
    process.exit(exitCodes.crashed);
  });
  let server: Server | null = null;
  let traffic: Traffic | null = null;
  let freezer: Freezer | null = null;
  let ending = false;

  const end = (cause: EndCause): void => {
    const now = clock.now();
    // Overdue: the machine or this process was frozen. The grace was over before we woke.
    const by = cause === "lease_expired" ? Math.min(now, fence.deadline) + boot.job_grace_ms : now + boot.job_grace_ms;
    tell({ type: "ending", by: by + endSlackMs });
    // Before the first signal: a client must not read the end of a killed server as the end of its answer.
    traffic?.cut(by);
    // A frozen process does not get SIGTERM.
    void freezer?.thaw(null);
    jobs.endAll(by);
    bootstrap.end(by);
    // After a loss of the right to act, nobody may be told anything any more; a stop that was asked for lets its caller look on.
    if (cause !== "stop_requested") {
      server?.close();
      server?.closeAllConnections();
    }
    if (ending) return;
    ending = true;
    log("ending", { cause, running: jobs.running });
    void Promise.all([jobs.allEnded(), bootstrap.ended(), traffic?.settled()]).then(async () => {
      if (boot.job_user !== undefined) await endAllOf(boot.job_user.uid, clock, by);
      log("ended", { cause });
      // A guardian that was frozen must wake to see that it is alone.
      if (process.ppid === guardian) process.kill(guardian, "SIGCONT");
      process.exit(exitCodes.ended);
    });
  };

  const fence = new Fence({ clock, startedAt, ttlMs: boot.lease_ttl_ms, tell, end });
  // One for both: they share the sandbox's disk.
  const outputs = new OutputStore(outputLimits(boot.max_output_bytes));
  const proof = proofOf(order, log);
  const apart = proof?.prefix ?? null;
  const jobs = new JobTable({ boot, clock, fence, tell, log, outputs, apart });
  const bootstrap = new Bootstrap({ boot, clock, fence, tell, log, outputs, apart });
  void guardianGone.then(() => fence.lose("guardian_gone"));
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => fence.lose("stop_requested"));

  const activity = new TrafficActivity(clock);
  const serviceProcess = new ServiceProcess({ boot, clock, fence, tell, log, apart });
  const services = [
    portProxy(new OwnListeners({ boot, alone, look: sharedLook() }), activity),
    ...serviceProxies(serviceProcess, activity),
  ];
  traffic = await Traffic.of({ boot, fence, activity, services, preparing: () => bootstrap.preparing, log });
  freezer = new Freezer({ jobs, services: serviceProcess, traffic, mayAct: () => fence.mayAct() });
  server = await serve({
    boot,
    fence,
    routes: routes({
      boot,
      clock,
      fence,
      jobs,
      bootstrap,
      traffic,
      freezer,
      startedAt,
      unproven: proof?.unproven ?? null,
    }),
    traffic,
    log,
    port: Number(process.env.MOORING_PORT ?? 0),
    address: process.env.MOORING_BIND ?? "127.0.0.1",
  });
  const address = server.address();
  if (address === null || typeof address === "string")
    throw new Error(`the wrapper listens on ${String(address)}, which is no TCP port: nobody can reach it`);
  log("listening", { port: address.port, ready_after_ms: Math.round(clock.now() - startedAt) });
  tell({ type: "ready", port: address.port });
}

/** null: nobody promised anything about its jobs. */
function proofOf({ boot, alone, sharesUser }: InstanceOrder, log: Log): JobProof | null {
  const { job_user: user, state_dir: state } = boot;
  const proof =
    sharesUser !== undefined
      ? { prefix: null, unproven: [`Jobs have no user of their own: ${sharesUser}.`] }
      : user === undefined
        ? null
        : proveJobs({ user, secretFile: join(state, logFile), alone });
  if (proof !== null && proof.unproven.length > 0) log("not proven of jobs", { what: proof.unproven.join(" ") });
  return proof;
}

/** What hid from its own job. Our guardian would do it too, and may be gone. */
async function endAllOf(user: number, clock: SteadyClock, killAt: number): Promise<void> {
  const claim = { entries: [], leaders: [], except: [process.pid], user };
  await endClaimed({ clock, look: sharedLook(), claim: () => claim, killAt: () => killAt });
}

/** The boot is the first line of stdin; the end of stdin is the end of the guardian. */
function readBoot(): Promise<{ boot: WrapperBoot | null; guardianGone: Promise<void> }> {
  let text = "";
  const guardianGone = new Promise<void>((resolve) => {
    process.stdin.once("close", resolve);
    process.stdin.once("error", () => resolve());
  });
  return new Promise((resolve) => {
    const done = (boot: WrapperBoot | null): void => resolve({ boot, guardianGone });
    void guardianGone.then(() => done(null));
    process.stdin.setEncoding("utf8");
    const take = (chunk: string): void => {
      text += chunk;
      const newline = text.indexOf("\n");
      if (newline < 0) return;
      process.stdin.off("data", take);
      // Read on, so that the end is seen.
      process.stdin.resume();
      done(parseBoot(text.slice(0, newline)));
    };
    process.stdin.on("data", take);
  });
}

export function parseBoot(line: string): WrapperBoot | null {
  const parsed = wrapperBoot.safeParse(JSON.parse(line));
  if (parsed.success) return parsed.data;
  // Paths and messages only: a value of this document may be the secret.
  const problems = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.code}`);
  process.stderr.write(`mooring wrapper: boot document refused: ${problems.join(", ")}\n`);
  return null;
}
