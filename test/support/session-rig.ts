/**
 * One session's real shell in Node: the same commands, engine, store and machine as in the Durable Object, over node:sqlite,
 * virtual time, the memory provider and a real tenant registry. Reincarnating it is what an eviction is.
 */
import { instantTrafficKeys } from "./instant-traffic-keys.ts";
import type { SessionId, TenantId } from "../../src/domain/state/ids.ts";
import { defaultPolicy, type Policy } from "../../src/domain/rules/policy.ts";
import type { JobView } from "../../src/protocol/resources/session/jobs.ts";
import type { CreateSession, SessionView } from "../../src/protocol/resources/session/sessions.ts";
import type { Call, Fault, Op } from "../memory/fault-plan.ts";
import { ArmedAlarm } from "../../src/session/armed-alarm.ts";
import type { Caller } from "../../src/session/session-api.ts";
import { SessionCommands } from "../../src/session/commands/commands.ts";
import type { BlockedMark, IndexPort, SessionReport, TenantPort } from "../../src/session/reports/reports.ts";
import { Trace } from "../../src/session/trace.ts";
import { defaultPauseTerms, type PauseTerms } from "../../src/tenant/quota/pauses.ts";
import { quotaTerms } from "../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import { Incarnation } from "./incarnation.ts";
import { instantSeals } from "./instant-seals.ts";
import { MemoryRig } from "./memory-rig.ts";
import { nodeSql } from "./node-sql.ts";
import { SeededRandom } from "./seeded-random.ts";
import { snapshotPort } from "./snapshot-port.ts";

export const tenant = "acme" as TenantId;
export const caller: Caller = { tenant, requestId: "test", scopes: [] };

const stallMs = 3_600_000;

export class SessionRig {
  readonly id = "aaaaaaaaaaaaaaaaaaaa" as SessionId;
  readonly rig = new MemoryRig();
  readonly policy: Policy;
  readonly sql = nodeSql();
  readonly random = new SeededRandom(7);
  registry: TenantCore;
  readonly indexed: SessionReport[] = [];
  readonly marked: BlockedMark[] = [];
  readonly logged: string[] = [];
  /** While true, every write of the session fails, as on a full or broken disk. */
  storageFails = false;
  /** While true, what a transaction wrote is rolled back, the alarm with it. */
  commitFails = false;
  /** While true, the index is not reached. */
  indexFails = false;
  /** While true, the session's timers are set as the platform sets them while its clock is put back: an hour late. */
  timersStall = false;
  /** Asked before each call to the tenant's registry, which is called when it resolves. */
  registryFate: (call: keyof TenantPort) => Promise<void> = () => Promise.resolve();
  /** What the platform would wake it at. */
  alarm: number | null = null;
  #armed: ArmedAlarm | null = null;
  commands: SessionCommands;
  /** The keys of the next life. */
  seals = instantSeals();
  /** While true, the deployment has no adapter of that name. */
  adapterMissing = false;
  readonly #asked: Call[] = [];
  #life: Incarnation | null = null;
  #minted = 0;
  readonly spans: { readonly name: string; readonly facts: Record<string, unknown> }[] = [];
  readonly #limit: number;
  readonly #pauses: PauseTerms;
  readonly #monthlyNanos: number | null;

  constructor(
    policy: Partial<Policy> = {},
    limit = 10,
    pauses = defaultPauseTerms,
    monthlyNanos: number | null = null,
  ) {
    this.#pauses = pauses;
    this.#monthlyNanos = monthlyNanos;
    this.policy = { ...defaultPolicy, ...policy };
    this.#limit = limit;
    this.registry = this.#emptyRegistry();
    this.fault = null;
    this.commands = this.reincarnate();
  }

  #emptyRegistry(): TenantCore {
    const terms = quotaTerms(this.policy, this.#limit, undefined, this.#pauses, this.#monthlyNanos);
    return new TenantCore(nodeSql(), this.rig.clock, terms);
  }

  /** The tenant's registry loses every row, as after a restore from an old backup. */
  forgetRegistry(): void {
    this.registry = this.#emptyRegistry();
  }

  /** A new life over the same rows. The old one goes dark wherever it was: it writes, calls and hears nothing any more. */
  reincarnate(): SessionCommands {
    this.#life?.crash("reset");
    const life = new Incarnation({ crashesAt: () => false }, () => {});
    this.#life = life;
    const sandbox = life.port("sandbox", this.rig.sandbox);
    const log = (message: string, fields?: unknown) =>
      void this.logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
    const snapshots = snapshotPort(() => this.registry);
    const tenantPort: TenantPort = {
      reserve: (order) => this.registryFate("reserve").then(() => this.registry.quota.reserve(order)),
      cancelReservation: (session, generation) =>
        this.registryFate("cancelReservation").then(() => this.registry.quota.cancel(session, generation)),
      admitPause: (order) => this.registryFate("admitPause").then(() => this.registry.quota.admitPause(order)),
      reserveSnapshot: (order) => this.registryFate("reserveSnapshot").then(() => snapshots.reserveSnapshot(order)),
      settleSnapshot: (session, taken) =>
        this.registryFate("settleSnapshot").then(() => snapshots.settleSnapshot(session, taken)),
      snapshot: (reference) => this.registryFate("snapshot").then(() => snapshots.snapshot(reference)),
      report: (report) => this.registryFate("report").then(() => this.registry.report(report)),
    };
    const index: IndexPort = {
      report: (report) => {
        if (this.indexFails) return Promise.reject(new Error("the network is down"));
        this.indexed.push(report);
        return Promise.resolve({ version: report.version });
      },
      markBlocked: (mark) => {
        this.marked.push(mark);
        return Promise.resolve();
      },
    };
    const armed = (this.#armed = new ArmedAlarm(
      {
        get: () => Promise.resolve(this.alarm),
        set: (at) => {
          if (life.alive) this.alarm = at;
        },
        clear: () => {
          if (life.alive) this.alarm = null;
        },
      },
      this.rig.clock,
    ));
    this.commands = new SessionCommands({
      sql: life.sql({
        run: (statement, ...bindings) => {
          if (this.storageFails && !statement.startsWith("SELECT")) throw new Error("disk I/O error");
          return this.sql.run(statement, ...bindings);
        },
        transaction: (body) => {
          if (this.storageFails) throw new Error("disk I/O error");
          const armed = this.alarm;
          try {
            return this.sql.transaction(() => {
              const result = body();
              if (this.commitFails) throw new Error("disk I/O error");
              return result;
            });
          } catch (error) {
            // The platform's alarm is part of the transaction that it was set in.
            if (life.alive) this.alarm = armed;
            throw error;
          }
        },
      }),
      seals: this.seals,
      trace: new Trace(
        { secret: () => "0".repeat(64) },
        {
          in: (name, body) => {
            const span = { name, facts: {} };
            this.spans.push(span);
            return body((facts) => Object.assign(span.facts, facts));
          },
        },
      ),
      clock: life.clock({
        now: () => this.rig.clock.now(),
        sleep: (ms, signal) => this.rig.clock.sleep(this.timersStall ? ms + stallMs : ms, signal),
      }),
      ids: {
        id: () => `id${String((this.#minted += 1)).padStart(18, "0")}`,
        secret: () => String((this.#minted += 1)).padStart(64, "0"),
        random: () => this.random.next(),
      },
      logger: { info: log, warn: log, error: log },
      policy: this.policy,
      providers: { get: (name) => (name === "memory" && !this.adapterMissing ? sandbox : null) },
      defaultProvider: "memory",
      gitSchemes: ["https", "ssh"],
      trafficKeys: instantTrafficKeys,
      defaultNetwork: { mode: "open" },
      tenant: () => life.port("tenant", tenantPort),
      index: () => life.port("index", index),
      alarm: armed,
      eraseStorage: () => {
        for (const row of this.sql.run("SELECT name FROM sqlite_master WHERE type = 'table'")) {
          this.sql.run(`DROP TABLE ${String(row["name"])}`);
        }
        this.alarm = null;
        return Promise.resolve();
      },
    });
    return this.commands;
  }

  /** Lets `ms` pass, firing the alarm whenever it is due, as the platform would. */
  async pass(ms: number): Promise<void> {
    const { clock, time } = this.rig;
    const until = clock.now() + ms;
    for (;;) {
      await time.settle();
      const now = clock.now();
      if (this.alarm !== null && this.alarm <= now) {
        this.alarm = null;
        this.#armed?.fired();
        void this.commands.engine.wake("alarm");
        continue;
      }
      if (now >= until) return;
      // One instant at a time: what happens at the next one may bring the alarm forward.
      const timerAt = now + (time.nextAt() ?? Infinity) - time.elapsed;
      await time.run(Math.min(until, this.alarm ?? until, timerAt) - now);
    }
  }

  /** Created and, unless a fault keeps it, running. */
  async running(body: CreateSession = {}): Promise<SessionView> {
    const created = await this.during(3_000, this.commands.create(this.id, caller, body, null, 0));
    if (!created.ok) throw new Error(created.problem.detail);
    return this.view();
  }

  /** As a client reads it. */
  async view(): Promise<SessionView> {
    const read = await this.commands.get(caller);
    if (!read.ok) throw new Error(read.problem.detail);
    return read.value.body;
  }

  /** A job as a client reads it; asking brings the newest from the wrapper. */
  async job(id: string): Promise<JobView> {
    const read = await this.during(0, this.commands.job(caller, id, 0));
    if (!read.ok) throw new Error(read.problem.detail);
    return read.value;
  }

  /** How often the provider was asked to do that. */
  calls(op: Op): number {
    return this.asked.filter((call) => call.op === op).length;
  }

  /** Every call that arrived at the provider, oldest first. The rig's own faults still apply. */
  get asked(): readonly Call[] {
    return this.#asked;
  }

  /** The faults from here on; null: none. */
  set fault(decide: ((call: Call) => Fault) | null) {
    this.rig.fault = (call) => {
      this.#asked.push(call);
      return decide?.(call) ?? { type: "none" };
    };
  }

  /** The answer of a call that needs time to pass. */
  async during<T>(ms: number, call: Promise<T>): Promise<T> {
    await this.pass(ms);
    return call;
  }
}
