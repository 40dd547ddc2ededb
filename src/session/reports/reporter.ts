/**
 * The outbox: tells the tenant's registry and the index how the session stands, until both have confirmed.
 *
 * Nothing of it is stored: a report is the whole present picture, and until the newest is confirmed the object's alarm is
 * armed close by. After a crash the first wake reports once more, which changes nothing at a receiver that knew.
 */
import type { Session } from "../../domain/state/session.ts";
import { stillAhead } from "../../domain/rules/instants.ts";
import { bounded, timedOut } from "../../calls/bounded-call.ts";
import type { SessionPorts } from "../ports.ts";
import type { JobStore } from "../jobs/job-store.ts";
import type { OutcomeTally } from "../jobs/outcome-tally.ts";
import type { BlockedMark, OutcomeCounts } from "./reports.ts";
import { type ReportSources, sendsHeartbeats, sessionReport } from "./session-report.ts";
import type { PlainSession } from "../records/row-codec.ts";
import type { SessionState } from "../session-state.ts";
import type { SessionStore } from "../records/store.ts";
import type { PendingCreate } from "../commands/life/pending-create.ts";

const retryMs = 10_000;
/** How long a report waits for a session that is between two states: what it comes to is then told once, instead of both. */
const movingMs = 2_000;
/** Counted outcomes are told at most this often: the alert on timeouts looks at fifteen minutes, and a heartbeat may be as old as that. */
const outcomesEveryMs = 60_000;

export class Reporter {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #store: SessionStore;
  readonly #tally: OutcomeTally;
  readonly #jobs: Pick<JobStore, "summary">;
  #reportedOutcomes: OutcomeCounts;
  /** What each has confirmed in this incarnation; what both have is stored, so that a wake does not report again. */
  #confirmed: { readonly tenant: number; readonly index: number };
  #reportedAt: number;
  #retryAt = 0;
  /** Somebody thinks that it should have been heard of: the registry and the index are told how it is. */
  #reportAgain = false;
  #markAgainAt = 0;
  /** The highest version that a receiver said to hold in the present round, where it is above ours. */
  #heldAbove = 0;
  readonly #pendingCreate: PendingCreate;

  constructor(
    ports: SessionPorts,
    state: SessionState,
    store: SessionStore,
    tally: OutcomeTally,
    jobs: Pick<JobStore, "summary">,
    pendingCreate: PendingCreate,
  ) {
    this.#pendingCreate = pendingCreate;
    this.#ports = ports;
    this.#state = state;
    this.#store = store;
    this.#tally = tally;
    this.#jobs = jobs;
    this.#reportedOutcomes = tally.counts;
    const { version, at } = state.reportable === null ? { version: 0, at: 0 } : store.reported();
    // Never more than the row itself has come to: what was confirmed beyond that is of a version that was rolled back.
    const confirmed = Math.min(version, state.version);
    this.#confirmed = { tenant: confirmed, index: confirmed };
    this.#reportedAt = at;
  }

  /** Another session begins in this object. */
  reset(): void {
    this.#confirmed = { tenant: 0, index: 0 };
    this.#reportedAt = 0;
    this.#retryAt = 0;
    this.#reportAgain = false;
  }

  /** The session looks overdue to maintenance: whatever the registry and the index were told before, they hear again. */
  reportAgain(): void {
    this.#reportAgain = true;
  }

  get #sources(): ReportSources {
    return {
      ...{ ports: this.#ports, store: this.#store, tally: this.#tally, jobs: this.#jobs },
      unreadable: this.#state.mode.type === "unreadable",
      isActedOn: this.#state.session !== null,
    };
  }

  #coolingDown(now: number): boolean {
    return stillAhead(this.#retryAt, now, retryMs);
  }

  #pending(now: number, version: number): boolean {
    const { reportable: session, mode } = this.#state;
    if (mode.type === "newer") return !stillAhead(this.#markAgainAt, now, this.#ports.policy.newerRetryMs);
    if (session === null) return false;
    if (this.#reportAgain || this.#confirmed.tenant < version || this.#confirmed.index < version) return true;
    return sendsHeartbeats(session) && this.#heartbeatIsDue(now);
  }

  #heartbeatIsDue(now: number): boolean {
    const { reportEveryMs } = this.#ports.policy;
    const unreported = this.#tally.counts !== this.#reportedOutcomes;
    const everyMs = unreported ? Math.min(outcomesEveryMs, reportEveryMs) : reportEveryMs;
    return !stillAhead(this.#reportedAt + everyMs, now, everyMs);
  }

  due(now: number): boolean {
    return !this.#pendingCreate.waits && !this.#coolingDown(now) && this.#pending(now, this.#state.version);
  }

  /** For a session of that row version. Only for what is not confirmed: a heartbeat rides along with the next renewal or probe. */
  wakeAt(now: number, version: number): number | null {
    // Rows of newer code keep to their own slow pace.
    if (this.#state.mode.type === "newer") return null;
    if (!this.#pending(now, version)) return null;
    return this.#coolingDown(now) ? Math.max(this.#retryAt, now + 1) : now + retryMs;
  }

  /**
   * Sends what is not confirmed. true: both have confirmed this version. A heartbeat goes to both as well: the index is what
   * maintenance reads, and a registry that lost rows hears again of a session that changes nothing. Before rows are erased
   * both must have answered this very report: an older confirmation says nothing about the erasure.
   */
  async send(erased = false): Promise<boolean> {
    if (this.#state.mode.type === "newer") return await this.#mark(this.#state.mode.plain);
    if (!erased) await this.#atRest();
    const session = this.#state.reportable;
    if (session === null) return false;
    const { version } = this.#state;
    // The erasure is one version more: it must not lose against what was told before.
    const report = sessionReport(session, this.#sources, erased ? version + 1 : version, erased);
    // The index keeps no receipts: what is signed goes to the registry alone.
    const indexed = { ...report, leases: report.leases.map(({ statement: _, ...lease }) => lease) };
    const heartbeat = this.#reportAgain || this.#heartbeatIsDue(this.#ports.clock.now());
    const sendTo = async (to: "tenant" | "index"): Promise<boolean> => {
      if (this.#confirmed[to] >= report.version && !heartbeat && !erased) return true;
      try {
        const answer = await bounded(this.#ports.clock, this.#ports.policy.observeMs, () =>
          this.#ports[to](session.tenant).report(to === "index" ? indexed : report),
        );
        if (answer === timedOut) return false;
        // A receiver that holds another version has not taken this one.
        if (answer.version > report.version) this.#heldAbove = Math.max(this.#heldAbove, answer.version);
        if (answer.version !== report.version) return false;
        if (to === "index") this.#reportedOutcomes = report.outcomes;
        this.#confirmed = { ...this.#confirmed, [to]: Math.max(this.#confirmed[to], report.version) };
        return true;
      } catch (error) {
        this.#ports.logger.warn("report failed", { to, session: session.id, error: String(error) });
        return false;
      }
    };
    const [tenant, index] = await Promise.all([sendTo("tenant"), sendTo("index")]);
    const both = tenant && index;
    this.#goOnAbove(report.version);
    const now = this.#ports.clock.now();
    if (!both) this.#retryAt = now + retryMs;
    if (erased || this.#state.reportable === null) return both;
    if (both) {
      this.#reportedAt = now;
      this.#reportAgain = false;
    }
    // A heartbeat that failed takes nothing back of what both have heard.
    const heard = this.#confirmed.tenant >= report.version && this.#confirmed.index >= report.version;
    // A mark that the record cannot be read is taken back by announceReadable, whoever has heard it (session-state.ts).
    if (this.#state.mode.type !== "readable") return both;
    // Once: its tries, ten seconds apart, must not each cost a row.
    if (both || (heard && this.#store.reported().version < report.version))
      this.#store.confirmReport(report.version, this.#reportedAt);
    return both;
  }

  /** Resolves when the session is not between two states, or soon. The alarm stands meanwhile: a crash delays the report and loses nothing. */
  async #atRest(): Promise<void> {
    const moves = (): boolean => this.#state.mode.type === "readable" && isMoving(this.#state.session);
    if (this.#reportAgain || !moves()) return;
    let unlisten = (): void => {};
    const rest = new Promise<void>((resolve) => {
      unlisten = this.#state.onChange(() => {
        if (!moves()) resolve();
      });
    });
    await bounded(this.#ports.clock, movingMs, () => rest).finally(unlisten);
  }

  /**
   * A receiver holds a version above the one that it was sent: the row was put back to an earlier state, or an older version
   * of this code counted versions that were rolled back. It takes nothing at or below that version, so the row goes on above it.
   */
  #goOnAbove(sent: number): void {
    const above = this.#heldAbove;
    this.#heldAbove = 0;
    if (above <= sent || this.#state.version > above || this.#state.reportable === null) return;
    this.#ports.logger.warn("a receiver holds a newer version", { sent, held: above });
    this.#state.raiseVersion(above);
  }

  /** Its rows are not read: the index alone learns that they are not, and keeps what it knew. */
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
}

/** It opens or launches a sandbox, or tries for the first time to stop one: what comes of it is near. */
function isMoving(session: Session | null): boolean {
  const lease = session?.newest ?? null;
  if (lease?.phase === "launching") return lease.step.type !== "waiting";
  if (lease?.phase === "stopping")
    return lease.step.type !== "parked" && lease.attempts.every(({ endedAt }) => endedAt === null);
  return session?.desired.type === "running" && session.desired.provision?.step.type === "opening";
}
