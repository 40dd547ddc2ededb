/**
 * The Durable Object around TenantCore, one per tenant, named by it. Owns the alarm, which asks the sessions of reservations
 * that never became a lease, and prunes. Every answer is the core's; the input gate plus one transaction for each call
 * make 100 parallel reserves as good as a queue (CAP-5).
 */
import { DurableObject } from "cloudflare:workers";
import type { Generation, SessionId } from "../domain/ids.ts";
import type { Clock, Logger } from "../session/ambient.ts";
import type { ReserveOrder, ReserveReply, SessionReport } from "../session/reports.ts";
import { durableSql } from "../storage/durable-sql.ts";
import type { QuotaTerms } from "./quota.ts";
import type { Reservation } from "./reservations.ts";
import type { OpenCursor, TenantApi } from "./tenant-api.ts";
import { TenantCore } from "./tenant-core.ts";

/** What the composition root hands in. */
export interface TenantWiring {
  readonly terms: QuotaTerms;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Asks a session to look at itself: it gives back what it will not use. `known` false: it has no record. May throw or hang. */
  poke(sessionId: SessionId): Promise<{ readonly known: boolean }>;
}

/** How long one session may take to answer: a healthy one needs some ms. */
const pokeBoundMs = 10_000;
/** Asked at once in one alarm; the rest come in the next. */
const pokesAtOnce = 6;
/** Armed before the handler does anything, in case it does not come to its end. */
const alarmFallbackMs = 60_000;

export function tenantObject<Env>(wire: (env: Env) => TenantWiring) {
  return class TenantObject extends DurableObject<Env> implements TenantApi {
    readonly #wiring: TenantWiring;
    readonly #core: TenantCore;

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env);
      this.#wiring = wire(env);
      this.#core = new TenantCore(durableSql(ctx.storage), this.#wiring.clock, this.#wiring.terms);
    }

    reserve(order: ReserveOrder): Promise<ReserveReply> {
      return this.#armed(() => this.#core.reserve(order));
    }

    cancelReservation(sessionId: SessionId, generation: Generation): Promise<void> {
      return this.#armed(() => this.#core.cancelReservation(sessionId, generation));
    }

    report(report: SessionReport): Promise<{ readonly version: number }> {
      return this.#armed(() => this.#core.report(report));
    }

    async ledger() {
      return this.#core.ledger();
    }

    async open(after: OpenCursor | null, limit: number) {
      return this.#core.open(after, limit);
    }

    async sessions(after: SessionId | null, limit: number) {
      return this.#core.sessions(after, limit);
    }

    async receipt(sessionId: SessionId, generation: Generation | null) {
      return this.#core.receipt(sessionId, generation);
    }

    override async alarm(): Promise<void> {
      const { clock, logger } = this.#wiring;
      await this.ctx.storage.setAlarm(clock.now() + alarmFallbackMs);
      try {
        this.#core.prune();
        await Promise.all(this.#core.takeOverdue(pokesAtOnce).map((each) => this.#ask(each)));
        const next = this.#core.nextLook();
        if (next === null) await this.ctx.storage.deleteAlarm();
        else await this.ctx.storage.setAlarm(Math.max(next, clock.now() + 1_000));
      } catch (error) {
        // The fallback stands. A throw would only add the platform's own retries, which end in silence.
        logger.error("tenant alarm failed", { tenant: this.ctx.id.name ?? null, error: String(error) });
      }
    }

    async #ask(reservation: Reservation): Promise<void> {
      const { clock, logger } = this.#wiring;
      const { sessionId, generation, sandboxId } = reservation;
      const answered = new AbortController();
      const answer = await Promise.race([
        this.#wiring.poke(sessionId).catch(() => null),
        clock.sleep(pokeBoundMs, answered.signal).then(() => null),
      ]);
      answered.abort();
      if (answer?.known === false) this.#core.sessionVanished(reservation);
      const said = answer === null ? "no answer" : answer.known ? "known" : "no such session";
      logger.warn("reservation without a lease", { session: sessionId, generation, sandbox: sandboxId, said });
    }

    /** The alarm is read first, so that the rows and the alarm they need are one write (I1). */
    async #armed<T>(body: () => T): Promise<T> {
      const armedFor = await this.ctx.storage.getAlarm();
      const answer = body();
      const next = this.#core.nextLook();
      if (next !== null && (armedFor === null || next < armedFor)) await this.ctx.storage.setAlarm(next);
      return answer;
    }
  };
}
