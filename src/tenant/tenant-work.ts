/**
 * What a tenant's object does beside answering: it asks the sessions of reservations that never became a lease, ends shared
 * containers, deletes snapshots, sends webhooks, tells the fleet, signs receipts and prunes. It runs by the object's alarm, and right after a write that made some of it due.
 *
 * The alarm moves later only at the end of `run`. Each part fails by itself: a registry that cannot prune still ends containers.
 */
import type { ObjectAlarm } from "../storage/object-alarm.ts";
import { askOverdue } from "./ask-overdue.ts";
import type { ContainerKeeper } from "./containers/container-keeper.ts";
import type { FleetReporter } from "./quota/fleet-reporter.ts";
import { notifyBudgetSpent } from "./quota/notify-budget-spent.ts";
import type { ChainSigner } from "./receipts/chain-signer.ts";
import type { SnapshotKeeper } from "./snapshots/snapshot-keeper.ts";
import type { TenantCore } from "./tenant-core.ts";
import type { TenantWiring } from "./tenant-wiring.ts";
import type { WebhookDispatcher } from "./webhooks/webhook-dispatcher.ts";

/** Control and the index are told again after this long when they did not confirm. */
const reportAgainMs = 10_000;
/** How soon the alarm takes over from a dispatcher that was started beside an answer. */
const dispatchFallbackMs = 2_000;
/** Armed before the handler does anything, in case it does not come to its end. */
const alarmFallbackMs = 60_000;
/** No wake sooner than this after another: a rule that is due and cannot be met must not spin. */
const alarmRestMs = 1_000;
/** Rounds of pruning in one wake. What is left follows a second later. */
const pruneRounds = 10;

function earliest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

interface TenantDependencies {
  readonly fleetReporter: FleetReporter;
  readonly dispatcher: WebhookDispatcher;
  readonly containers: ContainerKeeper;
  readonly snapshots: SnapshotKeeper;
  readonly chainSigner: ChainSigner;
}

export class TenantWork {
  readonly #wiring: TenantWiring;
  readonly #core: TenantCore;
  readonly #alarm: ObjectAlarm;
  readonly #dependencies: TenantDependencies;
  /** For logs; null: the object was not reached by a tenant's name. */
  readonly #tenant: string | null;
  #tending = false;

  constructor(
    wiring: TenantWiring,
    core: TenantCore,
    alarm: ObjectAlarm,
    dependencies: TenantDependencies,
    tenant: string | null,
  ) {
    this.#wiring = wiring;
    this.#core = core;
    this.#alarm = alarm;
    this.#dependencies = dependencies;
    this.#tenant = tenant;
  }

  async run(): Promise<void> {
    const { clock, logger } = this.#wiring;
    await this.#alarm.fired(clock.now() + alarmFallbackMs);
    // Noted first, because it is part of what the fleet is told.
    await this.#part("the budget's news", () => void this.#core.budget.note());
    // Side by side: a container that cannot be ended, or a receiver that is slow, holds up nothing else.
    const done = await Promise.all([
      this.#part("shared containers", () => this.#tendContainers()),
      this.#part("snapshots", () => this.#dependencies.snapshots.work()),
      this.#part("pruning", () => this.#prune()),
      this.#part("telling the fleet", async () => {
        await this.#dependencies.fleetReporter.report();
        this.#core.rows.storeCountsConfirmed();
      }),
      this.#part("overdue reservations", () => askOverdue(this.#wiring, this.#core)),
      this.#part("the month's budget", () => notifyBudgetSpent(this.#wiring, this.#core)),
      this.#part("webhooks", () => this.#dependencies.dispatcher.run()),
      this.#part("signing receipts", () => this.#dependencies.chainSigner.sign()),
    ]);
    try {
      // After a part that failed the fallback stands, unless something is due before it.
      const next = earliest(this.nextWake(), done.includes(false) ? clock.now() + alarmFallbackMs : null);
      await this.#alarm.rearm(next === null ? null : Math.max(next, clock.now() + alarmRestMs));
    } catch (error) {
      // The fallback stands. A throw would only add the platform's own retries, which end in silence.
      logger.error("tenant alarm failed", { tenant: this.#tenant, error: String(error) });
    }
  }

  /** false: it failed, which stops no other part. */
  async #part(name: string, body: () => void | Promise<void>): Promise<boolean> {
    try {
      await body();
      return true;
    } catch (error) {
      const tenant = this.#tenant;
      this.#wiring.logger.error("a part of the tenant alarm failed", { tenant, part: name, error: String(error) });
      return false;
    }
  }

  #prune(): void {
    for (let round = 0; round < pruneRounds && this.#core.pruneDue(); round += 1) this.#core.prune();
  }

  /** Starts what the last write made due, beside the answer. The alarm covers what fails. */
  kick(): void {
    if (this.#dependencies.fleetReporter.hasUnreported()) void this.#dependencies.fleetReporter.report();
    if (this.#dependencies.dispatcher.due) void this.#dependencies.dispatcher.run();
    if (this.#core.containers.due()) void this.#tendContainers();
    if (this.#dependencies.snapshots.due) void this.#part("snapshots", () => this.#dependencies.snapshots.work());
    if (this.#dependencies.chainSigner.due) void this.#dependencies.chainSigner.sign();
  }

  /** Never rejects, and begins after the write that made it due. */
  async #tendContainers(): Promise<void> {
    if (this.#tending) return;
    this.#tending = true;
    try {
      await this.#dependencies.containers.work();
    } catch (error) {
      this.#wiring.logger.error("shared containers were not looked after", { error: String(error) });
    } finally {
      this.#tending = false;
    }
  }

  /** The platform silently drops an alarm that threw too often, so every start of this object sets it again. */
  async armIfLost(): Promise<void> {
    try {
      await this.#alarm.known();
      const next = this.nextWake();
      if (next !== null) this.#alarm.by(Math.max(next, this.#wiring.clock.now() + alarmRestMs));
    } catch (error) {
      this.#wiring.logger.error("the tenant's alarm was not looked at", { error: String(error) });
    }
  }

  /** When the alarm is due. null: nothing waits. */
  nextWake(): number | null {
    const hooks = this.#dependencies.dispatcher.nextLook();
    // Due deliveries are sent beside the answer. The alarm comes later, in case that fails.
    const later = hooks === null ? null : Math.max(hooks, this.#wiring.clock.now() + dispatchFallbackMs);
    const spent = this.#core.budget.spentAt();
    // A session that did not answer is told again, but not at once.
    const tell = spent === null ? null : Math.max(spent, this.#wiring.clock.now() + alarmRestMs);
    const look = [later, tell, this.#core.budget.newsAt(), this.#core.allowance.spareUntil()].reduce(
      earliest,
      this.#core.nextLook(),
    );
    if (!this.#dependencies.fleetReporter.hasUnreported() && !this.#dependencies.chainSigner.due) return look;
    const again = this.#wiring.clock.now() + reportAgainMs;
    return look === null ? again : Math.min(look, again);
  }
}
