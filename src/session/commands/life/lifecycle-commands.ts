/** Reading a session, ending it, and moving its clocks. */
import { isOpen } from "../../../domain/state/lease.ts";
import type { Session } from "../../../domain/state/session.ts";
import type { EventView } from "../../../protocol/resources/session/events.ts";
import type { UsageView } from "../../../protocol/resources/operator/fleet.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import { nextCalls, say } from "../../../domain/state/next-calls.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { SessionView, TeardownView } from "../../../protocol/resources/session/sessions.ts";
import { requestedBy, type CommandContext } from "../command-context.ts";
import { checkBudget, checkSeconds, nanosOf } from "../../steps/open/admission.ts";
import { endedForData, newerRecord, notRunning, refuse, storageFailed, unreadableRecord } from "../refusals.ts";
import type { Caller, Tagged, WrittenView } from "../../session-api.ts";
import { sessionTeardown } from "../view.ts";
import { sessionNotFound } from "../../../protocol/not-found.ts";

export class LifecycleCommands {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  async get(caller: Caller): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#context.find(caller);
    return found.ok ? { ok: true, value: this.#context.tagged(found.value) } : found;
  }

  async read(caller: Caller): Promise<Reply<WrittenView>> {
    const found = this.#context.find(caller);
    return found.ok ? { ok: true, value: await this.#context.written(found.value) } : found;
  }

  async delete(
    caller: Caller,
    reason: "requested" | "operator",
  ): Promise<Reply<{ session: SessionView; done: boolean; changed: boolean }>> {
    const { mode } = this.#context.state;
    // An admin ends any tenant's session and does not know whose it is.
    const asking = reason === "operator" ? this.#context.asOwner(caller) : caller;
    if (mode.type === "newer" || mode.type === "unreadable") {
      if (mode.plain.tenant !== asking.tenant) return refuse(sessionNotFound);
      try {
        this.#context.state.requestDelete();
      } catch {
        return refuse(storageFailed);
      }
      return refuse(mode.type === "newer" ? newerRecord : unreadableRecord);
    }
    const found = this.#context.find(asking);
    if (!found.ok) return found;
    const asked = this.#context.dispatch(
      { type: "terminateRequested", reason, failure: null, ...(reason === "requested" ? requestedBy(caller) : {}) },
      reason === "operator" ? "operator" : "client",
    );
    if (!asked.ok) return asked;
    // A client that asks again is waiting, so a parked teardown gets one extra look.
    const lease = this.#context.state.session?.newest;
    if (lease?.phase === "stopping" && lease.step.type === "parked" && asked.value.type === "ignored") {
      this.#context.dispatch({ type: "probeRequested", generation: lease.generation }, "client");
    }
    // A session with nothing to tear down is done in this very write.
    const changed = asked.value.type === "moved";
    return this.#context.answer((session) => ({
      session: this.#context.view(session),
      done: isDone(session),
      changed,
    }));
  }

  async timeout(caller: Caller, kind: "timeout" | "refresh", seconds: number): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const field = kind === "timeout" ? "timeout_seconds" : "duration_seconds";
    const problem = checkSeconds(field, seconds, this.#context.ports.policy.maxTimeoutMs);
    if (problem !== null) return refuse(problem);
    const asked = this.#context.dispatch({ type: "timeoutSet", kind, durationMs: seconds * 1_000 }, "client");
    if (!asked.ok) return asked;
    // An end that is here already is not left to the alarm: who asked for "now" may look at once.
    if (seconds === 0)
      this.#context.dispatch({ type: "timePassed", jitter: this.#context.ports.ids.random() }, "client");
    return this.#context.answer((session) => this.#context.tagged(session));
  }

  async budget(caller: Caller, maxCost: number | null): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const problem = checkBudget(maxCost, found.value.provider, this.#context.ports.policy);
    if (problem !== null) return refuse(problem);
    const maxNanos = maxCost === null ? null : nanosOf(maxCost);
    const asked = this.#context.dispatch({ type: "budgetSet", maxNanos }, "client");
    return asked.ok ? this.#context.answer((session) => this.#context.tagged(session)) : asked;
  }

  /** Throws when it was not stored, so that the caller tells it again. */
  async tenantBudgetSpent(): Promise<{ readonly known: boolean }> {
    const { mode, session } = this.#context.state;
    if (mode.type === "absent") return { known: false };
    if (mode.type !== "readable" || session === null) throw new Error("this session's record cannot be read now");
    const stored = this.#context.dispatch({ type: "tenantBudgetSpent" }, "maintenance");
    if (!stored.ok) throw new Error(stored.problem.detail);
    return { known: true };
  }

  async keepalive(caller: Caller): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const problem =
      endedForData(found.value) ?? (found.value.desired.type === "running" ? null : notRunning(found.value));
    if (problem !== null) return refuse(problem);
    const asked = this.#context.dispatch({ type: "activityNoted", activeJobs: null }, "client");
    return asked.ok ? this.#context.answer((session) => this.#context.tagged(session)) : asked;
  }

  async teardown(caller: Caller): Promise<Reply<TeardownView | null>> {
    const found = this.#context.find(caller);
    return found.ok
      ? { ok: true, value: sessionTeardown(found.value, this.#context.pastReceipts(found.value)) }
      : found;
  }

  async usage(caller: Caller | null): Promise<Reply<UsageView>> {
    const found = this.#context.findAs(caller);
    if (!found.ok) return found;
    const now = this.#context.ports.clock.now();
    const figures = this.#context.store.usage(found.value, now);
    const view: UsageView = {
      session_id: found.value.id,
      as_of: rfc3339(now),
      usage: figures.map(({ status, provider, ms }) => ({ status, provider, seconds: ms / 1_000 })),
      total_seconds: figures.reduce((sum, { ms }) => sum + ms, 0) / 1_000,
    };
    return { ok: true, value: view };
  }

  async events(
    caller: Caller | null,
    after: number,
    limit: number,
    waitMs: number,
  ): Promise<Reply<readonly EventView[]>> {
    const found = this.#context.findAs(caller);
    if (!found.ok) return found;
    if (waitMs > 0) {
      // No event can follow, and a waiting request would keep this object awake until its rows are erased.
      if (isOver(found.value) && this.#context.store.events(after, 1).length === 0) return refuse(historyIsOver);
      await this.#context.wait(
        () => this.#context.state.session === null || this.#context.store.events(after, 1).length > 0,
        waitMs,
      );
      if (this.#context.state.session === null) return refuse(sessionNotFound);
    }
    return { ok: true, value: this.#context.store.events(after, limit) };
  }
}

/** Ended, with nothing left of it anywhere. */
function isOver(session: Session): boolean {
  return isDone(session) && session.ghosts.length === 0;
}

const historyIsOver: Problem = {
  code: "session_ended",
  detail: `The session has ended and its history is complete; nothing is added to it any more. ${say(nextCalls.events)} reads it until the session is erased.`,
};

function isDone(session: Session): boolean {
  return session.desired.type === "terminated" && session.desired.endedAt !== null && !isOpen(session.newest);
}
