/**
 * Whether the kit can fail: each provider below breaks one sentence of the contract, and the named check must notice.
 * The unbroken one keeps it.
 */
import { AssertionError } from "node:assert/strict";
import { describe, expect, it } from "vitest";
import { failed, succeeded } from "../../src/domain/state/failure.ts";
import {
  isolatedSandboxId,
  type ContainerId,
  type Generation,
  type InstanceId,
  type SandboxId,
} from "../../src/domain/state/ids.ts";
import type { BootstrapRequest, BootstrapStep } from "../../src/protocol/sandbox/workspace.ts";
import type {
  AgentSandbox,
  Containers,
  LaunchOrder,
  Snapshots,
  Space,
  Target,
  Traffic,
  WrapperClient,
} from "../../src/sandbox/agent-sandbox.ts";
import { type TrafficRefusal, trafficHeaders } from "../../src/protocol/sandbox/traffic.ts";
import { instantTrafficKeys } from "../support/instant-traffic-keys.ts";
import type { Observation } from "../../src/domain/state/observation.ts";
import { memoryHarness } from "./memory-harness.ts";
import { providerChecks, runCheck } from "./provider-check.ts";
import type { ProviderHarness, ProviderWorld } from "./provider-harness.ts";

interface Faulty {
  readonly sins: string;
  /** How the name of the check begins that must notice. */
  readonly caughtBy: string;
  readonly broken: (honest: AgentSandbox) => Partial<AgentSandbox>;
}

const absentInstead = (seen: Observation): Observation => ({ ...seen, answer: "absent", residue: [] });

const faulty: readonly Faulty[] = [
  {
    sins: "reads every unknown as absent",
    caughtBy: "a look that fails is unknown",
    broken: (honest) => ({
      observe: async (...call) => {
        const seen = await honest.observe(...call);
        return seen.answer === "unknown" ? absentInstead(seen) : seen;
      },
    }),
  },
  {
    sins: "sees nothing",
    caughtBy: "stopping does not retire",
    broken: (honest) => ({ observe: async (...call) => absentInstead(await honest.observe(...call)) }),
  },
  {
    sins: "throws when it cannot reach its host",
    caughtBy: "a look at a provider that cannot be reached",
    broken: (honest) => ({
      observe: async (...call) => {
        const seen = await honest.observe(...call);
        if (seen.answer === "unknown") throw new Error("connection lost");
        return seen;
      },
    }),
  },
  {
    sins: "waits as long as it takes",
    caughtBy: "a look that hangs",
    broken: (honest) => ({
      observe: (target, beganAt) =>
        honest.observe(target, beganAt, { timeoutMs: 30_000, signal: new AbortController().signal }),
    }),
  },
  {
    sins: "starts what it looks at",
    caughtBy: "a sandbox that never was",
    broken: (honest) => ({
      observe: async (target, beganAt, bound) => {
        const order = {
          ...target,
          instanceId: "woken" as InstanceId,
          secret: "w".repeat(64),
          launchNotAfter: beganAt + 60_000,
          leaseTtlMs: 60_000,
          jobGraceMs: 100,
          stopGraceMs: 500,
          env: {},
        };
        await honest.launch(order, bound);
        return honest.observe(target, beganAt, bound);
      },
    }),
  },
  {
    sins: "takes any host's word",
    caughtBy: "an answer of another host",
    broken: (honest) => ({ observe: (target, ...rest) => honest.observe({ ...target, host: null }, ...rest) }),
  },
  {
    sins: "matches ids that begin alike",
    caughtBy: "a session id or generation that begins like another",
    broken: (honest) => ({
      observe: async (target, beganAt, bound) => {
        const seen = await honest.observe(target, beganAt, bound);
        const all = await honest.enumerate?.(bound);
        if (seen.answer !== "absent" || all?.ok !== true) return seen;
        const alike = all.value.filter((one) => one.sessionId.startsWith(target.sessionId));
        return alike.length === 0 ? seen : { ...seen, answer: "present", residue: alike.map((one) => one.residue) };
      },
    }),
  },
  {
    sins: "shows one wrapper where there are two",
    caughtBy: "a second wrapper of a generation",
    broken: (honest) => ({
      observe: async (...call) => {
        const seen = await honest.observe(...call);
        return { ...seen, residue: seen.residue.slice(0, 1) };
      },
    }),
  },
  {
    sins: "starts a process for each call",
    caughtBy: "eight launches of one instance",
    broken: (honest) => {
      let calls = 0;
      return {
        launch: (order, bound) => {
          calls += 1;
          const sandboxId = `${order.sandboxId}x${calls}` as SandboxId;
          return honest.launch({ ...order, sandboxId, instanceId: `${order.instanceId}${calls}` as InstanceId }, bound);
        },
      };
    },
  },
  {
    sins: "launches whatever the hour",
    caughtBy: "a launch that arrives after launchNotAfter",
    broken: (honest) => ({
      launch: (order, bound) => honest.launch({ ...order, launchNotAfter: order.launchNotAfter + 60_000 }, bound),
    }),
  },
  {
    sins: "calls a lost launch harmless",
    caughtBy: "a launch after a lost reply",
    broken: (honest) => ({
      launch: async (...call) => {
        const result = await honest.launch(...call);
        return result.ok ? result : failed(result.failure.code, result.failure.message, "none");
      },
    }),
  },
  {
    sins: "acknowledges a retirement that it does not make",
    caughtBy: "a launch of a retired generation",
    broken: () => ({ retire: async () => succeeded({ host: "somewhere", boot: "some boot" }) }),
  },
  {
    sins: "keeps retirements in memory",
    caughtBy: "a retirement is not undone by a restart",
    broken: (honest) => {
      const retired = new Set<string>();
      return {
        retire: async (target) => {
          retired.add(target.sandboxId);
          return succeeded({ host: "somewhere", boot: "some boot" });
        },
        launch: async (order, bound) => {
          // What a restart forgets.
          retired.clear();
          return honest.launch(order, bound);
        },
      };
    },
  },
  {
    sins: "stops by session instead of by instance",
    caughtBy: "a stop strikes its instance",
    broken: (honest) => ({ stop: (target, ...rest) => honest.stop({ ...target, instanceId: null }, ...rest) }),
  },
  {
    sins: "says that it stopped, and did not",
    caughtBy: "a stop ends the wrapper",
    broken: () => ({ stop: async () => succeeded({ remaining: [] }) }),
  },
  {
    sins: "never goes beyond TERM",
    caughtBy: "what ignores TERM is killed",
    broken: (honest) => ({
      stop: async (target, graceMs, bound) => {
        const result = await honest.stop(target, 60_000, { ...bound, timeoutMs: graceMs });
        return result.ok ? result : succeeded({ remaining: [] });
      },
    }),
  },
  {
    sins: "fails to stop what is gone",
    caughtBy: "a stop of what is not there",
    broken: () => ({ stop: async () => failed("not_found", "no such process", "none") }),
  },
  {
    sins: "destroys what runs",
    caughtBy: "a sandbox is destroyed only when",
    broken: () => ({ destroy: async () => succeeded(null) }),
  },
  {
    sins: "acknowledges a save that it does not make",
    caughtBy: "what is saved of one sandbox",
    broken: (honest) => ({
      snapshots: { ...saving(honest), save: async () => succeeded({ bytes: 1 }) },
    }),
  },
  {
    sins: "begins empty when there is nothing to restore",
    caughtBy: "an unknown snapshot",
    broken: (honest) => ({
      launch: async (order, bound) => {
        const result = await honest.launch(order, bound);
        if (result.ok || result.failure.code !== "not_found") return result;
        const { restore: _, ...empty } = order;
        return honest.launch(empty, bound);
      },
    }),
  },
  {
    sins: "saves again what was saved",
    caughtBy: "a save of the same name",
    broken: (honest) => {
      const saves = saving(honest);
      let calls = 0;
      const last = new Map<string, string>();
      const newest = (name: string): string => last.get(name) ?? name;
      return {
        snapshots: {
          save: (target, name, bound) => {
            calls += 1;
            last.set(name, `${name}-${calls}`);
            return saves.save(target, newest(name), bound);
          },
          remove: (session, name, bound) => saves.remove(session, newest(name), bound),
          inspect: (session, name, bound) => saves.inspect(session, newest(name), bound),
        },
        launch: (order, bound) =>
          honest.launch(
            { ...order, ...(order.restore === undefined ? {} : { restore: newest(order.restore) }) },
            bound,
          ),
      };
    },
  },
  {
    sins: "forgets what it removed",
    caughtBy: "a removed name is never saved again",
    broken: (honest) => {
      const saves = saving(honest);
      let removals = 0;
      const nameNow = (name: string): string => `${name}-${removals}`;
      return {
        snapshots: {
          save: (target, name, bound) => saves.save(target, nameNow(name), bound),
          remove: async (session, name, bound) => {
            const removed = await saves.remove(session, nameNow(name), bound);
            removals += 1;
            return removed;
          },
          inspect: (session, name, bound) => saves.inspect(session, nameNow(name), bound),
        },
      };
    },
  },
  {
    sins: "restores one session's files into another's",
    caughtBy: "a snapshot of another session",
    broken: (honest) => {
      let first: LaunchOrder["sessionId"] | null = null;
      return {
        launch: async (order, bound) => {
          first ??= order.sessionId;
          return honest.launch(order.restore === undefined ? order : { ...order, sessionId: first }, bound);
        },
      };
    },
  },
  {
    sins: "takes no drain back",
    caughtBy: "a drain that is taken back",
    broken: (honest) => ({
      wrapper: (instance) => Object.assign(honest.wrapper(instance), { admit: async () => succeeded(null) }),
    }),
  },
  {
    sins: "calls a workspace prepared that it did not touch",
    caughtBy: "a workspace is prepared step by step",
    broken: (honest) =>
      preparing(
        honest,
        () =>
          async ({ order }) =>
            succeeded({ version: 2, steps: order.setup.map(done) }),
      ),
  },
  {
    sins: "takes jobs while it prepares",
    caughtBy: "no job is taken before the workspace",
    broken: (honest) => preparing(honest, () => async () => succeeded({ version: 1, steps: [] })),
  },
  {
    sins: "takes any order for the first one",
    caughtBy: "an order for a workspace is carried out once",
    broken: (honest) => {
      let first: BootstrapRequest["order"] | null = null;
      return preparing(honest, (wrapper) => {
        const real = wrapper.prepare.bind(wrapper);
        return (request, bound) => real({ ...request, order: (first ??= request.order) }, bound);
      });
    },
  },
  {
    sins: "shows what a step was given",
    caughtBy: "what is told of a step",
    broken: (honest) =>
      preparing(honest, (wrapper) => {
        const real = wrapper.prepare.bind(wrapper);
        return async (request, bound) => {
          const told = await real(request, bound);
          if (!told.ok) return told;
          const steps = told.value.steps.map((step) => ({
            ...step,
            last_output: step.last_output.replace("[secret]", request.order.env["TOKEN"] ?? ""),
          }));
          return succeeded({ ...told.value, steps });
        };
      }),
  },
  {
    sins: "declares what it has not",
    caughtBy: "it can save exactly when",
    broken: (honest) => ({ capabilities: { ...honest.capabilities, snapshot: false } }),
  },
  {
    sins: "takes traffic that it does not declare",
    caughtBy: "it takes traffic exactly when",
    broken: (honest) => ({ capabilities: { ...honest.capabilities, traffic: false } }),
  },
  {
    sins: "serves whatever pass it is shown",
    caughtBy: "a pass with a wrong token",
    broken: (honest) => servingWhatIs("unauthorized", honest),
  },
  {
    sins: "serves traffic of a generation that it has retired",
    caughtBy: "a pass of a retired generation",
    broken: (honest) => servingWhatIs("retired", honest),
  },
  {
    sins: "serves traffic while a drain holds it",
    caughtBy: "a drained wrapper takes no traffic",
    broken: (honest) => servingWhatIs("held", honest),
  },
  {
    sins: "passes on an answer that proves nothing",
    caughtBy: "traffic reaches the agent",
    broken: (honest) => ({
      traffic: {
        send: async (...call) => {
          const sent = await taking(honest).send(...call);
          if (sent.ok) sent.value.headers.delete(trafficHeaders.proof);
          return sent;
        },
      },
    }),
  },
  {
    sins: "takes an order to cut and cuts nothing",
    caughtBy: "an order to cut",
    broken: (honest) => ({
      wrapper: (instance) =>
        Object.assign(honest.wrapper(instance), { cutTraffic: () => Promise.resolve(succeeded(null)) }),
    }),
  },
  {
    sins: "ignores the fencing token",
    caughtBy: "an old fencing token",
    broken: (honest) => {
      let current = 0;
      return {
        launch: (order, bound) => {
          current = order.generation;
          return honest.launch(order, bound);
        },
        wrapper: (instance) => honest.wrapper({ ...instance, generation: current as typeof instance.generation }),
      };
    },
  },
  {
    sins: "believes whoever answers on the port",
    caughtBy: "a process that takes over the wrapper's port",
    broken: (honest) => ({
      wrapper: (instance) =>
        Object.assign(honest.wrapper(instance), {
          health: async () => succeeded({ instance_id: instance.instanceId }),
        }),
    }),
  },
  {
    sins: "declares that it cannot measure, and does",
    caughtBy: "it can measure room exactly when",
    broken: (honest) => ({ capabilities: { ...honest.capabilities, space: false } }),
  },
  {
    sins: "guesses what it cannot measure",
    caughtBy: "a measurement that cannot be made",
    broken: (honest) => ({
      space: {
        ...measuring(honest),
        inspectCapacity: async (...call) => {
          const measured = await measuring(honest).inspectCapacity(...call);
          return measured.ok ? measured : succeeded({ freeBytes: 0, totalBytes: 0 });
        },
      },
    }),
  },
  {
    sins: "calls a filesystem that refuses writes a full one",
    caughtBy: "a read-only filesystem",
    broken: (honest) => ({
      space: {
        ...measuring(honest),
        inspectCapacity: async (...call) => {
          const measured = await measuring(honest).inspectCapacity(...call);
          return measured.ok ? measured : failed("insufficient_space", "no room", "none");
        },
      },
    }),
  },
  {
    sins: "says that it removed, and did not",
    caughtBy: "reclaiming removes the workspace",
    broken: (honest) => reclaiming(honest, async () => succeeded({ removed: [], freedBytes: 0, kept: [] })),
  },
  {
    sins: "removes the workspace of the session that asks",
    caughtBy: "reclaiming keeps what runs",
    broken: (honest) =>
      reclaiming(honest, (place, bound) =>
        measuring(honest).reclaim({ ...place, sessionId: "somebodyelse00000000" as typeof place.sessionId }, bound),
      ),
  },
  {
    sins: "removes what it was to keep",
    caughtBy: "reclaiming keeps what was touched",
    broken: (honest) => reclaiming(honest, removingAll(honest)),
  },
  {
    sins: "removes although it is blind",
    caughtBy: "reclaiming removes nothing when",
    broken: (honest) => reclaiming(honest, removingAll(honest)),
  },
  {
    sins: "declares that it does not share, and does",
    caughtBy: "it can share containers exactly",
    broken: (honest) => ({ capabilities: { ...honest.capabilities, shared: false } }),
  },
  {
    sins: "ends the container with its member",
    caughtBy: "a stop of one member",
    broken: (honest) => ({
      stop: async (target, graceMs, bound) => {
        const stopped = await honest.stop(target, graceMs, bound);
        const container = {
          id: target.container ?? ("none" as ContainerId),
          generation: target.generation,
          host: null,
        };
        await sharing(honest).retire(container, bound);
        await sharing(honest).destroy(container, bound);
        return stopped;
      },
    }),
  },
  {
    sins: "retires the container with its member",
    caughtBy: "retiring and destroying one member",
    broken: (honest) => ({
      retire: async (target, bound) => {
        const container = {
          id: target.container ?? ("none" as ContainerId),
          generation: target.generation,
          host: null,
        };
        await sharing(honest).retire(container, bound);
        return honest.retire(target, bound);
      },
    }),
  },
  {
    sins: "launches in a container that is retired",
    caughtBy: "nothing is launched any more in a retired container",
    broken: (honest) => ({
      launch: ({ container: _, ...order }, bound) => honest.launch(order, bound),
    }),
  },
  {
    sins: "destroys a container that is not retired",
    caughtBy: "a container is destroyed only when",
    broken: (honest) => ({
      containers: {
        ...sharing(honest),
        destroy: async (container, bound) => {
          await sharing(honest).retire(container, bound);
          return sharing(honest).destroy(container, bound);
        },
      },
    }),
  },
  {
    sins: "calls a container gone when nothing runs in it",
    caughtBy: "a container is there from its first launch",
    broken: (honest) => ({
      containers: {
        ...sharing(honest),
        observe: async (...call) => {
          const seen = await sharing(honest).observe(...call);
          return seen.residue.every((one) => one.kind === "container") ? absentInstead(seen) : seen;
        },
      },
    }),
  },
  {
    sins: "starts a shared container to measure its room",
    caughtBy: "measuring and reclaiming start no shared container",
    broken: (honest) => ({
      space: {
        ...measuring(honest),
        inspectCapacity: async (place, bound) => {
          const order = {
            ...place,
            generation: 1 as Generation,
            instanceId: "woken" as InstanceId,
            secret: "w".repeat(64),
            launchNotAfter: Number.MAX_SAFE_INTEGER,
            leaseTtlMs: 60_000,
            jobGraceMs: 100,
            stopGraceMs: 500,
            env: {},
          };
          await honest.launch(order, bound);
          return measuring(honest).inspectCapacity(place, bound);
        },
      },
    }),
  },
  {
    sins: "saves whoever asked first",
    caughtBy: "members are saved at once",
    broken: (honest) => {
      let first: Target | null = null;
      return {
        snapshots: {
          ...saving(honest),
          save: (target, ...rest) => {
            first ??= target;
            return saving(honest).save(first, ...rest);
          },
        },
      };
    },
  },
  {
    sins: "ends the container when a launch in it fails",
    caughtBy: "a member that cannot come up",
    broken: (honest) => ({
      launch: async (order, bound) => {
        const launched = await honest.launch(order, bound);
        if (launched.ok || order.container === undefined) return launched;
        const container = { id: order.container, generation: order.generation, host: null };
        await sharing(honest).retire(container, bound);
        await sharing(honest).destroy(container, bound);
        return launched;
      },
    }),
  },
  {
    sins: "launches one of those that come at once, and calls the others launched",
    caughtBy: "members that are launched at once",
    broken: (honest) => {
      let busy: ReturnType<AgentSandbox["launch"]> | null = null;
      return { launch: (...call) => (busy ??= honest.launch(...call)) };
    },
  },
  {
    sins: "stops the next generation of a member with the old one",
    caughtBy: "a launch and a stop of a member that land late",
    broken: (honest) => ({
      stop: async (target, ...rest) => {
        const stopped = await honest.stop(target, ...rest);
        const generation = (target.generation + 1) as Generation;
        await honest.stop(
          { ...target, generation, sandboxId: isolatedSandboxId(target.sessionId, generation), instanceId: null },
          ...rest,
        );
        return stopped;
      },
    }),
  },
  {
    sins: "calls a container gone that it cannot reach",
    caughtBy: "a look at a container of a provider",
    broken: (honest) => ({
      containers: {
        ...sharing(honest),
        observe: async (...call) => absentInstead(await sharing(honest).observe(...call)),
      },
    }),
  },
];

function sharing({ containers }: AgentSandbox): Containers {
  if (containers === undefined) throw new Error("the memory provider can share");
  return containers;
}

function measuring({ space }: AgentSandbox): Space {
  if (space === undefined) throw new Error("the memory provider can measure");
  return space;
}

function taking({ traffic }: AgentSandbox): Traffic {
  if (traffic === undefined) throw new Error("the memory provider takes traffic");
  return traffic;
}

/** As if the agent had served what it refused with this code. */
function servingWhatIs(refused: TrafficRefusal, honest: AgentSandbox): Partial<AgentSandbox> {
  return {
    traffic: {
      send: async (pass, nonce, ...rest) => {
        const sent = await taking(honest).send(pass, nonce, ...rest);
        if (!sent.ok || sent.value.headers.get(trafficHeaders.refused) !== refused) return sent;
        const proof = await instantTrafficKeys.proof(pass.key, nonce);
        return succeeded(new Response("served", { headers: { [trafficHeaders.proof]: proof } }));
      },
    },
  };
}

function reclaiming(honest: AgentSandbox, reclaim: Space["reclaim"]): Partial<AgentSandbox> {
  return { space: { ...measuring(honest), reclaim } };
}

function removingAll(honest: AgentSandbox): Space["reclaim"] {
  return async (...call) => {
    const honestly = await measuring(honest).reclaim(...call);
    if (!honestly.ok) return honestly;
    return succeeded({
      ...honestly.value,
      removed: honestly.value.kept.map(({ name }) => name as SandboxId),
      kept: [],
    });
  };
}

type Prepare = WrapperClient["prepare"];

function preparing(honest: AgentSandbox, broken: (wrapper: WrapperClient) => Prepare): Partial<AgentSandbox> {
  return {
    wrapper: (instance) => {
      const wrapper = honest.wrapper(instance);
      return Object.assign(wrapper, { prepare: broken(wrapper) });
    },
  };
}

function done(_: string, index: number): BootstrapStep {
  return {
    name: `setup ${index + 1}`,
    state: "succeeded",
    started_ago_ms: 1,
    ended_ago_ms: 0,
    exit_code: 0,
    disk_full: false,
    last_output: "",
  };
}

function saving({ snapshots }: AgentSandbox): Snapshots {
  if (snapshots === undefined) throw new Error("the memory provider can save");
  return snapshots;
}

function breaking({ broken }: Faulty): ProviderHarness {
  return {
    async open(): Promise<ProviderWorld> {
      const world = await memoryHarness.open();
      const honest = world.provider;
      const provider: AgentSandbox = {
        name: honest.name,
        capabilities: honest.capabilities,
        launch: (...call) => honest.launch(...call),
        retire: (...call) => honest.retire(...call),
        observe: (...call) => honest.observe(...call),
        stop: (...call) => honest.stop(...call),
        destroy: (...call) => honest.destroy(...call),
        wrapper: (...call) => honest.wrapper(...call),
        readLogs: (...call) => honest.readLogs(...call),
        readResources: (...call) => honest.readResources(...call),
        snapshots: saving(honest),
        space: measuring(honest),
        containers: sharing(honest),
        traffic: taking(honest),
        ...broken(honest),
      };
      return {
        provider,
        jobs: world.jobs,
        can: world.can,
        trafficKeys: instantTrafficKeys,
        sessionId: () => world.sessionId(),
        now: () => world.now(),
        wait: (ms) => world.wait(ms),
        settle: (promise) => world.settle(promise),
        close: () => world.close(),
      };
    },
  };
}

describe("the kit notices a provider that", () => {
  for (const one of faulty) {
    it(one.sins, async () => {
      const checks = providerChecks.filter((check) => check.name.startsWith(one.caughtBy));
      expect(checks.map((check) => check.name)).toHaveLength(1);
      for (const check of checks) {
        expect(await runCheck(check, memoryHarness)).toBe("kept");
        const outcome = await runCheck(check, breaking(one)).catch((error: unknown) => error);
        // A broken contract, not a broken test; the provider that throws is told by its own error.
        if (!(outcome instanceof AssertionError)) expect(outcome).toMatchObject({ message: "connection lost" });
      }
    });
  }
});
