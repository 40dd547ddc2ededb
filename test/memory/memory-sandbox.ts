/**
 * The `memory` provider: `AgentSandbox` over a `MemoryWorld`. No network, no timers of its own, no randomness: every wait is
 * a plain promise or the given clock's sleep, so that under a virtual clock a run is the same each time.
 * It adds nothing to what the world decides; it only words it as the port wants, under the fault of the call.
 */
import { failed, succeeded, type ProviderResult } from "../../src/domain/state/failure.ts";
import type { SandboxId } from "../../src/domain/state/ids.ts";
import type { Observation, Residue } from "../../src/domain/state/observation.ts";
import type {
  AgentSandbox,
  CallBound,
  Capabilities,
  Containers,
  ContainerTarget,
  Enumerated,
  StoredFile,
  InstanceRef,
  Launched,
  LaunchOrder,
  SandboxLocation,
  Restoring,
  Retired,
  SandboxLogs,
  SandboxResources,
  Snapshots,
  Space,
  Stopped,
  Target,
  Traffic,
  WrapperClient,
} from "../../src/sandbox/agent-sandbox.ts";
import { type TrafficKeys, webTrafficKeys } from "../../src/protocol/sandbox/traffic.ts";
import type { Fault, FaultPlan, Lie } from "./fault-plan.ts";
import { noFaults } from "./fault-plan.ts";
import { faultyCall, type Sleeper, type FaultyCallDependencies } from "./faulty-call.ts";
import { LyingList } from "./lying-list.ts";
import { MemoryWrapperClient } from "./memory-wrapper-client.ts";
import type { MemoryWorld } from "./memory-world.ts";
import { logsOf, resourcesOf } from "./sandbox-report.ts";
import { trafficOfWorld } from "./traffic-of-world.ts";
import { waitFor } from "./wait-for.ts";
import type { Seen } from "./world-answers.ts";

export interface MemorySandboxOptions {
  /** Sleeps in the world's time. */
  readonly clock: Sleeper;
  readonly faults?: FaultPlan;
  readonly capabilities?: Partial<Capabilities>;
  /** By default the real ones. */
  readonly keys?: TrafficKeys;
}

export const memoryCapabilities: Capabilities = {
  snapshot: true,
  enumerate: true,
  shared: true,
  space: true,
  traffic: true,
  containment: "container",
  launchRetriesMs: 0,
  stopGraceMs: 30_000,
};

export function memorySandbox(world: MemoryWorld, options: MemorySandboxOptions): AgentSandbox {
  return new MemorySandbox(world, options);
}

interface Answer {
  readonly shown: Seen;
  /** The host answered that it could not read its processes: it names itself, and the look is no evidence of anything. */
  readonly unreadable: boolean;
  /** What a true list would have shown. */
  readonly truth: readonly Residue[];
}

class MemorySandbox implements AgentSandbox {
  readonly name = "memory";
  readonly capabilities: Capabilities;
  readonly snapshots?: Snapshots;
  readonly space?: Space;
  readonly containers?: Containers;
  readonly traffic?: Traffic;
  readonly #at: FaultyCallDependencies;
  readonly #lists = new LyingList();

  constructor(world: MemoryWorld, options: MemorySandboxOptions) {
    this.capabilities = { ...memoryCapabilities, ...options.capabilities };
    this.#at = { world, clock: options.clock, faults: options.faults ?? noFaults };
    if (this.capabilities.snapshot) this.snapshots = snapshotsOf(this.#at);
    if (this.capabilities.space) this.space = spaceOf(this.#at);
    if (this.capabilities.traffic) this.traffic = trafficOfWorld(this.#at, options.keys ?? webTrafficKeys);
    if (this.capabilities.shared) this.containers = containersOf(this.#at);
  }

  launch(order: LaunchOrder, bound: CallBound): Promise<ProviderResult<Launched>> {
    return faultyCall(this.#at, { op: "launch", ...nameOf(order) }, bound, {
      effect: () => this.#at.world.launch(order),
      reply: (launched) => launched,
    });
  }

  retire(target: Target, bound: CallBound): Promise<ProviderResult<Retired>> {
    return faultyCall(this.#at, { op: "retire", ...nameOf(target) }, bound, {
      effect: () => this.#at.world.retire(target),
      reply: (retired) => retired,
    });
  }

  async observe(target: Target, beganAt: number, bound: CallBound): Promise<Observation> {
    const looked = await faultyCall(this.#at, { op: "observe", ...nameOf(target) }, bound, {
      effect: (fault) => this.#look(target, fault),
      reply: (answer) => answer,
    });
    const { containment } = this.capabilities;
    const { sandboxId, generation } = target;
    const asked = { provider: this.name, sandboxId, generation, beganAt, containment } as const;
    if (!looked.ok) {
      return { ...asked, answer: "unknown", host: null, boot: null, residue: [], detail: looked.failure.message };
    }
    const { shown, unreadable, truth } = looked.value;
    const { host, boot, residue } = shown;
    if (unreadable)
      return { ...asked, answer: "unknown", host, boot, residue: [], detail: "the process list could not be read" };
    this.#lists.delivered(target.sandboxId, residue, truth);
    if (residue.length === 0) {
      return { ...asked, answer: "absent", host, boot, residue, detail: "no process carries the session's marker" };
    }
    return { ...asked, answer: "present", host, boot, residue, detail: `${residue.length} processes are there` };
  }

  stop(target: Target, graceMs: number, bound: CallBound): Promise<ProviderResult<Stopped>> {
    const { world } = this.#at;
    return faultyCall(this.#at, { op: "stop", ...nameOf(target) }, bound, {
      effect: () => world.stop(target, graceMs),
      reply: async (ordered, signal): Promise<ProviderResult<Stopped>> => {
        if (!ordered.ok) return ordered;
        const over = () => world.aimedAt(target).length === 0 || world.advance() >= ordered.value.strikesAt;
        if (!(await waitFor(this.#at, over, signal))) return failed("timed_out", "the caller gave up", "unknown");
        const remaining = world.look(target, null);
        return remaining.ok ? succeeded({ remaining: remaining.value.residue }) : remaining;
      },
    });
  }

  destroy(target: Target, bound: CallBound): Promise<ProviderResult<null>> {
    return faultyCall(this.#at, { op: "destroy", ...nameOf(target) }, bound, {
      effect: () => this.#at.world.destroy(target),
      reply: (destroyed) => destroyed,
    });
  }

  wrapper(instance: InstanceRef): WrapperClient {
    return new MemoryWrapperClient(this.#at, instance);
  }

  readLogs(target: Target, tailBytes: number, bound: CallBound): Promise<ProviderResult<SandboxLogs>> {
    return faultyCall(this.#at, { op: "readLogs", ...nameOf(target) }, bound, {
      effect: () => logsOf(this.#at.world, target.sandboxId, tailBytes),
      reply: (logs) => logs,
    });
  }

  readResources(target: Target, bound: CallBound): Promise<ProviderResult<SandboxResources>> {
    return faultyCall(this.#at, { op: "readResources", ...nameOf(target) }, bound, {
      effect: () => resourcesOf(this.#at.world, target.sandboxId),
      reply: (resources) => resources,
    });
  }

  enumerate(bound: CallBound): Promise<ProviderResult<readonly Enumerated[]>> {
    const nobody = { sessionId: null, sandboxId: null, generation: null };
    return faultyCall(this.#at, { op: "enumerate", ...nobody }, bound, {
      effect: () => this.#at.world.enumerate(),
      reply: (found) => found,
    });
  }

  files(bound: CallBound): Promise<ProviderResult<readonly StoredFile[]>> {
    const nobody = { sessionId: null, sandboxId: null, generation: null };
    return faultyCall(this.#at, { op: "enumerate", ...nobody }, bound, {
      effect: () => this.#at.world.files(),
      reply: (found) => found,
    });
  }

  #look(target: Target, fault: Fault): ProviderResult<Answer> {
    const truth = this.#at.world.look(target, null);
    if (!truth.ok) return truth;
    const honest = succeeded({ shown: truth.value, unreadable: false, truth: truth.value.residue });
    if (fault.type !== "stale_read") return honest;
    if (fault.lie.type === "malformed") return succeeded({ ...honest.value, unreadable: true });
    const shown = this.#lie(target, truth.value, fault.lie);
    if (!shown.ok) return shown;
    const hides = shown.value.residue.length === 0 && truth.value.residue.length > 0;
    return hides && !this.#lists.mayHide(target.sandboxId)
      ? honest
      : succeeded({ ...honest.value, shown: shown.value });
  }

  #lie(target: Target, truth: Seen, lie: Exclude<Lie, { type: "malformed" }>): ProviderResult<Seen> {
    switch (lie.type) {
      case "absent":
        return succeeded({ ...truth, residue: [] });
      case "fewer":
        return succeeded({ ...truth, residue: truth.residue.slice(0, 1) });
      case "stale":
        return this.#at.world.look(target, this.#at.world.advance() - lie.ageMs);
      case "wrong_host":
        return succeeded({ host: "another-host", boot: "another-host-boot-1", residue: [] });
      case "wrong_boot":
        return succeeded({ ...truth, boot: `${truth.boot}-before`, residue: [] });
    }
  }
}

function snapshotsOf(at: FaultyCallDependencies): Snapshots {
  return {
    save: (target, snapshotId, bound) =>
      faultyCall(at, { op: "save", ...nameOf(target) }, bound, {
        effect: () => at.world.save(target, snapshotId),
        reply: (saved) => saved,
      }),
    restore: (order, bound) =>
      faultyCall(at, { op: "restore", ...nameOf(order) }, bound, {
        effect: () => at.world.restore(order),
        reply: async (begun, signal): Promise<ProviderResult<Restoring>> => {
          if (!begun.ok) return begun;
          const { beganAt, endsAt, bytes } = begun.value;
          await at.clock.sleep(Math.max(0, Math.min(order.waitMs, endsAt - at.world.advance())), signal);
          const now = at.world.advance();
          const share = now >= endsAt ? 1 : (now - beganAt) / (endsAt - beganAt);
          return succeeded({ done: now >= endsAt, doneBytes: Math.floor(bytes * share), totalBytes: bytes });
        },
      }),
    remove: (sessionId, snapshotId, bound) =>
      faultyCall(at, { op: "remove", sessionId, sandboxId: null, generation: null }, bound, {
        effect: () => at.world.removeSnapshot(sessionId, snapshotId),
        reply: (removed) => removed,
      }),
    inspect: (sessionId, snapshotId, bound) =>
      faultyCall(at, { op: "inspectSnapshot", sessionId, sandboxId: null, generation: null }, bound, {
        effect: () => at.world.storedSnapshot(sessionId, snapshotId),
        reply: succeeded,
      }),
  };
}

function containersOf(at: FaultyCallDependencies): Containers {
  const about = ({ id }: ContainerTarget) => ({ sessionId: null, sandboxId: null, generation: null, container: id });
  const { world } = at;
  return {
    retire: (target, bound) =>
      faultyCall(at, { op: "retireContainer", ...about(target) }, bound, {
        effect: () => world.ofContainer(target, (host) => world.containers.retire(target, host)),
        reply: (retired) => retired,
      }),
    observe: async (target, beganAt, bound) => {
      const looked = await faultyCall(at, { op: "observeContainer", ...about(target) }, bound, {
        effect: () => world.ofContainer(target, (host) => world.containers.look(target, host)),
        reply: (seen) => seen,
      });
      const sandboxId = target.id as string as SandboxId;
      const asked = { provider: "memory", sandboxId, generation: target.generation, beganAt } as const;
      if (!looked.ok)
        return { ...asked, answer: "unknown", host: null, boot: null, residue: [], detail: looked.failure.message };
      const { residue } = looked.value;
      const answer = residue.length === 0 ? "absent" : "present";
      return { ...asked, ...looked.value, answer, detail: `${residue.length} things are there` };
    },
    destroy: (target, bound) =>
      faultyCall(at, { op: "destroyContainer", ...about(target) }, bound, {
        effect: () => world.ofContainer(target, () => world.containers.destroy(target)),
        reply: (destroyed) => destroyed,
      }),
  };
}

function spaceOf(at: FaultyCallDependencies): Space {
  const about = ({ sessionId, sandboxId, container }: SandboxLocation) => ({
    ...{ sessionId, sandboxId, generation: null },
    ...(container === undefined ? {} : { container }),
  });
  return {
    inspectCapacity: (location, bound) =>
      faultyCall(at, { op: "inspectCapacity", ...about(location) }, bound, {
        effect: () => at.world.inspectCapacity(),
        reply: (capacity) => capacity,
      }),
    reclaim: (location, bound) =>
      faultyCall(at, { op: "reclaim", ...about(location) }, bound, {
        effect: () => at.world.reclaim(location),
        reply: (reclaimed) => reclaimed,
      }),
  };
}

function nameOf({ sessionId, sandboxId, generation, container }: Named) {
  return { sessionId, sandboxId, generation, ...(container === undefined ? {} : { container }) };
}

type Named = Pick<Target, "sessionId" | "sandboxId" | "generation" | "container">;
