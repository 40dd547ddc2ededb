/**
 * The `local` provider: sandboxes on this machine, through the local host (wrapper/host).
 *
 * It keeps only a cache of the addresses where wrappers listen. The host stores durably what is armed and retired. When
 * another host answers than the lease recorded, that proves nothing about the sandbox: the answer is `unknown`, and its
 * words name both hosts. This runs inside workerd, so it uses web APIs only.
 */
import { failed, succeeded, type ProviderResult } from "../../domain/state/failure.ts";
import type { ContainerId, Generation, InstanceId, SandboxId, SessionId } from "../../domain/state/ids.ts";
import type { Observation } from "../../domain/state/observation.ts";
import {
  hostDestroyed,
  hostEnumeration,
  hostInstance,
  hostLogs,
  hostObservation,
  hostResources,
  hostRetired,
  hostStopped,
} from "../../protocol/sandbox/host.ts";
import type {
  AgentSandbox,
  CallBound,
  Enumerated,
  InstanceRef,
  Launched,
  LaunchOrder,
  Retired,
  SandboxLogs,
  SandboxResources,
  Stopped,
  Target,
  WrapperClient,
} from "../agent-sandbox.ts";
import { NotSent } from "../http-call.ts";
import { HttpWrapperClient, type WrapperReach } from "../wrapper-client.ts";
import { askHost, type HostAddress } from "./host-client.ts";
import { localContainers } from "./local-containers.ts";
import { anotherHostWords, isAnotherHost, residueOf } from "./local-answers.ts";
import { localFiles, localSnapshots, localSpace } from "./local-storage.ts";
import { localTraffic } from "./local-traffic.ts";

/** The host waits 15 s for a wrapper, and needs up to 3 s to end one that did not come up. It never tries twice. */
const launchRetriesMs = 20_000;
/** The host gives any grace that is asked for. No policy asks for more than a minute. */
const stopGraceMs = 60_000;
/** How many addresses the cache keeps. The host is asked again for older ones. */
const addressesKept = 1_000;
/** For asking the host where a wrapper listens, a look-up in its memory. The bound of the caller applies as well. */
const addressMs = 5_000;

export function localSandbox(host: HostAddress): AgentSandbox {
  const address: HostAddress = { ...host, url: host.url.replace(/\/+$/, "") };
  const addresses = new Map<InstanceId, string>();
  return {
    name: "local",
    capabilities: {
      snapshot: true,
      enumerate: true,
      shared: true,
      space: true,
      traffic: true,
      containment: "marker",
      launchRetriesMs,
      stopGraceMs,
    },
    launch: (order, bound) => launch(address, order, bound),
    retire: (target, bound) => retire(address, target, bound),
    observe: (target, beganAt, bound) => observe(address, target, beganAt, bound),
    stop: (target, graceMs, bound) => stop(address, target, graceMs, bound),
    destroy: (target, bound) => askHost(address, { method: "DELETE", path: sandboxPath(target) }, hostDestroyed, bound),
    wrapper: (instance) => wrapperOf(address, addresses, instance),
    readLogs: (target, tailBytes, bound) => readLogs(address, target, tailBytes, bound),
    readResources: (target, bound) => readResources(address, target, bound),
    snapshots: localSnapshots(address),
    space: localSpace(address),
    containers: localContainers(address),
    traffic: localTraffic(address),
    enumerate: (bound) => enumerate(address, bound),
    files: (bound) => localFiles(address, bound),
  };
}

async function launch(host: HostAddress, order: LaunchOrder, bound: CallBound): Promise<ProviderResult<Launched>> {
  const body = {
    session_id: order.sessionId,
    sandbox_id: order.sandboxId,
    ...(order.container === undefined ? {} : { container: order.container }),
    generation: order.generation,
    secret: order.secret,
    launch_not_after: order.launchNotAfter,
    lease_ttl_ms: order.leaseTtlMs,
    job_grace_ms: order.jobGraceMs,
    stop_grace_ms: order.stopGraceMs,
    env: order.env,
    ...(order.restore === undefined ? {} : { restore: order.restore }),
    ...(order.restoreOf === undefined ? {} : { restore_of: order.restoreOf }),
  };
  const path = `/instances/${encodeURIComponent(order.instanceId)}`;
  const reply = await askHost(host, { method: "PUT", path, body }, hostInstance, bound);
  if (!reply.ok) return reply;
  const { instance_id: instanceId, generation, host_id, boot_id } = reply.value;
  if (instanceId !== order.instanceId || generation !== order.generation) {
    return failed(
      "foreign_instance",
      `The host answered for another instance (${instanceId} of generation ${generation}) than the one that was to be launched.`,
      "unknown",
    );
  }
  return succeeded({ host: host_id, boot: boot_id });
}

async function retire(host: HostAddress, target: Target, bound: CallBound): Promise<ProviderResult<Retired>> {
  const call = {
    method: "POST",
    path: `${sandboxPath(target)}/retire`,
    body: { generation: target.generation },
  } as const;
  const reply = await askHost(host, call, hostRetired, bound);
  if (!reply.ok) return reply;
  const { host_id, boot_id, retired_through: through } = reply.value;
  if (isAnotherHost(target, host_id)) return failed("unavailable", anotherHostWords(target, host_id), "unknown");
  if (through < target.generation)
    return failed(
      "malformed",
      `The host retired generations up to ${through} alone, so generation ${target.generation} may still start.`,
      "unknown",
    );
  return succeeded({ host: host_id, boot: boot_id });
}

async function observe(host: HostAddress, target: Target, beganAt: number, bound: CallBound): Promise<Observation> {
  const about = {
    provider: "local",
    sandboxId: target.sandboxId,
    generation: target.generation,
    beganAt,
  } as const;
  const query = new URLSearchParams({ session_id: target.sessionId, generation: String(target.generation) });
  const reply = await askHost(
    host,
    { method: "GET", path: `${sandboxPath(target)}/observe?${query.toString()}` },
    hostObservation,
    bound,
  );
  if (!reply.ok) {
    const detail = `${reply.failure.code}: ${reply.failure.message}`;
    return { ...about, answer: "unknown", host: null, boot: null, residue: [], detail };
  }
  const { host_id, boot_id, answer, detail, containment = "marker" } = reply.value;
  const residue = reply.value.residue.map(residueOf);
  const seen = { ...about, host: host_id, boot: boot_id, residue, containment };
  if (isAnotherHost(target, host_id)) return { ...seen, answer: "unknown", detail: anotherHostWords(target, host_id) };
  if ((answer === "absent") !== (residue.length === 0)) {
    return {
      ...seen,
      answer: "unknown",
      detail: `The host says ${answer} and shows ${residue.length} processes, which do not fit together.`,
    };
  }
  return { ...seen, answer, detail };
}

async function stop(
  host: HostAddress,
  target: Target,
  graceMs: number,
  bound: CallBound,
): Promise<ProviderResult<Stopped>> {
  const body = {
    session_id: target.sessionId,
    generation: target.generation,
    instance_id: target.instanceId,
    grace_ms: graceMs,
  };
  const reply = await askHost(host, { method: "POST", path: `${sandboxPath(target)}/stop`, body }, hostStopped, bound);
  if (!reply.ok) return reply;
  if (isAnotherHost(target, reply.value.host_id))
    return failed("unavailable", anotherHostWords(target, reply.value.host_id), "unknown");
  return succeeded({ remaining: reply.value.remaining.map(residueOf) });
}

async function readLogs(
  host: HostAddress,
  target: Target,
  tailBytes: number,
  bound: CallBound,
): Promise<ProviderResult<SandboxLogs>> {
  const call = { method: "GET", path: `${sandboxPath(target)}/logs?tail_bytes=${tailBytes}` } as const;
  const reply = await askHost(host, call, hostLogs, bound);
  return reply.ok ? succeeded({ text: reply.value.text, lastWrittenAgoMs: reply.value.last_written_ago_ms }) : reply;
}

async function readResources(
  host: HostAddress,
  target: Target,
  bound: CallBound,
): Promise<ProviderResult<SandboxResources>> {
  const reply = await askHost(host, { method: "GET", path: `${sandboxPath(target)}/resources` }, hostResources, bound);
  if (!reply.ok) return reply;
  return succeeded({
    processes: reply.value.processes,
    cpuSeconds: reply.value.cpu_seconds,
    memoryBytes: reply.value.memory_bytes,
    diskUsedBytes: reply.value.disk_used_bytes,
    operations: reply.value.read_write_syscalls,
  });
}

async function enumerate(host: HostAddress, bound: CallBound): Promise<ProviderResult<readonly Enumerated[]>> {
  const reply = await askHost(host, { method: "GET", path: "/sandboxes" }, hostEnumeration, bound);
  if (!reply.ok) return reply;
  return succeeded(
    reply.value.residue.map((one) => ({
      sessionId: one.session_id as SessionId,
      sandboxId: one.sandbox_id as SandboxId | null,
      ...(one.container === undefined ? {} : { container: one.container as ContainerId }),
      generation: one.generation as Generation | null,
      host: reply.value.host_id,
      residue: residueOf(one),
    })),
  );
}

function wrapperOf(host: HostAddress, addresses: Map<InstanceId, string>, instance: InstanceRef): WrapperClient {
  const { instanceId } = instance;
  const { fetch } = host;
  const reach: WrapperReach = {
    forget: () => void addresses.delete(instanceId),
    fetch: async (path, init) => {
      const known = addresses.get(instanceId) ?? (await askAddress(host, instance, init.signal ?? null));
      addresses.set(instanceId, known);
      for (const oldest of addresses.keys()) {
        if (addresses.size <= addressesKept) break;
        addresses.delete(oldest);
      }
      return fetch(`${known}${path}`, init);
    },
  };
  return new HttpWrapperClient(instance, reach, host);
}

/** A process that takes the port later fails the proof of the wrapper, so a stale address is harmless. */
async function askAddress(host: HostAddress, instance: InstanceRef, signal: AbortSignal | null): Promise<string> {
  const bound: CallBound = { timeoutMs: addressMs, signal: signal ?? new AbortController().signal };
  const path = `/instances/${encodeURIComponent(instance.instanceId)}`;
  const reply = await askHost(host, { method: "GET", path }, hostInstance, bound);
  if (!reply.ok)
    throw new NotSent(`The host did not say where the agent listens, so it was not asked. ${reply.failure.message}`);
  if (isAnotherHost(instance, reply.value.host_id)) throw new NotSent(anotherHostWords(instance, reply.value.host_id));
  return reply.value.url;
}

function sandboxPath(target: Target): string {
  return `/sandboxes/${encodeURIComponent(target.sandboxId)}`;
}
