/**
 * Reservations under the global cap: one at a time, each covered by what FleetControl has allowed before it is granted.
 *
 * The order is everything: the order is judged locally (a refusal costs no call), then control is asked for the whole picture, then the
 * answer is stored and the reservation granted in one turn. When control is silent or throws, nothing is granted: the caller gets the
 * exception and asks again. Unused allowance is handed back later by `settle`: that may come late, never early.
 */
import { bounded, timedOut } from "../../calls/bounded-call.ts";
import type { TenantId } from "../../domain/state/ids.ts";
import type { AllowancePort, AllowanceReply } from "../../fleet/control/control-api.ts";
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import type { ReserveOrder, ReserveReply } from "../../session/reports/reports.ts";
import type { AllowanceDraft } from "./allowance.ts";
import type { TenantCore } from "../tenant-core.ts";

/** A session waits for its reservation no longer than one look; control must have answered well before. */
const controlBoundMs = 5_000;
/** A drain may take this long to be noticed by a tenant whose allowance covers it: it saves a call for each of a burst. */
const drainHeardMs = 1_000;

/** Runs a write and arms the alarm for what it leaves to be looked after, as one write. */
export type Stored = <T>(write: () => T) => Promise<T>;

export class AllowanceKeeper {
  readonly #core: TenantCore;
  readonly #control: AllowancePort;
  readonly #tenant: () => TenantId;
  readonly #clock: Clock;
  readonly #stored: Stored;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #notDrainingAt = Number.NEGATIVE_INFINITY;

  constructor(core: TenantCore, control: AllowancePort, tenant: () => TenantId, clock: Clock, stored: Stored) {
    this.#core = core;
    this.#control = control;
    this.#tenant = tenant;
    this.#clock = clock;
    this.#stored = stored;
  }

  /** Rejects when control did not answer: nothing was granted. */
  reserve(order: ReserveOrder): Promise<ReserveReply> {
    this.#waiting += 1;
    return this.#inTurn(async () => {
      try {
        return await this.#reserve(order);
      } finally {
        this.#waiting -= 1;
      }
    });
  }

  /** Tells control how it stands, when that is not what control last heard. true: it is now. */
  settle(): Promise<boolean> {
    return this.#inTurn(async () => {
      if (!this.#core.allowance.unsettled()) return true;
      await this.#ask(0);
      return !this.#core.allowance.unsettled();
    });
  }

  async #reserve(order: ReserveOrder): Promise<ReserveReply> {
    const drainKnown = order.purpose !== "create" || this.#clock.now() < this.#notDrainingAt + drainHeardMs;
    const judged = await this.#stored(() => this.#decide(order, drainKnown));
    if ("granted" in judged) return judged;
    if (this.#core.allowance.coversOneMore()) {
      const draining = await this.#isDraining();
      if (draining === true && order.purpose === "create") return { granted: false, code: "draining" };
      if (draining !== null) {
        const covered = await this.#stored(() => this.#decide(order, true));
        if ("granted" in covered) return covered;
      }
    }
    // For all that wait at once, but no more than its own cap lets through.
    const reply = await this.#ask(Math.max(1, Math.min(this.#waiting, judged.room)));
    if (reply.draining && order.purpose === "create") return { granted: false, code: "draining" };
    const { limit, used } = reply;
    const decided = await this.#stored(() => this.#decide(order, true));
    return "granted" in decided ? decided : { granted: false, code: "capacity_exhausted", limit, used };
  }

  /**
   * Grants or refuses; or answers how much room there is when control must be asked first. Judged in the write that grants: a
   * report that comes between the two may turn a refusal into a grant that nothing covers.
   */
  #decide(order: ReserveOrder, mayGrant: boolean): ReserveReply | { readonly room: number } {
    const standing = this.#core.quota.judge(order);
    if (standing.type !== "free" || (mayGrant && this.#core.allowance.coversOneMore()))
      return this.#core.quota.reserve(order);
    return { room: standing.room };
  }

  /** The kept allowance covers the order, so only a drain could refuse it. Asks without a write. null: control no longer allows as much. */
  async #isDraining(): Promise<boolean | null> {
    const order = this.#core.allowance.repeated();
    const reply = await this.#order(order);
    if (reply.type !== "answered" || reply.allowed !== order.wants) return null;
    this.#noteDrain(reply.draining);
    return reply.draining;
  }

  async #order(order: AllowanceDraft): Promise<AllowanceReply> {
    const reply = await bounded(this.#clock, controlBoundMs, () =>
      this.#control.allow({ tenant: this.#tenant(), ...order }),
    );
    if (reply === timedOut) throw new Error(`FleetControl did not answer within ${controlBoundMs} ms`);
    return reply;
  }

  #noteDrain(draining: boolean): void {
    this.#notDrainingAt = draining ? Number.NEGATIVE_INFINITY : this.#clock.now();
  }

  async #ask(more: number): Promise<Extract<AllowanceReply, { type: "answered" }>> {
    // The second time with a number above the one that control says it has heard.
    for (const attempt of [1, 2]) {
      // The alarm stands before control is asked: an order without its answer is told again.
      const draft = await this.#stored(() => this.#core.allowance.draft(more));
      const reply = await this.#order(draft);
      await this.#stored(() => this.#core.allowance.answered(draft, reply));
      if (reply.type === "answered") {
        this.#noteDrain(reply.draining);
        return reply;
      }
      if (attempt === 2) break;
    }
    throw new Error("FleetControl has heard of a newer order of this tenant than this one");
  }

  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(body);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }
}
