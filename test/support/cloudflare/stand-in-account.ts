/**
 * The stand-in's account: objects by name, reached as object RPC reaches them (object-rpc.ts). An object may be evicted at any time: its
 * fence is made anew from what it stored, and the container goes on.
 */
import { Fence } from "../../../src/sandbox/cloudflare/fence/fence.ts";
import { freshDisk } from "../../../src/sandbox/cloudflare/sdk/fresh-disk.ts";
import { FenceRecords } from "../../../src/sandbox/cloudflare/fence/fence-records.ts";
import type { FenceDependencies, FenceTerms } from "../../../src/sandbox/cloudflare/fence/fence-dependencies.ts";
import type { ContainerPlatform } from "../../../src/sandbox/cloudflare/platform/container-platform.ts";
import { Toolbox } from "../../../src/sandbox/cloudflare/platform/toolbox-calls.ts";
import { untouchedForMs } from "../../../src/protocol/sandbox/stale-workspace.ts";
import type { Clock } from "../../../src/runtime/clock-ids-logger.ts";
import { systemIds } from "../system-runtime.ts";
import { ObjectRpc } from "./object-rpc.ts";
import { programs } from "./programs.ts";
import { StandInBucket } from "./stand-in-bucket.ts";
import { StandInContainer } from "./stand-in-container.ts";
import { StandInPlatform, StandInStorage } from "./stand-in-platform.ts";

/** What a container stays awake without a renewal. */
export const sleepAfterMs = 600_000;

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
  readonly makeFence?: (dependencies: FenceDependencies) => Fence;
  /** How a careless provider would use the platform. */
  readonly spoil?: (platform: ContainerPlatform) => ContainerPlatform;
}

export class StandInAccount {
  readonly bucket = new StandInBucket();
  readonly rpc: ObjectRpc;
  /** How much older than it is everything on disk looks to a reclaim; for fences that are made from now on. */
  agedMs = 0;
  readonly #options: AccountOptions;
  readonly #objects = new Map<string, StandInObject>();
  readonly #haunted = new Set<string>();

  constructor(options: AccountOptions) {
    this.#options = options;
    // The methods of the API are the fence's own.
    this.rpc = new ObjectRpc(options.clock, (name) => this.object(name).fence);
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
    const dependencies: FenceDependencies = {
      platform: seen,
      records: new FenceRecords(storage, () => systemIds.id()),
      toolbox: new Toolbox(seen, container.paths, clock),
      clock,
      ids: systemIds,
      logger: { info: () => {}, warn: () => {}, error: () => {} },
      terms: {
        sleepAfterMs,
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
    made.fence = this.#options.makeFence?.(dependencies) ?? new Fence(dependencies);
    return { container, storage, platform, fence: made.fence };
  }
}
