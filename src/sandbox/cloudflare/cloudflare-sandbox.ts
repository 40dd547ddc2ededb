/**
 * The `cloudflare` provider. Each container is one Sandbox object, named by the sandbox that has the container for
 * itself, or by the shared container. That object is the fence and does the work (fence.ts). This adapter keeps the
 * caller's time bound and the wrapper's secret, and it doubts: an answer is parsed before it is believed, and an answer
 * of another object than the lease recorded proves nothing (object-caller.ts).
 *
 * No `enumerate`: nothing inside a Worker can list containers.
 */
import { failed, succeeded } from "../../domain/state/failure.ts";
import type { InstanceId, SandboxId } from "../../domain/state/ids.ts";
import type { Residue } from "../../domain/state/observation.ts";
import {
  objectCapacity,
  objectLogs,
  objectNothing,
  objectPlace,
  objectReclaimed,
  objectResources,
  objectSaved,
  objectStopped,
} from "../../protocol/sandbox/sandbox-object.ts";
import { wrapperHeaders, wrapperProof } from "../../protocol/sandbox/wrapper.ts";
import type {
  AgentSandbox,
  Containers,
  InstanceRef,
  Network,
  Snapshots,
  Space,
  Traffic,
  WrapperClient,
} from "../agent-sandbox.ts";
import { passHeaders, trafficPrefix } from "../../protocol/sandbox/traffic.ts";
import { givenUp, httpCall, NotSent } from "../http-call.ts";
import { type Runtime, HttpWrapperClient, type WrapperReach } from "../wrapper-client.ts";
import type { SnapshotBucket } from "./platform/container-platform.ts";
import { freshDisk } from "./sdk/fresh-disk.ts";
import { launchRetriesMs } from "./fence/launching.ts";
import { limited } from "./platform/limited-call.ts";
import type { NetworkObjectApi, SandboxObjectApi } from "./object-api.ts";
import { aimOf, atContainer, ObjectCaller, objectNameOf, type ObjectOf } from "./object-caller.ts";
import { notAName, removeSnapshot, snapshotNames, storedUnder } from "./files/snapshot-shelf.ts";

/** The time that the platform itself leaves a container between TERM and KILL. */
const stopGraceMs = 5_000;
/** The longest that a request to a wrapper may take to its first byte. Ending a job with its grace takes longest. */
const wrapperCallMs = 60_000;

export interface CloudflareWiring extends Runtime {
  readonly name: "cloudflare" | "sandbox-sdk";
  /** `only ending`: shared containers of an earlier release are still ended, and no session may ask for a new one. */
  readonly sharing: "none" | "only ending" | "offered";
  readonly object: ObjectOf;
  /** The templates that a sandbox may start from; absent: there is only one. */
  readonly templates?: readonly string[];
  /** The objects whose containers can be kept from the network; absent: these containers cannot. */
  readonly network?: (name: string) => NetworkObjectApi;
  /** null: this deployment has no bucket, so no snapshots. */
  readonly bucket: SnapshotBucket | null;
}

export function cloudflareSandbox(wiring: CloudflareWiring): AgentSandbox {
  const caller = new ObjectCaller(wiring.object, wiring.clock, wiring.name);
  const { name } = wiring;
  // Members that an earlier release launched are still ended, each with its container.
  const containers = wiring.sharing === "none" ? {} : { containers: containersOf(caller) };
  return {
    name,
    capabilities: {
      snapshot: wiring.bucket !== null,
      enumerate: false,
      shared: wiring.sharing === "offered",
      space: true,
      traffic: true,
      ...(wiring.templates === undefined ? {} : { templates: wiring.templates }),
      network: wiring.network !== undefined,
      // What a look at a member of a shared container is worth. A look at any other sandbox is worth "container".
      containment: wiring.sharing === "none" ? "container" : "user",
      launchRetriesMs,
      stopGraceMs,
    },
    launch: async (order, bound) => {
      if (order.container !== undefined && wiring.sharing !== "offered")
        return failed(
          "unsupported",
          `The provider ${name} gives no place in a shared container, so nothing was started.`,
          "none",
        );
      return caller.ask(order, objectPlace, bound, true, (object, ms) =>
        order.container === undefined ? object.launch(order, ms) : object.launchMember(order, ms),
      );
    },
    retire: async (target, bound) => {
      const call = (object: SandboxObjectApi, ms: number) => object.retire(aimOf(target), ms);
      const retired = await caller.ask(target, objectPlace, bound, true, call);
      if (!retired.ok || target.host === null || target.host === retired.value.host) return retired;
      return failed(
        "unavailable",
        `Object ${retired.value.host} answered, and the lease is on object ${target.host}: only that one can prove anything about it.`,
        "unknown",
      );
    },
    observe: (target, beganAt, bound) => caller.look(target, beganAt, bound),
    stop: async (target, graceMs, bound) => {
      const call = (object: SandboxObjectApi, ms: number) => object.stopInstance(aimOf(target), graceMs, ms);
      const stopped = await caller.ask(target, objectStopped, bound, true, call);
      return stopped.ok ? succeeded({ remaining: stopped.value.remaining.map(residueOf) }) : stopped;
    },
    destroy: (target, bound) =>
      caller.ask(target, objectNothing, bound, true, (object, ms) => object.erase(aimOf(target), ms)),
    wrapper: (instance) => wrapperOf(wiring, instance),
    readLogs: (target, tailBytes, bound) =>
      caller.ask(target, objectLogs, bound, false, (object, ms) => object.readLogs(aimOf(target), tailBytes, ms)),
    readResources: (target, bound) =>
      caller.ask(target, objectResources, bound, false, (object, ms) => object.readResources(aimOf(target), ms)),
    ...(wiring.network === undefined ? {} : { network: networkOf(wiring, wiring.network) }),
    space: spaceOf(caller),
    traffic: trafficOf(wiring),
    ...containers,
    ...(wiring.bucket === null ? {} : { snapshots: snapshotsOf(wiring, caller, wiring.bucket) }),
  };
}

function containersOf(caller: ObjectCaller): Containers {
  return {
    retire: async ({ id, host }, bound) => {
      const retired = await caller.ask(atContainer(id, host), objectPlace, bound, true, (object, ms) =>
        object.retireContainer(ms),
      );
      if (!retired.ok || host === null || host === retired.value.host) return retired;
      return failed(
        "unavailable",
        `Object ${retired.value.host} answered, and the container is on object ${host}: only that one can prove anything about it.`,
        "unknown",
      );
    },
    observe: (container, beganAt, bound) => caller.lookAtContainer(container, beganAt, bound),
    destroy: ({ id, host }, bound) =>
      caller.ask(atContainer(id, host), objectNothing, bound, true, (object, ms) => object.destroyContainer(ms)),
  };
}

function networkOf({ clock }: CloudflareWiring, objectOf: (name: string) => NetworkObjectApi): Network {
  return {
    change: async (target, rules, bound) => {
      const answer = await limited(clock, bound.timeoutMs, true, () =>
        objectOf(objectNameOf(target)).changeNetwork(aimOf(target), rules),
      );
      return answer.ok ? answer.value : answer;
    },
    denied: async (target, bound) => {
      const answer = await limited(clock, bound.timeoutMs, true, () => objectOf(objectNameOf(target)).denied());
      return answer.ok ? answer.value : answer;
    },
  };
}

function spaceOf(caller: ObjectCaller): Space {
  return {
    // An isolated sandbox gets a new container, so there is nothing to measure, and no object to wake for it.
    inspectCapacity: async (location, bound) => {
      if (bound.signal.aborted) return givenUp;
      if (location.container === undefined) return succeeded(freshDisk);
      return caller.ask(location, objectCapacity, bound, false, (object, ms) => object.inspectCapacity(location, ms));
    },
    reclaim: async (location, bound) => {
      if (bound.signal.aborted) return givenUp;
      if (location.container === undefined) return succeeded({ removed: [], freedBytes: 0, kept: [] });
      const told = await caller.ask(location, objectReclaimed, bound, true, (object, ms) =>
        object.reclaim(location, ms),
      );
      if (!told.ok) return told;
      return succeeded({ ...told.value, removed: told.value.removed.map((name) => name as SandboxId) });
    },
  };
}

function snapshotsOf(wiring: CloudflareWiring, caller: ObjectCaller, bucket: SnapshotBucket): Snapshots {
  return {
    save: (target, snapshotId, bound) =>
      caller.ask(target, objectSaved, bound, true, (object, ms) => object.save(aimOf(target), snapshotId, ms)),
    // This needs no container, so do not construct the container's object.
    remove: async (sessionId, snapshotId, bound) => {
      const names = snapshotNames(sessionId, snapshotId);
      if (names === null) return notAName;
      if (bound.signal.aborted) return givenUp;
      const removed = await limited(wiring.clock, bound.timeoutMs, true, () => removeSnapshot(bucket, names));
      return removed.ok ? succeeded(null) : removed;
    },
    inspect: async (sessionId, snapshotId, bound) => {
      const names = snapshotNames(sessionId, snapshotId);
      if (names === null) return notAName;
      return limited(wiring.clock, bound.timeoutMs, false, () => storedUnder(bucket, names));
    },
  };
}

function trafficOf({ object, clock }: CloudflareWiring): Traffic {
  return {
    send: async (pass, nonce, { method, path, headers, body }, bound) => {
      if (pass.container !== undefined)
        return failed(
          "unsupported",
          "Files, processes and ports of sandboxes in a shared container cannot be reached with this provider. Use `isolation: session`.",
          "none",
        );
      const sent = new Headers(headers);
      for (const [name, value] of Object.entries(passHeaders(pass, nonce))) sent.set(name, value);
      return httpCall(clock, bound, true, (signal) => {
        const request = new Request(`http://sandbox${trafficPrefix}${path}`, {
          method,
          headers: sent,
          // oxlint-disable-next-line unicorn/no-invalid-fetch-options -- the caller gives null where the method has no body
          body,
          redirect: "manual",
          signal,
        });
        return object(objectNameOf(pass), pass.host).fetch(request);
      });
    },
  };
}

function wrapperOf(wiring: CloudflareWiring, instance: InstanceRef): WrapperClient {
  const reach: WrapperReach = {
    forget: () => {},
    fetch: async (path, init) => {
      const headers = new Headers(init.headers);
      const nonce = headers.get(wrapperHeaders.nonce) ?? "";
      const call = {
        aim: { ...aimOf(instance), instanceId: instance.instanceId },
        method: init.method ?? "GET",
        path,
        headers: [...headers],
        body: typeof init.body === "string" || init.body instanceof Uint8Array ? init.body : null,
        proof: await wrapperProof(instance.secret, nonce),
      };
      const answer = await wiring.object(objectNameOf(instance), instance.host).callWrapper(call, wrapperCallMs);
      if (answer.ok) return answer.value;
      const { message, effect } = answer.failure;
      throw effect === "none" ? new NotSent(message) : new Error(message);
    },
  };
  return new HttpWrapperClient(instance, reach, wiring);
}

function residueOf(one: { kind: Residue["kind"]; instanceId: string | null; pid: number | null }): Residue {
  return { ...one, instanceId: one.instanceId as InstanceId | null };
}
