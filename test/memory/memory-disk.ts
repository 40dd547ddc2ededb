/**
 * The disk of a memory world: what is free on it, what lies in workspaces, and what a test does to it. All hosts share it.
 * What may be removed is decided by the rule that every provider has (protocol/sandbox/stale-workspace.ts), right before each removal.
 */
import { failed, succeeded, type ProviderResult } from "../../src/domain/state/failure.ts";
import type { SandboxId } from "../../src/domain/state/ids.ts";
import { keptBecause, type WorkspaceSeen } from "../../src/protocol/sandbox/stale-workspace.ts";
import type { Capacity, SandboxLocation, Reclaimed } from "../../src/sandbox/agent-sandbox.ts";
import type { EventQueue } from "./event-queue.ts";
import type { HostRecords } from "./host-records.ts";
import type { Journal } from "./journal.ts";
import type { ProcessTable } from "./process-table.ts";

interface Innards {
  readonly queue: EventQueue;
  readonly processes: ProcessTable;
  readonly records: HostRecords;
  readonly journal: Journal;
}

/** Something that takes room in a directory of that name. */
interface Weight {
  readonly bytes: number;
  readonly touchedAt: number;
}

const keptShown = 100;
/** Below this a job could not even write its log. */
const leastFreeBytes = 16 * 2 ** 20;

export class MemoryDisk {
  readonly #world: Innards;
  readonly #totalBytes: number;
  readonly #othersBytes: number;
  readonly #weights = new Map<string, Weight>();
  #olderMs = 0;
  /** What a test made of it. `full`: writes fail although room is measured (no inodes, say). */
  state: "well" | "unmeasurable" | "read_only" | "full" = "well";
  /** Processes cannot be inspected: nothing may be called dead. */
  processesHidden = false;

  constructor(world: Innards, size: { readonly total_bytes: number; readonly free_bytes: number }) {
    this.#world = world;
    this.#totalBytes = size.total_bytes;
    this.#othersBytes = size.total_bytes - size.free_bytes;
  }

  /** Puts bytes into the workspace of that name, or into a directory that nobody made. */
  weigh(name: string, bytes: number): void {
    this.#weights.set(name, { bytes, touchedAt: this.#world.queue.time });
  }

  /** Everything that is there was touched that much earlier. */
  age(ms: number): void {
    this.#olderMs += ms;
  }

  /** What the directory of that name takes; 0: it is not there. */
  taken(name: string): number {
    return this.#weights.get(name)?.bytes ?? 0;
  }

  get freeBytes(): number {
    const used = Array.from(this.#weights.values()).reduce((sum, { bytes }) => sum + bytes, 0);
    return Math.max(0, this.#totalBytes - this.#othersBytes - used);
  }

  /** Why nothing can be written, in the port's words; null: it can. */
  unusable(): ProviderResult<never> | null {
    if (this.state === "read_only") return failed("filesystem_unusable", "the filesystem is read-only", "none");
    if (this.state === "full")
      return failed("filesystem_unusable", "a write was refused for want of space although there is room", "none");
    return null;
  }

  /** What a launch meets, whatever was measured before it. */
  refusesLaunch(): ProviderResult<never> | null {
    const measured = this.inspect();
    if (!measured.ok) return measured;
    if (measured.value.freeBytes >= leastFreeBytes) return null;
    return failed("insufficient_space", `${measured.value.freeBytes} bytes are free`, "none");
  }

  inspect(): ProviderResult<Capacity> {
    if (this.state === "unmeasurable")
      return failed("space_unmeasurable", "the disk does not say what is free", "none");
    return this.unusable() ?? succeeded({ freeBytes: this.freeBytes, totalBytes: this.#totalBytes });
  }

  reclaim(location: SandboxLocation): ProviderResult<Reclaimed> {
    const { queue, journal, records } = this.#world;
    const removed: SandboxId[] = [];
    const kept: { name: string; why: string }[] = [];
    let freedBytes = 0;
    for (const name of new Set([...records.withFiles(), ...this.#weights.keys()])) {
      const why = keptBecause(this.#seen(name), location.sessionId);
      if (why !== null) {
        if (!name.startsWith(`${location.sessionId}-`)) kept.push({ name, why });
        continue;
      }
      const sandboxId = name as SandboxId;
      const record = records.known(sandboxId);
      if (record?.armed != null) {
        // Nothing may start in it while it goes, or afterwards.
        record.retiredThrough = Math.max(record.retiredThrough ?? 0, record.armed.generation);
        record.files = null;
      }
      freedBytes += this.taken(name);
      this.#weights.delete(name);
      removed.push(sandboxId);
      journal.add({ type: "reclaimed", at: queue.time, sandboxId, forSession: location.sessionId });
    }
    return succeeded({ removed, freedBytes, kept: kept.slice(0, keptShown) });
  }

  /** Its contents go with the sandbox. */
  forget(sandboxId: SandboxId): void {
    this.#weights.delete(sandboxId);
  }

  #seen(name: string): WorkspaceSeen {
    const { queue, processes, records } = this.#world;
    const record = records.known(name as SandboxId);
    const live = processes.everythingIn(name as SandboxId).length > 0;
    const touchedAt = Math.max(this.#weights.get(name)?.touchedAt ?? 0, record?.filesSince ?? 0);
    return {
      name,
      recorded: record?.armed != null,
      untouchedMs: queue.time - touchedAt + this.#olderMs,
      processes: this.processesHidden ? "unknown" : live ? "live" : "none",
    };
  }
}
