import { beforeEach, describe, expect, it } from "vitest";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import type { StopReason } from "../../../src/domain/state/reasons.ts";
import { quotaTerms } from "../../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../../src/tenant/tenant-core.ts";
import { nodeSql, type NodeSql } from "../../support/node-sql.ts";
import { born, lease, order, report, sessionId } from "../../support/reports.ts";

const terms = quotaTerms(defaultPolicy, 100);
const { threshold, windowMs, openMs, openCapMs, probeMs, askAgainMs } = terms.breaker;

describe("the spawn breaker", () => {
  let now: number;
  let sql: NodeSql;
  let tenant: TenantCore;
  let made = 0;

  beforeEach(() => {
    now = born;
    sql = nodeSql();
    tenant = new TenantCore(sql, { now: () => now }, terms);
    made = 0;
  });

  const next = () => sessionId(`s${++made}x`);

  /** Granted, launched, and then it came to this. */
  function launch(comesTo: StopReason | "held"): void {
    const id = next();
    expect(tenant.quota.reserve(order(id, 1))).toEqual({ granted: true });
    tenant.report(report(id, 1, { leases: [lease(id, 1, "launching")] }));
    settle(id, comesTo);
  }
  function settle(id: ReturnType<typeof sessionId>, comesTo: StopReason | "held"): void {
    const held = comesTo === "held";
    const told = lease(id, 1, held ? "held" : "stopping", { stopReason: held ? null : comesTo });
    tenant.report(report(id, 2, { leases: [told] }));
  }
  const trip = () => Array.from({ length: threshold }).forEach(() => launch("launch_failed"));
  const asked = () => tenant.quota.reserve(order(next(), 1));

  it("a row of failed launches opens it, and it says when it closes [CAP-8]", () => {
    for (let i = 1; i < threshold; i += 1) launch(i % 2 === 0 ? "launch_failed" : "launch_timeout");
    expect(asked()).toEqual({ granted: true });
    launch("protocol");
    const refused = { granted: false, code: "spawn_breaker_open", closesAt: now + openMs };
    expect(asked()).toEqual(refused);
    now += openMs - 1;
    expect(asked()).toEqual(refused);
  });

  it("one launch that is accepted forgets the failures before it; other ends of a launch count for nothing [CAP-8]", () => {
    for (let i = 1; i < threshold; i += 1) launch("launch_failed");
    launch("held");
    for (let i = 1; i < threshold; i += 1) launch("launch_failed");
    for (let i = 0; i < 2 * threshold; i += 1) launch("terminated");
    expect(asked()).toEqual({ granted: true });
  });

  it("failures that lie further apart than the window are no row [CAP-8]", () => {
    for (let i = 0; i < 3 * threshold; i += 1) {
      now += windowMs / (threshold - 1);
      launch("launch_failed");
    }
    expect(asked()).toEqual({ granted: true });
  });

  it("afterwards exactly one probe is let through, and its success closes the breaker [CAP-8]", () => {
    trip();
    now += openMs;
    const probe = next();
    expect(tenant.quota.reserve(order(probe, 1))).toEqual({ granted: true });
    // The probe's own repetition is the same grant; everybody else waits for it.
    expect(tenant.quota.reserve(order(probe, 1))).toEqual({ granted: true });
    // Soon, although its bound is minutes away: until then nobody knows that it has succeeded long ago.
    expect(askAgainMs).toBeLessThan(probeMs);
    expect(asked()).toEqual({ granted: false, code: "spawn_breaker_open", closesAt: now + askAgainMs });
    const until = now + probeMs;
    now = until - 1;
    expect(asked()).toMatchObject({ closesAt: until });
    settle(probe, "held");
    expect(asked()).toEqual({ granted: true });
  });

  it("a probe that fails opens it for twice as long each time, up to a bound [CAP-8]", () => {
    trip();
    let openFor = openMs;
    for (let round = 0; round < 8; round += 1) {
      expect(asked()).toMatchObject({ closesAt: now + openFor });
      now += openFor;
      launch("launch_timeout");
      openFor = Math.min(2 * openFor, openCapMs);
    }
    expect(openFor).toBe(openCapMs);
  });

  it("a probe that is given back, or of which nothing is heard, lets the next one through [CAP-8]", () => {
    trip();
    now += openMs;
    const first = next();
    expect(tenant.quota.reserve(order(first, 1))).toEqual({ granted: true });
    tenant.quota.cancel(first, order(first, 1).generation);
    expect(asked()).toEqual({ granted: true });
    now += probeMs;
    expect(asked()).toEqual({ granted: true });
  });

  it("it outlives the object's memory, and a failure told twice counts once [CAP-8]", () => {
    for (let i = 1; i < threshold; i += 1) launch("launch_failed");
    settle(sessionId("s1x"), "launch_failed");
    tenant.report(
      report(sessionId("s1x"), 3, { leases: [lease(sessionId("s1x"), 1, "closed", { stopReason: "launch_failed" })] }),
    );
    expect(asked()).toEqual({ granted: true });
    launch("launch_failed");
    const again = new TenantCore(sql, { now: () => now }, terms);
    expect(again.quota.reserve(order(next(), 1))).toMatchObject({ code: "spawn_breaker_open" });
    expect(again.quota.breaker()).toEqual({ type: "open", trips: 1, closesAt: now + openMs });
  });
});
