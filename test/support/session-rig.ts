/**
 * One session's real shell in Node: the same commands, engine, store and machine as in the Durable Object, over node:sqlite,
 * virtual time, the memory provider and a real tenant registry. Reincarnating it is what an eviction is.
 */
import type { SessionId, TenantId } from "../../src/domain/ids.ts";
import { defaultPolicy, type Policy } from "../../src/domain/policy.ts";
import type { Caller } from "../../src/session/session-api.ts";
import { SessionCommands } from "../../src/session/commands.ts";
import type { IndexPort, SessionReport, TenantPort } from "../../src/session/reports.ts";
import { quotaTerms } from "../../src/tenant/quota.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import { MemoryRig } from "./memory-rig.ts";
import { nodeSql } from "./node-sql.ts";
import { SeededRandom } from "./seeded-random.ts";

export const tenant = "acme" as TenantId;
export const caller: Caller = { tenant, requestId: "test", scopes: [] };

export class SessionRig {
  readonly id = "aaaaaaaaaaaaaaaaaaaa" as SessionId;
  readonly rig = new MemoryRig();
  readonly policy: Policy;
  readonly sql = nodeSql();
  readonly random = new SeededRandom(7);
  readonly registry: TenantCore;
  readonly indexed: SessionReport[] = [];
  readonly logged: string[] = [];
  /** What the platform would wake it at. */
  alarm: number | null = null;
  commands: SessionCommands;
  #minted = 0;

  constructor(policy: Partial<Policy> = {}, limit = 10) {
    this.policy = { ...defaultPolicy, ...policy };
    this.registry = new TenantCore(nodeSql(), this.rig.clock, quotaTerms(this.policy, limit));
    this.commands = this.reincarnate();
  }

  /** A new life over the same rows. What the old one had under way is on its own. */
  reincarnate(): SessionCommands {
    const log = (message: string, fields?: unknown) =>
      void this.logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
    const tenantPort: TenantPort = {
      reserve: (order) => Promise.resolve(this.registry.reserve(order)),
      cancelReservation: (session, generation) => Promise.resolve(this.registry.cancelReservation(session, generation)),
      report: (report) => Promise.resolve(this.registry.report(report)),
    };
    const index: IndexPort = {
      report: (report) => {
        this.indexed.push(report);
        return Promise.resolve({ version: report.version });
      },
    };
    this.commands = new SessionCommands({
      sql: this.sql,
      clock: this.rig.clock,
      ids: {
        id: () => `id${String((this.#minted += 1)).padStart(18, "0")}`,
        secret: () => String((this.#minted += 1)).padStart(64, "0"),
        random: () => this.random.next(),
      },
      logger: { info: log, warn: log, error: log },
      policy: this.policy,
      providers: { get: (name) => (name === "memory" ? this.rig.sandbox : null) },
      defaultProvider: "memory",
      tenant: () => tenantPort,
      index: () => index,
      alarm: {
        set: (at) => {
          this.alarm = at;
        },
        clear: () => {
          this.alarm = null;
        },
      },
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
    const until = this.rig.clock.now() + ms;
    for (;;) {
      const due = this.alarm !== null && this.alarm <= until ? this.alarm : null;
      const next = Math.max(due ?? until, this.rig.clock.now());
      await this.rig.time.run(next - this.rig.clock.now());
      if (due === null || this.alarm === null || this.alarm > this.rig.clock.now()) {
        if (due === null) return;
        continue;
      }
      this.alarm = null;
      void this.commands.engine.wake("alarm");
      await this.rig.time.settle();
    }
  }

  /** The answer of a call that needs time to pass. */
  async during<T>(ms: number, call: Promise<T>): Promise<T> {
    await this.pass(ms);
    return call;
  }
}
