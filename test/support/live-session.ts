/**
 * One session's real shell on real time over the local host: real processes on one side, rows that a test may read and
 * rewrite on the other. `restart` is what a deploy does to the object: everything in memory is gone, the rows stay.
 */
import { webTrafficKeys } from "../../src/protocol/sandbox/traffic.ts";
import type { SessionId } from "../../src/domain/state/ids.ts";
import { defaultPolicy, type Policy } from "../../src/domain/rules/policy.ts";
import type { CreateSession, SessionView } from "../../src/protocol/resources/session/sessions.ts";
import type { AgentSandbox } from "../../src/sandbox/agent-sandbox.ts";
import type { ProviderName } from "../../src/domain/state/provider-names.ts";
import { localSandbox } from "../../src/sandbox/local/local-sandbox.ts";
import { ArmedAlarm } from "../../src/session/armed-alarm.ts";
import { SessionCommands } from "../../src/session/commands/commands.ts";
import { Trace } from "../../src/session/trace.ts";
import { quotaTerms } from "../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import { Incarnation } from "./incarnation.ts";
import { instantSeals } from "./instant-seals.ts";
import { nodeSql } from "./node-sql.ts";
import type { RunningHost } from "./running-host.ts";
import { caller } from "./session-rig.ts";
import { systemClock, systemIds, testControlPlane } from "./system-runtime.ts";
import { snapshotPort } from "./snapshot-port.ts";

const shortened: Partial<Policy> = {
  upgradeSpreadMs: 0,
  renewMs: 500,
  renewRetryMs: 500,
  // Nothing here may run out on a machine that stands still for a while: a test that waits for the end of one of these says so itself.
  leaseTtlMs: 300_000,
  observeMs: 20_000,
  jobGraceMs: 500,
  stopGraceMs: 2_000,
  alarmSlipMs: 0,
  drainMs: 60_000,
};

/** Providers beside the local host, and the one that a new session gets. */
export interface OtherProviders {
  readonly others: Readonly<Record<string, AgentSandbox>>;
  readonly first: ProviderName;
}

export class LiveSession {
  readonly id: SessionId;
  readonly sql = nodeSql();
  readonly #host: RunningHost;
  readonly #policy: Policy;
  readonly #registry: TenantCore;
  readonly #others: OtherProviders["others"];
  #first: ProviderName;
  #life: Incarnation | null = null;
  #timer: NodeJS.Timeout | undefined;
  commands: SessionCommands;

  constructor(
    host: RunningHost,
    policy: Partial<Policy> = {},
    providers: OtherProviders = { others: {}, first: "local" },
  ) {
    this.#host = host;
    this.#others = providers.others;
    this.#first = providers.first;
    this.id = host.session() as SessionId;
    this.#policy = { ...defaultPolicy, ...shortened, ...policy };
    this.#registry = new TenantCore(nodeSql(), systemClock, quotaTerms(this.#policy, 10));
    this.commands = this.restart();
  }

  /** `first`: new sessions begin with that provider from now on. */
  restart(first: ProviderName = this.#first): SessionCommands {
    this.#first = first;
    this.#life?.crash("reset");
    clearTimeout(this.#timer);
    const life = new Incarnation({ crashesAt: () => false }, () => {});
    this.#life = life;
    const { url, token } = this.#host;
    const local = localSandbox({
      url,
      token,
      clock: systemClock,
      ids: systemIds,
      controlPlane: testControlPlane,
      fetch: (...call) => fetch(...call),
    });
    const sandbox = life.port("sandbox", local);
    const registry = this.#registry;
    const fire = (): void => {
      alarm.fired();
      void this.commands.engine.wake("alarm");
    };
    const alarm = new ArmedAlarm(
      {
        get: () => Promise.resolve(null),
        set: (at) => {
          if (!life.alive) return;
          clearTimeout(this.#timer);
          this.#timer = setTimeout(fire, Math.max(0, at - Date.now()));
        },
        clear: () => {
          if (life.alive) clearTimeout(this.#timer);
        },
      },
      systemClock,
    );
    this.commands = new SessionCommands({
      sql: life.sql(this.sql),
      seals: instantSeals(),
      clock: life.clock(systemClock),
      ids: systemIds,
      logger: { info: () => {}, warn: () => {}, error: () => {} },
      policy: this.#policy,
      providers: { get: (name) => (name === "local" ? sandbox : (this.#others[name] ?? null)) },
      defaultProvider: first,
      gitSchemes: ["https", "http", "file"],
      trafficKeys: webTrafficKeys,
      defaultNetwork: { mode: "open" },
      trace: new Trace(systemIds),
      tenant: () =>
        life.port("tenant", {
          reserve: async (order) => registry.quota.reserve(order),
          cancelReservation: async (session, generation) => registry.quota.cancel(session, generation),
          admitPause: async (order) => registry.quota.admitPause(order),
          ...snapshotPort(() => registry),
          report: async (report) => registry.report(report),
        }),
      index: () => ({
        report: (report) => Promise.resolve({ version: report.version }),
        markBlocked: () => Promise.resolve(),
      }),
      alarm,
      eraseStorage: () => Promise.resolve(),
    });
    void this.commands.engine.wake("alarm");
    return this.commands;
  }

  async create(body: CreateSession): Promise<void> {
    const created = await this.commands.create(this.id, caller, body, null, 0);
    if (!created.ok) throw new Error(created.problem.detail);
  }

  async view(): Promise<SessionView> {
    const read = await this.commands.get(caller);
    if (!read.ok) throw new Error(read.problem.detail);
    return read.value.body;
  }

  async run(id: string, command: string): Promise<void> {
    const made = await this.commands.createJob(caller, { id, command });
    if (!made.ok) throw new Error(made.problem.detail);
  }

  async job(id: string) {
    const read = await this.commands.job(caller, id, 0);
    if (!read.ok) throw new Error(read.problem.detail);
    return read.value;
  }

  async events(): Promise<readonly string[]> {
    const read = await this.commands.events(caller, 0, 1_000, 0);
    if (!read.ok) throw new Error(read.problem.detail);
    return read.value.map(({ type }) => type);
  }

  close(): void {
    this.#life?.crash("reset");
    clearTimeout(this.#timer);
  }
}
