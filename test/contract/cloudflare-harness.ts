/** The kit's harness for the `cloudflare` provider: the real adapter and the real fence over the stand-in, with real wrappers in it. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { join } from "node:path";
import { isolatedSandboxId, type Generation, type SessionId } from "../../src/domain/state/ids.ts";
import { markers } from "../../src/protocol/sandbox/wrapper.ts";
import { seatPorts } from "../../src/protocol/sandbox/toolbox.ts";
import type { InstanceRef } from "../../src/sandbox/agent-sandbox.ts";
import { cloudflareSandbox } from "../../src/sandbox/cloudflare/cloudflare-sandbox.ts";
// Traffic crosses as a request of the platform, whose body may be a stream.
import "../support/cloudflare/workers-module.ts";
import { objectCallsOf } from "../support/cloudflare/object-rpc.ts";
import { StandInAccount, type AccountOptions } from "../support/cloudflare/stand-in-account.ts";
import type { StandInContainer } from "../support/cloudflare/stand-in-container.ts";
import { isAlive, pidsRunning, pidsWith } from "../support/processes.ts";
import { systemClock, systemIds } from "../support/system-runtime.ts";
import { DisturbedBucket } from "./disturbed-bucket.ts";
import { takeItsPlace } from "./impostor.ts";
import { hidingCommand, shellJobs } from "./shell-jobs.ts";
import { spoilIn } from "./spoiled-archive.ts";
import type { ForeignMarks, Power, ProviderHarness, ProviderWorld, WorldPowers } from "./provider-harness.ts";
import { insideThisMachine } from "./inside-this-machine.ts";

/** What it takes to break the disk, or the sight, of a stand-in for real. Without it those checks are reported as skipped. */
const mayMount =
  spawnSync(
    "sh",
    ["-c", "unshare --mount sh -c 'mount -t tmpfs none /mnt && setpriv --bounding-set -dac_override true'"],
    {
      stdio: "ignore",
    },
  ).status === 0;

/** One more sentence about the behaviour of containers, which the kit cannot ask of every provider. */
export interface CloudflareCheck {
  readonly name: string;
  readonly run: (world: CloudflareWorld) => Promise<void>;
  /** `jobUsers`: jobs of members run as users of their own, for which the stand-in has to be root. */
  readonly needs?: readonly (Power | "jobUsers")[];
}

export const cloudflareHarness: ProviderHarness = { open: async () => new CloudflareWorld() };

export class CloudflareWorld implements ProviderWorld {
  readonly account: StandInAccount;
  readonly provider;
  readonly jobs = shellJobs;
  readonly can: WorldPowers;
  readonly #foreign: ChildProcess[] = [];
  readonly #orphans: number[] = [];
  /** Tells its hidden children from those of others. */
  readonly #hidingFor = 300_000 + Math.floor(Math.random() * 100_000);
  #impostor: Server | null = null;
  readonly #bucket: DisturbedBucket;
  /** How far the platform's clock and this world's are ahead of the machine's, ms. */
  #aheadMs = 0;

  constructor(options: Omit<AccountOptions, "clock"> = {}) {
    this.account = new StandInAccount({ ...options, clock: { ...systemClock, now: () => this.now() } });
    this.#bucket = new DisturbedBucket(this.account.bucket);
    this.provider = cloudflareSandbox({
      name: "sandbox-sdk",
      sharing: "offered",
      object: (name) => this.account.rpc.stub(name),
      bucket: this.#bucket,
      clock: systemClock,
      ids: systemIds,
    });
    this.can = {
      snapshots: { write: (name, text) => `echo '${text}' > '${name}'`, read: (name) => `cat '${name}'` },
      disturb: async (call, fault) => {
        if (call === "remove") this.#bucket.removal = fault;
        else this.account.rpc.disturb(objectCallsOf[call], fault);
      },
      spoilSnapshot: async (session, name, how) => spoilIn(this.account.bucket, session, name, how),
      containers: true,
      traffic: true,
      inside: insideThisMachine,
      webSockets: true,
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
        command: hidingCommand(`sleep ${this.#hidingFor}`),
        count: async () => pidsRunning(`sleep ${this.#hidingFor}`).length,
      },
      restart: async (until) => {
        this.account.evict();
        if (until === "scanning") this.account.rpc.resettingUntil = Date.now() + 1_000;
      },
      takeDown: async () => void (this.account.rpc.down = true),
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
    return Date.now() + this.#aheadMs;
  }

  /** The platform's time goes by at once. The wrappers' own leases do not: they live by the machine's clock. */
  passes(ms: number): void {
    this.#aheadMs += ms;
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
    this.#impostor = await takeItsPlace(wrapperOf(instance), this.wrapperPort(instance), instance.instanceId);
  }
}

/** The pid of its wrapper, by what /proc says. */
export function wrapperOf({ instanceId }: Pick<InstanceRef, "instanceId">): number {
  const wrappers = new Set(pidsWith(`${markers.role}=wrapper`));
  const pid = pidsWith(`${markers.instance}=${instanceId}`).find((each) => wrappers.has(each));
  if (pid === undefined) throw new Error(`No wrapper of instance ${instanceId} runs.`);
  return pid;
}
