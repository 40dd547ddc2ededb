/** What maintenance asks of one session: look again, and seal its secrets with the newest key. */
import { nextDeadline } from "../../../domain/rules/reconcile.ts";
import type { ContainerId } from "../../../domain/state/ids.ts";
import type { Reply } from "../../../protocol/problem.ts";
import type { SessionEngine } from "../../engine.ts";
import type { SessionPorts } from "../../ports.ts";
import type { SessionSecrets } from "../../records/secrets.ts";
import type { Reporter } from "../../reports/reporter.ts";
import type { SealCount, SessionApi } from "../../session-api.ts";
import type { SessionState } from "../../session-state.ts";
import { newerRecord, refuse, storageFailed, unreadableRecord } from "../refusals.ts";
import { sessionNotFound } from "../../../protocol/not-found.ts";

export class MaintenanceCommands implements Pick<SessionApi, "poke" | "reseal"> {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #engine: SessionEngine;
  readonly #reporter: Reporter;
  readonly #secrets: SessionSecrets;

  constructor(
    ports: SessionPorts,
    state: SessionState,
    engine: SessionEngine,
    reporter: Reporter,
    secrets: SessionSecrets,
  ) {
    this.#ports = ports;
    this.#state = state;
    this.#engine = engine;
    this.#reporter = reporter;
    this.#secrets = secrets;
  }

  async reseal(): Promise<Reply<SealCount>> {
    const { mode } = this.#state;
    if (mode.type === "absent") return refuse(sessionNotFound);
    if (mode.type !== "readable") return refuse(mode.type === "newer" ? newerRecord : unreadableRecord);
    try {
      return { ok: true, value: await this.#secrets.renew() };
    } catch (error) {
      this.#ports.logger.error("could not seal anew", { error: String(error) });
      return refuse(storageFailed);
    }
  }

  async poke(
    actor: "maintenance" | "operator",
    gone?: ContainerId,
  ): Promise<{ known: boolean; nextDeadline: number | null }> {
    if (this.#state.mode.type === "absent") return { known: false, nextDeadline: null };
    this.#reporter.reportAgain();
    // The caller thinks that it is overdue, so its alarm may have been lost.
    this.#ports.alarm.doubt();
    if (gone !== undefined) this.#hasten(gone, actor);
    this.#engine.tick(actor);
    this.#state.rearm();
    const { session } = this.#state;
    return { known: true, nextDeadline: session === null ? null : nextDeadline(session, this.#ports.policy) };
  }

  #hasten(container: ContainerId, actor: "maintenance" | "operator"): void {
    try {
      this.#state.dispatch({ type: "containerGone", container }, actor);
    } catch (error) {
      // Its own next try comes all the same.
      this.#ports.logger.error("could not bring a stop forward", { error: String(error) });
    }
  }
}
