import { describe, expect, it } from "vitest";
import { nanosPerUnit } from "../../../src/domain/rules/price.ts";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import type { SessionReport } from "../../../src/session/reports/reports.ts";
import { quotaTerms } from "../../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../../src/tenant/tenant-core.ts";
import { notifyBudgetSpent } from "../../../src/tenant/quota/notify-budget-spent.ts";
import { nodeSql } from "../../support/node-sql.ts";
import { lease, order, report, sessionId } from "../../support/reports.ts";

const begin = Date.UTC(2026, 10, 1);
const nextMonth = Date.UTC(2026, 11, 1);
const second = 1_000;
const hour = 3_600 * second;
/** A thousandth of the currency a second. */
const rate = nanosPerUnit / 1_000;

/** A tenant that may spend one unit of the currency in a month: a thousand seconds. */
class Rig {
  now = begin + hour;
  readonly sql = nodeSql();
  readonly core = new TenantCore(
    this.sql,
    { now: () => this.now },
    quotaTerms(defaultPolicy, 10, 10, undefined, nanosPerUnit),
  );
  readonly told: string[] = [];
  version = 0;
  silent = false;

  tell(
    name: string,
    charge: SessionReport["leases"][number]["charge"],
    phase: "held" | "stopping" | "closed" = "held",
  ): void {
    const id = sessionId(name);
    const leases = [lease(id, 1, phase, charge === undefined ? {} : { charge })];
    this.core.report(report(id, (this.version += 1), { leases }));
  }

  async alarm(): Promise<void> {
    const clock = { now: () => this.now, sleep: () => Promise.resolve() };
    const budgetSpent = async (id: string) => {
      if (this.silent) throw new Error("no answer");
      this.told.push(id);
      return { known: true };
    };
    await notifyBudgetSpent({ clock, logger: { info() {}, warn() {}, error() {} }, budgetSpent }, this.core);
  }
}

describe("what a tenant spends in a month", () => {
  it("[EVI-3] is the priced seconds of all its sandboxes, and no second twice", () => {
    const rig = new Rig();
    const since = rig.now;
    rig.tell("a", { since, ms: null, nanosPerSecond: rate });
    rig.tell("b", { since, ms: null, nanosPerSecond: 2 * rate });
    rig.tell("free", undefined);
    rig.now += 100 * second;
    expect(rig.core.budget.standing().month).toMatchObject({ nanos: 300 * rate, nanosPerSecond: 3 * rate });
    rig.tell("b", { since, ms: 60 * second, nanosPerSecond: 2 * rate }, "stopping");
    rig.tell("b", { since, ms: 60 * second, nanosPerSecond: 2 * rate }, "stopping");
    rig.now += 100 * second;
    expect(rig.core.budget.standing().month).toMatchObject({ nanos: (200 + 120) * rate, nanosPerSecond: rate });
  });

  it("[EVI-4] used up: those that cost something are told, once, and again when they did not answer; nothing new is granted", async () => {
    const rig = new Rig();
    rig.tell("a", { since: rig.now, ms: null, nanosPerSecond: rate });
    rig.tell("free", undefined);
    expect(rig.core.budget.spentAt()).toBe(rig.now + 1_000 * second);
    await rig.alarm();
    expect(rig.told).toEqual([]);
    rig.now += 1_000 * second;
    expect(rig.core.budget.spentAt()).toBe(rig.now);
    rig.silent = true;
    await rig.alarm();
    rig.silent = false;
    const again = rig.core.budget.spentAt() ?? 0;
    expect(again).toBeGreaterThan(rig.now);
    await rig.alarm();
    expect(rig.told).toEqual([]);
    rig.now = again;
    await rig.alarm();
    await rig.alarm();
    expect(rig.told).toEqual([sessionId("a")]);
    expect(rig.core.budget.spentAt()).toBeNull();
    const refused = rig.core.quota.reserve(order(sessionId("new"), 1));
    expect(refused).toMatchObject({ granted: false, code: "budget_spent", currency: "USD" });
    expect(refused).toMatchObject({ month: { from: begin, until: nextMonth, maxNanos: nanosPerUnit } });
  });

  it("[EVI-3] ends with what is not held any more, also when nobody knows what it cost", () => {
    const rig = new Rig();
    for (const name of ["stopped", "closed"]) rig.tell(name, { since: rig.now, ms: null, nanosPerSecond: rate });
    rig.now += 100 * second;
    rig.tell("stopped", undefined, "stopping");
    rig.tell("closed", undefined, "closed");
    rig.now += 100 * second;
    expect(rig.core.budget.standing().month).toMatchObject({ nanos: 200 * rate, nanosPerSecond: 0 });
  });

  it("[EVI-3] ends with a session that was erased, whatever its last words list", () => {
    const rig = new Rig();
    const charge = { since: rig.now, ms: null, nanosPerSecond: rate };
    rig.tell("a", charge);
    const id = sessionId("a");
    rig.core.report(report(id, 9, { leases: [lease(id, 1, "held", { charge })], erased: true }));
    expect(rig.core.budget.standing().month.nanosPerSecond).toBe(0);
  });

  it("[EVI-3] is read without the rows of what ended, and comes to the same as with them", () => {
    const rig = new Rig();
    for (let nth = 0; nth < 50; nth += 1) {
      const since = rig.now;
      rig.tell(`s${nth}x`, { since, ms: null, nanosPerSecond: rate });
      rig.now += 2 * second;
      rig.tell(`s${nth}x`, { since, ms: second, nanosPerSecond: rate }, "stopping");
    }
    const before = rig.core.budget.standing().month;
    expect(before).toMatchObject({ nanos: 50 * rate, nanosPerSecond: 0 });
    rig.sql.run("DELETE FROM spend");
    expect(rig.core.budget.standing().month).toMatchObject(before);
    rig.now = nextMonth;
    expect(rig.core.budget.standing().month.nanos).toBe(0);
  });

  it("[EVI-3] counts once what is corrected after it ended, also over the end of a month", () => {
    const rig = new Rig();
    rig.now = nextMonth - 100 * second;
    const since = rig.now;
    rig.tell("a", { since, ms: null, nanosPerSecond: rate });
    rig.tell("b", { since, ms: null, nanosPerSecond: rate });
    rig.now = nextMonth + 60 * second;
    rig.tell("a", undefined, "stopping");
    expect(rig.core.budget.standing().month.nanos).toBe((60 + 60) * rate);
    rig.tell("a", { since, ms: 110 * second, nanosPerSecond: rate }, "closed");
    expect(rig.core.budget.standing().month.nanos).toBe((60 + 10) * rate);
  });

  it("[EVI-4] those that do not answer are not told for ever before those that do", async () => {
    const rig = new Rig();
    for (let nth = 0; nth < 30; nth += 1) rig.tell(`s${nth}x`, { since: rig.now, ms: null, nanosPerSecond: rate });
    rig.now += 1_000 * second;
    rig.silent = true;
    await rig.alarm();
    rig.silent = false;
    await rig.alarm();
    expect(rig.told).toHaveLength(10);
  });

  it("[EVI-4] begins again with the month, also for what runs on", () => {
    const rig = new Rig();
    rig.now = nextMonth - 500 * second;
    rig.tell("a", { since: rig.now - 400 * second, ms: null, nanosPerSecond: rate });
    // 400 of the thousand seconds are used, and the month ends before the rest is.
    expect(rig.core.budget.spentAt()).toBe(nextMonth);
    rig.now = nextMonth + 10 * second;
    expect(rig.core.budget.standing().month.nanos).toBe(10 * rate);
    expect(rig.core.budget.spentAt()).toBe(nextMonth + 1_000 * second);
  });

  it("[EVI-4] the index hears once when it is near, once when it is used up, and again in the next month", () => {
    const rig = new Rig();
    const told = () => rig.core.counts().budget;
    /** As the alarm of the tenant does. */
    const pass = (at: number) => {
      rig.now = at;
      expect(rig.core.budget.newsAt()).toBe(at);
      expect(rig.core.budget.note()).toBe(true);
      expect(rig.core.budget.note()).toBe(false);
      expect(rig.core.rows.countsPending()).toBe(true);
      rig.core.rows.countsConfirmed(rig.core.counts().version);
    };
    const since = rig.now;
    rig.tell("a", { since, ms: null, nanosPerSecond: rate });
    rig.core.rows.countsConfirmed(rig.core.counts().version);
    expect([told(), rig.core.budget.note()]).toEqual([null, false]);
    expect(rig.core.budget.newsAt()).toBe(since + 800 * second);
    pass(since + 800 * second);
    expect(told()).toEqual({ level: "near", until: nextMonth });
    expect(rig.core.budget.newsAt()).toBe(since + 1_000 * second);
    pass(since + 1_000 * second);
    expect(told()).toEqual({ level: "used_up", until: nextMonth });
    expect(rig.core.budget.newsAt()).toBeNull();
    rig.tell("a", { since, ms: 1_000 * second, nanosPerSecond: rate }, "stopping");
    rig.core.rows.countsConfirmed(rig.core.counts().version);
    pass(nextMonth);
    expect(told()).toBeNull();
  });

  it("[EVI-4] without a bound, and of a tenant that never was, nothing is told", () => {
    const rig = new Rig();
    expect(rig.core.budget.standing()).toEqual({
      sandboxes: { used: 0, limit: 10 },
      month: { from: begin, until: nextMonth, nanos: 0, nanosPerSecond: 0, maxNanos: nanosPerUnit },
    });
    const free = new TenantCore(nodeSql(), { now: () => begin }, quotaTerms(defaultPolicy, 10));
    expect([free.budget.newsAt(), free.budget.note(), free.budget.standing().month.maxNanos]).toEqual([
      null,
      false,
      null,
    ]);
  });
});
