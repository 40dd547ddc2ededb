import { beforeEach, describe, expect, it } from "vitest";
import type { TenantId } from "../../../src/domain/state/ids.ts";
import type { AllowanceReply, FleetRun } from "../../../src/fleet/control/control-api.ts";
import { ControlCore } from "../../../src/fleet/control/control-core.ts";
import { documentsKept, runsKept } from "../../../src/fleet/control/control-records.ts";
import { nodeSql, type NodeSql } from "../../support/node-sql.ts";

const a = "acme" as TenantId;
const b = "beta" as TenantId;

describe("FleetControl", () => {
  let now: number;
  let sql: NodeSql;
  let control: ControlCore;

  beforeEach(() => {
    now = 1_000_000;
    sql = nodeSql();
    control = new ControlCore(sql, { now: () => now }, { maxSandboxes: 5 });
  });

  const allow = (tenant: TenantId, version: number, held: number, wants: number): AllowanceReply =>
    control.allow({ tenant, version, held, wants });
  const answered = (allowed: number, used: number) => ({ type: "answered", allowed, limit: 5, used, draining: false });

  it("grants as far as the cap goes, to all tenants together, and no further [CAP-5] [CAP-7]", () => {
    expect(allow(a, 1, 0, 3)).toEqual(answered(3, 3));
    expect(allow(b, 1, 0, 4)).toEqual(answered(2, 5));
    expect(allow(b, 2, 2, 3)).toEqual(answered(2, 5));
    expect(allow(a, 2, 1, 1)).toEqual(answered(1, 3));
    expect(allow(b, 3, 2, 3)).toEqual(answered(3, 4));
    expect(control.capacity()).toEqual({ limit: 5, used: 4, tenants: 2, draining: null });
  });

  it("[BUG-104] a control plane makes its id once, and every later life of it answers the same one", () => {
    expect(control.identity(() => "first")).toBe("cp_first");
    expect(control.identity(() => "second")).toBe("cp_first");
    const later = new ControlCore(sql, { now: () => now }, { maxSandboxes: 5 });
    expect(later.identity(() => "third")).toBe("cp_first");
  });

  it("the same order again has the same answer, and an overtaken one changes nothing [CAP-6]", () => {
    expect(allow(a, 1, 0, 3)).toEqual(answered(3, 3));
    expect(allow(a, 1, 0, 3)).toEqual(answered(3, 3));
    expect(allow(a, 4, 1, 1)).toEqual(answered(1, 1));
    expect(allow(a, 3, 0, 5)).toEqual({ type: "stale", version: 4 });
    expect(control.capacity().used).toBe(1);
  });

  it("what exists is booked above the cap, and nothing is granted until there is room again", () => {
    allow(b, 1, 0, 4);
    // Three latecomers, held whatever anyone allowed.
    expect(allow(a, 1, 3, 3)).toEqual(answered(3, 7));
    expect(allow(b, 2, 2, 3)).toEqual(answered(2, 5));
    expect(allow(a, 2, 3, 4)).toEqual(answered(3, 5));
  });

  it("a tenant is in the directory from its first order, once, in the order of the name", () => {
    allow(b, 1, 0, 1);
    now += 1;
    allow(a, 1, 0, 1);
    allow(b, 2, 1, 1);
    expect(control.tenants(null, 10)).toEqual([
      { tenant: a, registeredAt: 1_000_001, allowed: 1 },
      { tenant: b, registeredAt: 1_000_000, allowed: 1 },
    ]);
    expect(control.tenants(a, 10).map((entry) => entry.tenant)).toEqual([b]);
  });

  it("draining is told with every answer, lasts through a new incarnation, and ends when it is taken back", () => {
    control.drain({ by: "admin", reason: "new hosts" });
    now += 50;
    control.drain({ by: "admin", reason: "still" });
    const again = new ControlCore(sql, { now: () => now }, { maxSandboxes: 5 });
    expect(again.capacity().draining).toEqual({ since: 1_000_000, by: "admin", reason: "still" });
    expect(again.allow({ tenant: a, version: 1, held: 0, wants: 1 })).toMatchObject({ draining: true });
    expect(again.drain(null)).toBeNull();
    expect(again.allow({ tenant: a, version: 2, held: 0, wants: 1 })).toMatchObject({ draining: false });
  });

  it("the admin log is paged newest first, and a page neither skips nor repeats", () => {
    const act = { actor: "admin", action: "drain", target: "", reason: "why", requestId: "r", outcome: "asked" };
    for (let i = 1; i <= 5; i += 1) control.log({ ...act, target: `t${i}` });
    const first = control.logPage(null, 2);
    expect(first.map((each) => each.target)).toEqual(["t5", "t4"]);
    control.log({ ...act, target: "t6" });
    expect(control.logPage(first.at(-1)?.sequence ?? 0, 10).map((each) => each.target)).toEqual(["t3", "t2", "t1"]);
    expect(first[0]).toEqual({ ...act, target: "t5", sequence: 5, at: 1_000_000 });
  });

  function run(id: string, changes: Partial<FleetRun> = {}): FleetRun {
    return {
      id,
      layer: "sweep",
      by: "cron",
      reason: "",
      startedAt: now,
      endedAt: now + 5,
      outcome: "ok",
      found: 1,
      done: 1,
      skipped: 0,
      failed: 0,
      detail: "{}",
      ...changes,
    };
  }

  it("runs are readable by layer, newest first, with the success rate and the last one of each [FLT-7]", () => {
    const outcomes = ["ok", "failed", "ok", "partial", "failed"] as const;
    outcomes.forEach((outcome, i) => control.putRun(run(`s${i}`, { startedAt: now + i, endedAt: now + i, outcome })));
    control.putRun(run("a1", { layer: "age", endedAt: null, outcome: null, startedAt: now + 9 }));
    control.putRun(run("s9", { startedAt: now + 10, endedAt: null, outcome: null }));
    expect(control.runs({ layer: "sweep", limit: 2, before: null }).map((each) => each.id)).toEqual(["s9", "s4"]);
    expect(control.runs({ layer: null, limit: 9, before: now + 2 }).map((each) => each.id)).toEqual(["s1", "s0"]);
    expect(control.layers()).toEqual([
      {
        layer: "age",
        lastStartedAt: now + 9,
        lastEndedAt: null,
        lastOutcome: null,
        lastOkAt: null,
        ended: 0,
        ok: 0,
        failuresInRow: 0,
      },
      {
        layer: "sweep",
        lastStartedAt: now + 10,
        lastEndedAt: now + 4,
        lastOutcome: "failed",
        lastOkAt: now + 2,
        ended: 5,
        ok: 2,
        failuresInRow: 2,
      },
    ]);
    control.putRun(run("s9", { startedAt: now + 10, endedAt: now + 11 }));
    expect(control.run("s9")).toMatchObject({ outcome: "ok", endedAt: now + 11 });
  });

  it("keeps the newest runs and documents, and refuses one that no row could hold", () => {
    for (let i = 0; i < runsKept + 3; i += 1) control.putRun(run(`r${i}`, { startedAt: i }));
    expect(control.run("r2")).toBeNull();
    expect(control.run("r3")).not.toBeNull();
    for (let i = 0; i < documentsKept + 2; i += 1) {
      now = i;
      control.putDocument({ kind: "audit_plan", id: `p${i}`, body: "{}" });
    }
    expect(control.document("audit_plan", "p1")).toBeNull();
    expect(control.documents("audit_plan", 2).map((each) => each.at)).toEqual([documentsKept + 1, documentsKept]);
    const huge = "x".repeat(1_000_001);
    expect(() => control.putDocument({ kind: "audit_plan", id: "huge", body: huge })).toThrow(/1000001 characters/);
    expect(() => control.putRun(run("huge", { detail: huge }))).toThrow(/1000001 characters/);
  });

  it("a document keeps its first time, takes its newest body, and goes when dropped", () => {
    control.putDocument({ kind: "audit_plan", id: "p", body: "1" });
    now += 5;
    expect(control.putDocument({ kind: "audit_plan", id: "p", body: "2" })).toEqual({
      kind: "audit_plan",
      id: "p",
      at: 1_000_000,
      body: "2",
    });
    expect(control.document("audit_result", "p")).toBeNull();
    expect(control.dropDocument("audit_plan", "p")).toBe(true);
    expect(control.dropDocument("audit_plan", "p")).toBe(false);
  });

  it("tables of newer code are neither read nor written [LEA-19]", () => {
    sql.run("INSERT INTO schema_migration (version, name) VALUES (99, 'from the future')");
    expect(() => new ControlCore(sql, { now: () => now }, { maxSandboxes: 5 })).toThrow(/newer/);
  });
});
