/**
 * The outbox: tells the tenant's registry and the index how the session stands, until both have confirmed.
 *
 * Nothing of it is stored: a report is the whole present picture, and until the newest is confirmed the object's alarm is
 * armed close by. After a crash the first wake reports once more, which changes nothing at a receiver that knew.
 */
import { expiresAt } from "../domain/clocks.ts";
import type { Closed, Lease } from "../domain/lease.ts";
import { nextDeadline } from "../domain/reconcile.ts";
import type { Session } from "../domain/session.ts";
import { blockedBy, statusOf } from "../domain/status.ts";
import { stuckSince, teardownOverdueFrom } from "../domain/stuck.ts";
import { bounded, timedOut } from "./bounded.ts";
import type { SessionPorts } from "./ports.ts";
import type { OutcomeTally } from "./outcome-tally.ts";
import type { BlockedMark, LeaseReport, OutcomeCounts, SessionReport } from "./reports.ts";
import type { PlainSession } from "./row-codec.ts";
import type { SessionState } from "./session-state.ts";
import type { SessionStore } from "./store.ts";
import { teardownOf } from "./view.ts";

const retryMs = 10_000;
/** Counted outcomes are told at most this often: the alert on timeouts looks at fifteen minutes, and a heartbeat may be as old as that. */
const outcomesEveryMs = 60_000;

export class Reporter {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #store: SessionStore;
  readonly #tally: OutcomeTally;
  #toldOutcomes: OutcomeCounts;
  /** What each has confirmed in this incarnation; what both have is stored, so that a wake does not report again. */
  #confirmed: { readonly tenant: number; readonly index: number };
  #reportedAt: number;
  #retryAt = 0;
  /** Somebody thinks that it should have been heard of: the index is told how it is. */
  #asked = false;
  #markAgainAt = 0;
  /** While a create waits for its first answer there is nothing to tell: a refusal would have to be taken back. */
  held = false;

  constructor(ports: SessionPorts, state: SessionState, store: SessionStore, tally: OutcomeTally) {
    this.#ports = ports;
    this.#state = state;
    this.#store = store;
    this.#tally = tally;
    this.#toldOutcomes = tally.counts;
    const { version, at } = state.reportable === null ? { version: 0, at: 0 } : store.reported();
    this.#confirmed = { tenant: version, index: version };
    this.#reportedAt = at;
  }

  /** Another session begins in this object. */
  reset(): void {
    this.#confirmed = { tenant: 0, index: 0 };
    this.#reportedAt = 0;
    this.#retryAt = 0;
    this.#asked = false;
  }

  /** The index looks overdue to maintenance: whatever it was told before, it hears again. */
  ask(): void {
    this.#asked = true;
  }

  /** A rest that is longer than any we take was begun before the clock went back. */
  #resting(now: number): boolean {
    return now < this.#retryAt && this.#retryAt <= now + retryMs;
  }

  #pending(now: number, version: number): boolean {
    const { reportable: session, mode } = this.#state;
    if (mode.type === "newer") return now >= this.#markAgainAt;
    if (session === null) return false;
    if (this.#asked || this.#confirmed.tenant < version || this.#confirmed.index < version) return true;
    return beats(session) && now >= this.#beatAt();
  }

  #beatAt(): number {
    const { reportEveryMs } = this.#ports.policy;
    const untold = this.#tally.counts !== this.#toldOutcomes;
    return this.#reportedAt + (untold ? Math.min(outcomesEveryMs, reportEveryMs) : reportEveryMs);
  }

  due(now: number): boolean {
    return !this.held && !this.#resting(now) && this.#pending(now, this.#state.version);
  }

  /** For a session of that row version. Only for what is not confirmed: a heartbeat rides along with the next renewal or probe. */
  wakeAt(now: number, version: number): number | null {
    // Rows of newer code keep to their own slow pace.
    if (this.#state.mode.type === "newer") return null;
    if (!this.#pending(now, version)) return null;
    // As `resting` has it: a rest that a clock gone back has made long is none.
    return this.#resting(now) ? Math.max(this.#retryAt, now + 1) : now + retryMs;
  }

  /** Sends what is not confirmed. true: both have confirmed this version. */
  async send(erased = false): Promise<boolean> {
    if (this.#state.mode.type === "newer") return await this.#mark(this.#state.mode.plain);
    const session = this.#state.reportable;
    if (session === null) return false;
    const { version } = this.#state;
    // The erasure is one version more: it must not lose against what was told before.
    const report = this.#report(session, erased ? version + 1 : version, erased);
    const beat = this.#asked || this.#ports.clock.now() >= this.#beatAt();
    const tell = async (to: "tenant" | "index"): Promise<boolean> => {
      // The heartbeat is for the index alone: it is what maintenance reads.
      if (this.#confirmed[to] >= report.version && !(beat && to === "index")) return true;
      try {
        const answer = await bounded(this.#ports.clock, this.#ports.policy.observeMs, () =>
          this.#ports[to](session.tenant).report(report),
        );
        if (answer === timedOut) return false;
        // One that holds an older version has not taken this one.
        if (answer.version < report.version) return false;
        if (to === "index") this.#toldOutcomes = report.outcomes;
        this.#confirmed = { ...this.#confirmed, [to]: Math.max(this.#confirmed[to], report.version) };
        return true;
      } catch (error) {
        this.#ports.logger.warn("report failed", { to, session: session.id, error: String(error) });
        return false;
      }
    };
    const [tenant, index] = await Promise.all([tell("tenant"), tell("index")]);
    const both = tenant && index;
    const now = this.#ports.clock.now();
    if (!both) this.#retryAt = now + retryMs;
    if (erased || this.#state.reportable === null) return both;
    if (both) {
      this.#reportedAt = now;
      this.#asked = false;
    }
    // A heartbeat that failed takes nothing back of what both have heard.
    const heard = this.#confirmed.tenant >= report.version && this.#confirmed.index >= report.version;
    // Once: its tries, ten seconds apart, must not each cost a row.
    if (both || (heard && this.#store.reported().version < report.version))
      this.#store.confirmReport(report.version, this.#reportedAt);
    return both;
  }

  /** Its rows are not read: the index alone learns that they are not, and keeps what it knew (LEA-19). */
  async #mark({ id, tenant }: PlainSession): Promise<boolean> {
    const { clock, policy } = this.#ports;
    const nextDeadline = clock.now() + 2 * policy.newerRetryMs;
    const mark: BlockedMark = { sessionId: id, blocked: "newer_record", nextDeadline };
    try {
      const answer = await bounded(clock, policy.observeMs, () => this.#ports.index(tenant).markBlocked(mark));
      if (answer !== timedOut) this.#markAgainAt = clock.now() + policy.newerRetryMs - retryMs;
      return answer !== timedOut;
    } catch (error) {
      this.#ports.logger.warn("could not mark a session", { session: id, error: String(error) });
      return false;
    } finally {
      this.#retryAt = clock.now() + retryMs;
    }
  }

  /**
   * By when maintenance should have heard of it again. A held lease's renewals and a parked one's probes move its deadline
   * without a report, so those promise a heartbeat instead: a tick of the cron must touch no healthy session (FLT-17).
   */
  #horizon(session: Session): number | null {
    const { clock, policy } = this.#ports;
    // Of one that nobody can act on only its own slow alarm is known.
    if (this.#state.session === null) return clock.now() + policy.unreadableRetryMs;
    const deadline = nextDeadline(session, policy);
    if (!beats(session)) return deadline;
    return Math.max(
      deadline ?? 0,
      clock.now() + policy.reportEveryMs + policy.renewMs + policy.parkedProbeSlowMs * Number(parked(session)),
    );
  }

  #report(session: Session, version: number, erased: boolean): SessionReport {
    const { policy, providers } = this.#ports;
    const unreadable = this.#state.mode.type === "unreadable";
    const open: readonly Lease[] = session.newest === null ? session.ghosts : [...session.ghosts, session.newest];
    const closed = this.#store
      .receipts()
      .filter((receipt) => !open.some((lease) => lease.generation === receipt.generation));
    const now = this.#ports.clock.now();
    return {
      version,
      asOf: now,
      sessionId: session.id,
      tenant: session.tenant,
      createdAt: session.createdAt,
      status: statusOf(session),
      blocked: unreadable ? "unreadable" : (blockedBy(session, adapterMissing(session, providers))?.code ?? null),
      terminateReason: session.desired.type === "terminated" ? session.desired.reason : null,
      provider: session.provider,
      endAt: session.endAt,
      expiresAt: unreadable ? null : expiresAt(session, policy),
      nextDeadline: this.#horizon(session),
      labels: session.profile.labels,
      agentType: session.profile.agentType,
      taskId: session.profile.taskId,
      critical: session.profile.critical,
      isolation: session.isolation,
      startedAt: session.startedAt,
      lastActivityAt: session.activity.lastAt,
      activeJobs: session.activity.activeJobs,
      stuckSince: stuckSince(session, now, policy),
      teardownOverdueFrom: teardownOverdueFrom(session, policy),
      usage: this.#store.usage(session, now),
      outcomes: this.#tally.counts,
      leases: [...closed, ...open].map((lease) => leaseReport(session, lease)),
      erased,
    };
  }
}

function parked(session: Session): boolean {
  return [session.newest, ...session.ghosts].some(
    (lease) => lease?.phase === "stopping" && lease.step.type === "parked",
  );
}

function beats(session: Session): boolean {
  return session.newest?.phase === "held" || parked(session);
}

export function adapterMissing(session: Session, providers: SessionPorts["providers"]): boolean {
  const lease = session.newest;
  return lease !== null && lease.phase !== "closed" && providers.get(lease.provider) === null;
}

function leaseReport(session: Session, lease: Lease | Closed): LeaseReport {
  const ghost = session.ghosts.some((other) => other.generation === lease.generation);
  const common = {
    generation: lease.generation,
    sandboxId: lease.sandboxId,
    phase: lease.phase,
    ghost,
    openedAt: lease.openedAt,
    ...(lease.host === null ? {} : { host: lease.host }),
    ...(lease.container === undefined ? {} : { container: lease.container }),
  };
  switch (lease.phase) {
    case "stopping":
      return {
        ...common,
        asserted: lease.assertion !== null,
        stopAttempts: lease.attempts.length + lease.earlierAttempts,
        lastError: lease.lastError,
        stopReason: lease.reason,
        receipt: null,
      };
    case "closed":
      return {
        ...common,
        asserted: false,
        stopAttempts: lease.receipt.attempts.length + lease.receipt.earlierAttempts,
        lastError: null,
        stopReason: lease.receipt.reason,
        receipt: teardownOf(session.id, lease),
      };
    case "launching":
    case "held":
      return { ...common, asserted: false, stopAttempts: 0, lastError: null, stopReason: null, receipt: null };
  }
}
