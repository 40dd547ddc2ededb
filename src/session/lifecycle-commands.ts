/** Reading a session, ending it, and moving its clocks. */
import { isOpen } from "../domain/lease.ts";
import type { Session } from "../domain/session.ts";
import type { EventView } from "../protocol/events.ts";
import type { UsageView } from "../protocol/fleet.ts";
import { rfc3339 } from "../protocol/primitives.ts";
import type { Reply } from "../protocol/problem.ts";
import type { SessionView, TeardownView } from "../protocol/sessions.ts";
import type { SessionAccess } from "./access.ts";
import { checkSeconds } from "./admission.ts";
import {
  endedForData,
  newerRecord,
  notFound,
  notRunning,
  refuse,
  storageFailed,
  unreadableRecord,
} from "./refusals.ts";
import type { Caller, Tagged } from "./session-api.ts";
import { sessionTeardown } from "./view.ts";

export class LifecycleCommands {
  readonly #at: SessionAccess;

  constructor(at: SessionAccess) {
    this.#at = at;
  }

  async get(caller: Caller): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#at.find(caller);
    return found.ok ? { ok: true, value: this.#at.tagged(found.value) } : found;
  }

  async delete(
    caller: Caller,
    reason: "requested" | "operator",
  ): Promise<Reply<{ session: SessionView; done: boolean; changed: boolean }>> {
    const { mode } = this.#at.state;
    // An admin ends any tenant's session and does not know whose it is.
    const asking = reason === "operator" ? this.#at.asOwner(caller) : caller;
    if (mode.type === "newer" || mode.type === "unreadable") {
      if (mode.plain.tenant !== asking.tenant) return refuse(notFound);
      try {
        this.#at.state.requestDelete();
      } catch {
        return refuse(storageFailed);
      }
      return refuse(mode.type === "newer" ? newerRecord : unreadableRecord);
    }
    const found = this.#at.find(asking);
    if (!found.ok) return found;
    const asked = this.#at.dispatch(
      { type: "terminateRequested", reason, failure: null },
      reason === "operator" ? "operator" : "client",
    );
    if (!asked.ok) return asked;
    // Who asks again waits: a parked teardown looks once more for them (LEA-12).
    const lease = this.#at.state.session?.newest;
    if (lease?.phase === "stopping" && lease.step.type === "parked" && asked.value.type === "ignored") {
      this.#at.dispatch({ type: "probeRequested", generation: lease.generation }, "client");
    }
    // A session with nothing to tear down is done in this very write.
    const changed = asked.value.type === "moved";
    return this.#at.answer((session) => ({ session: this.#at.view(session), done: isDone(session), changed }));
  }

  async timeout(caller: Caller, kind: "timeout" | "refresh", seconds: number): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    const field = kind === "timeout" ? "timeout_seconds" : "duration_seconds";
    const problem = checkSeconds(field, seconds, this.#at.ports.policy.maxTimeoutMs);
    if (problem !== null) return refuse(problem);
    const asked = this.#at.dispatch({ type: "timeoutSet", kind, durationMs: seconds * 1_000 }, "client");
    if (!asked.ok) return asked;
    // An end that is here already is not left to the alarm: who asked for "now" may look at once.
    if (seconds === 0) this.#at.dispatch({ type: "timePassed", jitter: this.#at.ports.ids.random() }, "client");
    return this.#at.answer((session) => this.#at.tagged(session));
  }

  async keepalive(caller: Caller): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    const problem =
      endedForData(found.value) ?? (found.value.desired.type === "running" ? null : notRunning(found.value));
    if (problem !== null) return refuse(problem);
    const asked = this.#at.dispatch({ type: "activityNoted", activeJobs: null }, "client");
    return asked.ok ? this.#at.answer((session) => this.#at.tagged(session)) : asked;
  }

  async teardown(caller: Caller): Promise<Reply<TeardownView | null>> {
    const found = this.#at.find(caller);
    return found.ok ? { ok: true, value: sessionTeardown(found.value, this.#at.pastReceipts(found.value)) } : found;
  }

  async usage(caller: Caller): Promise<Reply<UsageView>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    const now = this.#at.ports.clock.now();
    const figures = this.#at.store.usage(found.value, now);
    const view: UsageView = {
      session_id: found.value.id,
      as_of: rfc3339(now),
      usage: figures.map(({ status, provider, ms }) => ({ status, provider, seconds: ms / 1_000 })),
      total_seconds: figures.reduce((sum, { ms }) => sum + ms, 0) / 1_000,
    };
    return { ok: true, value: view };
  }

  async events(caller: Caller, after: number, limit: number, waitMs: number): Promise<Reply<readonly EventView[]>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    if (waitMs > 0) {
      await this.#at.wait(() => this.#at.state.session === null || this.#at.store.events(after, 1).length > 0, waitMs);
      if (this.#at.state.session === null) return refuse(notFound);
    }
    return { ok: true, value: this.#at.store.events(after, limit) };
  }
}

function isDone(session: Session): boolean {
  return session.desired.type === "terminated" && session.desired.endedAt !== null && !isOpen(session.newest);
}
