/**
 * Reservations under the global cap: one at a time, each covered by what FleetControl has allowed before it is granted.
 *
 * The order is everything: judged locally (a refusal costs no call), then control is asked for the whole picture, then the
 * answer is stored and the reservation granted in one turn. Control silent or throwing means no grant: the caller hears the
 * exception and asks again. What is no longer used is handed back by `settle`, at leisure: it may only come late, never early.
 */
import type { TenantId } from "../domain/ids.ts";
import type { AllowancePort, AllowanceReply } from "../fleet/control-api.ts";
import type { Clock } from "../session/ambient.ts";
import type { ReserveOrder, ReserveReply } from "../session/reports.ts";
import type { TenantCore } from "./tenant-core.ts";

/** A session waits for its reservation no longer than one look; control must have answered well before. */
const controlBoundMs = 5_000;
/** A drain may take this long to be noticed by a tenant whose allowance covers it: it saves a call for each of a burst. */
const drainHeardMs = 1_000;

export class AllowanceKeeper {
  readonly #core: TenantCore;
  readonly #control: AllowancePort;
  readonly #tenant: () => TenantId;
  readonly #clock: Clock;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #notDrainingAt = Number.NEGATIVE_INFINITY;

  constructor(core: TenantCore, control: AllowancePort, tenant: () => TenantId, clock: Clock) {
    this.#core = core;
    this.#control = control;
    this.#tenant = tenant;
    this.#clock = clock;
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
      if (!this.#core.unsettled()) return true;
      await this.#ask(0);
      return !this.#core.unsettled();
    });
  }

  async #reserve(order: ReserveOrder): Promise<ReserveReply> {
    const standing = this.#core.judge(order);
    if (standing.type !== "free") return this.#core.reserve(order);
    const drainKnown = order.purpose !== "create" || this.#clock.now() < this.#notDrainingAt + drainHeardMs;
    if (!drainKnown || !this.#core.covered()) {
      // For all that wait at once, but no more than its own cap lets through.
      const reply = await this.#ask(Math.max(1, Math.min(this.#waiting, standing.room)));
      if (reply.draining && order.purpose === "create") return { granted: false, code: "draining" };
      if (!this.#core.covered())
        return { granted: false, code: "capacity_exhausted", limit: reply.limit, used: reply.used };
    }
    return this.#core.reserve(order);
  }

  async #ask(more: number): Promise<Extract<AllowanceReply, { type: "answered" }>> {
    // The second time with a number above the one that control says it has heard.
    for (const attempt of [1, 2]) {
      const draft = this.#core.draftAllowance(more);
      const reply = await this.#bounded(this.#control.allow({ tenant: this.#tenant(), ...draft }));
      this.#core.allowanceAnswered(draft, reply);
      if (reply.type === "answered") {
        if (!reply.draining) this.#notDrainingAt = this.#clock.now();
        else this.#notDrainingAt = Number.NEGATIVE_INFINITY;
        return reply;
      }
      if (attempt === 2) break;
    }
    throw new Error("FleetControl has heard of a newer order of this tenant than this one");
  }

  async #bounded<T>(call: Promise<T>): Promise<T> {
    const answered = new AbortController();
    try {
      return await Promise.race([
        call,
        this.#clock.sleep(controlBoundMs, answered.signal).then((): never => {
          throw new Error(`FleetControl did not answer within ${controlBoundMs} ms`);
        }),
      ]);
    } finally {
      answered.abort();
    }
  }

  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(body);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }
}
