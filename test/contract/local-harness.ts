/** The kit's harness for the `local` provider: a real host process, real guardians and wrappers, real signals. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { join } from "node:path";
import type { SessionId } from "../../src/domain/state/ids.ts";
import { markers } from "../../src/protocol/sandbox/wrapper.ts";
import { localSandbox } from "../../src/sandbox/local/local-sandbox.ts";
import { makeRepository, type GitRepository } from "../support/git-repository.ts";
import { isAlive, pidsRunning, pidsWith } from "../support/processes.ts";
import { RunningHost } from "../support/running-host.ts";
import { systemClock, systemIds, testControlPlane } from "../support/system-runtime.ts";
import { upgradingFetch } from "../support/upgrading-fetch.ts";
import { takeItsPlace } from "./impostor.ts";
import { hidingCommand, shellJobs } from "./shell-jobs.ts";
import type {
  ContractRepository,
  FaultKind,
  FaultyCall,
  ForeignMarks,
  ProviderHarness,
  ProviderWorld,
  WorldPowers,
} from "./provider-harness.ts";
import { insideThisMachine } from "./inside-this-machine.ts";
import { changed } from "./spoiled-archive.ts";

const callOf: { readonly [Call in FaultyCall]: RegExp } = {
  launch: /\/instances\/[^/]+$/,
  retire: /\/retire$/,
  observe: /\/observe$/,
  stop: /\/stop$/,
  save: /\/snapshots\/[^/]+\/[^/]+$/,
  remove: /\/snapshots\/[^/]+\/[^/]+$/,
  reclaim: /\/space\/reclaim$/,
};

export const localHarness: ProviderHarness = {
  async open() {
    const host = await RunningHost.start();
    return new LocalWorld(host, "theirs");
  },
};

/** The same with a user for each sandbox, which only root can have. By users alone: no control group helps it. */
export const localHarnessWithUsers: ProviderHarness = {
  async open() {
    const first = 1_000_000 + Math.floor(Math.random() * 1_000_000) * 1_000;
    const host = await RunningHost.start({ arguments: ["--no-cgroups", "--job-uids", `${first}-${first + 999}`] });
    return new LocalWorld(host, "ours");
  },
};

class LocalWorld implements ProviderWorld {
  readonly provider;
  readonly jobs = shellJobs;
  readonly can: WorldPowers;
  readonly #host: RunningHost;
  readonly #foreign: ChildProcess[] = [];
  /** Tells its hidden children from those of others. */
  readonly #hidingFor = 300_000 + Math.floor(Math.random() * 100_000);
  #repository: GitRepository | null = null;
  #impostor: Server | null = null;
  #agedMs = 0;
  /** The call whose next answer is nonsense. */
  #malformed: FaultyCall | null = null;

  /** Git clones no directory of another user: one of ours is of no use to jobs that are somebody else's. */
  constructor(host: RunningHost, repositories: "ours" | "theirs") {
    this.#host = host;
    this.provider = localSandbox({
      url: host.url,
      token: host.token,
      clock: systemClock,
      ids: systemIds,
      controlPlane: testControlPlane,
      fetch: (input, init) => this.#fetch(input, init),
    });
    const hiding = {
      command: hidingCommand(`sleep ${this.#hidingFor}`),
      count: async () => pidsRunning(`sleep ${this.#hidingFor}`).length,
    };
    this.can = {
      snapshots: { write: (name, text) => `echo '${text}' > '${name}'`, read: (name) => `cat '${name}'` },
      containers: true,
      traffic: true,
      inside: insideThisMachine,
      webSockets: true,
      spoilSnapshot: async (session, name, how) => {
        const archive = join(host.state, "snapshots", session, `${name}.tar`);
        if (how === "gone") return rmSync(archive);
        chmodSync(archive, 0o600);
        writeFileSync(archive, changed(readFileSync(archive)));
      },
      workspaces: {
        age: async (ms) => {
          this.#agedMs += ms;
          await host.kill("SIGKILL");
          await host.start(["--age-ms", String(this.#agedMs)]);
          await host.ready();
        },
        has: async (name) => existsSync(join(host.state, "sandboxes", name)),
        plant: async (name) => {
          mkdirSync(join(host.state, "sandboxes", name, "workspace"), { recursive: true });
          writeFileSync(join(host.state, "sandboxes", name, "workspace", "file"), "planted");
        },
      },
      hiding,
      hidingInShared: hiding,
      ...(repositories === "theirs" ? { repository: async () => this.#cloneable() } : {}),
      disturb: (call, fault) => this.#disturb(call, fault),
      restart: async (until) => {
        await host.kill("SIGKILL");
        await host.start(until === "scanning" ? ["--scan-delay-ms", "5000"] : []);
      },
      takeDown: async () => void (await host.kill("SIGKILL")),
      freeze: async ({ instanceId }) => void process.kill((await host.instance(instanceId)).wrapper_pid, "SIGSTOP"),
      startForeign: (marks) => this.#startForeign(marks),
      impersonate: async ({ instanceId }) => this.#impersonate(await host.instance(instanceId)),
      countProcesses: async ({ instanceId }) => pidsWith(`${markers.instance}=${instanceId}`).length,
    };
  }

  sessionId(): SessionId {
    return this.#host.session() as SessionId;
  }

  now(): number {
    return Date.now();
  }

  wait(ms: number): Promise<void> {
    return systemClock.sleep(ms);
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return promise;
  }

  async close(): Promise<void> {
    this.#impostor?.closeAllConnections();
    this.#impostor?.close();
    for (const child of this.#foreign) child.kill("SIGKILL");
    for (const pid of pidsRunning(`sleep ${this.#hidingFor}`)) process.kill(pid, "SIGKILL");
    await this.#host.close();
  }

  #cloneable(): ContractRepository {
    const { directory } = (this.#repository ??= makeRepository(this.#host.state));
    const url = `file://${directory}`;
    return { url, ref: "v1", show: "cat README", content: "first\n", nowhere: `${url}-not-there` };
  }

  async #fetch(input: Parameters<typeof fetch>[0], init?: RequestInit): Promise<Response> {
    const response = await upgradingFetch(input, init);
    const call = this.#malformed;
    const { pathname } = new URL(input instanceof Request ? input.url : input);
    if (call === null || !callOf[call].test(pathname)) return response;
    this.#malformed = null;
    return new Response('{"answer":"absent"}', { status: 200 });
  }

  async #disturb(call: FaultyCall, fault: FaultKind): Promise<void> {
    if (fault === "malformed") this.#malformed = call;
    else if (typeof fault === "string") await this.#host.fault({ op: call, mode: fault, count: 1 });
    else await this.#host.fault({ op: call, mode: "delay", count: 1, delay_ms: fault.lateByMs });
  }

  async #startForeign(marks: ForeignMarks): Promise<{ isAlive: () => Promise<boolean> }> {
    const [command, ...args] = marks.ignoresTerm
      ? ["sh", "-c", "trap '' TERM; echo; sleep 300"]
      : ["sh", "-c", "echo; exec sleep 300"];
    const child = spawn(command ?? "sh", args, {
      stdio: ["ignore", "pipe", "ignore"],
      env: {
        PATH: process.env["PATH"],
        [markers.session]: marks.sessionId,
        [markers.role]: "wrapper",
        ...(marks.instanceId === null ? {} : { [markers.instance]: marks.instanceId }),
        ...(marks.generation === null ? {} : { [markers.generation]: String(marks.generation) }),
      },
    });
    this.#foreign.push(child);
    // It has its marks, and is deaf if it is to be.
    await once(child.stdout, "data");
    return { isAlive: async () => child.pid !== undefined && isAlive(child.pid) };
  }

  async #impersonate(instance: {
    readonly wrapper_pid: number;
    readonly url: string;
    readonly instance_id: string;
  }): Promise<void> {
    const port = Number(new URL(instance.url).port);
    this.#impostor = await takeItsPlace(instance.wrapper_pid, port, instance.instance_id);
  }
}
