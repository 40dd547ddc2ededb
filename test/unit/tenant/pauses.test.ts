/** The caps on a tenant's paused sessions and on what they have saved. */
import { beforeEach, describe, expect, it } from "vitest";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import { quotaTerms } from "../../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../../src/tenant/tenant-core.ts";
import { nodeSql } from "../../support/node-sql.ts";
import { born, report, sessionId } from "../../support/reports.ts";

const minute = 60_000;
const [a, b, c] = [sessionId("a"), sessionId("b"), sessionId("c")];

describe("a tenant's pauses", () => {
  let now: number;
  let tenant: TenantCore;

  beforeEach(() => {
    now = born;
    const terms = quotaTerms(defaultPolicy, 10, 10, { maxPaused: 2, maxSnapshots: 10, maxSnapshotBytes: 1_000 });
    tenant = new TenantCore(nodeSql(), { now: () => now }, terms);
  });

  const ask = (id: SessionId) => tenant.quota.admitPause({ sessionId: id, createdAt: born });
  const full = { admitted: false, of: "paused_sessions", limit: 2, used: 2 };

  it("[BUG-17] pauses that are asked for at once cannot all take the last place, and a repeat is admitted again", () => {
    tenant.report(report(a, 5, { status: "paused" }));
    expect([ask(b), ask(c), ask(b)]).toEqual([{ admitted: true }, full, { admitted: true }]);
  });

  it("[BUG-17] an admitted session keeps its place while it pauses, however long, and as paused", () => {
    tenant.report(report(a, 5, { status: "paused" }));
    ask(b);
    // This was told before the pause began.
    tenant.report(report(b, 2, { status: "running" }));
    expect(ask(c)).toEqual(full);
    tenant.report(report(b, 3, { status: "pausing" }));
    now += 30 * minute;
    expect(ask(c)).toEqual(full);
    tenant.report(report(b, 4, { status: "paused" }));
    expect(ask(c)).toEqual(full);
    tenant.report(report(b, 5, { status: "running" }));
    expect(ask(c)).toEqual({ admitted: true });
  });

  it("[BUG-17] a place that was never used is free again after a minute, and a later pause asks anew", () => {
    tenant.report(report(a, 5, { status: "paused" }));
    ask(b);
    tenant.report(report(b, 2, { status: "running" }));
    now += 2 * minute;
    expect(ask(c)).toEqual({ admitted: true });
    tenant.report(report(c, 2, { status: "paused" }));
    // A clock pauses it: its old admission must not count for this.
    tenant.report(report(b, 3, { status: "pausing" }));
    expect(ask(b)).toEqual(full);
  });

  it("[BUG-17] what ended or was erased holds no place and has nothing saved", () => {
    for (const id of [a, b]) tenant.report(report(id, 5, { status: "paused", savedBytes: 600 }));
    expect(ask(c)).toEqual(full);
    tenant.report(report(a, 6, { status: "terminated" }));
    tenant.report(report(b, 6, { status: "terminated", erased: true, savedBytes: 600 }));
    expect(ask(c)).toEqual({ admitted: true });
  });

  it("[BUG-17] snapshots over the byte cap are told by name; what the session itself has saved does not count", () => {
    tenant.report(report(a, 5, { status: "paused", savedBytes: 400 }));
    tenant.report(report(b, 5, { status: "running", savedBytes: 600 }));
    expect(ask(c)).toEqual({ admitted: false, of: "snapshot_bytes", limit: 1_000, used: 1_000 });
    expect(ask(b)).toEqual({ admitted: true });
    // Its snapshot was deleted.
    tenant.report(report(a, 6, { status: "running" }));
    expect(ask(c)).toEqual({ admitted: true });
  });
});
