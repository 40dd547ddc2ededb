/** What befalls a memory world past every contract: by a fault of the plan, or by the hand of a test. */
import { failed, type ProviderResult } from "../../src/domain/state/failure.ts";
import type { SandboxId, SessionId } from "../../src/domain/state/ids.ts";
import type { EventQueue } from "./event-queue.ts";
import type { HostRecords, MemoryHost } from "./host-records.ts";
import type { Journal, Process } from "./journal.ts";
import type { ProcessTable } from "./process-table.ts";

interface Innards {
  readonly queue: EventQueue;
  readonly processes: ProcessTable;
  readonly records: HostRecords;
  readonly journal: Journal;
  readonly advance: () => number;
  readonly changed: () => void;
}

export class Mischief {
  readonly #world: Innards;
  /** How many sandboxes there are instances for; null: for as many as anybody wants. */
  #instances: { readonly limit: number; readonly retryAfterMs: number | null } | null = null;

  constructor(world: Innards) {
    this.#world = world;
  }

  /** From now on no more than these are there at once. `retryAfterMs`: what the provider says with its refusal; null: nothing. */
  limitInstances(limit: number | null, retryAfterMs: number | null = null): void {
    this.#instances = limit === null ? null : { limit, retryAfterMs };
  }

  /** The "no instance available" of a provider that is full, certainly without effect; null: there is one. */
  refusesInstance(): ProviderResult<never> | null {
    if (this.#instances === null) return null;
    const { limit, retryAfterMs } = this.#instances;
    const there = new Set(this.#world.processes.alive().map(({ sandboxId }) => sandboxId)).size;
    if (there < limit) return null;
    return failed("no_capacity", "no container instance is available", "none", retryAfterMs ?? undefined);
  }

  /** The host that a call about this sandbox reaches. */
  hostOf(sandboxId: SandboxId | null): MemoryHost {
    return (sandboxId === null ? null : this.#world.records.known(sandboxId)?.host) ?? this.#world.records.firstHost;
  }

  /** The host's own process: wrappers live on, but it must scan before it may say "absent". */
  restartHost(host: MemoryHost, scanMs: number): void {
    const now = this.#world.advance();
    host.readyAt = Math.max(host.readyAt, now + scanMs);
    this.#world.journal.add({ type: "hostRestarted", at: now, host: host.id });
  }

  /** Every process on it is gone; what was armed and retired is on disk and stays. */
  rebootHost(host: MemoryHost, scanMs: number): void {
    const now = this.#world.advance();
    this.#world.processes.vanish((process) => process.host === host.id);
    host.boots += 1;
    host.boot = `${host.id}-boot-${host.boots}`;
    host.readyAt = now + scanMs;
    this.#world.journal.add({ type: "hostRebooted", at: now, host: host.id });
    this.#world.changed();
  }

  /** The sandbox disappears, as a container that the platform takes away: no signal, no grace, no files. */
  disappear(sandboxId: SandboxId): void {
    this.#world.advance();
    const record = this.#world.records.known(sandboxId);
    if (record !== null) record.files = null;
    this.#world.processes.vanish((process) => process.sandboxId === sandboxId);
    this.#world.changed();
  }

  /** SIGKILL from outside, at one process. */
  kill(process: Process): void {
    this.#world.advance();
    this.#world.processes.signal(process, "SIGKILL", null);
    this.#world.changed();
  }

  killWrappers(sandboxId: SandboxId): void {
    this.#world.advance();
    for (const { wrapper } of this.#world.records.known(sandboxId)?.instances ?? []) this.kill(wrapper);
  }

  /** SIGSTOP to every instance there, and SIGCONT after `ms`. */
  freeze(sandboxId: SandboxId, what: "wrapper" | "everything", ms: number): void {
    this.#world.advance();
    for (const instance of this.#world.records.known(sandboxId)?.instances ?? []) {
      instance.freeze(what);
      this.#world.queue.schedule(ms, () => instance.thaw());
    }
    this.#world.changed();
  }

  /** A wrapper of before there were instances: it has a session and nothing else. `livesMs` null: until it is stopped. */
  addLegacy(sessionId: SessionId, sandboxId: SandboxId | null, livesMs: number | null): Process {
    this.#world.advance();
    const { id, boot } = this.hostOf(sandboxId);
    const process = this.#world.processes.spawn(
      { kind: "legacy", sessionId, sandboxId, instanceId: null, generation: null, host: id, boot },
      { terminate: (legacy) => this.#world.processes.end(legacy), died: () => {} },
    );
    if (livesMs !== null) this.#world.queue.schedule(livesMs, () => this.#world.processes.end(process));
    this.#world.changed();
    return process;
  }
}
