/**
 * The Durable Object around TenantCore, one per tenant, named by it. Owns the alarm, which asks the sessions of reservations
 * that never became a lease, and prunes. Every answer is the core's; the input gate plus one transaction for each call
 * make 100 parallel reserves as good as a queue (CAP-5).
 */
import { DurableObject } from "cloudflare:workers";
import type { ContainerId, Generation, SessionId, TenantId } from "../domain/ids.ts";
import type { ProviderName } from "../domain/provider-names.ts";
import type { AllowancePort } from "../fleet/control-api.ts";
import type { ChangeWebhook, CreateWebhook } from "../protocol/webhooks.ts";
import type { CountsPort } from "../fleet/shard-api.ts";
import type { AgentSandbox } from "../sandbox/agent-sandbox.ts";
import type { Clock, Ids, Logger } from "../session/ambient.ts";
import type { ReserveOrder, ReserveReply, SessionReport } from "../session/reports.ts";
import { durableSql } from "../storage/durable-sql.ts";
import { AllowanceKeeper } from "./allowance-keeper.ts";
import { askOverdue } from "./ask-overdue.ts";
import { ContainerKeeper } from "./container-keeper.ts";
import type { QuotaTerms } from "./quota.ts";
import type { DeliveryQuery, OpenCursor, TenantApi } from "./tenant-api.ts";
import { tellCounts } from "./tell-counts.ts";
import { TenantCore } from "./tenant-core.ts";
import { WebhookCourier } from "./webhooks/webhook-courier.ts";
import { WebhookDesk } from "./webhooks/webhook-desk.ts";
import type { WebhookPorts } from "./webhooks/webhook-ports.ts";

/** What the composition root hands in. */
export interface TenantWiring {
  readonly control: AllowancePort;
  /** The shard that indexes this tenant. */
  index(tenant: TenantId): CountsPort;
  readonly terms: QuotaTerms;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  /** For what no session owns: shared containers. */
  readonly providers: { get(name: ProviderName): AgentSandbox | null };
  /** Asks a session to look at itself: it gives back what it will not use. `known` false: it has no record. May throw or hang. */
  poke(sessionId: SessionId): Promise<{ readonly known: boolean }>;
  readonly webhooks: Pick<WebhookPorts, "seals" | "ids" | "terms" | "events" | "post">;
}

/** What control or the index was not told, or did not confirm, is told again after this long. */
const tellAgainMs = 10_000;
/** Each tells what changed during the one before; the alarm takes over from a tenant that changes faster than that. */
const tellRounds = 5;
/** How soon the alarm takes over from a courier that was started beside an answer. */
const courierNetMs = 2_000;
/** Armed before the handler does anything, in case it does not come to its end. */
const alarmFallbackMs = 60_000;

function earliest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

export function tenantObject<Env>(wire: (env: Env) => TenantWiring) {
  return class TenantObject extends DurableObject<Env> implements TenantApi {
    readonly #wiring: TenantWiring;
    readonly #core: TenantCore;
    readonly #keeper: AllowanceKeeper;
    readonly #desk: WebhookDesk;
    readonly #courier: WebhookCourier;
    readonly #containers: ContainerKeeper;
    #telling = false;
    #working = false;

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env);
      this.#wiring = wire(env);
      this.#core = new TenantCore(durableSql(ctx.storage), this.#wiring.clock, this.#wiring.terms);
      const { control, clock } = this.#wiring;
      this.#keeper = new AllowanceKeeper(this.#core, control, () => this.#tenant(), clock);
      const { ids, logger, providers, terms, webhooks } = this.#wiring;
      const tended = { clock, ids, logger, providers, policy: terms.containers.policy };
      this.#containers = new ContainerKeeper(tended, this.#core, (write) => this.#armed(write));
      const ports = { ...webhooks, core: this.#core, tenant: () => this.#tenant(), clock, logger };
      this.#desk = new WebhookDesk(ports);
      this.#courier = new WebhookCourier(ports);
      void this.#armIfLost();
    }

    /** Named by its tenant. An object reached otherwise has none, and makes nothing. */
    #tenant(): TenantId {
      const { name } = this.ctx.id;
      if (name === undefined) throw new Error("this object was not reached by the name of a tenant");
      return name as TenantId;
    }

    /** The alarm stands before control is asked: an order without its answer is told again (I1). */
    async reserve(order: ReserveOrder): Promise<ReserveReply> {
      await this.#armBy(this.#wiring.clock.now() + alarmFallbackMs);
      const reply = await this.#keeper.reserve(order);
      // Whatever needs looking after is in it, so it may be later than what stood for the time of asking.
      const next = this.#nextWake();
      if (next !== null) await this.ctx.storage.setAlarm(next);
      if (this.#untold()) void this.#tell();
      return reply;
    }

    cancelReservation(sessionId: SessionId, generation: Generation): Promise<void> {
      return this.#armed(() => this.#core.cancelReservation(sessionId, generation));
    }

    report(report: SessionReport): Promise<{ readonly version: number }> {
      return this.#armed(() => this.#core.report(report));
    }

    async counts() {
      return { tenant: this.#tenant(), ...this.#core.counts() };
    }

    async usage() {
      return this.#core.usage();
    }

    async reports(after: SessionId | null, limit: number) {
      return this.#core.reports(after, limit);
    }

    async revokeKey(keyId: string) {
      return this.#core.revokeKey(keyId);
    }

    async revocations() {
      return this.#core.revocations();
    }

    createWebhook(body: CreateWebhook) {
      return this.#desk.create(body);
    }

    async webhooks() {
      return this.#desk.list();
    }

    async webhook(id: string) {
      return this.#desk.get(id);
    }

    changeWebhook(id: string, body: ChangeWebhook) {
      return this.#armed(() => this.#desk.change(id, body));
    }

    async deleteWebhook(id: string) {
      return this.#desk.remove(id);
    }

    rotateWebhook(id: string) {
      return this.#desk.rotate(id);
    }

    async webhookDeliveries(id: string, query: DeliveryQuery) {
      return this.#desk.deliveries(id, query);
    }

    testWebhook(id: string) {
      return this.#armed(() => this.#desk.test(id));
    }

    redeliver(id: string, delivery: string) {
      return this.#armed(() => this.#desk.redeliver(id, delivery));
    }

    reseal() {
      return this.#desk.reseal();
    }

    async breaker() {
      return this.#core.breaker();
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

    async containers(...query: Parameters<TenantCore["containers"]>) {
      return this.#core.containers(...query);
    }

    async container(id: ContainerId) {
      return this.#core.container(id);
    }

    resolveContainer(...order: Parameters<TenantCore["resolveContainer"]>) {
      return this.#armed(() => this.#core.resolveContainer(...order));
    }

    async receipt(sessionId: SessionId, generation: Generation | null) {
      return this.#core.receipt(sessionId, generation);
    }

    override async alarm(): Promise<void> {
      const { clock, logger } = this.#wiring;
      await this.ctx.storage.setAlarm(clock.now() + alarmFallbackMs);
      try {
        // First and by itself: whatever else fails, containers are ended; and one that cannot be ended holds up nothing.
        const containers = this.#work();
        this.#core.prune();
        this.#courier.prune();
        await this.#tell();
        await Promise.all([askOverdue(this.#wiring, this.#core), this.#courier.run()]);
        await containers;
        const next = this.#nextWake();
        if (next === null) await this.ctx.storage.deleteAlarm();
        else await this.ctx.storage.setAlarm(Math.max(next, clock.now() + 1_000));
      } catch (error) {
        // The fallback stands. A throw would only add the platform's own retries, which end in silence.
        logger.error("tenant alarm failed", { tenant: this.ctx.id.name ?? null, error: String(error) });
      }
    }

    /** The alarm is read first, so that the rows and the alarm they need are one write (I1). */
    async #armed<T>(body: () => T): Promise<T> {
      const armedFor = await this.ctx.storage.getAlarm();
      const answer = body();
      const next = this.#nextWake();
      if (next !== null && (armedFor === null || next < armedFor)) await this.ctx.storage.setAlarm(next);
      // At once, beside the answer: the alarm is for what fails.
      if (this.#untold()) void this.#tell();
      if (this.#courier.due) void this.#courier.run().then(() => this.#armNext());
      if (this.#core.containersDue()) void this.#work();
      return answer;
    }

    /** Never rejects, and begins after the write that made it due. */
    async #work(): Promise<void> {
      if (this.#working) return;
      this.#working = true;
      try {
        await this.#containers.work();
      } catch (error) {
        this.#wiring.logger.error("shared containers were not looked after", { error: String(error) });
      } finally {
        this.#working = false;
      }
    }

    /** The platform drops an alarm that threw too often, without a word: whoever wakes this object sets it again (LEA-16). */
    async #armIfLost(): Promise<void> {
      try {
        const next = this.#nextWake();
        if (next === null || (await this.ctx.storage.getAlarm()) !== null) return;
        await this.ctx.storage.setAlarm(Math.max(next, this.#wiring.clock.now() + 1_000));
      } catch (error) {
        this.#wiring.logger.error("the tenant's alarm was not looked at", { error: String(error) });
      }
    }

    async #armBy(at: number): Promise<void> {
      const armedFor = await this.ctx.storage.getAlarm();
      if (armedFor === null || at < armedFor) await this.ctx.storage.setAlarm(at);
    }

    /** After what was not awaited: its own next look may be the earliest there is. */
    async #armNext(): Promise<void> {
      const next = this.#courier.nextLook();
      if (next !== null) await this.#armBy(Math.max(next, this.#wiring.clock.now() + 1_000));
    }

    #nextWake(): number | null {
      const hooks = this.#courier.nextLook();
      // What is due is worked on beside the answer: the alarm is for when that comes to nothing.
      const later = hooks === null ? null : Math.max(hooks, this.#wiring.clock.now() + courierNetMs);
      const look = earliest(this.#core.nextLook(), later);
      if (!this.#untold()) return look;
      const again = this.#wiring.clock.now() + tellAgainMs;
      return look === null ? again : Math.min(look, again);
    }

    #untold(): boolean {
      return this.#core.unsettled() || this.#core.countsPending();
    }

    /** Never rejects. One at a time: what changes meanwhile is told by the round after it. */
    async #tell(): Promise<void> {
      if (this.#telling) return;
      this.#telling = true;
      try {
        for (let round = 0; this.#untold() && round < tellRounds; round += 1) {
          await this.#keeper.settle();
          if (this.#core.countsPending()) await tellCounts(this.#wiring, this.#tenant(), this.#core);
        }
        const next = this.#nextWake();
        if (next !== null) await this.ctx.storage.setAlarm(next);
      } catch (error) {
        this.#wiring.logger.warn("the fleet was not told", { tenant: this.ctx.id.name ?? null, error: String(error) });
      } finally {
        this.#telling = false;
      }
    }
  };
}
