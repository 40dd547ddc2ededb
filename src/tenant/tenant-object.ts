/**
 * The Durable Object around TenantCore, one per tenant, named by it. Owns the alarm, which asks the sessions of reservations
 * that never became a lease, ends shared containers, sends webhooks and prunes. Every answer is the core's; the input gate
 * plus one transaction for each call make 100 parallel reserves as good as a queue.
 *
 * Every write arms the alarm for what it leaves to be done, as one write with it (`#stored`). The alarm moves later only at
 * the end of its own handler. Each part of the handler fails by itself: a registry that cannot prune still ends containers.
 */
import { DurableObject } from "cloudflare:workers";
import { bounded } from "../calls/bounded-call.ts";
import type { ContainerId, Generation, SessionId, TenantId } from "../domain/state/ids.ts";
import type { ProviderName } from "../domain/state/provider-names.ts";
import type { TakenSnapshot } from "../domain/state/session.ts";
import type { AllowancePort } from "../fleet/control/control-api.ts";
import type { ChangeWebhook } from "../protocol/resources/tenant/webhooks.ts";
import type { CountsPort } from "../fleet/shard/shard-api.ts";
import type { AgentSandbox } from "../sandbox/agent-sandbox.ts";
import type { Clock, Ids, Logger } from "../runtime/clock-ids-logger.ts";
import type {
  PauseOrder,
  PauseReply,
  ReserveOrder,
  ReserveReply,
  SessionReport,
  SnapshotOrder,
  SnapshotReply,
} from "../session/reports/reports.ts";
import { durableSql } from "../storage/durable-sql.ts";
import { forwardMethods, type Implementing } from "../storage/forward-methods.ts";
import { ObjectAlarm } from "../storage/object-alarm.ts";
import { AllowanceKeeper, type Stored } from "./quota/allowance-keeper.ts";
import { askOverdue } from "./ask-overdue.ts";
import { ContainerKeeper } from "./containers/container-keeper.ts";
import type { QuotaTerms } from "./quota/quota.ts";
import type { TenantApi } from "./tenant-api.ts";
import { FleetTeller } from "./quota/fleet-teller.ts";
import { Notary, type NotaryPorts } from "./receipts/notary.ts";
import { SnapshotKeeper } from "./snapshots/snapshot-keeper.ts";
import type { SnapshotQuery } from "./snapshots/snapshot-rows.ts";
import { snapshotViewOf } from "./snapshots/snapshot-view.ts";
import { tellSpent } from "./quota/tell-spent.ts";
import type { TenantContainers } from "./containers/tenant-containers.ts";
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
  poke(sessionId: SessionId, gone?: ContainerId): Promise<{ readonly known: boolean }>;
  /** The tenant's budget for the month is used up. May throw or hang. */
  budgetSpent(sessionId: SessionId): Promise<{ readonly known: boolean }>;
  /** A statement of the chain; null: no signing key is configured. */
  readonly sign: NotaryPorts["sign"];
  readonly webhooks: Pick<WebhookPorts, "seals" | "ids" | "terms" | "events" | "post">;
}

/** Control and the index are told again after this long when they did not confirm. */
const tellAgainMs = 10_000;
/** How soon the alarm takes over from a courier that was started beside an answer. */
const courierNetMs = 2_000;
/** Armed before the handler does anything, in case it does not come to its end. */
const alarmFallbackMs = 60_000;
/** No wake sooner than this after another: a rule that is due and cannot be met must not spin. */
const alarmRestMs = 1_000;
/** Rounds of pruning in one wake. What is left follows a second later. */
const pruneRounds = 10;

function earliest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

/** What the parts answer as they are asked: reads, and writes after which no alarm is due. */
const answeredBy = {
  snapshotCounts: "snapshots",
  usage: "core",
  standing: "budget",
  reports: "core",
  revokeKey: "keys",
  revokeAllKeys: "keys",
  checkKeys: "keys",
  keys: "keys",
  breaker: "quota",
  forgottenSnapshots: "core",
  ledger: "core",
  open: "quota",
  sessions: "core",
  containers: "containers",
  container: "containers",
  receipt: "receipts",
  sessionReceipts: "receipts",
  receiptChain: "receipts",
  createWebhook: "desk",
  webhooks: "desk",
  webhook: "desk",
  deleteWebhook: "desk",
  rotateWebhook: "desk",
  webhookDeliveries: "desk",
  reseal: "desk",
} as const satisfies Partial<
  Readonly<
    Record<keyof TenantApi, "core" | "desk" | "quota" | "budget" | "containers" | "snapshots" | "receipts" | "keys">
  >
>;

type HandedOn = Pick<TenantApi, keyof typeof answeredBy>;

export function tenantObject<Env>(wire: (env: Env) => TenantWiring) {
  class TenantObject extends DurableObject<Env> implements Omit<TenantApi, keyof HandedOn> {
    static {
      forwardMethods<TenantObject, HandedOn, typeof answeredBy>(this.prototype, answeredBy, (self) => {
        const core = self.#core;
        const { quota, budget, containers, snapshots, receipts, keys } = core;
        return { core, desk: self.#desk, quota, budget, containers, snapshots, receipts, keys };
      });
    }

    readonly #wiring: TenantWiring;
    readonly #core: TenantCore;
    readonly #alarm: ObjectAlarm;
    readonly #keeper: AllowanceKeeper;
    readonly #teller: FleetTeller;
    readonly #desk: WebhookDesk;
    readonly #courier: WebhookCourier;
    readonly #containers: ContainerKeeper;
    readonly #notary: Notary;
    readonly #snapshots: SnapshotKeeper;
    #working = false;

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env);
      this.#wiring = wire(env);
      this.#core = new TenantCore(durableSql(ctx.storage), this.#wiring.clock, this.#wiring.terms);
      const { control, clock } = this.#wiring;
      this.#alarm = new ObjectAlarm(ctx.storage, () => clock.now());
      const stored: Stored = (write) => this.#stored(write);
      this.#keeper = new AllowanceKeeper(this.#core, control, () => this.#tenant(), clock, stored);
      this.#teller = new FleetTeller(this.#wiring, this.#core, this.#keeper, () => this.#tenant());
      const { ids, logger, providers, terms, webhooks } = this.#wiring;
      const poke = (id: SessionId, gone: ContainerId) => this.#wiring.poke(id, gone);
      const tended = { clock, ids, logger, providers, poke, policy: terms.containers.policy };
      this.#containers = new ContainerKeeper(tended, this.#core, (write) => this.#armed(write));
      const core = this.#core;
      const callMs = terms.containers.policy.observeMs;
      this.#snapshots = new SnapshotKeeper({ clock, logger, providers, callMs }, core, stored);
      const store: WebhookPorts["store"] = (body) => this.#stored(() => core.rows.write(body));
      const ports = { ...webhooks, rows: core.rows, store, tenant: () => this.#tenant(), clock, logger };
      this.#desk = new WebhookDesk(ports);
      this.#courier = new WebhookCourier(ports);
      this.#notary = new Notary({
        sign: (statement) => this.#wiring.sign(statement),
        look: (body, empty) => core.rows.read(body, empty),
        store,
        tenant: () => this.#tenant(),
        logger,
      });
      void this.#armIfLost();
    }

    /** Named by its tenant. An object reached otherwise has none, and makes nothing. */
    #tenant(): TenantId {
      const { name } = this.ctx.id;
      if (name === undefined)
        throw new Error(
          `the tenant object ${this.ctx.id.toString()} was not reached by the name of a tenant, so it has none to act for`,
        );
      return name as TenantId;
    }

    /** The fleet hears of it with the report that follows, or by the alarm. */
    reserve(order: ReserveOrder): Promise<ReserveReply> {
      return this.#keeper.reserve(order);
    }

    cancelReservation(sessionId: SessionId, generation: Generation): Promise<void> {
      return this.#armed(() => this.#core.quota.cancel(sessionId, generation));
    }

    admitPause(order: PauseOrder): Promise<PauseReply> {
      return this.#armed(() => this.#core.quota.admitPause(order));
    }

    reserveSnapshot(order: SnapshotOrder): Promise<SnapshotReply> {
      return this.#armed(() => this.#core.snapshots.reserve(order));
    }

    settleSnapshot(sessionId: SessionId, taken: TakenSnapshot): Promise<void> {
      return this.#armed(() => this.#core.snapshots.settle(sessionId, taken));
    }

    async snapshot(reference: string) {
      const found = this.#core.snapshots.get(reference);
      return found && snapshotViewOf(found);
    }

    async snapshots(query: SnapshotQuery) {
      return this.#core.snapshots.list(query).map(snapshotViewOf);
    }

    async unreleasedSnapshots(after: string | null, limit: number) {
      return this.#core.snapshots.unreleased(after, limit).map(({ id }) => ({ id }));
    }

    async deleteSnapshot(reference: string, waitMs: number) {
      // Nothing is written for a tenant that never was.
      if (this.#core.snapshots.get(reference) === null) return null;
      const found = await this.#stored(() => this.#core.snapshots.delete(reference));
      if (found === null) return null;
      await bounded(this.#wiring.clock, waitMs, () => this.#snapshots.work());
      return snapshotViewOf(this.#core.snapshots.get(found.id) ?? found);
    }

    report(report: SessionReport): Promise<{ readonly version: number }> {
      return this.#armed(() => this.#core.report(report));
    }

    async counts() {
      return { tenant: this.#tenant(), ...this.#core.counts() };
    }

    changeWebhook(id: string, body: ChangeWebhook) {
      return this.#armed(() => this.#desk.change(id, body));
    }

    testWebhook(id: string) {
      return this.#armed(() => this.#desk.test(id));
    }

    redeliver(id: string, delivery: string) {
      return this.#armed(() => this.#desk.redeliver(id, delivery));
    }

    resolveContainer(...order: Parameters<TenantContainers["resolve"]>) {
      return this.#armed(() => this.#core.containers.resolve(...order));
    }

    override async alarm(): Promise<void> {
      const { clock, logger } = this.#wiring;
      await this.#alarm.fired(clock.now() + alarmFallbackMs);
      // Noted first, because it is part of what the fleet is told.
      await this.#part("the budget's news", () => void this.#core.budget.note());
      // Side by side: a container that cannot be ended, or a receiver that is slow, holds up nothing else.
      const done = await Promise.all([
        this.#part("shared containers", () => this.#work()),
        this.#part("snapshots", () => this.#snapshots.work()),
        this.#part("pruning", () => this.#prune()),
        this.#part("telling the fleet", async () => {
          await this.#teller.tell();
          this.#core.rows.storeCountsConfirmed();
        }),
        this.#part("overdue reservations", () => askOverdue(this.#wiring, this.#core)),
        this.#part("the month's budget", () => tellSpent(this.#wiring, this.#core)),
        this.#part("webhooks", () => this.#courier.run()),
        this.#part("signing receipts", () => this.#notary.sign()),
      ]);
      try {
        // After a part that failed the fallback stands, unless something is due before it.
        const next = earliest(this.#nextWake(), done.includes(false) ? clock.now() + alarmFallbackMs : null);
        await this.#alarm.rearm(next === null ? null : Math.max(next, clock.now() + alarmRestMs));
      } catch (error) {
        // The fallback stands. A throw would only add the platform's own retries, which end in silence.
        logger.error("tenant alarm failed", { tenant: this.ctx.id.name ?? null, error: String(error) });
      }
    }

    /** false: it failed, which stops no other part. */
    async #part(name: string, body: () => void | Promise<void>): Promise<boolean> {
      try {
        await body();
        return true;
      } catch (error) {
        const tenant = this.ctx.id.name ?? null;
        this.#wiring.logger.error("a part of the tenant alarm failed", { tenant, part: name, error: String(error) });
        return false;
      }
    }

    #prune(): void {
      for (let round = 0; round < pruneRounds && this.#core.pruneDue(); round += 1) this.#core.prune();
    }

    /** The alarm is known first, so that the rows and the alarm they need are one write. */
    async #stored<T>(write: () => T): Promise<T> {
      await this.#alarm.known();
      const answer = write();
      const next = this.#nextWake();
      if (next !== null) this.#alarm.by(next);
      return answer;
    }

    async #armed<T>(write: () => T): Promise<T> {
      const answer = await this.#stored(write);
      this.#kick();
      return answer;
    }

    /** Starts what the last write made due, beside the answer. The alarm covers what fails. */
    #kick(): void {
      if (this.#teller.untold()) void this.#teller.tell();
      if (this.#courier.due) void this.#courier.run();
      if (this.#core.containers.due()) void this.#work();
      if (this.#snapshots.due) void this.#part("snapshots", () => this.#snapshots.work());
      if (this.#notary.due) void this.#notary.sign();
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

    /** The platform silently drops an alarm that threw too often, so every start of this object sets it again. */
    async #armIfLost(): Promise<void> {
      try {
        await this.#alarm.known();
        const next = this.#nextWake();
        if (next !== null) this.#alarm.by(Math.max(next, this.#wiring.clock.now() + alarmRestMs));
      } catch (error) {
        this.#wiring.logger.error("the tenant's alarm was not looked at", { error: String(error) });
      }
    }

    #nextWake(): number | null {
      const hooks = this.#courier.nextLook();
      // Due deliveries are sent beside the answer. The alarm comes later, in case that fails.
      const later = hooks === null ? null : Math.max(hooks, this.#wiring.clock.now() + courierNetMs);
      const spent = this.#core.budget.spentAt();
      // A session that did not answer is told again, but not at once.
      const tell = spent === null ? null : Math.max(spent, this.#wiring.clock.now() + alarmRestMs);
      const look = [later, tell, this.#core.budget.newsAt(), this.#core.allowance.spareUntil()].reduce(
        earliest,
        this.#core.nextLook(),
      );
      if (!this.#teller.untold() && !this.#notary.due) return look;
      const again = this.#wiring.clock.now() + tellAgainMs;
      return look === null ? again : Math.min(look, again);
    }
  }
  return TenantObject as unknown as Implementing<typeof TenantObject, HandedOn>;
}
