/**
 * The audited exits from every stuck teardown (LEA-20). Each act is an event of the session's history with the operator as
 * actor; none of them ever counts as verification.
 */
import { nextCalls, say } from "../domain/next-calls.ts";
import { ghostFrom, type Stopping } from "../domain/lease.ts";
import { openLeases } from "../domain/session.ts";
import type { Reply } from "../protocol/problem.ts";
import type { SessionAccess } from "./access.ts";
import { newerRecord, notFound, refuse, storageFailed } from "./refusals.ts";
import type { Inspection, Operator, Resolution } from "./session-api.ts";
import { teardownOf } from "./view.ts";

export class OperatorCommands {
  readonly #at: SessionAccess;

  constructor(at: SessionAccess) {
    this.#at = at;
  }

  async inspect(): Promise<Reply<Inspection>> {
    const { mode, session, version } = this.#at.state;
    if (mode.type === "absent") return refuse(notFound);
    const teardowns = session === null ? [] : this.#stopping().map((lease) => teardownOf(session.id, lease));
    return {
      ok: true,
      value: {
        etag: String(version),
        record: mode.type,
        session: session !== null && mode.type === "readable" ? this.#at.view(session) : null,
        teardowns,
      },
    };
  }

  async resolve(operator: Operator, resolution: Resolution, ifMatch: string): Promise<Reply<Inspection>> {
    const { mode, version } = this.#at.state;
    if (mode.type === "absent") return refuse(notFound);
    if (mode.type === "newer") return refuse(newerRecord);
    if (ifMatch !== "*" && ifMatch !== String(version)) {
      return refuse({
        code: "precondition_failed",
        detail: `The session has changed since you looked at it. Look again (${say(nextCalls.inspect)}), decide again, and send its present ETag.`,
      });
    }
    if (mode.type === "unreadable" && (mode.remains.length > 0 || resolution.action === "abandon")) {
      try {
        this.#at.state.salvageForOperator();
      } catch (error) {
        this.#at.ports.logger.error("could not salvage a session", { error: String(error) });
        return refuse(storageFailed);
      }
    }
    const done = this.#act(operator, resolution);
    if (!done.ok) return done;
    this.#at.ports.logger.warn("resolved by an operator", {
      session: this.#at.state.session?.id ?? null,
      action: resolution.action,
      by: operator.by,
      reason: resolution.reason,
      request: operator.requestId,
    });
    return this.inspect();
  }

  #act(operator: Operator, { action, reason }: Resolution): Reply<unknown> {
    switch (action) {
      case "retry_stop":
        return this.#each(
          this.#stopping().filter((lease) => lease.step.type === "parked"),
          (lease) => this.#at.dispatch({ type: "stopRetryRequested", generation: lease.generation }, "operator"),
        );
      case "assert_absent":
        return this.#assert(operator, reason);
      case "abandon": {
        const ended = this.#at.dispatch({ type: "terminateRequested", reason: "operator", failure: null }, "operator");
        // Already ended is as good; what it leaves behind is what the operator is here for.
        if (!ended.ok || this.#stopping().length === 0) return ended;
        return this.#assert(operator, reason);
      }
    }
  }

  #assert(operator: Operator, reason: string): Reply<unknown> {
    const targets = this.#stopping().filter((lease) => lease.assertion === null);
    const { clock, policy } = this.#at.ports;
    // All or none: an operator must not have to guess which of several was taken.
    const latest = Math.max(...targets.map((lease) => ghostFrom(lease, policy)));
    if (targets.length > 0 && clock.now() < latest) {
      return refuse({
        code: "lease_not_expired",
        detail:
          "A lease of this session has not certainly expired: its sandbox may still act. Its stop goes on meanwhile; try again then.",
        retryAt: latest,
      });
    }
    return this.#each(targets, (lease) =>
      this.#at.dispatch({ type: "absenceAsserted", generation: lease.generation, by: operator.by, reason }, "operator"),
    );
  }

  #each(leases: readonly Stopping[], act: (lease: Stopping) => Reply<unknown>): Reply<unknown> {
    if (leases.length === 0) {
      return refuse({
        code: "not_stuck",
        detail: `Nothing of this session is stuck in the way this action resolves. ${say(nextCalls.inspect)} shows how it stands.`,
      });
    }
    for (const lease of leases) {
      const done = act(lease);
      if (!done.ok) return done;
    }
    return { ok: true, value: null };
  }

  #stopping(): readonly Stopping[] {
    const { session } = this.#at.state;
    return session === null ? [] : openLeases(session).filter((lease) => lease.phase === "stopping");
  }
}
