/**
 * What the world really holds against what is stored: no process without an open lease (I3, I10), nothing physical without
 * a reservation (I11), generations never reused (I2), no kill at what should live (I6), no job run twice (FEN-6).
 */
import type { Generation, InstanceId, SessionId } from "../../src/domain/ids.ts";
import type { JournalEntry, Process } from "../../src/sandbox/memory/journal.ts";
import type { MemoryWorld } from "../../src/sandbox/memory/memory-world.ts";
import { reservationKey, type ReservationState } from "./registry-checks.ts";
import type { SessionWatch } from "./session-watch.ts";

export class WorldChecks {
  readonly #world: MemoryWorld;
  readonly #watches: ReadonlyMap<SessionId, SessionWatch>;
  readonly #launched = new Map<SessionId, Generation>();
  readonly #runs = new Map<string, InstanceId>();
  /** How many jobs ran while a snapshot was taken, by its name; the first saving of a name is the one that counts. */
  readonly #saved = new Map<string, number>();
  #read = 0;
  #seen = "";

  readonly #jumped: () => boolean;

  constructor(world: MemoryWorld, watches: ReadonlyMap<SessionId, SessionWatch>, jumped: () => boolean) {
    this.#world = world;
    this.#watches = watches;
    this.#jumped = jumped;
  }

  /** Every (session, generation) that the world ever started. */
  get launched(): ReadonlyMap<SessionId, Generation> {
    return this.#launched;
  }

  /** `writes`: how much was written by anybody; nothing new in the world and in storage is nothing new to check. */
  check(reservations: ReadonlyMap<string, ReservationState>, writes: number): readonly string[] {
    const found: string[] = [];
    const processes = this.#world.processes();
    const seen = `${this.#world.journal.length}/${processes.length}/${writes}`;
    if (seen === this.#seen) return found;
    this.#seen = seen;
    for (const entry of this.#world.journal.since(this.#read)) found.push(...this.#entryViolations(entry));
    this.#read = this.#world.journal.length;
    for (const process of processes) found.push(...this.#processViolations(process, reservations));
    found.push(...this.#actingViolations(processes), ...this.#snapshotViolations());
    return found;
  }

  /** DEL-12: what a session relies on was really saved, with no job running. */
  #snapshotViolations(): readonly string[] {
    const found: string[] = [];
    for (const [id, { session }] of this.#watches) {
      if (session?.snapshot == null) continue;
      const jobs = this.#saved.get(session.snapshot.id);
      if (jobs === undefined) found.push(`DEL-12: ${id} relies on a snapshot that was never taken`);
      else if (jobs > 0) found.push(`DEL-12: ${jobs} jobs ran while ${id} was saved`);
    }
    return found;
  }

  /** I2: of a session at most one instance can act. A controller whose clock leapt forward may think too early that one cannot. */
  #actingViolations(processes: readonly Process[]): readonly string[] {
    if (this.#jumped()) return [];
    const acting = new Map<SessionId, Generation>();
    const found: string[] = [];
    for (const { kind, sessionId, sandboxId, instanceId, generation } of processes) {
      if (kind !== "wrapper" || sandboxId === null || instanceId === null || generation === null) continue;
      if (this.#world.instance(sandboxId, instanceId)?.acts !== true) continue;
      const other = acting.get(sessionId);
      if (other !== undefined && other !== generation)
        found.push(`I2: ${sessionId} g${other} and g${generation} can both act`);
      acting.set(sessionId, generation);
    }
    return found;
  }

  #processViolations(process: Process, reservations: ReadonlyMap<string, ReservationState>): readonly string[] {
    const { sessionId, generation, kind, pid } = process;
    if (generation === null) return [];
    const found: string[] = [];
    const lease = this.#watches.get(sessionId)?.lease(generation) ?? null;
    if (lease === null || lease.phase === "closed") {
      found.push(
        `I3: ${kind} ${pid} of ${sessionId} g${generation} is alive, and its lease is ${lease?.phase ?? "not there"}`,
      );
    }
    const reserved = reservations.get(reservationKey(sessionId, generation));
    if (reserved === undefined || reserved === "proven" || reserved === "cancelled") {
      found.push(
        `I11: ${kind} ${pid} of ${sessionId} g${generation} is alive, and its reservation is ${reserved ?? "not there"}`,
      );
    }
    return found;
  }

  #entryViolations(entry: JournalEntry): readonly string[] {
    switch (entry.type) {
      case "launched": {
        const last = this.#launched.get(entry.sessionId);
        this.#launched.set(entry.sessionId, entry.generation);
        if (last === undefined || entry.generation > last) return [];
        return [`I2: ${entry.sessionId} started generation ${entry.generation} after ${last}`];
      }
      case "signalled":
        return this.#signalViolations(entry);
      case "jobAccepted": {
        const key = `${entry.sessionId}/${entry.jobId}`;
        const ran = this.#runs.get(key) ?? entry.instanceId;
        this.#runs.set(key, entry.instanceId);
        return ran === entry.instanceId ? [] : [`FEN-6: job ${entry.jobId} ran in two instances`];
      }
      case "saved":
        if (!this.#saved.has(entry.snapshotId)) this.#saved.set(entry.snapshotId, entry.jobs);
        return [];
      case "launchRepeated":
      case "smuggled":
      case "launchRefused":
      case "retired":
      case "renewed":
      case "ending":
      case "ended":
      case "snapshotRemoved":
      case "reclaimed":
      case "containerRetired":
      case "containerDestroyed":
      case "hostRestarted":
      case "hostRebooted":
        return [];
    }
  }

  /** Only what is stopping is ever stopped: a kill at a lease that is wanted would be one that came for another. */
  #signalViolations({ aim, process, signal }: Extract<JournalEntry, { type: "signalled" }>): readonly string[] {
    if (aim === null || process.generation === null) return [];
    if (process.generation !== aim.generation)
      return [`I6: ${signal} for g${aim.generation} hit g${process.generation}`];
    const lease = this.#watches.get(process.sessionId)?.lease(process.generation) ?? null;
    if (lease === null || lease.phase === "stopping" || lease.phase === "closed") return [];
    return [`I6: ${signal} hit ${process.sessionId} g${process.generation}, which is ${lease.phase}`];
  }
}
