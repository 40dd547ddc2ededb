/**
 * One seed, one schedule: real sessions, a real registry, a real index over a world of the memory provider, with everything
 * that the plan lets go wrong. After every step the invariants are checked; at the end, with the faults over, everything
 * must settle, everything deleted must be gone with a receipt, and after the retention nothing may be left at all.
 */
import type { SessionId } from "../../src/domain/ids.ts";
import { ShardIndex } from "../../src/fleet/shard-index.ts";
import type { Call } from "../../src/sandbox/memory/fault-plan.ts";
import { memorySandbox } from "../../src/sandbox/memory/memory-sandbox.ts";
import { MemoryWorld } from "../../src/sandbox/memory/memory-world.ts";
import type { Ids } from "../../src/session/ambient.ts";
import type { IndexPort, TenantPort } from "../../src/session/reports.ts";
import { quotaTerms } from "../../src/tenant/quota.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock, VirtualTime } from "../support/virtual-time.ts";
import { callViolation } from "./call-checks.ts";
import { Coverage, type CoverageCounts } from "./coverage.ts";
import { notErased, notGone, unsettled } from "./end-checks.ts";
import { RegistryWatch } from "./registry-checks.ts";
import { SessionWatch } from "./session-watch.ts";
import { simCron, SimChaos } from "./sim-chaos.ts";
import { SimClient, tenant } from "./sim-client.ts";
import { SimCounts } from "./sim-counts.ts";
import { SimFaults } from "./sim-faults.ts";
import { SimNet } from "./sim-net.ts";
import { SimOperator } from "./sim-operator.ts";
import type { ObjectSurroundings, SimObject } from "./sim-object.ts";
import { simPlan, type SimPlan } from "./sim-plan.ts";
import { simSession } from "./sim-session.ts";
import { SimStorage } from "./sim-storage.ts";
import { simTenant, type TenantFace } from "./sim-tenant.ts";
import { Trace } from "./trace.ts";
import { WorldChecks } from "./world-checks.ts";

export interface SimResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly steps: number;
  readonly sessions: number;
  readonly coverage: CoverageCounts;
  readonly trace: readonly string[];
}

const minute = 60_000;
const hour = 60 * minute;
const beganAt = Date.UTC(2026, 0, 1);
/** How long after the last fault everybody must be where they want to be, in units and beyond the longest sickness: one provision, and some probes. */
const settledAfter = 14;
/** A runaway schedule is a failure, not a hang. */
const mostSteps = 400_000;

export interface SimOptions {
  /** Keep a readable trace. */
  readonly traced: boolean;
  /** Violations that are known and left out, so that the schedule goes on and others can be found. */
  readonly ignore?: RegExp;
  /** Called after each step, before it is checked: with it a test breaks something, to see that it is noticed. */
  readonly sabotage?: (world: MemoryWorld) => void;
}

export async function simulate(seed: number, options: SimOptions): Promise<SimResult> {
  const simulation = new Simulation(seed, options);
  try {
    await simulation.run();
  } finally {
    simulation.close();
  }
  return simulation.result();
}

class Stopped extends Error {}

class Simulation {
  readonly #seed: number;
  readonly #options: SimOptions;
  readonly #random: SeededRandom;
  readonly #plan: SimPlan;
  readonly #time: VirtualTime;
  /** Every controller's clock. */
  readonly #clock: VirtualClock;
  readonly #trace: Trace;
  readonly #coverage = new Coverage();
  readonly #counts: SimCounts;
  readonly #world: MemoryWorld;
  readonly #faults: SimFaults;
  readonly #net: SimNet;
  readonly #chaos: SimChaos;
  readonly #operator: SimOperator;
  readonly #surroundings: ObjectSurroundings;
  readonly #tenant: SimObject<TenantFace>;
  readonly #indexStorage = new SimStorage("shard", true);
  readonly #index: ShardIndex;
  readonly #registry: RegistryWatch;
  readonly #watches = new Map<SessionId, SessionWatch>();
  readonly #checks: WorldChecks;
  readonly #violations: string[] = [];
  readonly #newSession: (id: SessionId) => SessionWatch;
  #faulty = true;
  #maintenanceMs = 5 * minute;

  constructor(seed: number, options: SimOptions) {
    this.#seed = seed;
    this.#options = options;
    this.#random = new SeededRandom(seed);
    this.#plan = simPlan(seed, this.#random.stream("plan"));
    this.#time = new VirtualTime(this.#random.stream("order"));
    this.#clock = new VirtualClock(this.#time, beganAt);
    this.#trace = new Trace(options.traced, () => this.#time.elapsed);
    const worldClock = new VirtualClock(this.#time, beganAt);
    this.#world = new MemoryWorld({ clock: worldClock, startMs: this.#plan.startMs });
    this.#counts = new SimCounts(this.#coverage, this.#watches);
    this.#faults = new SimFaults({
      plan: this.#plan,
      random: this.#random.stream("faults"),
      coverage: this.#coverage,
      trace: this.#trace,
      phasesOf: (call) => this.#counts.phasesOfCall(call),
      onCall: (call) => this.#onCall(call),
    });
    const sandbox = memorySandbox(this.#world, { clock: worldClock, faults: this.#faults });
    this.#net = new SimNet(this.#time, this.#plan, this.#random.stream("net"), this.#coverage, this.#trace, (id) =>
      this.#counts.phasesOf(id),
    );
    const crashes = this.#random.stream("crashes");
    const slips = this.#random.stream("slips");
    this.#surroundings = {
      time: this.#time,
      clock: this.#clock,
      trace: this.#trace,
      points: { crashesAt: () => this.#faulty && crashes.chance(this.#plan.crashRate) },
      alarmSlip: () => (this.#faulty && slips.chance(0.2) ? slips.int(0, this.#plan.alarmSlipMs) : 0),
      onCrash: (name, what) => this.#counts.crashed(name, what),
      onLateAlarm: (name) => void this.#counts.happenedTo(name, "alarm_late"),
    };
    this.#chaos = new SimChaos({
      time: this.#time,
      clock: this.#clock,
      trace: this.#trace,
      random: this.#random.stream("chaos"),
      plan: this.#plan,
      world: this.#world,
      happened: (fault, to) => this.#counts.happened(fault, to),
      faulty: () => this.#faulty,
      objects: () => [this.#tenant, ...Array.from(this.#watches.values(), (watch) => watch.object)],
    });
    this.#operator = new SimOperator({
      random: this.#random.stream("operator"),
      net: this.#net,
      trace: this.#trace,
      coverage: this.#coverage,
      watches: () => Array.from(this.#watches.values()),
    });
    const terms = quotaTerms(this.#plan.policy, this.#plan.tenantCap);
    const { usedTables } = this.#plan;
    this.#tenant = simTenant({ ...this.#surroundings, usedTables }, terms, (id) => this.#poke(id, "maintenance"));
    this.#registry = new RegistryWatch(
      this.#tenant.storage,
      terms,
      () => this.#clock.now(),
      () => this.#operator.asserted,
    );
    this.#index = new ShardIndex(this.#indexStorage, this.#clock);
    this.#checks = new WorldChecks(this.#world, this.#watches, () => this.#chaos.jumps > 0);
    const storageFaults = this.#random.stream("storage");
    const ids = seededIds(this.#random.stream("ids"));
    const ports = { tenant: this.#tenantPort(), index: this.#indexPort() };
    this.#newSession = (id) => {
      const object = simSession(id, {
        ...this.#surroundings,
        policy: this.#plan.policy,
        usedTables: this.#plan.usedTables,
        ids,
        sandbox,
        ...ports,
      });
      const watch = new SessionWatch(
        id,
        object,
        this.#plan,
        () => this.#clock.now(),
        () => this.#chaos.jumps,
      );
      object.storage.fails = () => {
        if (!this.#faulty || !storageFaults.chance(this.#plan.storageFailRate)) return false;
        this.#coverage.count("storage_fails", this.#counts.phasesOf(id));
        return true;
      };
      return watch;
    };
  }

  result(): SimResult {
    return {
      seed: this.#seed,
      violations: this.#violations,
      steps: this.#time.steps,
      sessions: this.#watches.size,
      coverage: this.#coverage.counts,
      trace: this.#trace.lines,
    };
  }

  close(): void {
    for (const watch of this.#watches.values()) watch.object.storage.close();
    this.#tenant.storage.close();
    this.#indexStorage.close();
  }

  async run(): Promise<void> {
    this.#trace.note("plan", () => JSON.stringify({ ...this.#plan, policy: this.#plan.policy.leaseTtlMs }));
    try {
      await this.#withFaults();
      await this.#withoutFaults();
    } catch (error) {
      if (!(error instanceof Stopped))
        this.#violated(`the simulation itself failed: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }

  // --- the two halves ------------------------------------------------------------------------------------------------

  async #withFaults(): Promise<void> {
    const { sessions, operatorEveryMs, faultyMs } = this.#plan;
    for (let index = 0; index < sessions; index += 1) {
      const client = new SimClient(`client${index}`, {
        random: this.#random.stream(`client ${index}`),
        unitMs: this.#plan.unitMs,
        pace: this.#plan.clientPace,
        restless: this.#plan.restless,
        net: this.#net,
        trace: this.#trace,
        clock: new VirtualClock(this.#time, beganAt),
        object: (id) => this.#watch(id),
        over: () => !this.#faulty,
        violated: (what) => this.#violated(what),
      });
      void client.run();
    }
    this.#chaos.begin();
    if (operatorEveryMs !== null) this.#chaos.every(operatorEveryMs, () => void this.#operator.look());
    const poke = (id: SessionId) => this.#poke(id, "maintenance");
    simCron(this.#time, this.#clock, this.#plan, this.#index, poke, () => this.#maintenanceMs);
    await this.#pass(faultyMs);
  }

  async #withoutFaults(): Promise<void> {
    this.#trace.note("plan", () => "the faults are over");
    this.#faulty = false;
    this.#faults.end();
    this.#net.end();
    // Frozen sandboxes thaw and late calls arrive meanwhile; a clock that was set back must first catch up.
    const { unitMs, sickFor, deletedAtOnce, saveMs, policy } = this.#plan;
    const settled = (sickFor + settledAfter) * unitMs + this.#chaos.behind;
    if (!deletedAtOnce) {
      await this.#pass(settled);
      this.#report(unsettled(this.#watches, this.#clock.now() - 3 * unitMs - saveMs));
    }
    await this.#deleteAll();
    // A create that was still on its way arrives within these; to be asked twice changes nothing for the others (DEL-1).
    await this.#pass(6 * unitMs);
    await this.#deleteAll();
    await this.#pass(settled);
    // Past the slowest probe of a parked lease.
    const { parkedProbeSlowMs } = policy;
    if (this.#world.processes().length > 0 || this.#registry.ledger().used > 0) await this.#pass(2 * parkedProbeSlowMs);
    this.#report(notGone(this.#watches, this.#world, this.#registry));
    // Days in which nothing should happen: they need not be looked at every five minutes.
    this.#maintenanceMs = 12 * hour;
    await this.#pass(policy.retentionMs + hour);
    this.#report(notErased(this.#watches, this.#world));
  }

  async #deleteAll(): Promise<void> {
    for (const [id, watch] of this.#watches) {
      const caller = { tenant, requestId: "end", scopes: [] };
      void watch.object
        .call((api) => api.delete(caller, "requested"))
        .then(
          (reply) =>
            this.#trace.note("client", () => `delete of ${id.slice(0, 6)}: ${reply.ok ? "ok" : reply.problem.code}`),
          (error: unknown) => this.#violated(`DEL-1: a delete failed with the faults over: ${String(error)}`),
        );
    }
    await this.#time.settle();
  }

  /** Lets virtual time pass, looking at everything after every step. */
  async #pass(ms: number): Promise<void> {
    const until = this.#time.elapsed + ms;
    this.#check();
    for (let next = this.#time.nextAt(); next !== null && next <= until; next = this.#time.nextAt()) {
      await this.#time.step();
      this.#check();
      if (this.#time.steps > mostSteps) this.#report([`still busy after ${mostSteps} steps`]);
    }
    await this.#time.run(until - this.#time.elapsed);
    this.#check();
  }

  #check(): void {
    this.#options.sabotage?.(this.#world);
    const found: string[] = [...this.#registry.check()];
    let writes = this.#tenant.storage.writes;
    for (const [id, watch] of this.#watches) {
      for (const what of watch.check()) found.push(`${id}: ${what}`);
      writes += watch.object.storage.writes;
    }
    found.push(...this.#checks.check(this.#registry.reservations, writes));
    this.#report(found);
  }

  #report(found: readonly string[]): void {
    for (const what of found) this.#violated(what);
    // A broken invariant makes everything after it meaningless.
    if (this.#violations.length > 0) throw new Stopped();
  }

  #violated(what: string): void {
    if (this.#options.ignore?.test(what) === true) return;
    this.#trace.note("VIOLATION", () => what);
    if (this.#violations.length < 20) this.#violations.push(what);
  }

  // --- the surroundings of the objects ----------------------------------------------------------------------------------

  #watch(id: SessionId): SessionWatch {
    const known = this.#watches.get(id);
    if (known !== undefined) return known;
    const watch = this.#newSession(id);
    this.#watches.set(id, watch);
    return watch;
  }

  #poke(id: SessionId, actor: "maintenance" | "operator") {
    return this.#net.call("poke", id, () => this.#watch(id).object.call((api) => api.poke(actor)));
  }

  #tenantPort(): TenantPort {
    const call = <T>(what: string, id: SessionId, method: (face: TenantFace) => Promise<T>): Promise<T> =>
      this.#net.call(`tenant ${what}`, id, () => this.#tenant.call(method));
    return {
      reserve: (order) => call("reserve", order.sessionId, (face) => face.reserve(order)),
      cancelReservation: (session, generation) =>
        call("cancel", session, (face) => face.cancelReservation(session, generation)),
      report: (report) => call("report", report.sessionId, (face) => face.report(report)),
    };
  }

  #indexPort(): IndexPort {
    return {
      report: (report) =>
        this.#net.call("index report", report.sessionId, () => Promise.resolve(this.#index.report(report))),
      markBlocked: (mark) =>
        this.#net.call("index mark", mark.sessionId, () => Promise.resolve(this.#index.markBlocked(mark))),
    };
  }

  #onCall(call: Call): void {
    if (call.sessionId === null || call.generation === null) return;
    const watch = this.#watches.get(call.sessionId);
    if (watch === undefined) return;
    const violation = callViolation(
      call,
      watch.stored.lease(call.generation)?.lease ?? null,
      watch.object,
      this.#clock.now(),
    );
    if (violation !== null) this.#violated(`${call.sessionId}: ${violation}`);
  }
}

function seededIds(random: SeededRandom): Ids {
  return {
    id: () => random.text(20, "abcdefghijklmnopqrstuvwxyz0123456789"),
    secret: () => random.text(64, "0123456789abcdef"),
    random: () => random.next(),
  };
}
