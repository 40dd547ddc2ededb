/**
 * Puts a wrapper together: boot, fence, jobs, server; and ends it. There is one way out, `end`, whatever the cause.
 *
 * It does nothing before its first accepted renewal, nothing past its deadline, and nothing once its guardian is gone (I2, I8).
 */
import type { Server } from "node:http";
import { wrapperBoot, type WrapperBoot } from "../../src/protocol/wrapper.ts";
import { Bootstrap } from "./bootstrap.ts";
import { boundedLog } from "./bounded-log.ts";
import { endProcesses } from "./end-processes.ts";
import { exitCodes } from "./exit-codes.ts";
import { Fence, type EndCause } from "./fence.ts";
import { openGuardianLink } from "./guardian-link.ts";
import { serve } from "./http-server.ts";
import { JobTable } from "./job-table.ts";
import { canKeepJobsApart } from "./job-user.ts";
import { routes } from "./routes.ts";
import { sharedLook } from "./shared-look.ts";
import { steadyClock, type SteadyClock } from "./steady-clock.ts";

/** What ending costs beyond the job grace: KILL rounds and looks at /proc. */
const endSlackMs = 500;

export async function runWrapper(): Promise<void> {
  const clock = steadyClock();
  const startedAt = clock.now();
  const guardian = process.ppid;
  const { boot, guardianGone } = await readBoot();
  if (boot === null) process.exit(exitCodes.badBoot);
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
  const tell = openGuardianLink();
  let server: Server | null = null;
  let ending = false;

  const end = (cause: EndCause): void => {
    const now = clock.now();
    // Overdue: the machine or this process was frozen. The grace was over before we woke.
    const by = cause === "lease_expired" ? Math.min(now, fence.deadline) + boot.job_grace_ms : now + boot.job_grace_ms;
    tell({ type: "ending", by: by + endSlackMs });
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
    void Promise.all([jobs.allEnded(), bootstrap.ended()]).then(async () => {
      if (boot.job_user !== undefined) await endAllOf(boot.job_user.uid, clock, by);
      log("ended", { cause });
      // A guardian that was frozen must wake to see that it is alone.
      if (process.ppid === guardian) process.kill(guardian, "SIGCONT");
      process.exit(exitCodes.ended);
    });
  };

  const fence = new Fence({ clock, startedAt, ttlMs: boot.lease_ttl_ms, tell, end });
  const jobs = new JobTable({ boot, clock, fence, tell, log });
  const bootstrap = new Bootstrap({ boot, clock, fence, tell, log });
  void guardianGone.then(() => fence.lose("guardian_gone"));
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => fence.lose("stop_requested"));

  server = await serve({
    boot,
    fence,
    routes: routes({ boot, clock, fence, jobs, bootstrap, startedAt }),
    log,
    port: Number(process.env.MOORING_PORT ?? 0),
    address: process.env.MOORING_BIND ?? "127.0.0.1",
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  log("listening", { port: address.port, ready_after_ms: Math.round(clock.now() - startedAt) });
  tell({ type: "ready", port: address.port });
}

/** What hid from its own job. Our guardian would do it too, and may be gone. */
async function endAllOf(user: number, clock: SteadyClock, killAt: number): Promise<void> {
  const claim = { entries: [], leaders: [], except: [process.pid], user };
  await endProcesses({ clock, look: sharedLook(), claim: () => claim, killAt: () => killAt });
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

function parseBoot(line: string): WrapperBoot | null {
  const parsed = wrapperBoot.safeParse(JSON.parse(line));
  if (parsed.success) return parsed.data;
  // Paths and messages only: a value of this document may be the secret.
  const problems = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.code}`);
  process.stderr.write(`mooring wrapper: boot document refused: ${problems.join(", ")}\n`);
  return null;
}
