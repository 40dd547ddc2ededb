/**
 * The wrapper's right to act: the lease clock on the steady clock, and every way to lose it. Once lost, never regained.
 *
 * Timers alone are not enough: a process that thaws past its deadline may handle a request before its timer. So
 * `mayAct` looks at the clock itself, and everything asks it again after each await, right before it acts.
 */
import { acceptRenewal, newLeaseClock, type LeaseClock } from "../../src/protocol/sandbox/lease-clock.ts";
import type { RenewalRequest } from "../../src/protocol/sandbox/wrapper.ts";
import type { TellGuardian } from "./guardian/guardian-link.ts";
import type { SteadyClock } from "./steady-clock.ts";

export type EndCause = "lease_expired" | "newer_generation" | "guardian_gone" | "stop_requested";

export interface FenceDependencies {
  readonly clock: SteadyClock;
  /** When this wrapper started: it lives one TTL without a renewal. */
  readonly startedAt: number;
  readonly ttlMs: number;
  readonly tell: TellGuardian;
  /** Ends everything. Called again when a stronger cause follows. */
  readonly end: (cause: EndCause) => void;
}

export type RenewalAnswer =
  | { readonly type: "accepted"; readonly expiresInMs: number }
  | { readonly type: "stale" }
  | { readonly type: "ending" };

/** A timer alone would sleep through a suspended machine. */
const lookEveryMs = 2_000;

export class Fence {
  readonly #dependencies: FenceDependencies;
  #lease: LeaseClock;
  #lost: EndCause | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(dependencies: FenceDependencies) {
    this.#dependencies = dependencies;
    this.#lease = newLeaseClock(dependencies.startedAt, dependencies.ttlMs);
    dependencies.tell({ type: "deadline", at: this.#lease.deadline });
    this.#arm();
  }

  /** On the steady clock, ms. */
  get deadline(): number {
    return this.#lease.deadline;
  }

  get renewed(): boolean {
    return this.#lease.sequence > 0;
  }

  /** null while the right to act is held. */
  get lost(): EndCause | null {
    this.#look();
    return this.#lost;
  }

  /** The one question before every effect. */
  mayAct(): boolean {
    return this.lost === null && this.renewed;
  }

  renew(request: RenewalRequest): RenewalAnswer {
    if (this.lost !== null) return { type: "ending" };
    const now = this.#dependencies.clock.now();
    const next = acceptRenewal(
      this.#lease,
      { sequence: request.sequence, sentAt: request.sent_at, ttlMs: request.ttl_ms },
      now,
    );
    if (next === null) return { type: "stale" };
    this.#lease = next;
    this.#dependencies.tell({ type: "deadline", at: next.deadline });
    this.#arm();
    // A renewal that was under way for longer than its TTL ends the lease instead of extending it.
    if (this.lost !== null) return { type: "ending" };
    return { type: "accepted", expiresInMs: Math.max(0, Math.floor(next.deadline - now)) };
  }

  lose(cause: EndCause): void {
    // A stop that is under way may still run into its deadline; nothing else can happen twice.
    if (this.#lost !== null && this.#lost !== "stop_requested") return;
    if (this.#lost === cause) return;
    this.#lost = cause;
    this.#dependencies.end(cause);
  }

  #look(): void {
    if (this.#dependencies.clock.now() >= this.#lease.deadline) this.lose("lease_expired");
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const remaining = this.#lease.deadline - this.#dependencies.clock.now();
    this.#timer = setTimeout(
      () => {
        this.#look();
        if (this.#lost === null || this.#lost === "stop_requested") this.#arm();
      },
      Math.min(Math.max(Math.ceil(remaining), 1), lookEveryMs),
    );
  }
}
