/**
 * The audited exits from every stuck teardown. Each act is an event of the session's history with the operator as
 * actor; none of them ever counts as verification.
 */
import type { TenantId } from "../../../domain/state/ids.ts";
import { nextCalls, say } from "../../../domain/state/next-calls.ts";
import type { Stopping } from "../../../domain/state/lease.ts";
import { ghostFrom } from "../../../domain/rules/lease-times.ts";
import { openLeases } from "../../../domain/state/session.ts";
import { failingDeletions } from "../../../domain/rules/saved-files.ts";
import type { Reply } from "../../../protocol/problem.ts";
import type { CommandContext } from "../command-context.ts";
import { savedIsUnknown } from "../../record-mode.ts";
import { newerRecord, refuse, storageFailed } from "../refusals.ts";
import type { Inspection, Operator, Resolution } from "../../session-api.ts";
import { teardownOf } from "../view.ts";
import { sessionNotFound } from "../../../protocol/not-found.ts";

export class OperatorCommands {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  async owner(): Promise<TenantId | null> {
    return this.#context.owner();
  }

  async inspect(): Promise<Reply<Inspection>> {
    const found = this.#context.findAs(null);
    const { mode, session, version } = this.#context.state;
    if (mode.type === "absent") return refuse(sessionNotFound);
    if (!found.ok && mode.type === "readable") return found;
    const teardowns = session === null ? [] : this.#stopping().map((lease) => teardownOf(session.id, lease));
    return {
      ok: true,
      value: {
        etag: String(version),
        record: mode.type,
        session: session !== null && mode.type === "readable" ? this.#context.view(session) : null,
        teardowns,
      },
    };
  }

  async resolve(operator: Operator, resolution: Resolution, ifMatch: string): Promise<Reply<Inspection>> {
    const { mode, version } = this.#context.state;
    if (mode.type === "absent") return refuse(sessionNotFound);
    if (mode.type === "newer") return refuse(newerRecord);
    if (ifMatch !== "*" && ifMatch !== String(version)) {
      return refuse({
        code: "precondition_failed",
        detail: `The session has changed since you looked at it. Look again (${say(nextCalls.inspect)}), decide again, and send its present ETag.`,
      });
    }
    if (mode.type === "unreadable" && (mode.remains.length > 0 || resolution.action === "abandon")) {
      try {
        this.#context.state.salvageForOperator();
      } catch (error) {
        this.#context.ports.logger.error("could not salvage a session", { error: String(error) });
        return refuse(storageFailed);
      }
    }
    const found = this.#context.findAs(null);
    if (!found.ok && this.#context.state.mode.type === "readable") return found;
    const done = this.#act(operator, resolution);
    if (!done.ok) return done;
    this.#context.ports.logger.warn("resolved by an operator", {
      session: this.#context.state.session?.id ?? null,
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
          (lease) => this.#context.dispatch({ type: "stopRetryRequested", generation: lease.generation }, "operator"),
        );
      case "assert_absent":
        return this.#assert(operator, reason);
      case "forget_snapshots":
        if (savedIsUnknown(this.#context.state.mode)) return this.#giveUpUnknownSaved();
        return this.#context.dispatch({ type: "snapshotsForgotten", by: operator.by, reason }, "operator");
      case "abandon": {
        const ended = this.#context.dispatch(
          { type: "terminateRequested", reason: "operator", failure: null },
          "operator",
        );
        if (!ended.ok) return ended;
        // Already ended is as good; what it leaves behind is what the operator is here for.
        if (this.#stopping().length > 0) return this.#assert(operator, reason);
        return ended.value.type === "ignored" ? this.#nothingToAbandon() : ended;
      }
    }
  }

  #assert(operator: Operator, reason: string): Reply<unknown> {
    const targets = this.#stopping().filter((lease) => lease.assertion === null);
    const { clock, policy } = this.#context.ports;
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
      this.#context.dispatch(
        { type: "absenceAsserted", generation: lease.generation, by: operator.by, reason },
        "operator",
      ),
    );
  }

  /** It has ended and no sandbox of it is left. What may still keep it is a snapshot, which no word about sandboxes moves. */
  #nothingToAbandon(): Reply<unknown> {
    const { session, mode } = this.#context.state;
    const kept = session !== null && failingDeletions(session).length > 0;
    const exit = savedIsUnknown(mode)
      ? ` What keeps it is that nobody knows which files it saved, because its record cannot be read: ${say(nextCalls.forgetSnapshots)}.`
      : kept
        ? ` What keeps it is a snapshot that its provider does not delete: ${say(nextCalls.forgetSnapshots)}.`
        : "";
    return refuse({ code: "not_stuck", detail: `The session has ended, and no sandbox of it is left.${exit}` });
  }

  #giveUpUnknownSaved(): Reply<unknown> {
    try {
      this.#context.state.giveUpUnknownSaved();
      return { ok: true, value: null };
    } catch (error) {
      this.#context.ports.logger.error("could not give up unknown files", { error: String(error) });
      return refuse(storageFailed);
    }
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
    const { session } = this.#context.state;
    return session === null ? [] : openLeases(session).filter((lease) => lease.phase === "stopping");
  }
}
