/**
 * The guardian: starts the one wrapper of its instance and outlives it, to make sure that nothing else does.
 *
 * It runs no job and serves nothing. It kills when the wrapper is gone, when the wrapper is frozen or stuck past its
 * deadline, and when asked to stop; and it exits only when no process of the instance is left. When it dies itself, the
 * wrapper sees the end of its stdin and fences itself: from then on nobody would end the jobs of a frozen wrapper.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { boundedLog, logFile, type Log } from "../bounded-log.ts";
import { endClaimed } from "../../proc/claimed-processes.ts";
import { exitCodes } from "../exit-codes.ts";
import { parseGuardianBoot, type GuardianBoot } from "./guardian-boot.ts";
import { newsReader, type WrapperNews } from "./guardian-link.ts";
import { jobOwnerOf, makeOwnedDirectories } from "../jobs/job-owner.ts";
import { withoutNewPrivileges } from "../user/job-user.ts";
import { leanNodeFlags } from "../lean-node.ts";
import { baseEnvironment, markedEnvironment } from "../../proc/marked-environment.ts";
import type { Claim } from "../../proc/membership.ts";
import { markers } from "../../../src/protocol/sandbox/markers.ts";
import { patienceOfOneLook } from "../../proc/environment.ts";
import { identityOf, readEnvironment, readTable, type ProcessIdentity } from "../../proc/process-table.ts";
import { sharedLook } from "../../proc/shared-look.ts";
import { takeStartLock, writeReady } from "./start-lock.ts";
import { steadyClock } from "../steady-clock.ts";
import { version } from "../version.ts";

const maxBootBytes = 4 * 1_024 * 1_024;
/** How late a living wrapper may announce its end on a loaded machine. Too short only ends what was over anyway. */
const frozenAfterMs = 500;
/** A timer alone would sleep through a suspended machine. */
const lookEveryMs = 2_000;

export async function runGuardian(): Promise<void> {
  const document = await readBoot();
  const boot = parseGuardianBoot(document, process.env);
  if (typeof boot === "string") return refuse(exitCodes.badBoot, boot);
  if (Date.now() > boot.launchNotAfter) return refuse(exitCodes.late, "launch_not_after has passed");
  mkdirSync(boot.stateDir, { recursive: true, mode: 0o700 });
  const lock = takeStartLock(boot.stateDir);
  if (!lock.held) return refuse(exitCodes.alreadyStarted, lock.why);
  // The wrapper of a guardian that was killed before it was ready may need a moment to see it.
  if (hasSurvivors(boot)) return refuse(exitCodes.alreadyStarted, "processes of an earlier start are left");
  // Behind the lock: another start would take what is tried here for somebody's processes.
  const owner = jobOwnerOf(boot);
  if (owner.type === "refused") return refuse(exitCodes.badBoot, owner.why);
  const problem = makeOwnedDirectories(boot, owner);
  if (problem !== null) return refuse(exitCodes.badBoot, problem);
  const log = boundedLog(boot.stateDir, "guardian");
  if (owner.type === "ours" && owner.why !== null) log("jobs have no user of their own", { why: owner.why });
  new Watch(boot, document, owner.type === "own" ? owner.user.uid : null, log).start();
}

function refuse(code: number, why: string): never {
  process.stderr.write(`mooring guardian: not started: ${why}\n`);
  process.exit(code);
}

/** The whole of stdin; empty when it is too long. */
export async function readBoot(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBootBytes) return "";
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** True while processes of an earlier start of this instance live. No other starter can exist: the lock refuses it. */
function hasSurvivors(boot: GuardianBoot): boolean {
  const patience = patienceOfOneLook();
  return readTable().some(({ pid }) => {
    // Read once: between two reads a starter may exit, and would look like something else.
    const entries = readEnvironment(pid, patience);
    return entries.includes(`${markers.instance}=${boot.instanceId}`) && !entries.includes(`${markers.role}=guardian`);
  });
}

class Watch {
  readonly #boot: GuardianBoot;
  /** The user that runs this instance's jobs and nothing else; null: they run as we do. */
  readonly #jobUid: number | null;
  readonly #log: Log;
  readonly #clock = steadyClock();
  readonly #wrapper: ChildProcess;
  readonly #leaders = new Map<string, ProcessIdentity>();
  #timer: NodeJS.Timeout | undefined;
  /** When a wrapper that has not announced its end is taken for frozen. */
  #deadline: number;
  /** When the wrapper is killed whatever it says; set once its end is announced or asked for. */
  #killWrapperAt = Number.POSITIVE_INFINITY;
  /** When TERM turns into KILL for what the wrapper left. */
  #killAt = Number.POSITIVE_INFINITY;
  #ready = false;
  #sweeping = false;

  constructor(boot: GuardianBoot, document: string, jobUid: number | null, log: Log) {
    this.#boot = boot;
    this.#jobUid = jobUid;
    this.#log = log;
    this.#deadline = this.#clock.now() + boot.leaseTtlMs;
    const environment = baseEnvironment(process.env);
    for (const name of ["MOORING_PORT", "MOORING_BIND"]) {
      const value = process.env[name];
      if (value !== undefined) environment[name] = value;
    }
    const script = process.argv[1];
    if (script === undefined)
      throw new Error(
        "the guardian was started without a script path, so it cannot start its wrapper from the same file",
      );
    const logDescriptor = openSync(join(boot.stateDir, logFile), "a", 0o600);
    // Detached: a signal to the guardian's group must leave one of the two to clean up.
    const apart = jobUid === null ? [] : (withoutNewPrivileges() ?? []);
    const [program, ...flags] = [...apart, process.execPath, ...leanNodeFlags, script, "wrapper"];
    this.#wrapper = spawn(program, flags, {
      cwd: boot.stateDir,
      detached: true,
      env: markedEnvironment(boot, "wrapper", version, environment),
      stdio: ["pipe", "ignore", logDescriptor, "pipe"],
    });
    // One line; stdin then stays open, and its end tells the wrapper that we died.
    this.#wrapper.stdin?.on("error", () => {});
    const { job_user: user, ...rest } = JSON.parse(document) as Readonly<Record<string, unknown>>;
    this.#wrapper.stdin?.write(`${JSON.stringify(jobUid === null ? rest : { ...rest, job_user: user })}\n`);
  }

  start(): void {
    const link = this.#wrapper.stdio[3] as NodeJS.ReadableStream | null | undefined;
    link?.setEncoding("utf8");
    link?.on(
      "data",
      newsReader((news) => this.#hear(news)),
    );
    link?.on("error", () => {});
    this.#wrapper.on("error", (error) => {
      this.#log("wrapper not spawned", { error: error.message });
      void this.#sweep();
    });
    this.#wrapper.on("exit", (code, signal) => {
      this.#log("wrapper ended", { code, signal });
      // A wrapper that announced its end has given its jobs their grace.
      if (this.#killAt === Number.POSITIVE_INFINITY) this.#killAt = this.#clock.now() + this.#boot.jobGraceMs;
      void this.#sweep(code);
    });
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#stop(signal));
    process.on("uncaughtException", (error) => {
      this.#log("guardian crashed", { error: String(error.stack ?? error) });
      this.#kill("guardian crashed");
    });
    this.#log("started", { version, generation: this.#boot.generation, job_uid: this.#jobUid });
    this.#look();
  }

  #hear(news: WrapperNews): void {
    switch (news.type) {
      case "ready":
        return this.#announce(news.port);
      case "deadline":
        this.#deadline = news.at;
        return this.#look();
      case "ending":
        this.#killWrapperAt = Math.min(this.#killWrapperAt, news.by + frozenAfterMs);
        this.#killAt = Math.min(this.#killAt, news.by);
        return this.#look();
      case "jobStarted":
        this.#leaders.set(`${news.leader.pid}.${news.leader.startTime}`, news.leader);
        return;
      case "jobEnded":
        this.#leaders.delete(`${news.leader.pid}.${news.leader.startTime}`);
        return;
    }
  }

  #announce(port: number): void {
    const line = `${JSON.stringify({ port, wrapper_pid: this.#wrapper.pid })}\n`;
    writeReady(this.#boot.stateDir, line);
    this.#ready = true;
    this.#log("ready", { port });
    process.stdout.write(line);
  }

  /** Looks at the clocks and comes back when the next of them is due. */
  #look(): void {
    clearTimeout(this.#timer);
    if (this.#sweeping) return;
    const now = this.#clock.now();
    if (now >= this.#killWrapperAt) return this.#kill("the wrapper did not end in time");
    if (this.#killWrapperAt === Number.POSITIVE_INFINITY && now >= this.#deadline + frozenAfterMs) {
      // A frozen wrapper gave its jobs no grace; they get it now, unless the stop grace is over too.
      this.#killAt = Math.min(now + this.#boot.jobGraceMs, this.#deadline + this.#boot.stopGraceMs - frozenAfterMs);
      return this.#kill("the deadline passed in silence");
    }
    const next = Math.min(this.#killWrapperAt, this.#deadline + frozenAfterMs) - now;
    this.#timer = setTimeout(() => this.#look(), Math.min(Math.max(next, 1), lookEveryMs));
  }

  #stop(signal: NodeJS.Signals): void {
    this.#log("asked to stop", { signal });
    // The last part of the grace is for KILL, so that the whole of it is kept.
    const { stopGraceMs } = this.#boot;
    const by = this.#clock.now() + stopGraceMs - Math.min(frozenAfterMs, stopGraceMs / 4);
    this.#killWrapperAt = Math.min(this.#killWrapperAt, by);
    this.#killAt = Math.min(this.#killAt, by);
    // Our child is not reaped before its "exit", so this pid is its own.
    if (this.#wrapper.exitCode === null && this.#wrapper.signalCode === null) this.#wrapper.kill("SIGTERM");
    this.#look();
  }

  #kill(why: string): void {
    this.#log("killing", { why });
    if (this.#wrapper.exitCode === null && this.#wrapper.signalCode === null) this.#wrapper.kill("SIGKILL");
    void this.#sweep();
  }

  async #sweep(wrapperCode: number | null = null): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    clearTimeout(this.#timer);
    if (this.#killAt === Number.POSITIVE_INFINITY) this.#killAt = this.#clock.now();
    const found = await endClaimed({
      clock: this.#clock,
      look: sharedLook(),
      claim: () => this.#claim(),
      killAt: () => this.#killAt,
    });
    this.#log("nothing left", { found_after_wrapper: found.length });
    if (this.#ready) process.exit(exitCodes.ended);
    process.exit(
      wrapperCode === exitCodes.late || wrapperCode === exitCodes.badBoot ? wrapperCode : exitCodes.notReady,
    );
  }

  #claim(): Claim {
    return {
      entries: [`${markers.instance}=${this.#boot.instanceId}`],
      leaders: [...this.#leaders.values()],
      except: [process.pid],
      user: this.#jobUid,
      // All of them descend from this process. Among many sandboxes that end together this spares most of each look.
      since: identityOf(process.pid)?.startTime ?? 0,
    };
  }
}
