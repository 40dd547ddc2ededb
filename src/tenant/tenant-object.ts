/**
 * The Durable Object around TenantCore, one per tenant, named by it. Every answer is the core's; the input gate plus one
 * transaction for each call make 100 parallel reserves as good as a queue.
 *
 * Every write arms the alarm for what it leaves to be done, as one write with it (`#stored`). What the alarm does is in
 * tenant-work.ts.
 */
import { DurableObject } from "cloudflare:workers";
import { bounded } from "../calls/bounded-call.ts";
import type { ContainerId, Generation, SessionId, TenantId } from "../domain/state/ids.ts";
import type { TakenSnapshot } from "../domain/state/session.ts";
import type { ChangeWebhook } from "../protocol/resources/tenant/webhooks.ts";
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
import { ContainerKeeper } from "./containers/container-keeper.ts";
import type { TenantApi } from "./tenant-api.ts";
import { FleetReporter } from "./quota/fleet-reporter.ts";
import { ChainSigner } from "./receipts/chain-signer.ts";
import { SnapshotKeeper } from "./snapshots/snapshot-keeper.ts";
import type { SnapshotQuery } from "./snapshots/snapshot-rows.ts";
import { snapshotViewOf } from "./snapshots/snapshot-view.ts";
import type { TenantContainers } from "./containers/tenant-containers.ts";
import { TenantCore } from "./tenant-core.ts";
import { WebhookDispatcher } from "./webhooks/webhook-dispatcher.ts";
import { WebhookCommands } from "./webhooks/webhook-commands.ts";
import type { WebhookPorts } from "./webhooks/webhook-ports.ts";
import type { TenantWiring } from "./tenant-wiring.ts";
import { TenantWork } from "./tenant-work.ts";

/** What the parts of the object answer as they are asked: reads, and writes after which no alarm is due. */
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
  createWebhook: "webhookCommands",
  webhooks: "webhookCommands",
  webhook: "webhookCommands",
  deleteWebhook: "webhookCommands",
  rotateWebhook: "webhookCommands",
  webhookDeliveries: "webhookCommands",
  reseal: "webhookCommands",
} as const satisfies Partial<
  Readonly<
    Record<
      keyof TenantApi,
      "core" | "webhookCommands" | "quota" | "budget" | "containers" | "snapshots" | "receipts" | "keys"
    >
  >
>;

type HandedOn = Pick<TenantApi, keyof typeof answeredBy>;

export function tenantObject<Env>(wire: (env: Env) => TenantWiring) {
  class TenantObject extends DurableObject<Env> implements Omit<TenantApi, keyof HandedOn> {
    static {
      forwardMethods<TenantObject, HandedOn, typeof answeredBy>(this.prototype, answeredBy, (self) => {
        const core = self.#core;
        const { quota, budget, containers, snapshots, receipts, keys } = core;
        return { core, webhookCommands: self.#webhookCommands, quota, budget, containers, snapshots, receipts, keys };
      });
    }

    readonly #wiring: TenantWiring;
    readonly #core: TenantCore;
    readonly #alarm: ObjectAlarm;
    readonly #keeper: AllowanceKeeper;
    readonly #webhookCommands: WebhookCommands;
    readonly #snapshots: SnapshotKeeper;
    readonly #work: TenantWork;

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env);
      this.#wiring = wire(env);
      this.#core = new TenantCore(durableSql(ctx.storage), this.#wiring.clock, this.#wiring.terms);
      const { control, clock } = this.#wiring;
      this.#alarm = new ObjectAlarm(ctx.storage, () => clock.now());
      const stored: Stored = (write) => this.#stored(write);
      this.#keeper = new AllowanceKeeper(this.#core, control, () => this.#tenant(), clock, stored);
      const fleetReporter = new FleetReporter(this.#wiring, this.#core, this.#keeper, () => this.#tenant());
      const { ids, logger, providers, terms, webhooks } = this.#wiring;
      const poke = (id: SessionId, gone: ContainerId) => this.#wiring.poke(id, gone);
      const tended = { clock, ids, logger, providers, poke, policy: terms.containers.policy };
      const containers = new ContainerKeeper(tended, this.#core, (write) => this.#armed(write));
      const core = this.#core;
      const callMs = terms.containers.policy.observeMs;
      this.#snapshots = new SnapshotKeeper({ clock, logger, providers, callMs }, core, stored);
      const store: WebhookPorts["store"] = (body) => this.#stored(() => core.rows.write(body));
      const ports = { ...webhooks, rows: core.rows, store, tenant: () => this.#tenant(), clock, logger };
      this.#webhookCommands = new WebhookCommands(ports);
      const dispatcher = new WebhookDispatcher(ports);
      const chainSigner = new ChainSigner({
        sign: (statement) => this.#wiring.sign(statement),
        look: (body, empty) => core.rows.read(body, empty),
        store,
        tenant: () => this.#tenant(),
        logger,
      });
      const dependencies = { fleetReporter, dispatcher, containers, chainSigner, snapshots: this.#snapshots };
      this.#work = new TenantWork(this.#wiring, core, this.#alarm, dependencies, ctx.id.name ?? null);
      void this.#work.armIfLost();
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
      return this.#armed(() => this.#webhookCommands.change(id, body));
    }

    testWebhook(id: string) {
      return this.#armed(() => this.#webhookCommands.test(id));
    }

    redeliver(id: string, delivery: string) {
      return this.#armed(() => this.#webhookCommands.redeliver(id, delivery));
    }

    resolveContainer(...order: Parameters<TenantContainers["resolve"]>) {
      return this.#armed(() => this.#core.containers.resolve(...order));
    }

    override alarm(): Promise<void> {
      return this.#work.run();
    }

    /** The alarm is known first, so that the rows and the alarm they need are one write. */
    async #stored<T>(write: () => T): Promise<T> {
      await this.#alarm.known();
      const answer = write();
      const next = this.#work.nextWake();
      if (next !== null) this.#alarm.by(next);
      return answer;
    }

    async #armed<T>(write: () => T): Promise<T> {
      const answer = await this.#stored(write);
      this.#work.kick();
      return answer;
    }
  }
  return TenantObject as unknown as Implementing<typeof TenantObject, HandedOn>;
}
