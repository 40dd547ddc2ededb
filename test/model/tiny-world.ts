/**
 * A provider of a few lines, and the hands that carry out what reconcile asks for against it. It knows of each generation
 * until when it lives and whether it is retired, and nothing else. Calls fail, lose their reply after the effect, or hang:
 * their effect and their result then come whenever the test says so, perhaps twice, perhaps never.
 */
import type { EventOf, SessionEvent } from "../../src/domain/machine/events.ts";
import type { AttemptId, Generation } from "../../src/domain/state/ids.ts";
import type { Candidate } from "../../src/domain/state/lease.ts";
import { nextDeadline, reconcile, type Step } from "../../src/domain/rules/reconcile.ts";
import { openLeases, type Session } from "../../src/domain/state/session.ts";
import { transition } from "../../src/domain/machine/transition.ts";
import type { Moved, Outcome } from "../../src/domain/machine/outcome.ts";
import { wrapperProtocol } from "../../src/domain/state/wrapper-protocol.ts";
import { failure, step } from "../support/every-event.ts";
import { at, boot, candidate, host, look, policy, provisioning, second, planned } from "../support/sessions.ts";

export type Fault = "ok" | "nothing" | "lost" | "hang" | "haunted";

/** What happens at the provider, and then what is told of it. */
type Call = () => SessionEvent;

export interface Change {
  readonly event: SessionEvent;
  readonly before: Session;
  readonly moved: Moved;
}

export class TinyWorld {
  now = at;
  session: Session;
  /** When each sandbox ends itself, unless it is renewed before (I8). */
  readonly #fences = new Map<Generation, number>();
  readonly retired = new Set<Generation>();
  /** Calls that hang. */
  readonly pending: Call[] = [];
  erased = false;
  readonly #watch: (change: Change) => void;
  #attempts = 0;

  constructor(watch: (change: Change) => void, lifecycle: Session["lifecycle"]) {
    this.#watch = watch;
    // Half of them ask for a workspace.
    const workspace = lifecycle.onTimeout === "kill" ? planned : null;
    this.session = { ...provisioning({}, { newest: null, alive: { totalMs: 0, since: null }, lifecycle, workspace }) };
  }

  /** What is physically there and may act. */
  alive(): readonly Generation[] {
    return [...this.#fences].filter(([, fence]) => this.now < fence).map(([generation]) => generation);
  }

  isAlive(generation: Generation): boolean {
    return this.now < (this.#fences.get(generation) ?? 0);
  }

  die(generation: Generation): void {
    this.#fences.delete(generation);
  }

  #renewedAt(generation: Generation, sentAt: number): void {
    this.#fences.set(generation, Math.max(this.#fences.get(generation) ?? 0, sentAt + policy.leaseTtlMs));
  }

  tell(event: SessionEvent): Outcome {
    const before = this.session;
    const outcome = transition(before, event, { now: this.now, policy });
    if (outcome.type === "moved") {
      this.session = outcome.session;
      this.#watch({ event, before, moved: outcome });
    }
    return outcome;
  }

  pass(ms: number): void {
    this.now += ms;
    this.tell({ type: "timePassed", jitter: 0.5 });
  }

  /** The alarm. */
  toDeadline(): void {
    const due = nextDeadline(this.session, policy);
    this.pass(Math.max(0, (due ?? this.now) - this.now));
  }

  steps(): readonly Step[] {
    return reconcile(this.session, this.now, policy);
  }

  run(step: Step, fault: Fault): void {
    switch (step.type) {
      case "openLease":
        return this.#open(fault);
      case "launch": {
        const attemptId = this.#attempt();
        if (this.tell({ type: "launchStarted", generation: step.generation, attemptId }).type === "moved")
          this.#launch(step.generation, attemptId, fault);
        return;
      }
      case "renew":
        return this.#renew(step.generation, fault);
      case "stop":
        return this.#stop(step.generation, fault);
      case "probe":
        return this.#probe(step.generation, fault);
      case "prepare":
        return this.#prepare(step.generation, fault);
      case "drain":
        return this.#drain(step.generation);
      case "save":
        return this.#save(step.generation, fault);
      case "becomeGhost":
        this.tell({ type: "ghostNeeded" });
        return;
      case "cancelReservation":
        if (fault !== "nothing") this.tell({ type: "reservationCancelled", generation: step.generation });
        return;
      case "deleteSnapshot":
        return this.#deleteSnapshot(step.snapshotId, fault);
      case "copy":
      case "settleCopy":
        // No event of this world asks for a copy.
        return;
      case "erase":
        this.erased = true;
        return;
    }
  }

  #deleteSnapshot(snapshotId: string, fault: Fault): void {
    const attemptId = this.#attempt();
    if (this.tell({ type: "snapshotDeletionStarted", snapshotId, attemptId }).type !== "moved") return;
    this.#carryOut(fault, () =>
      fault === "nothing"
        ? { type: "snapshotDeletionFailed", snapshotId, attemptId, failure: failure("unavailable"), jitter: 0.5 }
        : { type: "snapshotDeleted", snapshotId },
    );
  }

  deliver(index: number, again: boolean): void {
    const call = this.pending[index % Math.max(1, this.pending.length)];
    if (call === undefined) return;
    if (!again) this.pending.splice(this.pending.indexOf(call), 1);
    this.tell(call());
  }

  #attempt(): AttemptId {
    this.#attempts += 1;
    return `a${this.#attempts}` as AttemptId;
  }

  #carryOut(fault: Fault, call: Call): void {
    if (fault === "hang") this.pending.push(call);
    else this.tell(call());
  }

  #open(fault: Fault): void {
    const { desired } = this.session;
    if (desired.type !== "running" || desired.provision === null) return;
    const that: Candidate = desired.provision.candidate ?? candidate(this.session.nextGeneration);
    const attemptId = this.#attempt();
    const started = { type: "openingStarted", attemptId, candidate: that, deadline: this.now + 21 * second } as const;
    if (this.tell(started).type !== "moved") return;
    if (fault === "nothing") {
      this.tell({ type: "openingFailed", attemptId, failure: { code: "unavailable", message: "no" }, jitter: 0.5 });
      return;
    }
    if (fault === "haunted") {
      this.#renewedAt(that.generation, this.now);
      this.tell({ type: "orphanFound", candidate: that, observation: this.#look(that) });
      return;
    }
    const launchAttemptId = this.#attempt();
    const opened = { type: "leaseOpened", attemptId, launchAttemptId, observation: this.#look(that) } as const;
    if (this.tell(opened).type === "moved") this.#launch(that.generation, launchAttemptId, fault);
  }

  #launch(generation: Generation, attemptId: AttemptId, fault: Fault): void {
    const lease = this.session.newest;
    const notAfter = lease?.phase === "launching" ? lease.launchNotAfter : 0;
    const about = { generation, attemptId, jitter: 0.5 } as const;
    this.#carryOut(fault, () => {
      if (fault === "nothing") return { type: "launchFailed", ...about, failure: failure("unavailable") };
      if (this.retired.has(generation)) return { type: "launchFailed", ...about, failure: failure("refused_retired") };
      if (this.now > notAfter) return { type: "launchFailed", ...about, failure: failure("refused_late") };
      this.#renewedAt(generation, this.now);
      if (fault === "lost") return { type: "launchFailed", ...about, failure: failure("timed_out", "unknown") };
      return { type: "launchSucceeded", generation, attemptId, host };
    });
  }

  #renew(generation: Generation, fault: Fault): void {
    const lease = this.session.newest;
    if (lease?.phase !== "launching" && lease?.phase !== "held") return;
    const sequence = lease.renewals.sequence + 1;
    if (this.tell({ type: "renewalStarted", generation, sequence }).type !== "moved") return;
    const sentAt = this.now;
    this.#carryOut(fault, () => {
      const reached = fault !== "nothing" && this.isAlive(generation);
      if (reached) this.#renewedAt(generation, sentAt);
      if (!reached || fault === "lost") {
        return { type: "renewalFailed", generation, sequence, failure: failure("timed_out", "unknown"), jitter: 0.5 };
      }
      const calm = { protocol: wrapperProtocol, activeJobs: 0, idleMs: this.now, jitter: 0.5 };
      return { type: "renewalAccepted", generation, sequence, sentAt, ...calm };
    });
  }

  #probe(generation: Generation, fault: Fault): void {
    const attemptId = this.#attempt();
    if (this.tell({ type: "probeStarted", generation, attemptId }).type !== "moved") return;
    this.#carryOut(fault, () => ({
      type: "probeFinished",
      ...{ generation, attemptId },
      ...this.#evidence(generation, fault, false),
    }));
  }

  #drain(generation: Generation): void {
    const attemptId = this.#attempt();
    if (this.tell({ type: "drainStarted", generation, attemptId }).type !== "moved") return;
    this.tell({ type: "drained", generation, attemptId, saveAttemptId: this.#attempt() });
  }

  /** Its one step hangs, fails, is unheard of, or is done. */
  #prepare(generation: Generation, fault: Fault): void {
    const attemptId = this.#attempt();
    if (this.tell({ type: "preparationAsked", generation, attemptId }).type !== "moved") return;
    const unheard = fault === "nothing" || fault === "lost" || !this.isAlive(generation);
    this.#carryOut(fault, () =>
      unheard
        ? { type: "preparationUnanswered", generation, attemptId, failure: failure("timed_out", "unknown") }
        : {
            type: "preparationReported",
            generation,
            attemptId,
            steps: [step(fault === "haunted" ? "failed" : "succeeded")],
          },
    );
  }

  #stop(generation: Generation, fault: Fault): void {
    const attemptId = this.#attempt();
    if (this.tell({ type: "stopStarted", generation, attemptId }).type !== "moved") return;
    this.#carryOut(fault, () => ({
      type: "stopFinished",
      generation,
      attemptId,
      ...this.#evidence(generation, fault, true),
      error: null,
      jitter: 0.5,
    }));
  }

  /** Retired, ended if asked for, and looked at twice, as far as the fault lets it. */
  #evidence(
    generation: Generation,
    fault: Fault,
    kill: boolean,
  ): Pick<EventOf<"probeFinished">, "retired" | "looks" | "settledAt"> {
    const settledAt = this.now;
    const that = candidate(generation);
    if (fault === "nothing") return { retired: null, looks: [look("unknown", this.now - at, that)], settledAt };
    this.retired.add(generation);
    if (kill) this.die(generation);
    if (fault === "lost") return { retired: null, looks: [look("unknown", this.now - at, that)], settledAt };
    const first = this.#look(that);
    this.now += second;
    return { retired: { at: settledAt, host, boot }, looks: [first, this.#look(that)], settledAt };
  }

  #look(that: Candidate) {
    return look(this.isAlive(that.generation) ? "present" : "absent", this.now - at, that);
  }

  #save(generation: Generation, fault: Fault): void {
    const lease = this.session.newest;
    if (lease?.phase !== "held" || lease.gate.type !== "saving") return;
    const { attemptId } = lease.gate;
    this.#carryOut(fault, () =>
      fault === "nothing" || !this.isAlive(generation)
        ? { type: "saveFailed", generation, attemptId, failure: failure("unavailable") }
        : {
            type: "saveSucceeded",
            generation,
            attemptId,
            snapshot: { id: attemptId, provider: "memory", takenAt: this.now, generation },
          },
    );
  }

  /** Every generation that may have something physical, as the session tells it. */
  accounted(): ReadonlySet<Generation> {
    return new Set(openLeases(this.session).map((lease) => lease.generation));
  }
}
