/**
 * The hosts of a memory world and what each durably knows of a sandbox id: what is armed there and what is retired.
 * That is "on disk": no restart, no reboot and no destroy makes it forget.
 */
import { failed, type ProviderResult } from "../../src/domain/state/failure.ts";
import type { ContainerId, Generation, InstanceId, SandboxId } from "../../src/domain/state/ids.ts";
import type { Target } from "../../src/sandbox/agent-sandbox.ts";
import type { EventQueue } from "./event-queue.ts";
import type { MemoryInstance } from "./memory-instance.ts";
import type { Files } from "./snapshot-shelf.ts";

export interface MemoryHost {
  readonly id: string;
  /** New after a reboot, the same after a restart of the host's own process. */
  boot: string;
  boots: number;
  /** Until then it has not scanned its processes and says so instead of "absent". */
  readyAt: number;
}

export interface SandboxRecord {
  readonly sandboxId: SandboxId;
  readonly host: MemoryHost;
  /** The shared container that it is a place in; null: one of its own, or nothing was launched yet. */
  container: ContainerId | null;
  /** The one instance that may run here. Kept after its end: the same order again starts nothing. */
  armed: { readonly instanceId: InstanceId; readonly generation: Generation } | null;
  /** Nothing of this or an earlier generation may start any more. */
  retiredThrough: number | null;
  /** Its workspace; null: none is there. */
  files: Files | null;
  /** When its workspace was made. */
  filesSince: number;
  /** More than one only when a test made a duplicate. */
  instances: MemoryInstance[];
}

export class HostRecords {
  readonly #queue: EventQueue;
  readonly #hosts = new Map<string, MemoryHost>();
  readonly #sandboxes = new Map<SandboxId, SandboxRecord>();
  readonly #first: MemoryHost;

  constructor(queue: EventQueue, firstHost: string) {
    this.#queue = queue;
    this.#first = this.addHost(firstHost);
  }

  get hosts(): readonly MemoryHost[] {
    return Array.from(this.#hosts.values());
  }

  /** Where new sandboxes go. */
  get firstHost(): MemoryHost {
    return this.#first;
  }

  addHost(id: string): MemoryHost {
    const host: MemoryHost = { id, boot: `${id}-boot-1`, boots: 1, readyAt: this.#queue.time };
    this.#hosts.set(id, host);
    return host;
  }

  host(id: string): MemoryHost | null {
    return this.#hosts.get(id) ?? null;
  }

  /** The host that the target names, else the one that has the sandbox. null: no such host. */
  hostOf(target: Pick<Target, "sandboxId" | "host">): MemoryHost | null {
    if (target.host !== null) return this.host(target.host);
    return this.#sandboxes.get(target.sandboxId)?.host ?? this.#first;
  }

  known(sandboxId: SandboxId): SandboxRecord | null {
    return this.#sandboxes.get(sandboxId) ?? null;
  }

  all(): readonly SandboxRecord[] {
    return Array.from(this.#sandboxes.values());
  }

  /** Every place there ever was in it. */
  inContainer(id: ContainerId): readonly SandboxRecord[] {
    return Array.from(this.#sandboxes.values()).filter((record) => record.container === id);
  }

  /** Sandboxes that have a workspace. */
  withFiles(): readonly SandboxId[] {
    return Array.from(this.#sandboxes.values()).flatMap((record) => (record.files === null ? [] : [record.sandboxId]));
  }

  /** Made on first use: a retirement may come before anything was launched. null: no such host. */
  record(target: Pick<Target, "sandboxId" | "host">): SandboxRecord | null {
    const known = this.#sandboxes.get(target.sandboxId);
    if (known !== undefined) return known;
    const host = this.hostOf(target);
    if (host === null) return null;
    const record: SandboxRecord = {
      sandboxId: target.sandboxId,
      host,
      container: null,
      armed: null,
      retiredThrough: null,
      files: null,
      filesSince: 0,
      instances: [],
    };
    this.#sandboxes.set(target.sandboxId, record);
    return record;
  }

  /** What a host says while it does not know yet. */
  scanning(host: MemoryHost): ProviderResult<never> | null {
    const wait = host.readyAt - this.#queue.time;
    return wait > 0 ? failed("unavailable", `${host.id} is still scanning`, "none", wait) : null;
  }
}
