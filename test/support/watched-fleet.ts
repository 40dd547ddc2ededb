/** A fleet that is only told of: the real control, shards and watch over real SQLite, fed with reports, on a clock of its own. */
import { type AlertTerms, defaultAlertTerms } from "../../src/fleet/alerts/alert-terms.ts";
import type { FleetPoint } from "../../src/fleet/alerts/fleet-point.ts";
import { watchFleet } from "../../src/fleet/alerts/watch.ts";
import type { AlertBoard, FleetRun } from "../../src/fleet/control/control-api.ts";
import { ControlCore } from "../../src/fleet/control/control-core.ts";
import { layerEveryMs } from "../../src/fleet/layers/run-layers.ts";
import type { BudgetNews } from "../../src/fleet/shard/shard-api.ts";
import { ShardIndex } from "../../src/fleet/shard/shard-index.ts";
import type { ContainerId, TenantId } from "../../src/domain/state/ids.ts";
import type { AlertNotice } from "../../src/protocol/resources/operator/alerts.ts";
import type { Clock } from "../../src/runtime/clock-ids-logger.ts";
import type { OutcomeCounts, SessionReport } from "../../src/session/reports/reports.ts";
import { nodeSql } from "./node-sql.ts";
import { born, report, sessionId } from "./reports.ts";

export const minute = 60_000;
const acme = "acme" as TenantId;

export class WatchedFleet {
  now = born;
  readonly clock: Clock = {
    now: () => this.now,
    // What hangs would hang for ever here: nothing in these tests does.
    sleep: (_ms, signal) => new Promise((resolve) => signal?.addEventListener("abort", () => resolve())),
  };
  readonly control = new ControlCore(nodeSql(), this.clock, { maxSandboxes: 100 });
  readonly index = new ShardIndex(nodeSql(), this.clock);
  readonly logged: string[] = [];
  readonly told: AlertNotice[] = [];
  readonly points: FleetPoint[] = [];
  /** While true, the second shard throws at every call. */
  shardFails = false;
  /** While true, the webhook refuses. */
  webhookFails = false;
  /** How tenant acme stands to its budget for the month, as its next counts tell. */
  budget: BudgetNews | null = null;
  #version = 0;
  #runs = 0;
  readonly #terms: Partial<AlertTerms>;

  constructor(terms: Partial<AlertTerms> = {}) {
    this.#terms = terms;
  }

  async look(): Promise<AlertBoard> {
    const log = (message: string, fields?: unknown) => void this.logged.push(`${message} ${JSON.stringify(fields)}`);
    const { index } = this;
    const guard = () => {
      if (this.shardFails) throw new Error("shard-1 is gone");
    };
    const empty = new ShardIndex(nodeSql(), this.clock);
    const api = (rows: ShardIndex, check: () => void) => ({
      stats: async () => (check(), rows.stats()),
      select: async (query: Parameters<ShardIndex["select"]>[0]) => (check(), rows.select(query)),
      overdue: async (before: number, limit: number) => (check(), rows.overdue(before, limit)),
      overdueContainers: async (now: number, limit: number) => (check(), rows.overdueContainers(now, limit)),
      tenantBudgets: async (now: number, limit: number) => (check(), rows.tenantBudgets(now, limit)),
      outcomes: async (windowMs: number | null) => (check(), rows.outcomes(windowMs)),
    });
    return await watchFleet(
      {
        shards: [
          { name: "shard-0", api: api(index, () => {}) },
          { name: "shard-1", api: api(empty, guard) },
        ],
        clock: this.clock,
        logger: { info: log, warn: log, error: log },
        point: (point) => void this.points.push(point),
        tell: async (notice) => {
          if (this.webhookFails) return false;
          this.told.push(notice);
          return true;
        },
      },
      this.control,
      {
        alerts: { ...defaultAlertTerms, layerEveryMs, ...this.#terms },
        stuckAfterMs: 10 * minute,
        alarmSlipMs: minute,
        tenantMaxSandboxes: 95,
        everyMs: minute,
      },
    );
  }

  /** Looks once a minute, after `each`; answers the last board. */
  async pass(minutes: number, each: () => void = () => {}): Promise<AlertBoard> {
    let board: AlertBoard | null = null;
    for (let passed = 0; passed < minutes; passed += 1) {
      this.now += minute;
      each();
      board = await this.look();
    }
    return board ?? (await this.look());
  }

  firing(board: AlertBoard): readonly string[] {
    return board.alerts.filter((alert) => alert.phase === "firing").map((alert) => alert.name);
  }

  session(name: string, changes: Partial<SessionReport> = {}): void {
    this.#version += 1;
    const nextDeadline = this.now + 60 * minute;
    const told = report(sessionId(name), this.#version, { asOf: this.now, nextDeadline, ...changes });
    this.index.report(told);
  }

  /** Sandboxes of tenant acme that are held. */
  active(held: number): void {
    this.#version += 1;
    const rest = { reserved: 0, launching: 0, stopping: 0, asserted: 0, proven: 0, cancelled: 0 };
    const { budget } = this;
    this.index.counts({ tenant: acme, version: this.#version, granted: held, held, ...rest, budget });
    this.control.allow({ tenant: acme, version: this.#version, held, wants: held });
  }

  /** What tenant acme's registry tells of its shared containers: from when on each is past its bound. */
  containers(from: Readonly<Record<string, number>>): void {
    this.#version += 1;
    const counts = {
      granted: 0,
      reserved: 0,
      launching: 0,
      held: 0,
      stopping: 0,
      asserted: 0,
      proven: 0,
      cancelled: 0,
    };
    const overdueContainers = Object.entries(from).map(([id, at]) => ({ id: id as ContainerId, from: at }));
    this.index.counts({ tenant: acme, version: this.#version, ...counts, overdueContainers });
  }

  run(layer: string, outcome: NonNullable<FleetRun["outcome"]>): void {
    this.#runs += 1;
    const figures = { found: 0, done: 0, skipped: 0, failed: 0, detail: "{}" };
    const times = { startedAt: this.now, endedAt: this.now, by: "cron", reason: "" };
    this.control.putRun({ id: `run-${this.#runs}`, layer, outcome, ...times, ...figures });
  }
}

export function counted(changes: Partial<OutcomeCounts>): OutcomeCounts {
  return { ...report(sessionId("any"), 1).outcomes, ...changes };
}
