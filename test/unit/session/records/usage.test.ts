import { describe, expect, it } from "vitest";
import { defaultPolicy } from "../../../../src/domain/rules/policy.ts";
import type { SessionReport, UsageFigure } from "../../../../src/session/reports/reports.ts";
import { quotaTerms } from "../../../../src/tenant/quota/quota.ts";
import { receiptRetentionMs } from "../../../../src/tenant/apply-report.ts";
import { TenantCore } from "../../../../src/tenant/tenant-core.ts";
import { nodeSql } from "../../../support/node-sql.ts";
import { born, lease, report, sessionId } from "../../../support/reports.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const minute = 60_000;
const memory = (status: UsageFigure["status"], ms: number): UsageFigure => ({ status, provider: "memory", ms });

describe("a session's usage", () => {
  async function usage(rig: SessionRig) {
    const reply = await rig.commands.usage(caller);
    if (!reply.ok) throw new Error(reply.problem.detail);
    return reply.value;
  }

  it("adds up to its age at every instant, whatever it went through [FLT-16]", async () => {
    const rig = new SessionRig();
    const start = rig.rig.clock.now();
    await rig.running({});
    for (let i = 0; i < 5; i += 1) {
      await rig.pass(minute);
      const { total_seconds: total, usage: figures } = await usage(rig);
      expect(total).toBeCloseTo((rig.rig.clock.now() - start) / 1_000, 3);
      expect(figures.reduce((sum, each) => sum + each.seconds, 0)).toBeCloseTo(total, 3);
    }
    expect((await usage(rig)).usage.find((each) => each.status === "running")?.seconds).toBeGreaterThan(290);
    await rig.commands.delete(caller, "requested");
    await rig.pass(minute);
    const ended = await usage(rig);
    expect(ended.total_seconds).toBeCloseTo((rig.rig.clock.now() - start) / 1_000, 3);
    const running = ended.usage.find((each) => each.status === "running")?.seconds;
    await rig.pass(minute);
    // What has ended runs no more; only the time since its end goes on.
    expect((await usage(rig)).usage.find((each) => each.status === "running")?.seconds).toBe(running);
  });

  it("survives an eviction, and another tenant learns nothing of it [FLT-16] [API-3]", async () => {
    const rig = new SessionRig();
    await rig.running({});
    await rig.pass(minute);
    const before = await usage(rig);
    rig.reincarnate();
    expect((await usage(rig)).total_seconds).toBeGreaterThanOrEqual(before.total_seconds);
    const stranger = { ...caller, tenant: "other" as typeof caller.tenant };
    expect(await rig.commands.usage(stranger)).toMatchObject({ ok: false, problem: { code: "not_found" } });
  });

  it("reaches the tenant's books, whose sum is what its sessions say [FLT-16]", async () => {
    const rig = new SessionRig();
    await rig.running({});
    await rig.pass(3 * minute);
    await rig.commands.delete(caller, "requested");
    await rig.pass(minute);
    const books = rig.registry.usage();
    const own = await usage(rig);
    expect(books.imbalances).toEqual([]);
    const running = own.usage.find((each) => each.status === "running")?.seconds ?? 0;
    expect(books.figures.find((each) => each.status === "running")?.ms).toBeCloseTo(running * 1_000, 0);
    expect(running).toBeGreaterThan(170);
  });
});

describe("a tenant's usage", () => {
  function tenantAt() {
    const clock = { at: born };
    const sql = nodeSql();
    const tenant = new TenantCore(sql, { now: () => clock.at }, quotaTerms(defaultPolicy, 10));
    const tell = (name: string, version: number, usage: readonly UsageFigure[], changes: Partial<SessionReport> = {}) =>
      tenant.report(report(sessionId(name), version, { usage, ...changes }));
    return { clock, sql, tenant, tell };
  }

  it("sums what sessions report, each picture in the place of the one before [FLT-16]", () => {
    const { tenant, tell } = tenantAt();
    tell("a", 1, [memory("provisioning", 5)]);
    tell("a", 3, [memory("provisioning", 9), memory("running", 100)]);
    tell("a", 2, [memory("provisioning", 7)]);
    tell("b", 1, [memory("running", 50)]);
    expect(tenant.usage()).toEqual({
      figures: [memory("provisioning", 9), memory("running", 150)],
      sessions: 2,
      imbalances: [],
    });
  });

  it("keeps what erased sessions used, also of one made anew under the same id [FLT-16]", () => {
    const { clock, tenant, tell } = tenantAt();
    tell("a", 1, [memory("running", 100)], { status: "terminated", leases: [lease(sessionId("a"), 1, "closed")] });
    tell("a", 2, [memory("running", 100)], { status: "terminated", erased: true });
    tell("a", 1, [memory("running", 30)], { createdAt: born + 10 });
    tell("a", 2, [memory("running", 30)], { createdAt: born + 10, status: "terminated", erased: true });
    clock.at += receiptRetentionMs + 1;
    tenant.prune();
    expect(tenant.sessions(null, 10)).toEqual([]);
    expect(tenant.usage()).toEqual({ figures: [memory("running", 130)], sessions: 0, imbalances: [] });
  });

  it("names a sum that its sessions do not bear out [FLT-16]", () => {
    const { sql, tenant, tell } = tenantAt();
    tell("a", 1, [memory("running", 100)]);
    sql.run(`UPDATE session SET usage = '{"running/memory":90}'`);
    expect(tenant.usage().imbalances).toEqual([{ status: "running", provider: "memory", byMs: 10 }]);
  });
});
