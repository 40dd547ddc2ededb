/**
 * What every command needs of one session: finding it for a caller, one way to change it, one way to wait, and the views.
 * Every answer is made from the state after the write; a write that failed is said to have failed (I9).
 */
import type { SessionEvent } from "../domain/events.ts";
import type { Closed } from "../domain/lease.ts";
import type { Outcome } from "../domain/outcome.ts";
import type { Session } from "../domain/session.ts";
import type { Reply } from "../protocol/problem.ts";
import type { SessionView } from "../protocol/sessions.ts";
import { over } from "./bounded.ts";
import type { JobStore } from "./job-store.ts";
import type { SessionPorts } from "./ports.ts";
import { newerRecord, notFound, problemOf, refuse, storageFailed, unreadableRecord } from "./refusals.ts";
import { adapterMissing } from "./reporter.ts";
import type { Caller, Tagged } from "./session-api.ts";
import type { SessionState } from "./session-state.ts";
import type { Actor } from "./history.ts";
import type { SessionStore } from "./store.ts";
import { sessionView } from "./view.ts";

export class SessionAccess {
  readonly ports: SessionPorts;
  readonly state: SessionState;
  readonly store: SessionStore;
  readonly jobs: JobStore;
  /** Somebody asks something of this session. */
  readonly #asked: () => void;

  constructor(ports: SessionPorts, state: SessionState, store: SessionStore, jobs: JobStore, asked: () => void) {
    this.#asked = asked;
    this.ports = ports;
    this.state = state;
    this.store = store;
    this.jobs = jobs;
  }

  find(caller: Caller): Reply<Session> {
    this.ports.trace.follow(caller.traceparent);
    this.#asked();
    const { mode, session } = this.state;
    if (mode.type === "newer" || mode.type === "unreadable") {
      if (mode.plain.tenant !== caller.tenant) return refuse(notFound);
      return refuse(mode.type === "newer" ? newerRecord : unreadableRecord);
    }
    // Another tenant's session does not exist, as far as anyone can tell (API-3).
    return session === null || session.tenant !== caller.tenant ? refuse(notFound) : { ok: true, value: session };
  }

  /** null asks as the operator, of any tenant's session. */
  findAs(caller: Caller | null): Reply<Session> {
    if (caller !== null) return this.find(caller);
    this.#asked();
    const { mode, session } = this.state;
    if (mode.type === "newer") return refuse(newerRecord);
    if (mode.type === "unreadable") return refuse(unreadableRecord);
    return session === null ? refuse(notFound) : { ok: true, value: session };
  }

  /** An operator acts for whoever owns the session, without knowing whose it is. */
  asOwner(caller: Caller): Caller {
    const { mode, session } = this.state;
    const owner = mode.type === "newer" || mode.type === "unreadable" ? mode.plain.tenant : session?.tenant;
    return owner === undefined ? caller : { ...caller, tenant: owner };
  }

  /** `alongside` is written in the same transaction, or not at all. */
  dispatch(event: SessionEvent, actor: Actor, alongside?: () => void): Reply<Outcome> {
    try {
      const outcome = this.state.dispatch(event, actor, alongside);
      return outcome.type === "rejected" ? refuse(problemOf(outcome.rejection)) : { ok: true, value: outcome };
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      this.ports.logger.error("a change was not stored", { event: event.type, error: words });
      return refuse(storageFailed);
    }
  }

  answer<T>(make: (session: Session) => T): Reply<T> {
    const session = this.state.session;
    return session === null ? refuse(notFound) : { ok: true, value: make(session) };
  }

  /** As it stands now, or as it stood when its rows went. */
  now(before: Session): Session {
    return this.state.session ?? before;
  }

  tagged(session: Session): Tagged<SessionView> {
    return { etag: String(this.state.version), body: this.view(session) };
  }

  view(session: Session): SessionView {
    const { clock, policy, providers } = this.ports;
    return sessionView(session, {
      now: clock.now(),
      policy,
      adapterMissing: adapterMissing(session, providers),
      receipts: this.pastReceipts(session),
    });
  }

  /** Read only when the newest lease is not itself the teardown to show. */
  pastReceipts(session: Session): readonly Closed[] {
    const { newest } = session;
    return newest === null || newest.phase === "launching" || newest.phase === "held" ? this.store.receipts() : [];
  }

  /** Resolves when `until` holds after some change, or after `ms`. */
  async wait(until: () => boolean, ms: number): Promise<void> {
    if (until() || ms <= 0) return;
    const done = new AbortController();
    const unsubscribe = this.state.onChange(() => {
      if (until()) done.abort(over);
    });
    try {
      await this.ports.clock.sleep(ms, done.signal);
    } finally {
      unsubscribe();
    }
  }
}
