/** A session that wants to pause while its tenant has as much paused as it may have. */
import { describe, expect, it } from "vitest";
import { sessionId } from "../../../support/reports.ts";
import { report } from "../../../support/reports.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { aWhile, pause, pausedWith, ran, savedOf } from "../../../support/suspension.ts";

const minute = 60_000;
const other = sessionId("other");

/** One other session of the tenant is paused, with `bytes` saved. */
function beside(rig: SessionRig, version: number, status: "paused" | "terminated", savedBytes = 0): void {
  rig.registry.report(report(other, version, { status, savedBytes }));
}

describe("a pause over the tenant's cap", () => {
  it("[BUG-17] that a client asks for is 429 quota_exhausted with limit and use, and the session runs on", async () => {
    const rig = new SessionRig({}, 10, { maxPaused: 1, maxSnapshots: 10, maxSnapshotBytes: 2 ** 30 });
    await rig.running();
    beside(rig, 5, "paused");
    const refused = await rig.commands.pause(caller, 0);
    expect(refused).toMatchObject({ ok: false, problem: { code: "quota_exhausted", limit: 1, used: 1 } });
    expect(refused.ok ? "" : refused.problem.detail).toContain("TENANT_MAX_PAUSED");
    await rig.pass(aWhile);
    expect((await rig.view()).status).toBe("running");
    expect(rig.calls("save")).toBe(0);
    beside(rig, 6, "terminated");
    await pause(rig);
    await rig.pass(aWhile);
    expect((await rig.view()).status).toBe("paused");
  });

  it("[BUG-17] of snapshot bytes is refused by name, in MiB", async () => {
    const rig = new SessionRig({}, 10, { maxPaused: 10, maxSnapshots: 10, maxSnapshotBytes: 2 * 2 ** 20 });
    await rig.running();
    beside(rig, 5, "paused", 2 * 2 ** 20 + 1);
    const refused = await rig.commands.pause(caller, 0);
    expect(refused).toMatchObject({ ok: false, problem: { code: "quota_exhausted", limit: 2, used: 3 } });
    expect(refused.ok ? "" : refused.problem.detail).toContain("TENANT_MAX_SNAPSHOT_MIB");
  });

  it("[BUG-17] that a clock asks for is a failed try, told in the view, and succeeds once there is room", async () => {
    const rig = new SessionRig({}, 10, { maxPaused: 1, maxSnapshots: 10, maxSnapshotBytes: 2 ** 30 });
    await rig.running({ on_timeout: "pause", idle_timeout_seconds: null, timeout_seconds: 60 });
    await ran(rig, "write notes.txt kept");
    beside(rig, 5, "paused");
    await rig.pass(2 * minute);
    const view = await rig.view();
    expect(view.status).toBe("running");
    expect(view.failure).toContain("TENANT_MAX_PAUSED");
    expect(view.blocked).toMatchObject({ code: "pause_failing" });
    expect(rig.calls("save")).toBe(0);
    beside(rig, 6, "terminated");
    await rig.pass(10 * minute);
    expect(await rig.view()).toMatchObject({ status: "paused", failure: null });
    expect(savedOf(rig)).toHaveLength(1);
  });

  it("[BUG-17] that a used-up budget asks for ends the session, and says that there was no place for its files", async () => {
    const rig = new SessionRig({ prices: { currency: "USD", nanosPerSecond: { memory: 1_000_000_000 } } }, 10, {
      maxPaused: 1,
      maxSnapshots: 10,
      maxSnapshotBytes: 2 ** 30,
    });
    await rig.running({ max_cost: 60, idle_timeout_seconds: null });
    beside(rig, 5, "paused");
    await rig.pass(5 * minute);
    const view = await rig.view();
    expect(view).toMatchObject({ status: "terminated", terminate_reason: "budget" });
    expect(view.failure).toContain("TENANT_MAX_PAUSED");
    expect(rig.calls("save")).toBe(0);
  });

  it("[BUG-17] is not asked for where a registry does not answer: the files are saved", async () => {
    const rig = new SessionRig({}, 10, { maxPaused: 0, maxSnapshots: 10, maxSnapshotBytes: 2 ** 30 });
    await rig.running();
    rig.registryFate = (call) => (call === "admitPause" ? Promise.reject(new Error("down")) : Promise.resolve());
    await pause(rig);
    await rig.pass(aWhile);
    expect((await rig.view()).status).toBe("paused");
  });

  it("[BUG-17] counts what the provider said of each snapshot, until it is deleted", async () => {
    const rig = new SessionRig({}, 10, { maxPaused: 10, maxSnapshots: 10, maxSnapshotBytes: 1 });
    expect((await pausedWith(rig, "kept")).status).toBe("paused");
    const asked = { sessionId: other, createdAt: 1 };
    const reply = rig.registry.quota.admitPause(asked);
    expect(reply).toMatchObject({ admitted: false, of: "snapshot_bytes", limit: 1 });
    rig.reincarnate();
    await rig.commands.delete(caller, "requested");
    await rig.pass(2 * minute);
    expect(savedOf(rig)).toEqual([]);
    expect(rig.registry.quota.admitPause(asked)).toEqual({ admitted: true });
  });
});

describe("a registry that lost its rows", () => {
  it("[BUG-13] hears again of a paused session that is told to look", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "kept");
    rig.forgetRegistry();
    await rig.pass(30 * minute);
    expect(rig.registry.sessions(null, 10)).toEqual([]);
    await rig.commands.poke("maintenance");
    await rig.pass(minute);
    expect(rig.registry.sessions(null, 10)).toMatchObject([{ sessionId: rig.id, status: "paused" }]);
  });
});
