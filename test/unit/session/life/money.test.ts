/** Money over a session's life: what an outage may cost, and what a tenant's used-up month refuses. */
import { describe, expect, it } from "vitest";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { pausedWith } from "../../../support/suspension.ts";

const second = 1_000;
const minute = 60 * second;
/** One unit of the currency a second. */
const prices = { currency: "EUR", nanosPerSecond: { memory: 1_000_000_000 } };

describe("a session with a budget", () => {
  it("[EVI-3] that nobody looks after for hours is charged for one renewal's worth past its budget at most", async () => {
    const rig = new SessionRig({ prices });
    await rig.running({ max_cost: 120, idle_timeout_seconds: null });
    await rig.pass(90 * second);
    // The platform loses the alarm: neither a renewal nor the budget's clock is looked at.
    await rig.rig.time.run(5 * 60 * minute);
    await rig.pass(10 * minute);
    const view = await rig.view();
    expect(["paused", "terminated", "lost"]).toContain(view.status);
    const overrun = (view.cost ?? 0) - 120;
    expect(overrun).toBeGreaterThan(0);
    expect(overrun).toBeLessThanOrEqual(rig.policy.leaseTtlMs / second);
    // The registry hears the same, so the month is not charged for the outage either.
    expect(rig.registry.budget.standing().month).toMatchObject({
      nanosPerSecond: 0,
      nanos: (view.cost ?? 0) * 1_000_000_000,
    });
  });
});

describe("a tenant that has spent what it may in the month", () => {
  it("[EVI-4] [PEO-4] is refused a resume with the sums, until when, and what to do; what is saved is kept", async () => {
    const rig = new SessionRig({ prices }, 10, undefined, 1_000_000_000);
    await pausedWith(rig, "kept");
    await rig.pass(minute);
    const refused = await rig.during(minute, rig.commands.resume(caller, null, 5_000));
    expect(refused).toMatchObject({ ok: false, problem: { code: "quota_exhausted" } });
    const words = refused.ok ? "" : refused.problem.detail;
    expect(words).toMatch(
      /has spent [\d.]+ EUR of the 1 EUR that it may in this month, which ends at \d{4}-\d\d-01T00:00:00/,
    );
    expect(words).toContain("stays paused, and what is saved is kept");
    expect(words).toContain("GET /v1/usage");
    expect(words).toContain("TENANT_MAX_COST_PER_MONTH");
    const view = await rig.view();
    expect(view.status).toBe("paused");
    const explained = await rig.commands.explain(caller);
    expect(explained).toMatchObject({ ok: true, value: { next_call: { path: "/v1/usage" } } });
  });
});
