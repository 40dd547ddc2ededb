/**
 * What the world really holds against what is stored: no process without an open lease (I3, I10), nothing physical without
 * a reservation (I11), generations never reused (I2), no kill at what should live (I6), no job run twice (FEN-6).
 */
import type { Generation, InstanceId, SessionId } from "../../../src/domain/state/ids.ts";
import type { JournalEntry, Process } from "../../memory/journal.ts";
import type { MemoryWorld } from "../../memory/memory-world.ts";
import type { ClockJumps } from "../oracle/disturbances.ts";
import type { Evidence } from "../oracle/evidence.ts";
import { reservationKey, type ReservationState } from "../oracle/ledger.ts";
import type { Timers } from "../oracle/model.ts";
import type { SessionWatch } from "./session-watch.ts";

export class WorldChecks {
  readonly #world: MemoryWorld;
  readonly #watches: ReadonlyMap<SessionId, SessionWatch>;
  readonly #launched = new Map<SessionId, Generation>();
  readonly #runs = new Map<string, InstanceId>();
  /** How many jobs ran while a snapshot was taken, by its name; the first saving of a name is the one that counts. */
  readonly #saved = new Map<string, number>();
  #read = 0;
  #readRenewed = 0;
  #seen = "";

  readonly #evidence: Evidence;
  readonly #timers: Timers;
  readonly #jumps: ClockJumps;
  readonly #elapsed: () => number;

  constructor(
    world: MemoryWorld,
    watches: ReadonlyMap<SessionId, SessionWatch>,
    oracle: { readonly evidence: Evidence; readonly timers: Timers; readonly jumps: ClockJumps; elapsed(): number },
  ) {
    this.#world = world;
    this.#watches = watches;
    this.#evidence = oracle.evidence;
    this.#timers = oracle.timers;
    this.#jumps = oracle.jumps;
    this.#elapsed = () => oracle.elapsed();
    this.#evidence.catchUp = () => this.#readRenewals();
  }

  #readRenewals(): void {
    for (const entry of this.#world.journal.since(this.#readRenewed))
      if (entry.type === "renewed") this.#evidence.renewalAccepted(entry.sandboxId);
    this.#readRenewed = this.#world.journal.length;
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
      if (session === null || session.snapshot === null) continue;
      const jobs = this.#saved.get(session.snapshot.id);
      if (jobs === undefined) found.push(`DEL-12: ${id} relies on a snapshot that was never taken`);
      else if (jobs > 0) found.push(`DEL-12: ${jobs} jobs ran while ${id} was saved`);
    }
    return found;
  }

  /**
   * A controller whose clock leapt forward may think too early that a lease has run out, for as long as its clock is wrong and as
   * an instance that was renewed just before that can go on acting.
   */
  #clocksMayDiffer(): boolean {
    const last = this.#jumps.lastElapsed;
    if (last === null) return false;
    const { leaseTtlMs, launchCallMs, stopGraceMs, alarmSlipMs } = this.#timers;
    if (Math.abs(this.#jumps.offset) > alarmSlipMs) return true;
    return this.#elapsed() - last < 2 * leaseTtlMs + launchCallMs + stopGraceMs;
  }

  /** I2: of a session at most one instance can act. */
  #actingViolations(processes: readonly Process[]): readonly string[] {
    if (this.#clocksMayDiffer()) return [];
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
    const watch = this.#watches.get(sessionId);
    const lease = watch?.lease(generation) ?? null;
    // An operator's word holds the rows of a session no longer than its retention.
    const onSomebodysWord = lease === null && watch?.wasAsserted(generation) === true;
    if ((lease === null && !onSomebodysWord) || lease?.phase === "closed") {
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
      case "served":
        return entry.retired
          ? [`TRA-6: ${entry.sandboxId} g${entry.generation} served traffic although its generation is retired`]
          : [];
      case "renewed":
      case "launchRepeated":
      case "smuggled":
      case "launchRefused":
      case "retired":
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
