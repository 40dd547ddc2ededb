/** The kit's harness for the provider `cloudflare`: the real adapter and objects over the fake of the container API, with real agents in it. */
import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import { freePort } from "../../scripts/stack/ports.ts";
import type { SessionId } from "../../src/domain/state/ids.ts";
import { markers } from "../../src/protocol/sandbox/wrapper.ts";
import type { InstanceRef } from "../../src/sandbox/agent-sandbox.ts";
import { cloudflareSandbox } from "../../src/sandbox/cloudflare/cloudflare-sandbox.ts";
import { BoxedProcesses } from "../support/cloudflare/boxed-processes.ts";
import { ContainerAccount } from "../support/cloudflare/container-account.ts";
import type { PlatformMode } from "../support/cloudflare/fake-container.ts";
import { objectCallsOf } from "../support/cloudflare/object-rpc.ts";
import { pidsRunning, pidsWith } from "../support/processes.ts";
import { serverProgram } from "../support/sandbox-server.ts";
import { systemClock, systemIds } from "../support/system-runtime.ts";
import { DisturbedBucket } from "./disturbed-bucket.ts";
import { takeItsPlace } from "./impostor.ts";
import type { ProviderHarness, ProviderWorld, WorldPowers } from "./provider-harness.ts";
import { hidingCommand, shellJobs } from "./shell-jobs.ts";
import { spoilIn } from "./spoiled-archive.ts";

const resetMs = 1_000;

export function containerHarness(mode: PlatformMode): ProviderHarness {
  return { open: async () => new ContainerWorld(mode) };
}

class ContainerWorld implements ProviderWorld {
  readonly provider;
  readonly jobs = shellJobs;
  readonly can: WorldPowers;
  readonly #account: ContainerAccount;
  /** Tells its hidden children from those of others. */
  readonly #hidingFor = 300_000 + Math.floor(Math.random() * 100_000);
  #impostor: Server | null = null;

  constructor(mode: PlatformMode) {
    const account = new ContainerAccount(mode);
    const bucket = new DisturbedBucket(account.bucket);
    this.#account = account;
    this.provider = cloudflareSandbox({
      name: "cloudflare",
      sharing: "none",
      object: (name) => account.rpc.stub(name),
      bucket,
      clock: systemClock,
      ids: systemIds,
    });
    this.can = {
      snapshots: { write: (name, text) => `echo '${text}' > '${name}'`, read: (name) => `cat '${name}'` },
      spoilSnapshot: async (session, name, how) => spoilIn(account.bucket, session, name, how),
      traffic: true,
      inside: {
        server: (port) => ["node", "-e", serverProgram, String(port)],
        port: async () => (await freePort(0)) ?? 0,
      },
      webSockets: true,
      hiding: {
        command: hidingCommand(`sleep ${this.#hidingFor}`),
        count: async () => pidsRunning(`sleep ${this.#hidingFor}`).length,
      },
      disturb: async (call, fault) => {
        if (call === "remove") bucket.removal = fault;
        else account.rpc.disturb(objectCallsOf[call], fault);
      },
      restart: async (until) => {
        account.evict();
        if (until === "scanning") account.rpc.resettingUntil = Date.now() + resetMs;
      },
      takeDown: async () => void (account.rpc.down = true),
      freeze: async (instance) => void process.kill(agentOf(instance), "SIGSTOP"),
      impersonate: async (instance) => {
        const inside = account.container(instance.sandboxId).inside;
        if (!(inside instanceof BoxedProcesses)) throw new Error(`Nothing runs in ${instance.sandboxId}.`);
        // Else the container would end with its agent.
        inside.signal(stopped);
        this.#impostor = await takeItsPlace(agentOf(instance), inside.outsidePort, instance.instanceId);
      },
      countProcesses: async ({ instanceId }) => pidsWith(`${markers.instance}=${instanceId}`).length,
    };
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
    await this.#account.close();
  }
}

const stopped = 19;

/** The host's pid of its agent. */
function agentOf({ instanceId }: Pick<InstanceRef, "instanceId">): number {
  const pid = pidsWith(`${markers.instance}=${instanceId}`).find((each) =>
    readFileSync(`/proc/${each}/cmdline`, "utf8").includes("/wrapper.js\0agent"),
  );
  if (pid === undefined) throw new Error(`No agent of instance ${instanceId} runs.`);
  return pid;
}
