/**
 * One seed, one schedule: real sessions, a real registry, a real index and a real keeper of the cap over a world of the memory provider,
 * with everything that the plan lets go wrong. After every step the oracle looks; at the end, with the faults over,
 * everything must settle, everything deleted must be gone with a receipt, and after the retention nothing may be left at all.
 */
import type { AgentSandbox } from "../../src/sandbox/agent-sandbox.ts";
import { instantTrafficKeys } from "../support/instant-traffic-keys.ts";
import type { SessionId } from "../../src/domain/state/ids.ts";
import { memorySandbox } from "../memory/memory-sandbox.ts";
import { MemoryWorld } from "../memory/memory-world.ts";
import { withLightAborts } from "../support/light-abort.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock, VirtualTime } from "../support/virtual-time.ts";
import { snapshotFaults, tenantSnapshots } from "./checks/snapshot-checks.ts";
import { notErased, notGone, notWatched, unsettled, untrue } from "./checks/end-checks.ts";
import type { SessionWatch } from "./checks/session-watch.ts";
import { type Leaks, LeakWatch } from "./checks/leak-watch.ts";
import { WorldChecks } from "./checks/world-checks.ts";
import { Coverage, type CallCounts, type CoverageCounts } from "./coverage.ts";
import { SimFleet } from "./objects/sim-fleet.ts";
import { LedgerWatch } from "./oracle/ledger.ts";
import { SimAudit } from "./play/sim-audit.ts";
import { simCron, SimChaos } from "./play/sim-chaos.ts";
import { SimTraffic } from "./play/sim-traffic.ts";
import { SimClient, tenant } from "./play/sim-client.ts";
import { SimCounts } from "./play/sim-counts.ts";
import { SimFaults } from "./play/sim-faults.ts";
import { SimNet } from "./play/sim-net.ts";
import { SimOperator } from "./play/sim-operator.ts";
import { simPlan, type SimPlan } from "./play/sim-plan.ts";
import { StorageFaults } from "./play/storage-faults.ts";
import { Trace } from "./play/trace.ts";
import { SimObjects } from "./sim-objects.ts";
import { watchedSandbox } from "./checks/watched-sandbox.ts";
import { ClockJumps } from "./oracle/disturbances.ts";
import { Evidence } from "./oracle/evidence.ts";

export interface SimResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly steps: number;
  readonly sessions: number;
  readonly coverage: CoverageCounts;
  readonly calls: CallCounts;
  readonly leaks: Leaks;
  readonly trace: readonly string[];
}

const minute = 60_000;
const hour = 60 * minute;
const beganAt = Date.UTC(2026, 0, 1);
/** How long after the last fault everybody must be where they want to be, in units and beyond the longest sickness: one provision, and some probes. */
const settledAfter = 14;
/**
 * A runaway schedule is a failure, not a hang: in steps, and in this thread's own CPU time where each step goes on for long. Not by the
 * clock on the wall: on a busy machine a schedule that is well takes minutes.
 */
const mostAllowed = { steps: 400_000, cpuMs: 60_000 };

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

export interface SimOptions {
  /** Keep a readable trace. */
  readonly traced: boolean;
  /** Violations that are known and left out, so that the schedule goes on and others can be found. */
  readonly ignore?: RegExp;
  /** Called after each step, before it is checked: with it a test breaks something, to see that it is noticed. */
  readonly sabotage?: (world: MemoryWorld) => void;
  /** Instead of the bounds of every schedule. */
  readonly bounds?: { readonly steps: number; readonly cpuMs: number };
}

export async function simulate(seed: number, options: SimOptions): Promise<SimResult> {
  return withLightAborts(async () => {
    const simulation = new Simulation(seed, options);
    try {
      await simulation.run();
    } finally {
      simulation.close();
    }
    return simulation.result();
  });
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
  readonly #jumps = new ClockJumps();
  readonly #watches = new Map<SessionId, SessionWatch>();
  readonly #world: MemoryWorld;
  readonly #sandbox: AgentSandbox;
  readonly #faults: SimFaults;
  readonly #net: SimNet;
  readonly #chaos: SimChaos;
  readonly #operator: SimOperator;
  readonly #audit: SimAudit;
  readonly #storages: StorageFaults;
  readonly #fleet: SimFleet;
  readonly #objects: SimObjects;
  readonly #ledger: LedgerWatch;
  readonly #checks: WorldChecks;
  readonly #leaks: LeakWatch;
  readonly #violations: string[] = [];
  readonly #cpuBefore = cpuMs();
  #faulty = true;
  #maintenanceMs = 5 * minute;

  constructor(seed: number, options: SimOptions) {
    this.#seed = seed;
    this.#options = options;
    this.#random = new SeededRandom(seed);
    this.#plan = simPlan(seed, this.#random.stream("plan"));
    const plan = this.#plan;
    this.#time = new VirtualTime(this.#random.stream("order"));
    this.#clock = new VirtualClock(this.#time, beganAt);
    this.#trace = new Trace(options.traced, () => this.#time.elapsed);
    const worldClock = new VirtualClock(this.#time, beganAt);
    // Long outputs lose their middle: little more is kept than the end that a session stores.
    this.#world = new MemoryWorld({ clock: worldClock, startMs: plan.startMs, keepOutputBytes: 100_000 });
    this.#world.restores.ms = plan.restoreMs;
    this.#world.repositories.set("https://example.org/repo.git", new Map([["", new Map([["readme", "hello"]])]]));
    const counts = new SimCounts(this.#coverage, this.#watches);
    const evidence = new Evidence();
    this.#objects = new SimObjects({
      ...{ plan, time: this.#time, clock: this.#clock, trace: this.#trace, random: this.#random, counts, evidence },
      ...{ jumps: this.#jumps, watches: this.#watches, faulty: () => this.#faulty },
      violated: (what) => this.#violated(what),
    });
    this.#faults = new SimFaults({
      ...{ plan, random: this.#random.stream("faults"), coverage: this.#coverage, trace: this.#trace },
      phasesOf: (call) => counts.phasesOfCall(call),
      onCall: (call) => this.#objects.onCall(call),
    });
    const simulated = { clock: worldClock, faults: this.#faults, keys: instantTrafficKeys };
    const memory = memorySandbox(this.#world, simulated);
    const sandbox = watchedSandbox(memory, evidence, (what) => this.#violated(what));
    this.#sandbox = sandbox;
    this.#net = new SimNet(
      ...([this.#time, plan, this.#random.stream("net"), this.#coverage, this.#trace] as const),
      (id) => counts.phasesOf(id),
      (id) => this.#objects.unheard(id),
    );
    this.#fleet = new SimFleet(this.#clock, plan.globalCap);
    this.#objects.begin(sandbox, this.#net, this.#fleet);
    this.#storages = new StorageFaults({
      ...{ plan, random: this.#random.stream("storage"), time: this.#time, faulty: () => this.#faulty },
    });
    this.#objects.withStorages(this.#storages);
    this.#chaos = new SimChaos({
      ...{ time: this.#time, clock: this.#clock, trace: this.#trace, random: this.#random.stream("chaos"), plan },
      ...{ world: this.#world, jumps: this.#jumps, keys: this.#objects.keys, faulty: () => this.#faulty },
      happened: (fault, to) => counts.happened(fault, to),
      happenedTo: (fault, watch) => void counts.happenedTo(watch.object.name, fault),
      watches: () => Array.from(this.#watches.values()),
      tenant: this.#objects.tenant,
    });
    this.#operator = new SimOperator({
      ...{ random: this.#random.stream("operator"), net: this.#net, trace: this.#trace, coverage: this.#coverage },
      watches: () => Array.from(this.#watches.values()),
    });
    this.#audit = new SimAudit({
      ...{ plan, clock: this.#clock, ids: this.#objects.ids, net: this.#net, trace: this.#trace, fleet: this.#fleet },
      ...{ sandbox, tenant: (method) => this.#objects.tenant.call(method) },
      session: (id) => this.#watches.get(id as SessionId),
    });
    this.#ledger = new LedgerWatch(this.#objects.tenant.storage, Math.min(plan.tenantCap, plan.globalCap), () =>
      this.#beyondCap(),
    );
    this.#checks = new WorldChecks(this.#world, this.#watches, {
      ...{ evidence, timers: plan.policy, jumps: this.#jumps },
      elapsed: () => this.#time.elapsed,
    });
    this.#leaks = new LeakWatch(this.#world, {
      ...{ timers: plan.policy, intents: this.#watches },
      worldNow: () => beganAt + this.#time.elapsed,
      now: () => this.#clock.now(),
    });
  }

  result(): SimResult {
    return {
      seed: this.#seed,
      violations: this.#violations,
      steps: this.#time.steps,
      sessions: this.#watches.size,
      coverage: this.#coverage.counts,
      calls: this.#coverage.calls,
      leaks: this.#leaks.leaks,
      trace: this.#trace.lines,
    };
  }

  close(): void {
    for (const watch of this.#watches.values()) watch.object.storage.close();
    this.#objects.tenant.storage.close();
    this.#fleet.close();
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
    const { plan } = this;
    for (let index = 0; index < plan.sessions; index += 1) {
      const client = new SimClient(`client${index}`, {
        ...{ random: this.#random.stream(`client ${index}`), net: this.#net, trace: this.#trace },
        ...{ unitMs: plan.unitMs, pace: plan.clientPace, restless: plan.restless, asks: plan.asks, again: plan.again },
        clock: new VirtualClock(this.#time, beganAt),
        object: (id) => this.#objects.watch(id),
        over: () => !this.#faulty,
        violated: (what) => this.#violated(what),
        onDelete: (id) => this.#objects.deletes.add(id),
        registry: (call) => this.#objects.tenant.call(call),
        traffic: new SimTraffic({
          ...{ random: this.#random.stream(`traffic ${index}`), net: this.#net, trace: this.#trace },
          ...{ clock: this.#clock, sandbox: this.#sandbox, object: (id) => this.#objects.watch(id) },
          violated: (what) => this.#violated(what),
        }),
      });
      void client.run();
    }
    this.#chaos.begin();
    const { operatorEveryMs, auditEveryMs, storageBurstEveryMs } = plan;
    if (operatorEveryMs !== null) this.#chaos.every(operatorEveryMs, () => void this.#operator.look());
    if (auditEveryMs !== null) this.#chaos.every(auditEveryMs, () => void this.#audit.run());
    if (storageBurstEveryMs !== null) this.#chaos.every(storageBurstEveryMs, () => this.#storages.burst());
    const poke = (id: SessionId) => this.#objects.poke(id);
    simCron(this.#time, this.#clock, plan, this.#fleet.index, poke, () => this.#maintenanceMs);
    await this.#pass(plan.faultyMs);
  }

  async #withoutFaults(): Promise<void> {
    this.#trace.note("plan", () => "the faults are over");
    this.#faulty = false;
    this.#faults.end();
    this.#net.end();
    const { unitMs, sickFor, deletedAtOnce, saveMs, policy, neverEnds } = this.plan;
    // Rows are mended, clocks go on, keys come back within these.
    await this.#pass(9 * unitMs);
    // Frozen sandboxes thaw and late calls arrive meanwhile; a clock that was set back must first catch up.
    const settled = (sickFor + settledAfter) * unitMs + this.#chaos.behind;
    // Reports that nobody hears are sent again every few seconds: that need not be watched for long.
    const unheard = neverEnds === "index" || neverEnds === "registry";
    if (!deletedAtOnce && !unheard) {
      await this.#pass(settled);
      this.#report(unsettled(this.#watches, this.#clock.now() - 3 * unitMs - saveMs, (id) => this.#isDoomed(id)));
      this.#report(untrue(this.#watches, this.#ledger, this.#fleet.indexStorage));
      this.#report(snapshotFaults(this.#watches, this.#world, this.#objects.tenant.storage));
    }
    await this.#deleteAll();
    // A create that was still on its way arrives within these; to be asked twice changes nothing for the others (DEL-1).
    await this.#pass(6 * unitMs);
    await this.#deleteAll();
    if (!unheard) await this.#pass(settled);
    const { parkedProbeSlowMs, retentionMs, deleteBackoffCapMs, stopBackoffJitter } = policy;
    if (neverEnds !== null) {
      await this.#pass(retentionMs);
      // What is ended is looked at when its rows may go: by as much later as the clock is behind.
      const waits = [parkedProbeSlowMs, policy.assertedProbeMs, deleteBackoffCapMs * (1 + stopBackoffJitter)];
      const slow = Math.max(...waits) + policy.alarmSlipMs + this.#chaos.behind;
      this.#report(notWatched(this.#watches, this.#ledger, (id) => this.#isDoomed(id), this.#clock.now(), slow));
      this.#trace.note("plan", () => "what never ends has ended");
      this.#faults.heal();
      this.#net.heal();
      await this.#pass(2 * parkedProbeSlowMs + settled);
    }
    // Past the slowest probe of a parked lease.
    if (this.#world.processes().length > 0 || this.#ledger.used > 0) await this.#pass(2 * parkedProbeSlowMs);
    this.#report(notGone(this.#watches, this.#world, this.#ledger, () => false));
    this.#report(untrue(this.#watches, this.#ledger, this.#fleet.indexStorage));
    // Days in which nothing should happen: they need not be looked at every five minutes.
    this.#maintenanceMs = 12 * hour;
    await this.#pass(retentionMs + hour);
    this.#report(notErased(this.#watches, this.#world, this.#fleet.indexStorage));
  }

  get plan(): SimPlan {
    return this.#plan;
  }

  /** It cannot come to its end as long as what never ends goes on. */
  #isDoomed(id: SessionId): boolean {
    const { neverEnds } = this.plan;
    if (neverEnds === null) return false;
    return neverEnds === "sandbox" ? this.#faults.dooms(id) : true;
  }

  /** What was asserted gone, and what came without asking, is counted past the cap. */
  #beyondCap(): number {
    return this.#operator.asserted + this.#objects.unasked;
  }

  async #deleteAll(): Promise<void> {
    for (const [id, watch] of this.#watches) {
      this.#objects.deletes.add(id);
      const caller = { tenant, requestId: "end", scopes: [] };
      void watch.object
        .call((api) => api.delete(caller, "requested"))
        .then(
          (reply) =>
            this.#trace.note("client", () => `delete of ${id.slice(0, 6)}: ${reply.ok ? "ok" : reply.problem.code}`),
          (error: unknown) => this.#violated(`DEL-1: a delete failed with the faults over: ${String(error)}`),
        );
    }
    for (const { id } of tenantSnapshots(this.#objects.tenant.storage))
      void this.#objects.tenant
        .call((face) => face.deleteSnapshot(id, 0))
        .catch((error: unknown) =>
          this.#violated(`TRA-15: a snapshot could not be deleted with the faults over: ${String(error)}`),
        );
    await this.#time.settle();
  }

  /** Lets virtual time pass, looking at everything after every step. */
  async #pass(ms: number): Promise<void> {
    const until = this.#time.elapsed + ms;
    const most = this.#options.bounds ?? mostAllowed;
    this.#check();
    for (let next = this.#time.nextAt(); next !== null && next <= until; next = this.#time.nextAt()) {
      await this.#time.step();
      this.#check();
      if (this.#time.steps > most.steps) this.#report([`SIM-9: still busy after ${most.steps} steps`]);
      if (this.#time.steps % 256 === 0 && cpuMs() - this.#cpuBefore > most.cpuMs)
        this.#report([`SIM-9: still busy after ${most.cpuMs} ms of its own time`]);
    }
    await this.#time.run(until - this.#time.elapsed);
    this.#check();
  }

  #check(): void {
    this.#options.sabotage?.(this.#world);
    const found: string[] = [...this.#ledger.check()];
    let writes = this.#objects.tenant.storage.writes;
    for (const [id, watch] of this.#watches) {
      for (const what of watch.check()) found.push(`${id}: ${what}`);
      writes += watch.object.storage.writes;
    }
    found.push(...this.#checks.check(this.#ledger.reservations, writes));
    this.#leaks.look(writes);
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
}
