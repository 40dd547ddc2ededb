/**
 * The process that serves files, processes and terminals (wrapper/agent/services), seen from the wrapper.
 *
 * It runs as the user of the jobs, so the kernel decides what a client may reach. It is started with the first request that
 * needs it: a session that only runs jobs does not pay for it. It listens on a socket that the wrapper made in its own
 * state directory and handed over, so nobody else in the sandbox can connect to it.
 *
 * Every process that it starts carries its mark. When it ends, for whatever reason, what it started is ended too.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, renameSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { markers } from "../../../src/protocol/sandbox/markers.ts";
import type { WrapperBoot } from "../../../src/protocol/sandbox/wrapper.ts";
import { endClaimed, holdClaimed } from "../../proc/claimed-processes.ts";
import { jobMarker } from "../../proc/marked-environment.ts";
import type { Claim } from "../../proc/membership.ts";
import { identityOfChild, type ProcessIdentity } from "../../proc/process-table.ts";
import { sharedLook } from "../../proc/shared-look.ts";
import { logFile, type Log } from "../bounded-log.ts";
import type { Fence } from "../fence.ts";
import type { TellGuardian } from "../guardian/guardian-link.ts";
import { jobEnvironment } from "../jobs/job-environment.ts";
import { makeWorkspaceAgain } from "../jobs/job-directory.ts";
import { leanNodeFlags } from "../lean-node.ts";
import { sourceOf } from "../program-parts.ts";
import { serviceMark, type ServiceNews } from "../services/service-link.ts";
import { boundedLines } from "../services/bounded-lines.ts";
import type { SteadyClock } from "../steady-clock.ts";

export interface ServiceProcessDependencies {
  readonly boot: WrapperBoot;
  readonly clock: SteadyClock;
  readonly fence: Fence;
  readonly tell: TellGuardian;
  readonly log: Log;
  /** In front of its command line (jobs/job-proof.ts); null: nothing. */
  readonly apart: readonly string[] | null;
}

interface Running {
  readonly child: ChildProcess;
  readonly leader: ProcessIdentity;
  /** Short whatever the state directory is called: a socket's address holds 107 bytes. */
  readonly address: string;
  readonly directory: number;
}

/** A service process that ends at once must not be started in a loop. */
const restartAfterMs = 1_000;

export class ServiceProcess {
  readonly #dependencies: ServiceProcessDependencies;
  readonly #look = sharedLook();
  /** Leaders of the groups that the service process started. */
  readonly #leaders = new Map<string, ProcessIdentity>();
  #running: Promise<Running> | null = null;
  #startedAt = Number.NEGATIVE_INFINITY;
  #active = 0;
  #count = 0;
  #ended: Promise<void> = Promise.resolve();

  constructor(dependencies: ServiceProcessDependencies) {
    this.#dependencies = dependencies;
  }

  /** Processes and terminals that count as work. */
  get active(): number {
    return this.#active;
  }

  /** Where it listens. Starts it when it does not run; null: this instance ends, or it cannot be started now. */
  async address(): Promise<string | null> {
    // Wait for the end of the last one, so that its exit is not taken for the new one's.
    await this.#ended;
    if (!this.#dependencies.fence.mayAct()) return null;
    this.#running ??= this.#start();
    try {
      return (await this.#running).address;
    } catch (error) {
      this.#running = null;
      this.#dependencies.log("services not started", { error: String(error instanceof Error ? error.message : error) });
      return null;
    }
  }

  /** Ends it with everything that it started: TERM now, KILL at `killAt`. The next request may start it again, unless the instance ends. */
  cut(killAt: number): void {
    if (this.#running === null && this.#leaders.size === 0) return;
    this.#ended = this.#end(killAt);
  }

  async settled(): Promise<void> {
    await this.#ended;
  }

  /** Stops it where it is, with everything that it started; false: lets all of it go on. Answers whether all of it does. */
  async hold(held: boolean): Promise<boolean> {
    if (this.#leaders.size === 0) return true;
    return holdClaimed({ look: this.#look, claim: () => this.#claim() }, held ? "SIGSTOP" : "SIGCONT");
  }

  async #end(killAt: number): Promise<void> {
    const { clock } = this.#dependencies;
    await this.#running?.catch(() => {});
    await endClaimed({ clock, look: this.#look, claim: () => this.#claim(), killAt: () => killAt });
    this.#active = 0;
    for (const leader of this.#leaders.values()) this.#dependencies.tell({ type: "jobEnded", leader });
    this.#leaders.clear();
  }

  #claim(): Claim {
    return {
      entries: [`${markers.instance}=${this.#dependencies.boot.instance_id}`, `${jobMarker}=${serviceMark}`],
      leaders: [...this.#leaders.values()],
      except: [process.pid, process.ppid],
      user: null,
    };
  }

  async #start(): Promise<Running> {
    const { boot, log, tell, clock } = this.#dependencies;
    const early = this.#startedAt + restartAfterMs - clock.now();
    if (early > 0) await pause(early);
    this.#startedAt = clock.now();
    this.#count += 1;
    await makeWorkspaceAgain(boot);
    const directory = openSync(boot.state_dir, "r");
    const at = (name: string): string => `/proc/self/fd/${directory}/${name}`;
    const drafted = at(`services.${this.#count}.draft`);
    const address = at(`services.${this.#count}.socket`);
    const server = createServer();
    try {
      await listening(server, drafted);
      const child = this.#spawn();
      if (child.pid === undefined) throw new Error("the process for files and terminals could not be started");
      const leader = identityOfChild(child.pid);
      this.#leaders.set(keyOf(leader), leader);
      tell({ type: "jobStarted", leader });
      const running = { child, leader, address, directory };
      await handedOver(child, server);
      // Only now: from here on the directory is closed by the child's end, before by the failure below.
      this.#watch(running);
      // Closing our side of the socket removes the name that it was made with.
      renameSync(drafted, address);
      server.close();
      child.disconnect();
      log("services started", { pid: child.pid });
      return running;
    } catch (error) {
      server.close();
      closeSync(directory);
      // The child may run all the same.
      this.cut(clock.now() + boot.job_grace_ms);
      throw error;
    }
  }

  #spawn(): ChildProcess {
    const { boot, apart } = this.#dependencies;
    const logDescriptor = openSync(join(boot.state_dir, logFile), "a", 0o600);
    const environment = {
      ...jobEnvironment(boot, { [jobMarker]: serviceMark }),
      // Node in this process must not read the session's NODE_OPTIONS; a client's processes get them from the order.
      NODE_OPTIONS: "",
    };
    try {
      // The program comes through stdin: the jobs' user may not be able to read where it is kept. The last word is for people who look at `ps`.
      const program = [process.execPath, ...leanNodeFlags, "-", "services"];
      const [file = process.execPath, ...args] = [...(apart ?? []), ...program];
      const child = spawn(file, args, {
        cwd: "/",
        detached: true,
        env: environment,
        ...(boot.job_user === undefined || apart !== null ? {} : { uid: boot.job_user.uid, gid: boot.job_user.gid }),
        stdio: ["pipe", "ignore", logDescriptor, "ipc", "pipe"],
      });
      child.on("error", () => {});
      child.stdin?.on("error", () => {});
      child.stdin?.end(sourceOf("services"));
      const link = child.stdio[4] as Socket;
      link.on("error", () => {});
      const { workspace_dir: workspace, job_user: user } = boot;
      link.write(`${JSON.stringify({ workspace, home: user?.home_dir ?? null, env: boot.env })}\n`);
      return child;
    } finally {
      closeSync(logDescriptor);
    }
  }

  #watch({ child, directory, address }: Running): void {
    const link = child.stdio[4] as Socket;
    link.setEncoding("utf8");
    link.on(
      "data",
      boundedLines(
        (line) => this.#hear(JSON.parse(line) as ServiceNews),
        () => child.kill("SIGKILL"),
      ),
    );
    child.once("exit", (code, signal) => {
      this.#dependencies.log("services ended", { code, signal });
      this.#running = null;
      this.#active = 0;
      rmSync(address, { force: true });
      closeSync(directory);
      // Without the service process nobody can reach what it had started, so end that too.
      this.cut(this.#dependencies.clock.now() + this.#dependencies.boot.job_grace_ms);
    });
  }

  #hear(news: ServiceNews): void {
    switch (news.type) {
      case "active":
        this.#active = news.processes;
        return;
      case "started":
        // Where jobs have a user of their own, that user marks them all, and its word alone must not make root end anything.
        if (this.#dependencies.boot.job_user !== undefined) return;
        this.#leaders.set(keyOf(news.leader), news.leader);
        return this.#dependencies.tell({ type: "jobStarted", leader: news.leader });
      case "ended":
        if (!this.#leaders.delete(keyOf(news.leader))) return;
        return this.#dependencies.tell({ type: "jobEnded", leader: news.leader });
    }
  }
}

function keyOf({ pid, startTime }: ProcessIdentity): string {
  return `${pid}.${startTime}`;
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
}

function handedOver(child: ChildProcess, server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error("the process for files and terminals ended before it was ready")));
    child.once("message", () => resolve());
    child.send("listen", server, (error) => {
      if (error !== null) reject(error);
    });
  });
}
