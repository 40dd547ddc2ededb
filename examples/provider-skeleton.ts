/**
 * A provider to begin with: the port's contract over `Machines`, the few things that only your platform can do. What is here
 * holds for every platform (what an error means, what an absence needs, whom a stop may strike); what you write is one
 * implementation of `Machines`, and then this file's own `TODO`s as far as your platform can. docs/providers.md is the way through it.
 *
 * Until you do, every call fails truthfully: nothing was done, or nobody knows. The conformance kit says what is missing.
 */
import { failed, succeeded, type ProviderResult } from "../src/domain/state/failure.ts";
import type { Observation, Residue } from "../src/domain/state/observation.ts";
import type { ProviderName } from "../src/domain/state/provider-names.ts";
import type { AgentSandbox, Capabilities, LaunchOrder, Stopped, Target } from "../src/sandbox/agent-sandbox.ts";
import { HttpWrapperClient, type Runtime } from "../src/sandbox/wrapper-client.ts";

/** A process or a container of yours, with the marks it carries (src/protocol/sandbox/markers.ts). */
export interface Found {
  readonly sessionId: string;
  readonly instanceId: string | null;
  readonly generation: number | null;
  readonly kind: Residue["kind"];
  readonly pid: number | null;
}

/** Reject when you do not know. Each call ends when the signal is aborted. */
export interface Machines {
  /** Where they are, and since when they run: a new `boot` after every restart that ended what ran. */
  readonly identity: () => Promise<{ readonly host: string; readonly boot: string }>;
  /** What is armed and retired for a sandbox id, stored durably; null: nothing. */
  readonly recall: (sandboxId: string) => Promise<Fence | null>;
  /** Durable before it resolves, and atomic: of two that began from the same fence one rejects. */
  readonly store: (sandboxId: string, before: Fence | null, after: Fence) => Promise<void>;
  /** Starts `node wrapper.js guardian` with the boot document, or does nothing when that instance runs already. Resolves when it listens. */
  readonly run: (order: LaunchOrder, signal: AbortSignal) => Promise<void>;
  /** Everything that carries a mark of that session, without starting or waking anything. */
  readonly find: (target: Target, signal: AbortSignal) => Promise<readonly Found[]>;
  /** To one process, checked at that moment to be still the one that was found. */
  readonly signal: (found: Found, signal: "SIGTERM" | "SIGKILL") => Promise<void>;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** To the wrapper of that instance; rejects when nobody answers. */
  readonly fetch: (target: Target, path: string, init: RequestInit) => Promise<Response>;
  readonly forget: (target: Target) => void;
  readonly remove: (target: Target) => Promise<void>;
}

export interface Fence {
  readonly instanceId: string | null;
  readonly generation: number;
  readonly retiredThrough: number | null;
}

/** Declare what you can do, not what you hope for: what is `false` is refused to clients, what is wrong is a lost session. */
const capabilities: Capabilities = {
  snapshot: false, // TODO: `snapshots`, and pause works.
  enumerate: false, // TODO: `enumerate`, and audits find what has no record.
  shared: false, // TODO: `containers`, and many sessions share one.
  space: false, // TODO: `space`, and a full disk is said before it is hit.
  traffic: false, // TODO: `traffic`, and files, processes, terminals and ports work.
  containment: "marker",
  launchRetriesMs: 0,
  stopGraceMs: 30_000,
};

const pollMs = 50;

export function skeletonProvider(name: ProviderName, machines: Machines, runtime: Runtime): AgentSandbox {
  const find = async (target: Target, signal: AbortSignal): Promise<readonly Found[]> =>
    (await machines.find(target, signal)).filter((found) => isAimedAt(found, target));

  return {
    name,
    capabilities,

    launch: (order, { signal }) =>
      // Once it was sent it may have happened: only a refusal is certainly none.
      guarded("launch", "unknown", async () => {
        const fence = await machines.recall(order.sandboxId);
        if (fence !== null && order.generation <= (fence.retiredThrough ?? -1))
          return failed("refused_retired", "That generation is retired.", "none");
        if (fence?.instanceId != null && fence.instanceId !== order.instanceId)
          return failed("refused_retired", "That sandbox id serves another instance.", "none");
        if (fence?.instanceId == null && runtime.clock.now() > order.launchNotAfter)
          return failed("refused_late", "It came after launchNotAfter.", "none");
        const { instanceId, generation } = order;
        // Armed before it is started: a crash in between leaves nothing that is not known.
        await machines.store(order.sandboxId, fence, {
          instanceId,
          generation,
          retiredThrough: fence?.retiredThrough ?? null,
        });
        await machines.run(order, signal);
        return succeeded(await machines.identity());
      }),

    retire: (target) =>
      guarded("retire", "unknown", async () => {
        const fence = await machines.recall(target.sandboxId);
        const retiredThrough = Math.max(fence?.retiredThrough ?? 0, target.generation);
        const after = { instanceId: fence?.instanceId ?? null, generation: target.generation, retiredThrough };
        await machines.store(target.sandboxId, fence, after);
        return succeeded(await machines.identity());
      }),

    async observe(target, beganAt, { timeoutMs, signal }): Promise<Observation> {
      const { sandboxId, generation } = target;
      const asked = { provider: name, sandboxId, generation, beganAt, containment: capabilities.containment };
      const late = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      const seen = await guarded(
        "observe",
        "none",
        async () => {
          const { host, boot } = await machines.identity();
          return succeeded({ host, boot, found: await find({ ...target, instanceId: null }, late) });
        },
        late,
      );
      const nobody = { ...asked, answer: "unknown", host: null, boot: null, residue: [] } as const;
      if (!seen.ok) return { ...nobody, detail: seen.failure.message };
      const { host, boot, found } = seen.value;
      // Only the recorded host's word counts, and every doubt is `unknown`.
      if (target.host !== null && target.host !== host)
        return { ...nobody, host, boot, detail: "Another host answered." };
      const answer = found.length === 0 ? "absent" : "present";
      return { ...asked, answer, host, boot, residue: found.map(residueOf), detail: `${found.length} were found` };
    },

    stop: (target, graceMs, { signal }) =>
      guarded("stop", "unknown", async (): Promise<ProviderResult<Stopped>> => {
        // TERM to who can end its own jobs; KILL to all that is left. Found again each time: what forks meanwhile is found too.
        for (const found of await find(target, signal))
          if (found.kind !== "job") await machines.signal(found, "SIGTERM");
        const killAt = runtime.clock.now() + graceMs;
        let left = await find(target, signal);
        while (left.length > 0 && runtime.clock.now() < killAt) {
          await machines.sleep(pollMs, signal);
          left = await find(target, signal);
        }
        for (const found of left) await machines.signal(found, "SIGKILL");
        return succeeded({ remaining: (await find(target, signal)).map(residueOf) });
      }),

    destroy: (target) =>
      guarded("destroy", "unknown", async () => {
        const fence = await machines.recall(target.sandboxId);
        if ((fence?.retiredThrough ?? -1) < target.generation) return failed("invalid", "It is not retired.", "none");
        await machines.remove(target);
        return succeeded(null);
      }),

    wrapper: (instance) =>
      new HttpWrapperClient(
        instance,
        {
          fetch: (path, init) => machines.fetch(instance, path, init),
          forget: () => machines.forget(instance),
        },
        runtime,
      ),

    // TODO: the last lines of the guardian's log, and what its processes use.
    readLogs: () => Promise.resolve(failed("unsupported", "This provider keeps no logs yet.", "none")),
    readResources: () => Promise.resolve(failed("unsupported", "This provider measures nothing yet.", "none")),
  };
}

/** Exactly equal, never a prefix; what carries no generation may be of any, and doubt is never absence. */
function isAimedAt(found: Found, target: Target): boolean {
  if (found.sessionId !== target.sessionId) return false;
  if (target.instanceId !== null && found.instanceId !== target.instanceId) return false;
  return found.generation === null || found.generation === target.generation;
}

function residueOf({ kind, instanceId, pid }: Found): Residue {
  return { kind, instanceId: instanceId as Residue["instanceId"], pid };
}

/** No method throws, and none outlives its signal. */
async function guarded<T>(
  what: string,
  effect: "none" | "unknown",
  work: () => Promise<ProviderResult<T>>,
  signal?: AbortSignal,
): Promise<ProviderResult<T>> {
  const given = new Promise<ProviderResult<T>>((resolve) => {
    signal?.addEventListener("abort", () => resolve(failed("timed_out", `${what}: no answer in time.`, effect)));
  });
  try {
    return await Promise.race([work(), given]);
  } catch (error) {
    return failed("unavailable", `${what}: ${error instanceof Error ? error.message : "it failed"}`, effect);
  }
}
