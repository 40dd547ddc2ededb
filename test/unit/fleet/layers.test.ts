import { describe, expect, it } from "vitest";
import type { TenantId } from "../../../src/domain/state/ids.ts";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import { agedBeyond, everythingNotCritical, overdueAfterMs, troubled } from "../../../src/fleet/layers/choices.ts";
import { cleanup, type CleanupOrder } from "../../../src/fleet/layers/cleanup.ts";
import { toShed } from "../../../src/fleet/layers/shed.ts";
import { shedding } from "../../../src/fleet/layers/shedding.ts";
import { dueLayers, layerEveryMs, layerNames, runLayers } from "../../../src/fleet/layers/run-layers.ts";
import type { ShardStats } from "../../../src/fleet/shard/shard-api.ts";
import type { SessionReport } from "../../../src/session/reports/reports.ts";
import { ending, FleetRig, hung } from "../../support/fleet-rig.ts";
import { born, lease, report, sessionId } from "../../support/reports.ts";
import { sampleSession } from "../../support/sample-views.ts";

const minute = 60_000;
const byHand: Omit<CleanupOrder, "questions"> = {
  layer: "cleanup",
  by: "admin",
  ending: { actor: "operator", reason: "operator", words: "tidying" },
  dryRun: false,
};

/** Well: its clocks lie ahead, something was asked of it just now. */
function well(rig: FleetRig, name: string, changes: Partial<SessionReport> = {}): void {
  const id = sessionId(name);
  const ahead = rig.clock.now() + 60 * minute;
  const usual = { endAt: ahead, expiresAt: ahead, nextDeadline: ahead, lastActivityAt: rig.clock.now() };
  rig.index.report(report(id, 1, { leases: [lease(id, 1, "held")], ...usual, ...changes }));
}

const names = (ids: readonly { readonly id: string }[]) => ids.map(({ id }) => id.replace(/0+$/, ""));
const hand = (rig: FleetRig, changes: Partial<CleanupOrder> = {}) =>
  rig.done(
    cleanup(rig.ports, rig.cleanupTerms, {
      ...byHand,
      questions: troubled(rig.clock.now(), defaultPolicy, null),
      ...changes,
    }),
  );

describe("what a cleanup without conditions chooses", () => {
  it("the overdue, the stuck and the lost; a session that is merely old stays [FLT-5]", async () => {
    const rig = new FleetRig();
    const now = rig.clock.now();
    well(rig, "old", { createdAt: born - 30 * 86_400_000 });
    well(rig, "overdue", { expiresAt: now - overdueAfterMs(defaultPolicy) });
    well(rig, "justover", { expiresAt: now - overdueAfterMs(defaultPolicy) + 1 });
    well(rig, "stuck", { stuckSince: now - defaultPolicy.stuckAfterMs });
    well(rig, "slow", { stuckSince: now - defaultPolicy.stuckAfterMs + 1 });
    well(rig, "lost", { status: "lost", leases: [] });
    well(rig, "ending", { status: "terminating", stuckSince: 0 });
    await hand(rig);
    expect(names(rig.ended)).toEqual(["overdue", "stuck", "lost"]);
    // Each under the condition it was chosen for, judged again by the session.
    expect(rig.ended.map(({ order }) => order.guard.type)).toEqual(["overdue", "stuck", "all"]);
  });

  it("a session that is chosen for two reasons is ended once, for the first", async () => {
    const rig = new FleetRig();
    well(rig, "both", { expiresAt: rig.clock.now() - 60 * minute, stuckSince: 1 });
    expect((await hand(rig)).results).toMatchObject([{ why: "overdue" }]);
    expect(rig.ended).toHaveLength(1);
  });

  it("how long is too long comes from the config [FLT-5]", async () => {
    const rig = new FleetRig();
    well(rig, "slow", { stuckSince: rig.clock.now() - 30_000 });
    const policy = { ...defaultPolicy, stuckAfterMs: 20_000 };
    await hand(rig, { questions: troubled(rig.clock.now(), policy, null) });
    expect(rig.ended).toMatchObject([{ order: { guard: { type: "stuck", forMs: 20_000 } } }]);
  });

  it("narrowed by status; by age everything of that age that is not critical", async () => {
    const rig = new FleetRig();
    const now = rig.clock.now();
    well(rig, "old");
    well(rig, "young", { createdAt: now - minute + 1 });
    well(rig, "paused", { status: "paused", leases: [] });
    await hand(rig, { questions: troubled(now, defaultPolicy, ["paused"]) });
    expect(rig.ended).toEqual([]);
    await hand(rig, { questions: agedBeyond(now, minute, ["running"]) });
    expect(names(rig.ended)).toEqual(["old"]);
    expect(rig.ended[0]?.order.guard).toMatchObject({
      guards: [{ type: "age" }, { type: "status" }, { type: "notCritical" }],
    });
  });
});

describe("a cleanup run", () => {
  it("one that fails and one that hangs stop no other; each is listed with what became of it [FLT-6]", async () => {
    const rig = new FleetRig();
    for (const name of ["bad", "hung", "kept", "gone", "fine"]) well(rig, name, { stuckSince: 1 });
    const kept = { ended: false, why: "It is not stuck any more.", session: sampleSession() };
    rig.ends = (id, order) => {
      if (id.startsWith("bad")) return Promise.reject(new Error("reset"));
      if (id.startsWith("hung")) return hung();
      if (id.startsWith("kept")) return Promise.resolve({ ok: true, value: kept });
      if (id.startsWith("gone")) return Promise.resolve({ ok: false, problem: { code: "not_found", detail: "" } });
      return ending(id, order);
    };
    const result = await hand(rig);
    const outcomes = Object.fromEntries(
      result.results.map((each) => [each.sessionId.replace(/0+$/, ""), each.outcome]),
    );
    expect(outcomes).toEqual({ bad: "failed", hung: "unclear", kept: "kept", gone: "gone", fine: "ended" });
    const run = await rig.control.run(result.runId);
    expect(run).toMatchObject({ found: 5, done: 1, skipped: 2, failed: 2, outcome: "partial" });
    expect((JSON.parse(run?.detail ?? "{}") as { results: unknown[] }).results).toHaveLength(5);
  });

  it("its progress can be read while it goes on [FLT-6]", async () => {
    const rig = new FleetRig();
    for (let i = 0; i < 30; i++) well(rig, `s${i}x`, { stuckSince: 1 });
    rig.ends = async (id, order) => {
      await rig.clock.sleep(1_000);
      return await ending(id, order);
    };
    const running = cleanup(rig.ports, rig.cleanupTerms, {
      ...byHand,
      questions: troubled(rig.clock.now(), defaultPolicy, null),
    });
    await rig.time.run(3_500);
    const [run] = await rig.control.runs({ layer: "cleanup", limit: 1, before: null });
    expect(run).toMatchObject({ endedAt: null, outcome: null, found: 30 });
    expect(run?.done).toBeGreaterThan(0);
    expect(run?.done).toBeLessThan(30);
    await rig.done(running);
  });

  it("ends in time, says what it did not reach, and the next run takes that up [FLT-6]", async () => {
    const rig = new FleetRig();
    for (let i = 0; i < 40; i++) well(rig, `s${i}x`, { stuckSince: 1 });
    let slow = true;
    rig.ends = async (id, order) => {
      if (slow) await rig.clock.sleep(9_000);
      rig.index.report(report(id, 2, { status: "terminating" }));
      return await ending(id, order);
    };
    const terms = { ...rig.cleanupTerms, runMs: 20_000 };
    const run = () =>
      rig.done(cleanup(rig.ports, terms, { ...byHand, questions: troubled(rig.clock.now(), defaultPolicy, null) }));
    const first = await run();
    expect(first.more).toBe(true);
    const reached = first.results.filter((each) => each.outcome === "ended").length;
    expect(reached).toBe(18);
    slow = false;
    const second = await run();
    expect(second).toMatchObject({ found: 22, more: false });
    expect(new Set([...first.results.slice(0, 18), ...second.results].map((each) => each.sessionId)).size).toBe(40);
  });

  it("a dry run ends nothing and tells what would end [FLT-8]", async () => {
    const rig = new FleetRig();
    well(rig, "stuck", { stuckSince: 1 });
    const result = await hand(rig, { dryRun: true });
    expect(result.results).toMatchObject([{ outcome: "would_end", why: "stuck" }]);
    expect(rig.ended).toEqual([]);
  });

  it("goes through thousands page by page, each once, and asks each to spare the critical [FLT-8]", async () => {
    const rig = new FleetRig();
    for (let i = 0; i < 1_300; i++) well(rig, `s${i}x`, { createdAt: born + Math.floor(i / 3) });
    well(rig, "over", { status: "terminated", leases: [] });
    const result = await hand(rig, { layer: "emergency", questions: everythingNotCritical(true) });
    expect(result).toMatchObject({ found: 1_300, more: false });
    expect(new Set(rig.ended.map(({ id }) => id)).size).toBe(1_300);
    const guards = rig.ended.map(({ order }) => (order.guard.type === "all" ? order.guard.guards : []));
    expect(guards.every((each) => each.some((guard) => guard.type === "notCritical"))).toBe(true);
  });

  it("[BUG-94] an emergency names every session and what becomes of its files, in the rehearsal as in the result", async () => {
    for (const dryRun of [true, false]) {
      const rig = new FleetRig();
      well(rig, "runs", {});
      for (const status of ["paused", "pausing", "lost"] as const) well(rig, status, { status, leases: [] });
      const spare = await hand(rig, { layer: "emergency", dryRun, questions: everythingNotCritical(false) });
      const outcome = dryRun ? "would_end" : "ended";
      const files = Object.fromEntries(spare.results.map((each) => [each.sessionId, [each.outcome, each.files]]));
      const kept = ["kept", "This run deletes none of its files."];
      expect(files).toEqual({
        [sessionId("runs")]: [outcome, expect.stringContaining("workspace goes with its sandbox")],
        [sessionId("paused")]: kept,
        [sessionId("pausing")]: kept,
        [sessionId("lost")]: kept,
      });
      expect(spare.results.filter((each) => each.outcome === "kept").map((each) => each.detail)).toEqual(
        Array.from({ length: 3 }, () => expect.stringContaining("include_paused") as string),
      );
      expect(spare.found).toBe(1);
      expect(names(rig.ended)).toEqual(dryRun ? [] : ["runs"]);
      // By the time it is asked it may have paused: the session itself judges by its own status.
      if (!dryRun)
        expect(rig.ended[0]?.order.guard).toMatchObject({
          guards: [{ type: "status", anyOf: ["provisioning", "running", "recovering"] }, { type: "notCritical" }],
        });
      const all = await hand(rig, { layer: "emergency", dryRun, questions: everythingNotCritical(true) });
      const paused = all.results.find((each) => each.sessionId === sessionId("paused"));
      expect(paused).toMatchObject({ outcome, files: expect.stringContaining("saved files are deleted") as string });
    }
  });

  it("a shard that does not answer is named, and the run is not called whole [FLT-6]", async () => {
    const rig = new FleetRig();
    rig.shard = { ...rig.shard, select: hung };
    const result = await hand(rig);
    expect(result.silentShards).toEqual(["shard-0"]);
    expect(await rig.control.run(result.runId)).toMatchObject({ outcome: "partial" });
  });

  it("leaves the runbook's lines, and does its work when its history cannot be written [FLT-7] [FLT-19]", async () => {
    const rig = new FleetRig();
    well(rig, "stuck", { stuckSince: 1 });
    rig.ports.control.putRun = () => Promise.reject(new Error("control is away"));
    await hand(rig);
    const told = rig.lines.map((line) => line.message);
    const lines = [
      "Sandbox cleanup started",
      "Found 1 sandboxes to cleanup",
      `Cleaned up ${sessionId("stuck")}`,
      "Cleanup completed",
    ];
    expect(told.filter((message) => lines.includes(message))).toEqual(lines);
  });
});

describe("capacity shedding", () => {
  /** `used` of 10 are booked; the index says what is terminating. */
  async function full(used: number, terminating = 0): Promise<FleetRig> {
    const rig = new FleetRig(10);
    await rig.control.allow({ tenant: "acme" as TenantId, version: 1, held: used, wants: used });
    const stats = rig.shard.stats;
    rig.shard = { ...rig.shard, stats: async (): Promise<ShardStats> => ({ ...(await stats()), terminating }) };
    return rig;
  }
  const shed = (rig: FleetRig) => rig.done(shedding(rig.ports, rig.cleanupTerms));
  const idleFor = (rig: FleetRig, ms: number) => ({ lastActivityAt: rig.clock.now() - ms });

  it("at 0.8 it does nothing; above, it ends as many as bring it below 0.7 [FLT-8]", async () => {
    for (const [used, ends] of [
      [8, 0],
      [9, 3],
      [10, 4],
    ] as const) {
      const rig = await full(used);
      for (let i = 0; i < 10; i++) well(rig, `s${i}x`, idleFor(rig, 10 * minute));
      await shed(rig);
      expect(rig.ended).toHaveLength(ends);
      expect(used - ends).toBeLessThan(ends === 0 ? 9 : 7);
    }
  });

  it("what is terminating already counts as gone: a tick does not shed for it twice [FLT-8]", async () => {
    const rig = await full(10, 3);
    for (let i = 0; i < 10; i++) well(rig, `s${i}x`, idleFor(rig, 10 * minute));
    await shed(rig);
    expect(rig.ended).toHaveLength(1);
    expect(toShed({ limit: 10, used: 10, terminating: 4 })).toBe(0);
  });

  it("takes the overdue first, then the stuck, then the longest idle; none that works, is critical or was just used [FLT-8]", async () => {
    const rig = await full(10);
    const now = rig.clock.now();
    well(rig, "idle", idleFor(rig, 20 * minute));
    well(rig, "idler", idleFor(rig, 30 * minute));
    well(rig, "works", { ...idleFor(rig, 60 * minute), activeJobs: 1 });
    well(rig, "critical", { ...idleFor(rig, 60 * minute), critical: true });
    well(rig, "used", idleFor(rig, 30_000));
    well(rig, "paused", { ...idleFor(rig, 60 * minute), status: "paused", leases: [] });
    well(rig, "stuck", { stuckSince: now - defaultPolicy.stuckAfterMs });
    well(rig, "overdue", { expiresAt: now - overdueAfterMs(defaultPolicy) });
    await shed(rig);
    expect(names(rig.ended)).toEqual(["overdue", "stuck", "idler", "idle"]);
    // As idle as it was when it was chosen: whatever comes in between saves it.
    const { guard, reason } = rig.ended[2]?.order ?? {};
    expect(reason).toBe("emergency");
    expect(guard).toMatchObject({ guards: [{ type: "idle", forMs: 30 * minute + 5_000 }, { type: "notCritical" }] });
    expect(rig.said("capacity shedding")).toBe(true);
    expect(await rig.control.logPage(null, 1)).toMatchObject([
      { actor: "fleet", action: "cleanup.shedding", outcome: "4 of 4 ended" },
    ]);
  });

  it("a peak that is over at the second look sheds nothing [FLT-8]", async () => {
    const rig = await full(10);
    well(rig, "idle", idleFor(rig, 20 * minute));
    const running = shedding(rig.ports, rig.cleanupTerms);
    await rig.time.run(1_000);
    await rig.control.allow({ tenant: "acme" as TenantId, version: 2, held: 8, wants: 8 });
    expect(await rig.done(running)).toBeNull();
    expect(rig.ended).toEqual([]);
  });

  it("without knowing how full it is, it sheds nothing and the run is a failed one [FLT-7] [FLT-8]", async () => {
    const rig = await full(10);
    well(rig, "idle", idleFor(rig, 20 * minute));
    rig.shard = { ...rig.shard, stats: hung };
    await expect(shed(rig)).rejects.toThrow("did not say");
    expect(rig.ended).toEqual([]);
  });
});

describe("one cron tick", () => {
  const tick = (rig: FleetRig) =>
    rig.done(runLayers(rig.ports, { policy: defaultPolicy, cleanup: rig.cleanupTerms, audit: rig.auditTerms }));

  it("touches none of 10,000 healthy sessions, with every layer running [FLT-17]", async () => {
    const rig = new FleetRig(20_000);
    for (let i = 0; i < 10_000; i++) well(rig, `h${i}x`, i % 2 === 0 ? { critical: true } : { activeJobs: 1 });
    const ran = await tick(rig);
    expect(ran).toEqual(layerNames.map((layer) => ({ layer, outcome: "done" })));
    expect([...rig.ended, ...rig.poked]).toEqual([]);
  });

  it("ends what is long past its limits, by the session's own judgement and with the reason failed [FLT-5]", async () => {
    const rig = new FleetRig();
    well(rig, "late", { expiresAt: rig.clock.now() - defaultPolicy.stuckAfterMs });
    await tick(rig);
    expect(rig.ended).toMatchObject([{ order: { actor: "maintenance", reason: "failed", guard: { type: "stuck" } } }]);
  });

  it.each(layerNames)(
    "%s that fails leaves a failed run and does not keep the others from theirs [FLT-7]",
    async (broken) => {
      const rig = new FleetRig();
      const away = () => Promise.reject(new Error("away"));
      if (broken === "sweep") rig.ports.sweep = away;
      if (broken === "shedding") rig.ports.control.capacity = away;
      if (broken === "age") rig.shard = { ...rig.shard, select: hung };
      if (broken === "audit") rig.ports.control.putDocument = away;
      await tick(rig);
      const summary = Object.fromEntries((await rig.control.layers()).map((each) => [each.layer, each.lastOutcome]));
      const expected = {
        sweep: "ok",
        shedding: "ok",
        age: "ok",
        audit: "ok",
        [broken]: broken === "age" ? "partial" : "failed",
      };
      expect(summary).toEqual(expected);
    },
  );

  it("a layer that never ends is given up, recorded, and delays no other [FLT-7]", async () => {
    const rig = new FleetRig();
    rig.ports.sweep = hung;
    const startedAt = rig.clock.now();
    expect(await tick(rig)).toContainEqual({ layer: "sweep", outcome: "hung" });
    const others = (await rig.control.layers()).filter((each) => each.layer !== "sweep");
    expect(others).toHaveLength(3);
    for (const each of others) expect(each.lastEndedAt).toBe(startedAt);
  });

  it("runs each layer in its own time, and all of them when control is silent at the full hour [FLT-7]", () => {
    const hour = 60 * minute;
    const now = 1_000 * hour;
    const ran = (ago: Partial<Record<string, number>>) =>
      Object.entries(ago).map(([layer, ms = 0]) => ({
        ...{ layer, lastStartedAt: now - ms, lastEndedAt: null, lastOutcome: null, lastOkAt: null },
        ...{ ended: 0, ok: 0, failuresInRow: 0 },
      }));
    const recently = { sweep: 5 * minute, shedding: 5 * minute, age: 10 * minute, audit: 50 * minute };
    expect(dueLayers(now, ran(recently))).toEqual(["sweep", "shedding"]);
    expect(dueLayers(now, ran({ ...recently, age: 15 * minute - 3_000, audit: hour }))).toEqual([...layerNames]);
    expect(dueLayers(now, [])).toEqual([...layerNames]);
    expect(dueLayers(now, null)).toEqual([...layerNames]);
    expect(dueLayers(now + 5 * minute, null)).toEqual(["sweep", "shedding"]);
    expect(dueLayers(now + 15 * minute, null)).toEqual(["sweep", "shedding", "age"]);
    expect(layerEveryMs.audit).toBe(hour);
  });
});
