/** The objects of one schedule and the calls between them: sessions made at first sight of their id, the registry, the fleet. */
import type { SessionId } from "../../src/domain/state/ids.ts";
import type { AgentSandbox } from "../../src/sandbox/agent-sandbox.ts";
import type { Ids } from "../../src/runtime/clock-ids-logger.ts";
import type { IndexPort, TenantPort } from "../../src/session/reports/reports.ts";
import { quotaTerms } from "../../src/tenant/quota/quota.ts";
import type { Call } from "../memory/fault-plan.ts";
import { seededIds, type SeededRandom } from "../support/seeded-random.ts";
import type { VirtualClock, VirtualTime } from "../support/virtual-time.ts";
import { callViolation } from "./checks/call-checks.ts";
import { SessionWatch } from "./checks/session-watch.ts";
import type { SimFleet } from "./objects/sim-fleet.ts";
import type { ObjectDependencies, SimObject } from "./objects/sim-object.ts";
import { simSession } from "./objects/sim-session.ts";
import { simTenant, type TenantFace } from "./objects/sim-tenant.ts";
import type { ClockJumps } from "./oracle/disturbances.ts";
import type { Evidence } from "./oracle/evidence.ts";
import { bothHold, farewellTo } from "./checks/farewell.ts";
import { tenant } from "./play/sim-client.ts";
import type { SimCounts } from "./play/sim-counts.ts";
import type { SimNet } from "./play/sim-net.ts";
import type { SimPlan } from "./play/sim-plan.ts";
import type { StorageFaults } from "./play/storage-faults.ts";
import type { Trace } from "./play/trace.ts";

export interface SimDependencies {
  readonly plan: SimPlan;
  readonly time: VirtualTime;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly random: SeededRandom;
  readonly counts: SimCounts;
  readonly evidence: Evidence;
  readonly jumps: ClockJumps;
  readonly watches: Map<SessionId, SessionWatch>;
  readonly faulty: () => boolean;
  readonly violated: (what: string) => void;
}

export class SimObjects {
  /** The keys that rows are sealed with, as they are configured now. */
  readonly keys: string[] = ["k1"];
  /** Sessions that somebody asked to delete. */
  readonly deletes = new Set<SessionId>();
  readonly ids: Ids;
  readonly #dependencies: SimDependencies;
  readonly #surroundings: ObjectDependencies;
  #sandbox!: AgentSandbox;
  #net!: SimNet;
  #fleet!: SimFleet;
  #storages: StorageFaults | null = null;
  #tenant!: SimObject<TenantFace>;

  constructor(dependencies: SimDependencies) {
    const { plan, time, clock, trace, random, counts, faulty } = dependencies;
    this.#dependencies = dependencies;
    this.ids = seededIds(random.stream("ids"));
    const crashes = random.stream("crashes");
    const slips = random.stream("slips");
    this.#surroundings = {
      ...{ time, clock, trace },
      points: { crashesAt: () => faulty() && crashes.chance(plan.crashRate) },
      alarmSlip: () => (faulty() && slips.chance(0.2) ? slips.int(0, plan.alarmSlipMs) : 0),
      onCrash: (name, what) => counts.crashed(name, what),
      onLateAlarm: (name) => void counts.happenedTo(name, "alarm_late"),
    };
  }

  /** Once, when what they talk to is there. */
  begin(sandbox: AgentSandbox, net: SimNet, fleet: SimFleet): void {
    const { plan } = this.#dependencies;
    this.#sandbox = sandbox;
    this.#net = net;
    this.#fleet = fleet;
    this.#tenant = simTenant(tenant, {
      ...this.#surroundings,
      ...{ usedTables: plan.usedTables, ids: this.ids, sandbox },
      // In one seed of eight all sessions together may cost what one does in ten minutes.
      terms: {
        ...quotaTerms(plan.policy, plan.tenantCap),
        monthlyNanos: plan.seed % 8 === 0 ? plan.unitMs * 10_000 : null,
      },
      control: { allow: (order) => net.call("control allow", null, () => fleet.allowance.allow(order)) },
      counts: { counts: (counts) => net.call("index counts", null, async () => fleet.index.counts(counts)) },
      poke: (id) => this.poke(id),
      budgetSpent: (id) =>
        this.#net.call("budget spent", id, () => this.watch(id).object.call((api) => api.tenantBudgetSpent())),
    });
  }

  withStorages(storages: StorageFaults): void {
    const { counts, watches } = this.#dependencies;
    this.#storages = storages;
    const everybody = () => {
      for (const watch of watches.values()) watch.unheard();
    };
    storages.attach(this.#tenant.storage, () => {
      counts.happened("storage_registry", null);
      everybody();
    });
    storages.attach(this.#fleet.indexStorage, () => {
      counts.happened("storage_index", null);
      everybody();
    });
  }

  get tenant(): SimObject<TenantFace> {
    return this.#tenant;
  }

  /** Sandboxes that came although nobody asked for them now: they are counted past every cap. */
  get unasked(): number {
    let sum = 0;
    for (const { session } of this.#dependencies.watches.values())
      for (const lease of session === null ? [] : [...session.ghosts, session.newest])
        if (lease?.phase === "stopping" && lease.reason === "orphaned") sum += 1;
    return sum;
  }

  watch(id: SessionId): SessionWatch {
    const known = this.#dependencies.watches.get(id);
    if (known !== undefined) return known;
    const { plan, clock, time, jumps, evidence, counts, watches } = this.#dependencies;
    const object = simSession(id, {
      ...this.#surroundings,
      ...{ policy: plan.policy, usedTables: plan.usedTables, ids: this.ids, sandbox: this.#sandbox },
      ...{ keys: () => [...this.keys], tenant: this.#tenantPort(), index: this.#indexPort() },
    });
    const watch = new SessionWatch(id, object, {
      ...{ timers: plan.policy, jumps, evidence },
      storageFails: plan.storageFailRate > 0 || plan.storageBurstEveryMs !== null,
      now: () => clock.now(),
      elapsed: () => time.elapsed,
      saidFarewell: (session, createdAt) =>
        farewellTo(this.#tenant.storage, this.#fleet.indexStorage, session, createdAt),
      bothHold: (session, version) => bothHold(this.#tenant.storage, this.#fleet.indexStorage, session, version),
      wasDeleted: () => this.deletes.has(id),
    });
    this.#storages?.attach(object.storage, (failure) => {
      counts.happenedTo(object.name, `storage_${failure}`);
      watch.storageFailed();
    });
    watches.set(id, watch);
    return watch;
  }

  poke(id: SessionId) {
    return this.#net.call("poke", id, () => this.watch(id).object.call((api) => api.poke("maintenance")));
  }

  /** A call between it and the registry or the index came to nothing; null: it was about nobody in particular. */
  unheard(id: SessionId | null): void {
    if (id !== null) this.#dependencies.watches.get(id)?.unheard();
    else for (const watch of this.#dependencies.watches.values()) watch.unheard();
  }

  onCall(call: Call): void {
    if (call.sessionId === null || call.generation === null) return;
    const { watches, clock, time, evidence, violated } = this.#dependencies;
    const watch = watches.get(call.sessionId);
    if (watch === undefined) return;
    if (call.op === "renew" && call.sandboxId !== null) evidence.renewalSent(call.sandboxId, time.elapsed);
    // What no session owns any more is an audit's to end.
    if (watch.session === null) return;
    const lease = watch.stored.lease(call.generation)?.lease ?? null;
    const violation = callViolation(call, lease, watch.object, clock.now());
    if (violation !== null) violated(`${call.sessionId}: ${violation}`);
  }

  #tenantPort(): TenantPort {
    const call = <T>(what: string, id: SessionId, method: (face: TenantFace) => Promise<T>): Promise<T> =>
      this.#net.call(`tenant ${what}`, id, () => this.#tenant.call(method));
    return {
      reserve: (order) => call("reserve", order.sessionId, (face) => face.reserve(order)),
      cancelReservation: (session, generation) =>
        call("cancel", session, (face) => face.cancelReservation(session, generation)),
      admitPause: (order) => call("admit pause", order.sessionId, (face) => face.admitPause(order)),
      reserveSnapshot: (order) => call("reserve snapshot", order.sessionId, (face) => face.reserveSnapshot(order)),
      settleSnapshot: (session, taken) =>
        call("settle snapshot", session, (face) => face.settleSnapshot(session, taken)),
      snapshot: (reference) =>
        this.#net.call("tenant snapshot", null, () => this.#tenant.call((face) => face.snapshot(reference))),
      report: (report) => call("report", report.sessionId, (face) => face.report(report)),
    };
  }

  #indexPort(): IndexPort {
    const { index } = this.#fleet;
    return {
      report: (report) => this.#net.call("index report", report.sessionId, async () => index.report(report)),
      markBlocked: (mark) => this.#net.call("index mark", mark.sessionId, async () => index.markBlocked(mark)),
    };
  }
}
