/** The kit's harness for the `cloudflare` provider: the real adapter and the real fence over the stand-in, with real wrappers in it. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { isolatedSandboxId, type Generation, type SessionId } from "../../src/domain/state/ids.ts";
import { markers } from "../../src/protocol/sandbox/wrapper.ts";
import { seatPorts } from "../../src/protocol/sandbox/toolbox.ts";
import type { InstanceRef } from "../../src/sandbox/agent-sandbox.ts";
import { cloudflareSandbox } from "../../src/sandbox/cloudflare/cloudflare-sandbox.ts";
import type { SnapshotBucket } from "../../src/sandbox/cloudflare/platform/container-platform.ts";
import { StandInAccount, type AccountOptions, type ObjectCall } from "../support/cloudflare/stand-in-account.ts";
import type { StandInContainer } from "../support/cloudflare/stand-in-container.ts";
import { isAlive, pidsRunning, pidsWith } from "../support/processes.ts";
import { systemClock, systemIds } from "../support/system-ambient.ts";
import type {
  FaultKind,
  FaultyCall,
  ForeignMarks,
  JobCommands,
  Power,
  ProviderHarness,
  ProviderWorld,
  WorldPowers,
} from "./provider-harness.ts";

const jobs: JobCommands = {
  echo: (text) => `echo '${text}'`,
  exit: (code) => `exit ${code}`,
  sleep: "sleep 300",
  ignoreTerm: "trap '' TERM; sleep 300",
  fork: `setsid sh -c "trap '' TERM; sleep 300" & sleep 300`,
  cat: "cat",
};

/** `remove` goes to the bucket, where no object is asked. */
const callsOf: { readonly [Call in Exclude<FaultyCall, "remove">]: readonly ObjectCall[] } = {
  launch: ["launch", "launchMember"],
  retire: ["retire", "retireContainer"],
  observe: ["look", "lookAtContainer"],
  stop: ["stopInstance"],
  save: ["save"],
  reclaim: ["reclaim"],
};

/** What it takes to break the disk, or the sight, of a stand-in for real. Without it those checks are reported as skipped. */
const mayMount =
  spawnSync(
    "sh",
    ["-c", "unshare --mount sh -c 'mount -t tmpfs none /mnt && setpriv --bounding-set -dac_override true'"],
    {
      stdio: "ignore",
    },
  ).status === 0;

/** One more sentence about the manners of containers, which the kit cannot ask of every provider. */
export interface CloudflareCheck {
  readonly name: string;
  readonly run: (world: CloudflareWorld) => Promise<void>;
  /** `jobUsers`: jobs of members run as users of their own, for which the stand-in has to be root. */
  readonly needs?: readonly (Power | "jobUsers")[];
  /** What a container stays awake without a renewal, where not the real 600 s. */
  readonly sleepAfterMs?: number;
}

export const cloudflareHarness: ProviderHarness = { open: async () => new CloudflareWorld() };

export class CloudflareWorld implements ProviderWorld {
  readonly account: StandInAccount;
  readonly provider;
  readonly jobs = jobs;
  readonly can: WorldPowers;
  readonly #foreign: ChildProcess[] = [];
  readonly #orphans: number[] = [];
  /** Tells its hidden children from those of others. */
  readonly #hidingFor = 300_000 + Math.floor(Math.random() * 100_000);
  #impostor: Server | null = null;
  #removal: FaultKind | null = null;

  constructor(options: Omit<AccountOptions, "clock"> = {}) {
    this.account = new StandInAccount({ ...options, clock: systemClock });
    this.provider = cloudflareSandbox({
      name: "sandbox-sdk",
      sharing: "offered",
      object: (name) => this.account.stub(name),
      bucket: this.#disturbedBucket(),
      clock: systemClock,
      ids: systemIds,
    });
    this.can = {
      snapshots: { write: (name, text) => `echo '${text}' > '${name}'`, read: (name) => `cat '${name}'` },
      disturb: async (call, fault) => {
        if (call === "remove") this.#removal = fault;
        else this.account.disturb(callsOf[call], fault);
      },
      containers: true,
      workspaces: {
        inOneContainer: true,
        age: async (ms) => {
          this.account.agedMs += ms;
          this.account.evict();
        },
        has: async (name) => this.account.containers.some(({ paths }) => existsSync(join(paths.workspaces, name))),
        plant: async (name) => {
          for (const { paths } of this.account.containers.filter((container) => container.runs)) {
            mkdirSync(join(paths.workspaces, name));
            writeFileSync(join(paths.workspaces, name, "file"), "planted");
          }
        },
      },
      ...(mayMount ? this.#rootPowers() : {}),
      hidingInShared: {
        command: `(env -i setsid sh -c "sleep ${this.#hidingFor} & exit" &) ; sleep 0.3; echo hidden; sleep 300`,
        count: async () => pidsRunning(`sleep ${this.#hidingFor}`).length,
      },
      restart: async (until) => {
        this.account.evict();
        if (until === "scanning") this.account.resettingUntil = Date.now() + 1_000;
      },
      takeDown: async () => void (this.account.down = true),
      freeze: async (instance) => void process.kill(wrapperOf(instance), "SIGSTOP"),
      startForeign: (marks) => this.#startForeign(marks),
      impersonate: (instance) => this.#impersonate(instance),
      countProcesses: async ({ instanceId }) => pidsWith(`${markers.instance}=${instanceId}`).length,
    };
  }

  /** By the name of its object: a sandbox's that has it for itself, or a shared container's. */
  container(name: string): StandInContainer {
    return this.account.object(name).container;
  }

  /** Where the wrapper of that instance listens on this machine. */
  wrapperPort({ sandboxId, container }: InstanceRef): number {
    const { storage, container: standIn } = this.account.object(container ?? sandboxId);
    const roster = storage.get("mooring:shared") as { seats: Record<string, { number: number }> } | undefined;
    return standIn.outsidePort(seatPorts(roster?.seats[sandboxId]?.number ?? 0).wrapper);
  }

  has(power: Power | "jobUsers"): boolean {
    return power === "jobUsers" ? process.getuid?.() === 0 : this.can[power] !== undefined;
  }

  sessionId(): SessionId {
    return systemIds.id() as SessionId;
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
    for (const pid of this.#orphans.filter(isAlive)) process.kill(pid, "SIGKILL");
    for (const pid of pidsRunning(`sleep ${this.#hidingFor}`)) process.kill(pid, "SIGKILL");
    await this.account.close();
  }

  #rootPowers(): Pick<WorldPowers, "disk" | "hideProcesses"> {
    const shared = () => this.account.containers.filter(({ id, runs }) => runs && id.startsWith("shared-"));
    return {
      disk: async (state) => {
        for (const container of shared()) container.disk(state);
      },
      hideProcesses: async () => {
        const pid = await this.#orphan();
        for (const { mischief } of shared()) mischief.unreadable = pid;
      },
    };
  }

  /** A process whose parent says nothing about where it came from. */
  async #orphan(): Promise<number> {
    const child = spawn("sh", ["-c", "sleep 300 >/dev/null 2>&1 & echo $!"], { stdio: ["ignore", "pipe", "ignore"] });
    const [printed] = (await once(child.stdout, "data")) as [Buffer];
    const pid = Number(printed.toString());
    this.#orphans.push(pid);
    return pid;
  }

  /** In the container that its marks name; without a generation in whichever of its session is looked at next. */
  async #startForeign(marks: ForeignMarks): Promise<{ isAlive: () => Promise<boolean> }> {
    const script = marks.ignoresTerm ? "trap '' TERM; echo; sleep 300" : "echo; exec sleep 300";
    const child = spawn("sh", ["-c", script], {
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
    await once(child.stdout, "data");
    const session = marks.sessionId as SessionId;
    if (marks.generation === null) this.account.runsFor(session);
    else this.container(isolatedSandboxId(session, marks.generation as Generation)).boot();
    return { isAlive: async () => child.pid !== undefined && isAlive(child.pid) };
  }

  async #impersonate(instance: InstanceRef): Promise<void> {
    const port = this.wrapperPort(instance);
    const pid = wrapperOf(instance);
    process.kill(pid, "SIGKILL");
    while (isAlive(pid)) await systemClock.sleep(5);
    const body = JSON.stringify({
      session_id: "unknown",
      instance_id: instance.instanceId,
      generation: 1,
      version: "0.1.0",
      protocol: 1,
      pid: 1,
      uptime_ms: 1,
      active_jobs: 0,
      draining: false,
      expires_in_ms: 60_000,
      idle_ms: 0,
      disk: null,
      jobs: [],
    });
    const server = createServer((_, response) => {
      response.writeHead(200, { "content-type": "application/json", "mooring-proof": "0".repeat(64) }).end(body);
    });
    this.#impostor = server;
    // The port is free only once the last thread of the wrapper is gone, a moment after it stopped answering.
    for (let bound = false; !bound;) {
      server.listen(port, "127.0.0.1");
      bound = await once(server, "listening").then(
        () => true,
        () => systemClock.sleep(10).then(() => false),
      );
    }
  }

  #disturbedBucket(): SnapshotBucket {
    const { bucket } = this.account;
    return {
      head: (key) => bucket.head(key),
      get: (key) => bucket.get(key),
      put: (key, value) => bucket.put(key, value),
      createMultipartUpload: (key) => bucket.createMultipartUpload(key),
      delete: async (keys) => {
        const fault = this.#removal;
        this.#removal = null;
        await bucket.delete(keys);
        if (fault === "lost_reply") throw new Error("Network connection lost.");
        if (fault !== null) throw new Error(`The stand-in knows no ${JSON.stringify(fault)} of a removal.`);
      },
    };
  }
}

/** The pid of its wrapper, by what /proc says. */
export function wrapperOf({ instanceId }: Pick<InstanceRef, "instanceId">): number {
  const wrappers = new Set(pidsWith(`${markers.role}=wrapper`));
  const pid = pidsWith(`${markers.instance}=${instanceId}`).find((each) => wrappers.has(each));
  if (pid === undefined) throw new Error(`No wrapper of instance ${instanceId} runs.`);
  return pid;
}
