import { describe, expect, it } from "vitest";
import type { ReserveReply } from "../../../../src/session/reports/reports.ts";
import { lease, order, report, sessionId } from "../../../support/reports.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const minute = 60_000;

/** The tenant's breaker is open: other sessions of it failed to launch, one after the other. */
function tripped(rig: SessionRig): void {
  for (let i = 0; i < 5; i += 1) {
    const id = sessionId(`f${i}x`);
    rig.registry.quota.reserve(order(id, 1));
    rig.registry.report(report(id, 1, { leases: [lease(id, 1, "stopping", { stopReason: "launch_failed" })] }));
  }
}

describe("a create that gets no reservation", () => {
  it("with the breaker open is 503 with the time it closes, and leaves nothing behind [CAP-8]", async () => {
    const rig = new SessionRig({}, 100);
    tripped(rig);
    const asked = rig.rig.clock.now();
    const reply = await rig.during(2_000, rig.commands.create(rig.id, caller, {}, null, 1_000));
    expect(reply).toMatchObject({ ok: false, problem: { code: "spawn_breaker_open" } });
    expect(reply.ok || reply.problem.retryAt).toBe(asked + minute);
    expect(rig.alarm).toBeNull();
    expect(rig.sql.run("SELECT name FROM sqlite_master WHERE type = 'table'")).toEqual([]);
    expect(rig.indexed).toEqual([]);
    // The one that asks again after that time is the probe, and its success closes the breaker.
    await rig.pass(minute);
    await rig.running();
    expect((await rig.view()).status).toBe("running");
    await rig.pass(minute);
    expect(rig.registry.quota.breaker()).toEqual({ type: "closed", failures: [] });
  });

  it.each([
    [{ granted: false, code: "capacity_exhausted", limit: 7, used: 7 }, "capacity_unavailable"],
    [{ granted: false, code: "draining" }, "draining"],
  ] as const)("refused with %j it leaves nothing behind either, and says so [CAP-7]", async (refusal, code) => {
    const rig = new SessionRig({}, 100);
    rig.registry.quota.reserve = (): ReserveReply => refusal;
    const reply = await rig.during(2_000, rig.commands.create(rig.id, caller, {}, null, 1_000));
    expect(reply).toMatchObject({ ok: false, problem: { code } });
    if (refusal.code === "capacity_exhausted") expect(reply).toMatchObject({ problem: { limit: 7, used: 7 } });
    expect(rig.alarm).toBeNull();
    expect(rig.sql.run("SELECT name FROM sqlite_master WHERE type = 'table'")).toEqual([]);
  });

  it("a session that exists waits until the fleet has capacity, visibly, and then goes on [CAP-9]", async () => {
    const rig = new SessionRig({}, 100);
    await rig.running({ on_loss: "relaunch" });
    const reserve = rig.registry.quota.reserve.bind(rig.registry.quota);
    rig.registry.quota.reserve = (): ReserveReply => ({
      granted: false,
      code: "capacity_exhausted",
      limit: 7,
      used: 7,
    });
    rig.fault = (call) => (call.op === "renew" ? { type: "disappear" } : { type: "none" });
    await rig.pass(2 * minute);
    rig.fault = null;
    expect(await rig.view()).toMatchObject({ status: "provisioning", blocked: { code: "no_capacity" } });
    rig.registry.quota.reserve = reserve;
    await rig.pass(3 * minute);
    expect(await rig.view()).toMatchObject({ status: "running", blocked: null });
  });
});
