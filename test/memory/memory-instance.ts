/**
 * One launch of a wrapper: guardian, wrapper and jobs, with the rules the real one keeps.
 * - It does nothing before its first accepted renewal, and starts at all only before `launchNotAfter`.
 * - It answers its own generation only; a greater one from its own controller makes it fence itself.
 * - When its lease runs out it ends its jobs and exits; when the wrapper is killed or frozen the guardian does.
 * It keeps time by the world's clock alone: what a controller's clock says enters only through the lease clock.
 */
import { acceptRenewal, newLeaseClock, type LeaseClock } from "../../src/protocol/sandbox/lease-clock.ts";
import type {
  RenewalReply,
  RenewalRequest,
  WrapperHealth,
  WrapperJobOrder,
} from "../../src/protocol/sandbox/wrapper.ts";
import type { BootstrapOrder } from "../../src/protocol/sandbox/workspace.ts";
import { wrapperProtocol } from "../../src/domain/state/wrapper-protocol.ts";
import type { LaunchOrder, TrafficRequest } from "../../src/sandbox/agent-sandbox.ts";
import type { EventQueue } from "./event-queue.ts";
import type { Journal, Process } from "./journal.ts";
import type { MemoryBootstrap } from "./memory-bootstrap.ts";
import type { MemoryJob } from "./memory-job.ts";
import { MemoryTraffic, type Served } from "./memory-traffic.ts";
import { MemoryWork } from "./memory-work.ts";
import type { Birth, ProcessTable } from "./process-table.ts";
import type { Files, Repositories } from "./snapshot-shelf.ts";
import { answered, refused, type WrapperAnswer } from "./wrapper-answer.ts";

export interface InstanceDependencies {
  readonly queue: EventQueue;
  readonly processes: ProcessTable;
  readonly journal: Journal;
  readonly host: string;
  readonly boot: string;
  /** From the launch until the wrapper listens. */
  readonly startMs: number;
  readonly keepOutputBytes: number;
  readonly maxJobs: number;
  readonly disk: { readonly total_bytes: number; readonly free_bytes: number };
  readonly files: Files;
  readonly repositories: Repositories;
  /** The protocol of its code. */
  readonly protocol: number;
  readonly changed: () => void;
  readonly retired: () => boolean;
}

type Phase = "starting" | "serving" | "ending" | "ended";

export class MemoryInstance {
  readonly order: LaunchOrder;
  readonly traffic = new MemoryTraffic();
  readonly guardian: Process;
  readonly wrapper: Process;
  readonly #world: InstanceDependencies;
  readonly #startedAt: number;
  readonly #work: MemoryWork;
  #phase: Phase = "starting";
  #lease: LeaseClock;
  /** A SIGTERM that waits for a thaw. */
  #termPending = false;
  /** While everything of it stands still for a snapshot. */
  #stillUntil: number | null = null;
  #stillFor: string | null = null;
  #requestsWhileFrozen: (() => void)[] = [];

  constructor(order: LaunchOrder, world: InstanceDependencies) {
    this.order = order;
    this.#world = world;
    this.#startedAt = world.queue.time;
    this.#lease = newLeaseClock(this.#startedAt, order.leaseTtlMs);
    this.#work = new MemoryWork({
      order,
      world,
      birth: this.#birth("job"),
      supervised: () => this.#supervised(),
      isOver: () => this.#phase !== "serving",
      onEnded: () => this.#exitWhenEmpty(),
    });
    this.guardian = world.processes.spawn(this.#birth("guardian"), {
      terminate: (process) => this.#toldToStop(process),
      died: () => this.#guardianDied(),
    });
    this.wrapper = world.processes.spawn(this.#birth("wrapper"), {
      terminate: (process) => this.#toldToStop(process),
      died: () => this.#wrapperDied(),
    });
    world.queue.schedule(world.startMs, () => this.#listen());
    this.#watchLease();
  }

  get jobs(): readonly MemoryJob[] {
    return this.#work.jobs;
  }

  /** When it ends itself unless it is renewed, on the world's clock. */
  get leaseDeadline(): number {
    return this.#lease.deadline;
  }

  /** It accepted a lease that has not run out: it does what it is told. */
  get acts(): boolean {
    return this.listens && this.#lease.sequence > 0 && this.#world.queue.time < this.#lease.deadline;
  }

  /** Whether a connection to its port is answered at all. */
  get listens(): boolean {
    return this.#phase === "serving" && !this.wrapper.frozen && this.#world.processes.isAlive(this.wrapper);
  }

  /** Its port takes connections but nobody reads them. */
  get frozen(): boolean {
    return this.wrapper.frozen && this.#world.processes.isAlive(this.wrapper);
  }

  /** A request that reached the frozen wrapper is read once it thaws, however long ago its sender gave up. */
  whenThawed(request: () => void): void {
    this.#requestsWhileFrozen.push(request);
  }

  /** Everything of it that is alive, children of jobs included. */
  processes(): readonly Process[] {
    const { sandboxId, sessionId, instanceId } = this.order;
    const here = this.#world.processes.inSandbox(sandboxId, sessionId);
    return here.filter((process) => process.instanceId === instanceId);
  }

  renew(generation: number, request: RenewalRequest): WrapperAnswer<RenewalReply> {
    const fence = this.#checkGeneration(generation);
    if (fence !== null) return fence;
    const accepted = acceptRenewal(
      this.#lease,
      { sequence: request.sequence, sentAt: request.sent_at, ttlMs: request.ttl_ms },
      this.#world.queue.time,
    );
    if (accepted === null)
      return refused("stale_renewal", `renewal ${request.sequence} is not above the last accepted`);
    this.#lease = accepted;
    this.#watchLease();
    this.#note({ type: "renewed", sequence: request.sequence, retired: this.#world.retired() });
    return answered({
      protocol: this.#spoken(),
      instance_id: this.order.instanceId,
      generation: this.order.generation,
      version: "memory",
      expires_in_ms: accepted.deadline - this.#world.queue.time,
      active_jobs: this.#work.activeJobs,
      idle_ms: this.#work.idleMs,
      disk: this.#world.disk,
      jobs: this.jobs.map((job) => job.view()),
    });
  }

  health(generation: number): WrapperAnswer<WrapperHealth> {
    return (
      this.#checkGeneration(generation) ??
      answered({
        session_id: this.order.sessionId,
        instance_id: this.order.instanceId,
        generation: this.order.generation,
        version: "memory",
        protocol: this.#spoken(),
        pid: this.wrapper.pid,
        uptime_ms: this.#world.queue.time - this.#startedAt,
        active_jobs: this.#work.activeJobs,
        draining: this.#work.draining,
        preparing: this.#work.preparing,
      })
    );
  }

  startJob(generation: number, order: WrapperJobOrder): WrapperAnswer<MemoryJob> {
    const fence = this.#checkGeneration(generation) ?? this.#checkRenewed();
    if (fence !== null) return fence;
    return this.#work.startJob(order, () =>
      this.#note({ type: "jobAccepted", jobId: order.id, retired: this.#world.retired() }),
    );
  }

  prepare(generation: number, order: BootstrapOrder): WrapperAnswer<MemoryBootstrap> {
    const fence = this.#checkGeneration(generation) ?? this.#checkRenewed();
    if (fence !== null) return fence;
    return this.#work.prepare(order);
  }

  job(generation: number, id: string): WrapperAnswer<MemoryJob> {
    const fence = this.#checkGeneration(generation) ?? this.#checkRenewed();
    if (fence !== null) return fence;
    return this.#work.job(id);
  }

  drain(generation: number): WrapperAnswer<{ readonly activeJobs: number }> {
    const fence = this.#checkGeneration(generation) ?? this.#checkRenewed();
    if (fence !== null) return fence;
    if (this.#stillUntil !== null) this.#release();
    this.#work.draining = true;
    if (this.#work.activeJobs === 0) {
      this.traffic.hold();
      this.#work.holdKept(true);
    }
    return answered({ activeJobs: this.#work.activeJobs });
  }

  admit(generation: number): WrapperAnswer<null> {
    const fence = this.#checkGeneration(generation) ?? this.#checkRenewed();
    if (fence !== null) return fence;
    if (this.#stillUntil !== null) return answered(null);
    this.#work.draining = false;
    this.#work.holdKept(false);
    this.traffic.release();
    return answered(null);
  }

  /** Everything stops where it is, by itself for no longer than that; requests are refused as if they had waited too long. */
  standStill(generation: number, snapshotId: string, forMs: number): WrapperAnswer<null> {
    const fence = this.#checkGeneration(generation) ?? this.#checkRenewed();
    if (fence !== null) return fence;
    if (this.#work.draining && this.#stillUntil === null) return refused("draining", "a drain is under way");
    this.#stillFor = snapshotId;
    this.#stillUntil = this.#world.queue.time + forMs;
    this.#work.draining = true;
    this.#work.holdAll(true);
    const until = this.#stillUntil;
    this.#world.queue.schedule(forMs, () => {
      if (this.#stillUntil === until) this.#release();
    });
    return answered(null);
  }

  goOn(generation: number, snapshotId: string): WrapperAnswer<null> {
    const fence = this.#checkGeneration(generation) ?? this.#checkRenewed();
    if (fence !== null) return fence;
    if (this.#stillUntil !== null && this.#stillFor === snapshotId) this.#release();
    return answered(null);
  }

  /** What is told to end goes on first: a stopped process hears no TERM. */
  #release(): void {
    this.#stillUntil = null;
    this.#work.draining = false;
    this.#work.holdAll(false);
  }

  cutTraffic(generation: number): WrapperAnswer<null> {
    const fence = this.#checkGeneration(generation) ?? this.#checkRenewed();
    if (fence !== null) return fence;
    this.traffic.hold();
    return answered(null);
  }

  /** One request of traffic that the host let through. */
  serve(request: TrafficRequest): Served {
    if (!this.acts) return { type: "refused", code: this.#lease.sequence > 0 ? "retired" : "not_ready" };
    if (this.#work.preparing) return { type: "refused", code: "not_ready" };
    if (this.traffic.held || this.#stillUntil !== null) return { type: "refused", code: "held" };
    this.#work.noteActivity();
    this.#note({ type: "served", path: request.path, retired: this.#world.retired() });
    return this.traffic.serve(this, request);
  }

  /** SIGSTOP: the wrapper alone, or everything (a frozen container). */
  freeze(what: "wrapper" | "everything"): void {
    const frozen = what === "wrapper" ? [this.wrapper] : this.processes();
    for (const process of frozen) this.#world.processes.setFrozen(process, true);
  }

  thaw(): void {
    for (const process of this.processes()) this.#world.processes.setFrozen(process, false);
    this.#work.thaw();
    this.#listen();
    // Before the lease is looked at: the harder of the two orders in which a process may find its sockets and its timers.
    if (this.listens) for (const request of this.#requestsWhileFrozen.splice(0)) request();
    this.#watchLease();
    if (this.#termPending) this.#beginEnding("it was told to stop while frozen");
    if (!this.#world.processes.isAlive(this.wrapper)) this.#beginEnding("the wrapper is gone");
    // Its end may have begun before the freeze, and its last job have gone in it.
    this.#exitWhenEmpty();
  }

  /** What it answers with to a controller of this code. */
  #spoken(): number {
    return Math.min(this.#world.protocol, wrapperProtocol);
  }

  #birth(kind: "guardian" | "wrapper" | "job"): Birth {
    const { sessionId, sandboxId, instanceId, generation } = this.order;
    return { kind, sessionId, sandboxId, instanceId, generation, host: this.#world.host, boot: this.#world.boot };
  }

  #note(
    entry:
      | { type: "renewed"; sequence: number; retired: boolean }
      | { type: "jobAccepted"; jobId: string; retired: boolean }
      | { type: "served"; path: string; retired: boolean }
      | { type: "ending"; why: string }
      | { type: "ended" },
  ): void {
    const { sessionId, sandboxId, instanceId, generation } = this.order;
    this.#world.journal.add({ at: this.#world.queue.time, sessionId, sandboxId, instanceId, generation, ...entry });
  }

  #listen(): void {
    if (this.#phase !== "starting" || this.wrapper.frozen) return;
    if (this.#world.queue.time > this.order.launchNotAfter) this.#beginEnding("it started after launchNotAfter");
    else this.#phase = "serving";
  }

  #checkGeneration(generation: number): WrapperAnswer<never> | null {
    // Thawed past its deadline it may read a request before its timer: no renewal brings a lease back that has run out.
    if (this.#world.queue.time >= this.#lease.deadline) {
      this.#beginEnding("its lease had run out");
      return refused("draining", "the lease has run out");
    }
    if (generation === this.order.generation) return null;
    if (generation > this.order.generation) this.#beginEnding(`generation ${generation} is newer`);
    return refused("wrong_generation", `this is generation ${this.order.generation}`);
  }

  #checkRenewed(): WrapperAnswer<never> | null {
    return this.#lease.sequence > 0 ? null : refused("not_renewed", "nothing is done before the first renewal");
  }

  #watchLease(): void {
    const { deadline } = this.#lease;
    this.#world.queue.schedule(deadline - this.#world.queue.time, () => {
      if (this.#lease.deadline === deadline) this.#leaseRanOut();
    });
  }

  #leaseRanOut(): void {
    // A frozen wrapper cannot act: its guardian kills it and does the rest. With both frozen only a thaw or a stop helps.
    if (!this.#can(this.wrapper) && !this.#can(this.guardian)) return;
    this.#beginEnding("its lease ran out");
    if (this.wrapper.frozen) this.#world.processes.signal(this.wrapper, "SIGKILL", null);
  }

  #toldToStop(process: Process): void {
    if (process.frozen) this.#termPending = true;
    else this.#beginEnding(`the ${process.kind} was told to stop`);
  }

  #wrapperDied(): void {
    this.traffic.cut();
    if (this.#can(this.guardian)) this.#beginEnding("the wrapper is gone");
    this.#exitWhenEmpty();
  }

  #guardianDied(): void {
    if (this.#can(this.wrapper)) this.#beginEnding("the guardian is gone");
    this.#exitWhenEmpty();
  }

  #beginEnding(why: string): void {
    if (this.#phase === "ending" || this.#phase === "ended") return;
    this.#phase = "ending";
    this.#note({ type: "ending", why });
    this.traffic.cut();
    this.#work.end();
    this.#exitWhenEmpty();
  }

  /** The last ones out. Who is frozen cannot exit; who was killed is out already. */
  #exitWhenEmpty(): void {
    if (this.#phase === "ending" && this.#work.active.length === 0 && this.#supervised()) {
      this.#work.reapChildren();
      if (this.#can(this.wrapper)) this.#world.processes.end(this.wrapper);
      if (this.#can(this.guardian)) this.#world.processes.end(this.guardian);
    }
    if (this.#phase === "ended" || this.processes().length > 0) return;
    this.#phase = "ended";
    this.#note({ type: "ended" });
  }

  #can(process: Process): boolean {
    return this.#world.processes.isAlive(process) && !process.frozen;
  }

  #supervised(): boolean {
    return this.#can(this.wrapper) || this.#can(this.guardian);
  }
}
