/** The kit's harness for `cloudflare` on real containers: the real adapter here, the real objects in workerd, real agents in real containers. */
import { join } from "node:path";
import { must, run } from "../../../scripts/containers/run-command.ts";
import { repository } from "../../../scripts/repository.ts";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import type { InstanceRef } from "../../../src/sandbox/agent-sandbox.ts";
import { cloudflareSandbox } from "../../../src/sandbox/cloudflare/cloudflare-sandbox.ts";
import type { SandboxObjectApi, WrapperCall } from "../../../src/sandbox/cloudflare/object-api.ts";
import type { SnapshotBucket } from "../../../src/sandbox/cloudflare/platform/container-platform.ts";
import { shellJobs } from "../../contract/shell-jobs.ts";
import type { ProviderHarness, ProviderWorld } from "../../contract/provider-harness.ts";
import { systemClock, systemIds } from "../../support/system-runtime.ts";
// What the adapter takes for granted of the runtime, and Node has not.
import "../../support/cloudflare/workers-module.ts";
import { DisturbedBucket } from "../../contract/disturbed-bucket.ts";
import { serverProgram } from "../../support/sandbox-server.ts";
import { upgradingFetch } from "../../support/upgrading-fetch.ts";
import { ObjectRpc, objectCallsOf } from "../../support/cloudflare/object-rpc.ts";
import { type DevWorker, startDevWorker } from "../support/dev-worker.ts";
import { freezeAgent, localImage } from "../support/real-containers.ts";

const worker = "mooring-provider";
const resetMs = 1_000;

/** One Worker for all checks: each uses sandboxes of its own. */
export class RealProvider implements ProviderHarness {
  #dev: DevWorker | null = null;

  async start(): Promise<void> {
    // The agent is one of the Worker's files; this Worker has no build of its own.
    must(process.execPath, [join(repository, "scripts/builds/build-agent.ts")], { cwd: repository });
    const config = join(import.meta.dirname, "wrangler.toml");
    this.#dev = await startDevWorker({ config, worker, vars: { LOCAL_IMAGE: localImage } });
  }

  async stop(): Promise<void> {
    await this.#dev?.stop();
  }

  async open(): Promise<ProviderWorld> {
    const dev = this.#dev;
    if (dev === null) throw new Error("The Worker of the provider was not started.");
    const names = new Set<string>();
    const bucket = new DisturbedBucket(bucketOver(dev.url));
    const rpc = new ObjectRpc(systemClock, (name) => objectOver(dev.url, name));
    const provider = cloudflareSandbox({
      name: "cloudflare",
      sharing: "none",
      object: (name) => {
        names.add(name);
        return rpc.stub(name);
      },
      bucket,
      clock: systemClock,
      ids: systemIds,
    });
    return {
      provider,
      sessionId: () => systemIds.id() as SessionId,
      now: () => Date.now(),
      wait: (ms) => systemClock.sleep(ms),
      settle: (promise) => promise,
      jobs: shellJobs,
      can: {
        snapshots: { write: (name, text) => `echo '${text}' > '${name}'`, read: (name) => `cat '${name}'` },
        traffic: true,
        inside: {
          server: (port) => ["node", "-e", serverProgram, String(port)],
          // A container has its ports for itself.
          port: async () => 8_080,
        },
        webSockets: true,
        disturb: async (call, fault) => {
          if (call === "remove") bucket.removal = fault;
          else rpc.disturb(objectCallsOf[call], fault);
        },
        restart: async (until) => {
          for (const name of names) await ask(dev.url, name, "abort", []).catch(() => {});
          if (until === "scanning") rpc.resettingUntil = Date.now() + resetMs;
        },
        takeDown: async () => void (rpc.down = true),
        freeze: async (instance) => inContainer(instance, freezeAgent),
        countProcesses: async (instance) => {
          const name = containerOf(instance);
          if (name === null) return 0;
          const told = run("docker", [
            ...["exec", name, "sh", "-c"],
            `grep -lsa MOORING_INSTANCE_ID=${instance.instanceId} /proc/[0-9]*/environ | wc -l`,
          ]);
          return told.ok ? Number(told.stdout.trim()) : 0;
        },
      },
      close: async () => {
        for (const name of names) {
          const found = must("docker", ["ps", "-aq", "--filter", `label=sandbox=${name}`]).trim();
          if (found !== "") run("docker", ["rm", "-f", ...found.split("\n")]);
        }
      },
    };
  }
}

function objectOver(url: string, name: string): SandboxObjectApi {
  return new Proxy({} as SandboxObjectApi, {
    get: (_, method) => {
      if (method === "callWrapper")
        return (call: WrapperCall, timeoutMs: number) => wrapperCall(url, name, call, timeoutMs);
      if (method === "fetch") return (request: Request) => traffic(url, name, request);
      return (...parameters: unknown[]) => ask(url, name, String(method), parameters);
    },
  });
}

/** What of the bucket the adapter itself uses; the objects have it whole. */
function bucketOver(url: string): SnapshotBucket {
  const call = (method: string, ...parameters: unknown[]) => ask(url, "bucket", method, parameters);
  return {
    head: (key) => call("head", key),
    put: (key, value) => call("put", key, value),
    delete: (keys) => call("delete", keys),
    get: () => Promise.reject(new Error("Only the objects read snapshots.")),
    createMultipartUpload: () => Promise.reject(new Error("Only the objects write snapshots.")),
  };
}

async function ask(url: string, name: string, method: string, parameters: unknown): Promise<never> {
  const reply = await fetch(`${url}/${name}/${method}`, { method: "POST", body: JSON.stringify(parameters) });
  const answer = (await reply.json()) as { readonly thrown?: string };
  if (!reply.ok) throw new Error(answer.thrown ?? `status ${reply.status}`);
  return answer as never;
}

async function wrapperCall(url: string, name: string, call: WrapperCall, timeoutMs: number) {
  const body = call.body instanceof Uint8Array ? new TextDecoder().decode(call.body) : call.body;
  const reply = await fetch(`${url}/${name}/callWrapper`, {
    method: "POST",
    body: JSON.stringify([{ ...call, body }, timeoutMs]),
  });
  const head = reply.headers.get("x-answer");
  if (head === null) {
    const answer = (await reply.json()) as { readonly thrown?: string };
    if (!reply.ok) throw new Error(answer.thrown ?? `status ${reply.status}`);
    return answer as never;
  }
  const { status, ...answer } = JSON.parse(head) as { readonly status: number; readonly ok: true };
  const bodiless = status === 204 || status === 304;
  return { ...answer, value: new Response(bodiless ? null : reply.body, { status, headers: reply.headers }) };
}

/** As it is, below the object's name. */
function traffic(url: string, name: string, request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const { method, headers, body, signal } = request;
  const target = `${url}/${name}/fetch${pathname}${search}`;
  return upgradingFetch(target, { method, headers, signal, redirect: "manual", body });
}

function containerOf({ instanceId }: Pick<InstanceRef, "instanceId">): string | null {
  const names = must("docker", ["ps", "-q", "--filter", `name=^/workerd-${worker}-`])
    .trim()
    .split("\n");
  return (
    names.find((name) => {
      if (name === "") return false;
      const told = run("docker", ["inspect", name, "--format", "{{json .Config.Env}}"]);
      return told.ok && told.stdout.includes(instanceId);
    }) ?? null
  );
}

function inContainer(instance: InstanceRef, script: string): void {
  const name = containerOf(instance);
  if (name === null) throw new Error(`Instance ${instance.instanceId} has no container.`);
  must("docker", ["exec", name, "sh", "-c", script]);
}
