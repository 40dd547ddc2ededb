/**
 * Ending a session that somebody chose from an index: the condition is judged again on the state as it is now, in the
 * same turn as the write, so an extension or a job that came in between is never followed by the kill it prevented.
 */
import { clocks, expiresAt } from "../../../domain/rules/clocks.ts";
import type { Policy } from "../../../domain/rules/policy.ts";
import type { Session } from "../../../domain/state/session.ts";
import { statusOf } from "../../../domain/rules/status.ts";
import { idleFor, stuckSince } from "../../../domain/rules/stuck.ts";
import type { Reply } from "../../../protocol/problem.ts";
import type { CommandContext } from "../command-context.ts";
import type { Caller, EndGuard, EndOrder, EndReply } from "../../session-api.ts";

export class GuardedEnd {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  async end(order: EndOrder): Promise<Reply<EndReply>> {
    const anyone: Caller = { tenant: "operator" as Caller["tenant"], requestId: "", scopes: [] };
    const found = this.#context.find(this.#context.asOwner(anyone));
    if (!found.ok) return found;
    const { clock, policy } = this.#context.ports;
    const against = objection(found.value, order.guard, clock.now(), policy);
    if (against !== null)
      return { ok: true, value: { ended: false, why: against, session: this.#context.view(found.value) } };
    const { reason, words, actor } = order;
    const asked = this.#context.dispatch({ type: "terminateRequested", reason, failure: null, words }, actor);
    if (!asked.ok) return asked;
    return this.#context.answer((session) => ({ ended: true, why: "", session: this.#context.view(session) }));
  }
}

/** Ending it would delete what is saved. Its own clocks bring it back to `paused` instead, and its retention bounds that. */
const keptWords = "Its files are saved and no sandbox has run from them yet: its own clocks pause it.";

/** null: nothing speaks against it. */
function objection(session: Session, guard: EndGuard, now: number, policy: Policy): string | null {
  if (session.desired.type === "terminated") return null;
  switch (guard.type) {
    case "none":
      return null;
    case "notCritical": {
      const protectedUntil = clocks.max_lifetime.dueAt(session) ?? Infinity;
      return session.profile.critical && now < protectedUntil
        ? "It is critical: it is protected until its max lifetime."
        : null;
    }
    case "stuck": {
      if (session.snapshot !== null) return keptWords;
      const since = stuckSince(session, now, policy);
      return since !== null && now - since >= guard.forMs ? null : "It is not stuck any more.";
    }
    case "overdue": {
      if (session.snapshot !== null) return keptWords;
      const dueAt = expiresAt(session, policy);
      return dueAt !== null && now - dueAt >= guard.byMs ? null : "No clock of it is past by that long any more.";
    }
    case "idle": {
      const idle = idleFor(session, now, policy);
      return idle >= guard.forMs ? null : "Something ran in it, or was asked of it, meanwhile.";
    }
    case "age":
      return now - session.createdAt >= guard.atLeastMs ? null : "It is younger than that.";
    case "status": {
      const status = statusOf(session);
      return guard.anyOf.includes(status) ? null : `It is ${status} by now.`;
    }
    case "all":
      return guard.guards.map((each) => objection(session, each, now, policy)).find((why) => why !== null) ?? null;
  }
}
