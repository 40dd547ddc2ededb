/** The memory world for the conformance kit: every power the kit may ask for, on virtual time. */
import { instantTrafficKeys } from "../support/instant-traffic-keys.ts";
import type { Generation, InstanceId, SandboxId, SessionId } from "../../src/domain/state/ids.ts";
import { isolatedSandboxId } from "../../src/domain/state/ids.ts";
import type { InstanceRef } from "../../src/sandbox/agent-sandbox.ts";
import { wrapperOps, type Call, type Fault } from "../memory/fault-plan.ts";
import { memorySandbox } from "../memory/memory-sandbox.ts";
import { MemoryWorld } from "../memory/memory-world.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock, VirtualTime } from "../support/virtual-time.ts";
import type { FaultKind, ForeignMarks, ProviderHarness, ProviderWorld, WorldPowers } from "./provider-harness.ts";

export const memoryHarness: ProviderHarness = { open: () => Promise.resolve(openWorld()) };

const scanMs = 2_000;
const none: Fault = { type: "none" };

function openWorld(): ProviderWorld {
  const random = new SeededRandom(1);
  const time = new VirtualTime(random);
  const clock = new VirtualClock(time, Date.UTC(2026, 0, 1));
  const world = new MemoryWorld({ clock });
  let decide: (call: Call) => Fault = () => none;
  const can: WorldPowers = {
    snapshots: { write: (name, text) => `write ${name} ${text}`, read: (name) => `cat ${name}` },
    containers: true,
    traffic: true,
    workspaces: {
      age: (ms) => Promise.resolve(world.disk.age(ms)),
      has: (name) =>
        Promise.resolve(world.disk.taken(name) > 0 || (world.sandbox(name as SandboxId)?.files ?? null) !== null),
      plant: (name) => Promise.resolve(world.disk.weigh(name, 1_000)),
    },
    disk: (state) => {
      world.disk.state = state;
      return Promise.resolve();
    },
    hideProcesses: () => {
      world.disk.processesHidden = true;
      return Promise.resolve();
    },
    hiding: {
      command: "fork; echo hidden; sleep 300",
      // Its parent, the job, is the other one.
      count: () => Promise.resolve(Math.max(0, world.processes().filter(({ kind }) => kind === "job").length - 1)),
    },
    repository: () => {
      const url = "https://git.example/site.git";
      world.repositories.set(url, new Map([["v1", new Map([["README", "first\n"]])]]));
      return Promise.resolve({ url, ref: "v1", show: "cat README", content: "first\n", nowhere: `${url}/not/there` });
    },
    disturb: (op, kind) => {
      decide = (call) => {
        if (call.op !== op) return none;
        decide = () => none;
        return faultOf(kind);
      };
      return Promise.resolve();
    },
    restart: (until) => {
      world.mischief.restartHost(world.mischief.hostOf(null), until === "ready" ? 0 : scanMs);
      return Promise.resolve();
    },
    takeDown: () => {
      decide = () => ({ type: "fail_before", effect: "unknown" });
      return Promise.resolve();
    },
    freeze: ({ sandboxId }) => {
      world.mischief.freeze(sandboxId, "wrapper", 24 * 3_600_000);
      return Promise.resolve();
    },
    startForeign: (marks) => {
      const pid = startForeign(world, marks, clock.now() + 60_000);
      return Promise.resolve({
        isAlive: () => Promise.resolve(world.processes().some((process) => process.pid === pid)),
      });
    },
    impersonate: (instance) => {
      world.mischief.killWrappers(instance.sandboxId);
      decide = (call) => (isWrapperCall(call, instance) ? { type: "foreign_instance" } : none);
      return Promise.resolve();
    },
    countProcesses: ({ instanceId }) =>
      Promise.resolve(world.processes().filter((process) => process.instanceId === instanceId).length),
  };
  return {
    provider: memorySandbox(world, {
      clock,
      faults: { decide: (call) => decide(call) },
      keys: instantTrafficKeys,
    }),
    trafficKeys: instantTrafficKeys,
    sessionId: () => random.text(20, "abcdefghijklmnopqrstuvwxyz0123456789") as SessionId,
    now: () => clock.now(),
    wait: (ms) => time.run(ms),
    settle: (promise) => time.until(promise),
    jobs: {
      echo: (text) => `echo ${text}`,
      exit: (code) => `exit ${code}`,
      sleep: "sleep 100000",
      ignoreTerm: "ignore-term; sleep 100000",
      fork: "fork; sleep 100000",
      cat: "cat",
    },
    can,
    close: () => Promise.resolve(),
  };
}

function faultOf(kind: FaultKind): Fault {
  if (typeof kind === "object") return { type: "late_effect", ms: kind.lateByMs, reply: "result" };
  switch (kind) {
    case "hang":
      return { type: "hang", deaf: false };
    case "error":
      return { type: "fail_before", effect: "none" };
    case "lost_reply":
      return { type: "lost_reply" };
    case "malformed":
      return { type: "stale_read", lie: { type: "malformed" } };
  }
}

function startForeign(world: MemoryWorld, marks: ForeignMarks, launchNotAfter: number): number {
  const sessionId = marks.sessionId as SessionId;
  if (marks.instanceId === null || marks.generation === null) {
    const sandboxId = marks.generation === null ? null : isolatedSandboxId(sessionId, marks.generation as Generation);
    return world.mischief.addLegacy(sessionId, sandboxId, null).pid;
  }
  const generation = marks.generation as Generation;
  const instance = world.smuggle({
    sessionId,
    sandboxId: isolatedSandboxId(sessionId, generation),
    instanceId: marks.instanceId as InstanceId,
    generation,
    secret: "nobody knows it".repeat(4),
    launchNotAfter,
    leaseTtlMs: 24 * 3_600_000,
    jobGraceMs: 0,
    stopGraceMs: 0,
    env: {},
  });
  // Nothing that is frozen, its guardian included, does anything about a TERM.
  if (marks.ignoresTerm) instance.freeze("everything");
  return instance.wrapper.pid;
}

function isWrapperCall(call: Call, instance: InstanceRef): boolean {
  return call.sandboxId === instance.sandboxId && wrapperOps.some((op) => op === call.op);
}
