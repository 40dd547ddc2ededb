/** What is saved of a session stays until its client, its retention or an operator says otherwise. */
import { describe, expect, it } from "vitest";
import { isolatedSandboxId, type Generation, type SessionId } from "../../../../src/domain/state/ids.ts";
import type { Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { always, aWhile, once, pause, pausedWith, ran, savedOf, told } from "../../../support/suspension.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const operator = { by: "ops", requestId: "r" };
const noLaunch = always("launch", { type: "fail_before", effect: "none" });
const noRemove = always("remove", { type: "fail_before", effect: "unknown" });

describe("a resume that cannot launch", () => {
  it("[BUG-2] before its end goes back to paused with its files, and a later one restores them", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "precious");
    rig.fault = noLaunch;
    await rig.during(2 * second, rig.commands.resume(caller, 60, 0));
    await rig.pass(3 * minute);
    const view = await rig.view();
    expect(view.status).toBe("paused");
    expect(view.failure).toMatch(/^Its end came before a sandbox ran/);
    expect(savedOf(rig)).toHaveLength(1);
    rig.fault = null;
    await rig.during(aWhile, rig.commands.resume(caller, null, 0));
    expect(await ran(rig, "cat notes.txt")).toBe("precious\n");
    expect((await rig.view()).failure).toBeNull();
  });

  it("[BUG-2] a connect with less time than a launch may take does the same", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "precious");
    rig.fault = noLaunch;
    await rig.during(6 * minute, rig.commands.attach(caller, { seconds: 300, resumes: "always" }, 1_000));
    await rig.pass(10 * minute);
    expect((await rig.view()).status).toBe("paused");
    expect(savedOf(rig)).toHaveLength(1);
  });

  it("[BUG-2] no layer of maintenance ends a session whose files are only saved", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "precious");
    rig.fault = noLaunch;
    await rig.during(2 * second, rig.commands.resume(caller, 60, 0));
    for (const guard of [
      { type: "stuck", forMs: 0 },
      { type: "overdue", byMs: 0 },
    ] as const) {
      const end = { actor: "maintenance", reason: "failed", words: "it is late", guard } as const;
      expect(await rig.commands.end(end)).toMatchObject({ ok: true, value: { ended: false } });
    }
    expect(savedOf(rig)).toHaveLength(1);
  });
});

describe("a stop that cannot be proven", () => {
  it("[BUG-3] does not use up the max lifetime of a session whose files are saved", async () => {
    const rig = new SessionRig();
    await rig.running({ max_lifetime_seconds: 600, timeout_seconds: 600, idle_timeout_seconds: null });
    await ran(rig, "write notes.txt precious");
    rig.fault = ({ op }): Fault =>
      op === "observe" || op === "stop" ? { type: "fail_before", effect: "unknown" } : { type: "none" };
    await pause(rig);
    await rig.pass(3 * hour);
    expect(await rig.view()).toMatchObject({ status: "pausing", terminate_reason: null });
    expect(savedOf(rig)).toHaveLength(1);
    rig.fault = null;
    await rig.pass(2 * hour);
    expect((await rig.view()).status).toBe("paused");
  });
});

describe("the last word", () => {
  it("[BUG-10] a pause after a queued resume starts and bills nothing", async () => {
    const rig = new SessionRig();
    await rig.running();
    await ran(rig, "write notes.txt kept");
    rig.fault = ({ op }): Fault => (op === "observe" ? { type: "fail_before", effect: "unknown" } : { type: "none" });
    await pause(rig);
    await rig.pass(20 * second);
    await rig.during(second, rig.commands.resume(caller, null, 0));
    await pause(rig);
    const launches = rig.calls("launch");
    rig.fault = null;
    await rig.pass(hour);
    expect((await rig.view()).status).toBe("paused");
    expect(rig.calls("launch")).toBe(launches);
    expect(rig.registry.ledger().used).toBe(0);
  });
});

describe("a snapshot that is never deleted", () => {
  it("[BUG-7] is visible, backs off, survives an eviction without an early try, and has an exit", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "x");
    rig.fault = noRemove;
    await rig.commands.delete(caller, "requested");
    await rig.pass(3 * hour);
    expect(await rig.view()).toMatchObject({ status: "terminating", blocked: { code: "snapshot_not_deleted" } });
    const tries = rig.calls("remove");
    // 5 s doubling up to an hour: some twelve in three hours.
    expect(tries).toBeGreaterThan(8);
    expect(tries).toBeLessThan(16);
    for (let lives = 0; lives < 5; lives += 1) {
      rig.reincarnate();
      await rig.pass(second);
    }
    expect(rig.calls("remove")).toBe(tries);
    expect(rig.indexed.at(-1)).toMatchObject({ blocked: "snapshot_not_deleted" });
    expect(rig.indexed.at(-1)?.stuckSince).not.toBeNull();
    const abandoned = await rig.commands.resolve(operator, { action: "abandon", reason: "the store is gone" }, "*");
    expect(abandoned).toMatchObject({ ok: false, problem: { code: "not_stuck" } });
    expect(abandoned.ok ? "" : abandoned.problem.detail).toContain("forget_snapshots");
    const explained = await rig.commands.explain(null);
    expect(explained.ok && explained.value.next_call).toMatchObject({ body: { action: "forget_snapshots" } });
    const order = { action: "forget_snapshots", reason: "the store is gone" } as const;
    expect((await rig.commands.resolve(operator, order, "*")).ok).toBe(true);
    expect((await rig.view()).status).toBe("terminated");
    await rig.pass(30 * 24 * hour);
    expect(rig.commands.state.mode.type).toBe("absent");
  });

  it("[BUG-7] is tried one at a time, however many there are", async () => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 86_400, idle_timeout_seconds: null });
    rig.fault = ({ op }): Fault =>
      op === "save" || op === "remove" ? { type: "fail_before", effect: "unknown" } : { type: "none" };
    for (let saves = 0; saves < 4; saves += 1) {
      await pause(rig);
      await rig.pass(aWhile);
    }
    const askedAt: number[] = [];
    rig.fault = ({ op }): Fault => {
      if (op !== "remove") return { type: "none" };
      askedAt.push(rig.rig.clock.now());
      return { type: "slow", ms: 2 * second };
    };
    await rig.pass(hour);
    expect(askedAt).toHaveLength(4);
    for (const [index, at] of askedAt.entries()) {
      const before = askedAt[index - 1];
      if (before !== undefined) expect(at - before).toBeGreaterThanOrEqual(2 * second);
    }
    expect(rig.commands.state.session?.discarded).toEqual([]);
  });
});

describe("an upgrade that nobody asked for", () => {
  /** As after a deploy: its wrapper is older, and its replacement is due. */
  const outdate = (rig: SessionRig) => {
    const wrapper = { protocol: 1, launchedBy: 1, replacement: { type: "due", at: rig.rig.clock.now() } };
    rig.sql.run(
      "UPDATE lease SET record = json_set(record, '$.wrapper', json(?)) WHERE phase = 'held'",
      JSON.stringify(wrapper),
    );
    rig.reincarnate();
  };

  it("[BUG-6] keeps its place at the tenant's cap, its files and its clocks", async () => {
    const rig = new SessionRig({}, 1);
    await rig.running({ idle_timeout_seconds: 600 });
    await ran(rig, "write notes.txt kept");
    const before = await rig.view();
    outdate(rig);
    const other = "bbbbbbbbbbbbbbbbbbbb" as SessionId;
    const generation = 1 as Generation;
    const rival = { sessionId: other, generation, sandboxId: isolatedSandboxId(other, generation) };
    let granted = 0;
    for (let passed = 0; passed < 30; passed += 1) {
      await rig.pass(second);
      const order = { ...rival, createdAt: 1, purpose: "create" } as const;
      if (rig.registry.quota.reserve(order).granted) granted += 1;
    }
    const after = await rig.view();
    expect(granted).toBe(0);
    expect(after).toMatchObject({ status: "running", end_at: before.end_at, idle_at: before.idle_at });
    expect(after.generation).toBeGreaterThan(before.generation ?? 0);
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });

  it("[BUG-6] called off by a pause, gives its place back", async () => {
    const rig = new SessionRig({}, 1);
    await rig.running();
    await ran(rig, "write notes.txt kept");
    outdate(rig);
    rig.fault = always("launch", { type: "fail_before", effect: "none" });
    await rig.pass(20 * second);
    await pause(rig);
    await rig.pass(minute);
    expect((await rig.view()).status).toBe("paused");
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
  });
});

describe("a pause that fails", () => {
  it("[BUG-33] is told in the view and in words, and forgotten once one succeeds", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = once("save", { type: "fail_before", effect: "none" });
    await pause(rig);
    await rig.pass(aWhile);
    const view = await rig.view();
    expect(view).toMatchObject({ status: "running", blocked: null });
    expect(view.failure).toMatch(/^It could not be paused and runs on: /);
    const explained = await rig.commands.explain(caller);
    expect(explained.ok && explained.value.summary).toContain("It could not be paused and runs on");
    await pause(rig);
    await rig.pass(aWhile);
    expect(await rig.view()).toMatchObject({ status: "paused", failure: null });
    expect(await told(rig)).toContain("pause_failed");
  });
});
