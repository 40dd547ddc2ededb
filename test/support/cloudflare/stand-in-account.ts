/**
 * The stand-in's account: objects by name, reached as object RPC reaches them. What crosses is cloned, errors lose their class and
 * getters, a reply may be lost after its effect, and an object may be evicted at any time: its fence is made anew from
 * what it stored, and the container goes on.
 */
import { Fence } from "../../../src/sandbox/cloudflare/fence/fence.ts";
import { freshDisk } from "../../../src/sandbox/cloudflare/sdk/fresh-disk.ts";
import { FenceRecords } from "../../../src/sandbox/cloudflare/fence/fence-records.ts";
import type { FenceParts, FenceTerms } from "../../../src/sandbox/cloudflare/fence/fence-parts.ts";
import type { SandboxObjectApi } from "../../../src/sandbox/cloudflare/object-api.ts";
import type { ContainerPlatform } from "../../../src/sandbox/cloudflare/platform/container-platform.ts";
import { Toolbox } from "../../../src/sandbox/cloudflare/platform/toolbox-calls.ts";
import { untouchedForMs } from "../../../src/protocol/sandbox/stale-workspace.ts";
import type { Clock } from "../../../src/session/ambient.ts";
import { systemIds } from "../system-ambient.ts";
import { programs } from "./programs.ts";
import { StandInBucket } from "./stand-in-bucket.ts";
import { StandInContainer } from "./stand-in-container.ts";
import { StandInPlatform, StandInStorage } from "./stand-in-platform.ts";

export type ObjectCall = keyof SandboxObjectApi;
export type ObjectFault = "hang" | "error" | "lost_reply" | "malformed" | { readonly lateByMs: number };

export interface StandInObject {
  readonly container: StandInContainer;
  readonly storage: StandInStorage;
  readonly platform: StandInPlatform;
  readonly fence: Fence;
}

export interface AccountOptions {
  readonly clock: Clock;
  readonly terms?: Partial<FenceTerms>;
  /** Of an image of another release. */
  readonly programs?: { readonly wrapper: string; readonly toolbox: string };
  /** A fence that makes a mistake, for tests that must notice it. */
  readonly makeFence?: (parts: FenceParts) => Fence;
  /** How a careless provider would use the platform. */
  readonly spoil?: (platform: ContainerPlatform) => ContainerPlatform;
}

export class StandInAccount {
  readonly bucket = new StandInBucket();
  /** Every call cannot be delivered any more. */
  down = false;
  /** Until then objects are being reset, as in a deploy. */
  resettingUntil = 0;
  /** How much older than it is everything on disk looks to a reclaim; for fences that are made from now on. */
  agedMs = 0;
  readonly #options: AccountOptions;
  readonly #objects = new Map<string, StandInObject>();
  readonly #haunted = new Set<string>();
  readonly #faults: { readonly calls: readonly ObjectCall[]; readonly fault: ObjectFault }[] = [];

  constructor(options: AccountOptions) {
    this.#options = options;
  }

  /** As the platform names it: made on the first call, whoever calls. */
  object(name: string): StandInObject {
    const known = this.#objects.get(name);
    if (known !== undefined) return known;
    const made = this.#incarnate(
      new StandInContainer(name, this.#options.programs ?? programs()),
      new StandInStorage(),
    );
    this.#objects.set(name, made);
    if ([...this.#haunted].some((session) => name.startsWith(`${session}-g`))) made.container.boot();
    return made;
  }

  /** Something of that session runs in its containers, whichever they are, although nobody started it. */
  runsFor(session: string): void {
    this.#haunted.add(session);
    for (const [name, { container }] of this.#objects) if (name.startsWith(`${session}-g`)) container.boot();
  }

  stub(name: string): SandboxObjectApi {
    return new Proxy({} as SandboxObjectApi, {
      get:
        (_, method) =>
        (...args: unknown[]) =>
          this.#rpc(name, method as ObjectCall, args),
    });
  }

  /** What the next of these calls meets. */
  disturb(calls: readonly ObjectCall[], fault: ObjectFault): void {
    this.#faults.push({ calls, fault });
  }

  /** All that was ever called by name. */
  get containers(): readonly StandInContainer[] {
    return [...this.#objects.values()].map(({ container }) => container);
  }

  evict(name?: string): void {
    for (const [each, { container, storage }] of this.#objects) {
      if (name === undefined || name === each) this.#objects.set(each, this.#incarnate(container, storage));
    }
  }

  /** What the shell does when the platform fires the object's alarm, without the SDK's part. */
  async alarm(name: string): Promise<void> {
    const { fence, storage } = this.object(name);
    storage.alarmAt = null;
    if ((await fence.beforeAlarm()) === "handled") return;
    await fence.afterAlarm();
  }

  async close(): Promise<void> {
    for (const { container } of this.#objects.values()) await container.close();
  }

  #incarnate(container: StandInContainer, storage: StandInStorage): StandInObject {
    const made: { fence?: Fence } = {};
    const platform = new StandInPlatform({
      container,
      storage,
      bucket: this.bucket,
      refuseToStart: () => made.fence?.refuseToStart(),
    });
    const seen = this.#options.spoil?.(platform) ?? platform;
    const { clock } = this.#options;
    const parts: FenceParts = {
      platform: seen,
      records: new FenceRecords(storage, () => systemIds.id()),
      toolbox: new Toolbox(seen, container.paths, clock),
      clock,
      ids: systemIds,
      logger: { info: () => {}, warn: () => {}, error: () => {} },
      terms: {
        sleepAfterMs: 600_000,
        address: "127.0.0.1",
        endContainer: container.endCommand,
        paths: container.paths,
        // Whoever is not root cannot start anything as somebody else.
        firstJobUser: process.getuid?.() === 0 ? container.firstUser : null,
        loneJobUser: process.getuid?.() === 0 ? container.loneUser : null,
        freshDisk,
        untouchedForMs: untouchedForMs - this.agedMs,
        ...this.#options.terms,
      },
    };
    made.fence = this.#options.makeFence?.(parts) ?? new Fence(parts);
    return { container, storage, platform, fence: made.fence };
  }

  async #rpc(name: string, call: ObjectCall, args: readonly unknown[]): Promise<unknown> {
    // A class instance or a function does not cross, and neither does a signal.
    const sent = structuredClone(args);
    if (this.down) throw lostOverRpc("Network connection lost.", { retryable: true });
    if (this.#options.clock.now() < this.resettingUntil) {
      throw lostOverRpc("Durable Object reset because its code was updated.", { durableObjectReset: true });
    }
    const at = this.#faults.findIndex((each) => each.calls.includes(call));
    const fault = at < 0 ? null : (this.#faults.splice(at, 1)[0]?.fault ?? null);
    if (fault === "hang") return new Promise<never>(() => {});
    if (fault === "error") throw lostOverRpc("Network connection lost.", { retryable: true });
    if (fault === "malformed") return { answer: "absent" };
    if (typeof fault === "object" && fault !== null) {
      await this.#options.clock.sleep(fault.lateByMs);
    }
    const { fence } = this.object(name);
    // The methods of the API are the fence's own.
    const method = fence[call] as (...args: unknown[]) => Promise<unknown>;
    const answer = await method.apply(fence, [...sent]);
    if (fault === "lost_reply") throw lostOverRpc("Network connection lost.", { retryable: true });
    return cloned(answer);
  }
}

/** Own properties survive; the class does not. */
function lostOverRpc(message: string, own: object): Error {
  return Object.assign(new Error(message), { remote: true }, own);
}

/** A response crosses as it is, its body as a stream. */
function cloned(answer: unknown): unknown {
  if (typeof answer === "object" && answer !== null && "value" in answer && answer.value instanceof Response)
    return answer;
  return structuredClone(answer);
}
