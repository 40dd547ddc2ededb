/**
 * What every command needs of one session: finding it for a caller, one way to change it, one way to wait, and the views.
 * Every answer is made from the state after the write; a write that failed is said to have failed.
 */
import type { Requester } from "../../domain/state/requester.ts";
import type { SessionEvent } from "../../domain/machine/events.ts";
import type { Closed } from "../../domain/state/lease.ts";
import type { Outcome } from "../../domain/machine/outcome.ts";
import type { TenantId } from "../../domain/state/ids.ts";
import type { Session } from "../../domain/state/session.ts";
import { entityTag } from "../../protocol/entity-tag.ts";
import type { Reply } from "../../protocol/problem.ts";
import type { SessionView } from "../../protocol/resources/session/sessions.ts";
import { over } from "../../calls/bounded-call.ts";
import type { JobStore } from "../jobs/job-store.ts";
import type { SessionPorts } from "../ports.ts";
import { newerRecord, problemOf, refuse, storageFailed, unreadableRecord } from "./refusals.ts";
import { adapterMissing } from "../reports/session-report.ts";
import type { Caller, Tagged, WrittenView } from "../session-api.ts";
import type { ExtraWrite, SessionState } from "../session-state.ts";
import type { Actor } from "../records/history.ts";
import type { SessionStore } from "../records/store.ts";
import { sessionView } from "./view.ts";
import { sessionNotFound } from "../../protocol/not-found.ts";

export class CommandContext {
  readonly ports: SessionPorts;
  readonly state: SessionState;
  readonly store: SessionStore;
  readonly jobs: JobStore;
  /** Somebody asks something of this session. */
  readonly #onRequest: () => void;

  #written: (WrittenView & { readonly version: number }) | null = null;

  constructor(ports: SessionPorts, state: SessionState, store: SessionStore, jobs: JobStore, onRequest: () => void) {
    this.#onRequest = onRequest;
    this.ports = ports;
    this.state = state;
    this.store = store;
    this.jobs = jobs;
  }

  find(caller: Caller): Reply<Session> {
    this.ports.trace.follow(caller.traceparent);
    this.#onRequest();
    const { mode } = this.state;
    if (mode.type === "newer" || mode.type === "unreadable") {
      if (mode.plain.tenant !== caller.tenant) return refuse(sessionNotFound);
      return refuse(mode.type === "newer" ? newerRecord : unreadableRecord);
    }
    const found = this.#upToDate();
    // Another tenant's session does not exist, as far as anyone can tell.
    return this.state.session?.tenant === caller.tenant ? found : refuse(sessionNotFound);
  }

  /** Carries out a delete that was stored earlier, then answers the session: nobody may see, or act on, the state before it. */
  #upToDate(): Reply<Session> {
    try {
      this.state.applyStoredDelete("client");
    } catch (error) {
      this.ports.logger.error("a stored delete could not be carried out", { error: String(error) });
      return refuse(storageFailed);
    }
    const { session } = this.state;
    return session === null ? refuse(sessionNotFound) : { ok: true, value: session };
  }

  /** null asks as the operator, of any tenant's session. */
  findAs(caller: Caller | null): Reply<Session> {
    if (caller !== null) return this.find(caller);
    this.#onRequest();
    const { mode } = this.state;
    if (mode.type === "newer") return refuse(newerRecord);
    if (mode.type === "unreadable") return refuse(unreadableRecord);
    return this.#upToDate();
  }

  /** An operator acts on a session without knowing its tenant, so the call runs as the owner. */
  asOwner(caller: Caller): Caller {
    const owner = this.owner();
    return owner === null ? caller : { ...caller, tenant: owner };
  }

  owner(): TenantId | null {
    const { mode, session } = this.state;
    return (mode.type === "newer" || mode.type === "unreadable" ? mode.plain.tenant : session?.tenant) ?? null;
  }

  /** `extraWrite` is written in the same transaction, or not at all. */
  dispatch(event: SessionEvent, actor: Actor, extraWrite?: ExtraWrite): Reply<Outcome> {
    try {
      const outcome = this.state.dispatch(event, actor, extraWrite);
      return outcome.type === "rejected" ? refuse(problemOf(outcome.rejection)) : { ok: true, value: outcome };
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      this.ports.logger.error("a change was not stored", { event: event.type, error: words });
      return refuse(storageFailed);
    }
  }

  answer<T>(make: (session: Session) => T): Reply<T> {
    const session = this.state.session;
    return session === null ? refuse(sessionNotFound) : { ok: true, value: make(session) };
  }

  /** The stored session, or `before` when its rows are gone by now. */
  now(before: Session): Session {
    return this.state.session ?? before;
  }

  tagged(session: Session): Tagged<SessionView> {
    return { etag: String(this.state.version), body: this.view(session) };
  }

  /** The view as text, with its tag. The last text is remembered with its tag: most reads find nothing new, and need no digest then. */
  async written(session: Session): Promise<WrittenView> {
    const { version } = this.state;
    const text = JSON.stringify(this.view(session));
    const last = this.#written;
    if (last?.version === version && last.text === text) return { etag: last.etag, text };
    const etag = await entityTag(String(version), text);
    this.#written = { version, etag, text };
    return { etag, text };
  }

  view(session: Session): SessionView {
    const { clock, policy, providers } = this.ports;
    return sessionView(session, {
      now: clock.now(),
      policy,
      adapterMissing: adapterMissing(session, providers),
      trouble: this.state.trouble.says,
      receipts: this.pastReceipts(session),
    });
  }

  /** Read only when the newest lease is not itself the teardown to show. */
  pastReceipts(session: Session): readonly Closed[] {
    const { newest } = session;
    return newest === null || newest.phase === "launching" || newest.phase === "held" ? this.store.receipts() : [];
  }

  /** Resolves when `until` holds after some change, after `ms`, or when `signal` aborts. */
  async wait(until: () => boolean, ms: number, signal?: AbortSignal): Promise<void> {
    if (until() || ms <= 0 || signal?.aborted === true) return;
    const done = new AbortController();
    const giveUp = () => done.abort(over);
    signal?.addEventListener("abort", giveUp);
    const unsubscribe = this.state.onChange(() => {
      if (until()) done.abort(over);
    });
    try {
      await this.ports.clock.sleep(ms, done.signal);
    } finally {
      signal?.removeEventListener("abort", giveUp);
      unsubscribe();
    }
  }
}

/** For the receipt: the API key that asked. */
export function requestedBy({ keyId }: Caller): { readonly by?: Requester } {
  return keyId === undefined ? {} : { by: `key:${keyId}` };
}
