/**
 * Rows that cannot be read, rows half written, leases that changed places: what a review found forgotten, erased or asked for
 * without end. Each of these failed before its defect was mended.
 */
import { describe, expect, it } from "vitest";
import type { Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { once, pause, pausedWith, savedOf } from "../../../support/suspension.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

const lasting = { idle_timeout_seconds: null, timeout_seconds: 86_400 } as const;
const operator = { by: "operator", requestId: "test" };

/** As a code version that cannot read the session's own record finds it; its leases it reads. */
function spoil(rig: SessionRig): void {
  rig.sql.run("UPDATE session SET record = '{'");
  rig.reincarnate();
}

const leases = (rig: SessionRig) =>
  rig.sql
    .run("SELECT generation, standing, phase FROM lease ORDER BY generation")
    .map((row) => `${String(row["standing"])} ${String(row["phase"])}`);

describe("a session whose record cannot be read", () => {
  it("is told of as blocked, though nobody asks for it [LEA-4]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.pass(5 * second);
    const before = rig.indexed.length;
    spoil(rig);
    await rig.pass(minute);
    const told = rig.indexed.slice(before);
    expect(told.map((report) => report.blocked)).toContain("unreadable");
    expect(rig.indexed.at(-1)).toMatchObject({ blocked: "unreadable" });
    // Nobody knows that its sandbox is gone: the place is not given back.
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });

  it("does not say that it knows of the tenant's used-up budget, and neither does one whose storage fails [EVI-4]", async () => {
    const rig = new SessionRig({ prices: { currency: "USD", nanosPerSecond: { memory: 25_000 } } });
    await rig.running();
    rig.storageFails = true;
    await expect(rig.commands.tenantBudgetSpent()).rejects.toThrow();
    rig.storageFails = false;
    spoil(rig);
    await expect(rig.commands.tenantBudgetSpent()).rejects.toThrow();
    rig.sql.run("UPDATE session SET record_version = 99");
    rig.reincarnate();
    await expect(rig.commands.tenantBudgetSpent()).rejects.toThrow();
  });

  it("is told of as it is once its record can be read again [SIM-8]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.pass(5 * second);
    const record = rig.sql.run("SELECT record FROM session")[0]?.["record"] ?? null;
    const version = rig.indexed.at(-1)?.version ?? 0;
    spoil(rig);
    await rig.pass(minute);
    expect(rig.indexed.at(-1)).toMatchObject({ blocked: "unreadable" });
    rig.sql.run("UPDATE session SET record = ?", record);
    rig.reincarnate();
    await rig.pass(2 * minute);
    expect(rig.indexed.at(-1)).toMatchObject({ blocked: null, status: "running" });
    // The registry keeps the newest version only: a picture of the same version would have been ignored.
    expect(rig.indexed.at(-1)?.version).toBeGreaterThan(version + 1);
  });

  it("is ended before anything else is done with it when a delete was stored meanwhile [SIM-8] [I5] [DEL-1]", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    const record = rig.sql.run("SELECT record FROM session")[0]?.["record"] ?? null;
    spoil(rig);
    await rig.during(minute, rig.commands.delete(caller, "requested"));
    expect(rig.rig.world.processes()).toEqual([]);
    rig.sql.run("UPDATE session SET record = ?", record);
    rig.reincarnate();
    // Before any alarm: its sandbox was stopped for the delete, so no job may be taken for it.
    const job = await rig.commands.createJob(caller, { command: "true" });
    expect(job).toMatchObject({ ok: false, problem: { code: "session_gone" } });
    expect(await rig.view()).toMatchObject({ status: "terminated", terminate_reason: "requested" });
    await rig.pass(hour);
    expect(rig.calls("launch")).toBe(1);
  });

  it("shows nobody what was before a stored delete that cannot be carried out yet, and looks again [SIM-4] [I9]", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    const record = rig.sql.run("SELECT record FROM session")[0]?.["record"] ?? null;
    spoil(rig);
    await rig.during(minute, rig.commands.delete(caller, "requested"));
    rig.sql.run("UPDATE session SET record = ?", record);
    rig.reincarnate();
    rig.commitFails = true;
    expect(await rig.commands.get(caller)).toMatchObject({ ok: false, problem: { code: "storage_failed" } });
    expect(await rig.commands.inspect()).toMatchObject({ ok: false, problem: { code: "storage_failed" } });
    rig.commitFails = false;
    await rig.pass(10 * minute);
    expect(rig.commands.state.session?.desired).toMatchObject({ type: "terminated", reason: "requested" });
  });

  it("leaves no snapshot when it is deleted while a save was under way, however late that lands [SIM-8] [DEL-13]", async () => {
    const rig = new SessionRig({ retentionMs: 10 * hour });
    await rig.running(lasting);
    await rig.pass(5 * second);
    rig.fault = once("save", { type: "late_effect", ms: 5 * minute, reply: "result" });
    await pause(rig);
    await rig.pass(2 * second);
    const record = rig.sql.run("SELECT record FROM session")[0]?.["record"] ?? null;
    spoil(rig);
    await rig.during(minute, rig.commands.delete(caller, "requested"));
    rig.sql.run("UPDATE session SET record = ?", record);
    rig.reincarnate();
    await rig.pass(hour);
    expect(savedOf(rig)).toEqual([]);
    expect(await rig.view()).toMatchObject({ status: "terminated" });
    expect(rig.calls("remove")).toBeGreaterThan(0);
  });

  it("leaves no snapshot when it is deleted while it is paused, and is erased unread [DEL-13] [DEL-5]", async () => {
    const rig = new SessionRig({ retentionMs: hour });
    await pausedWith(rig, "kept");
    expect(savedOf(rig)).toHaveLength(1);
    let refusals = 0;
    rig.fault = ({ op }): Fault =>
      op === "remove" && (refusals += 1) < 3 ? { type: "fail_before", effect: "none" } : { type: "none" };
    spoil(rig);
    await rig.during(1, rig.commands.delete(caller, "requested"));
    // Evicted between two attempts and after the last one: what is left to do stands in the rows.
    await rig.pass(minute);
    rig.reincarnate();
    await rig.pass(30 * minute);
    expect([savedOf(rig), refusals]).toEqual([[], 3]);
    rig.reincarnate();
    await rig.pass(2 * hour);
    expect([rig.commands.state.mode.type, rig.alarm]).toEqual(["absent", null]);
    expect(rig.calls("remove")).toBe(3);
  });

  it("deletes a save that was under way once, not at each load, and is erased unread [DEL-13] [DEL-5]", async () => {
    const rig = new SessionRig({ retentionMs: hour });
    await rig.running(lasting);
    await rig.pass(5 * second);
    rig.fault = once("save", { type: "late_effect", ms: 5 * minute, reply: "result" });
    await pause(rig);
    await rig.pass(2 * second);
    spoil(rig);
    await rig.during(minute, rig.commands.delete(caller, "requested"));
    for (let half = 0; half < 5; half += 1) {
      await rig.pass(30 * minute);
      rig.reincarnate();
    }
    await rig.pass(30 * minute);
    expect(savedOf(rig)).toEqual([]);
    expect([rig.commands.state.mode.type, rig.alarm]).toEqual(["absent", null]);
  });

  it("stays while nobody knows what it saved, until an operator gives that up [DEL-13] [DEL-5]", async () => {
    const rig = new SessionRig({ retentionMs: hour });
    await pausedWith(rig, "kept");
    // As code from before that column left it.
    rig.sql.run("UPDATE session SET saved = NULL");
    spoil(rig);
    await rig.during(1, rig.commands.delete(caller, "requested"));
    await rig.pass(3 * hour);
    expect([rig.commands.state.mode.type, savedOf(rig).length]).toEqual(["unreadable", 1]);
    const say = (action: "abandon" | "forget_snapshots") =>
      rig.commands.resolve(operator, { action, reason: "no version reads it" }, "*");
    const detail: unknown = expect.stringContaining("forget_snapshots");
    expect(await say("abandon")).toMatchObject({ ok: false, problem: { code: "not_stuck", detail } });
    expect(await say("forget_snapshots")).toMatchObject({ ok: true });
    await rig.pass(3 * hour);
    expect([rig.commands.state.mode.type, rig.alarm]).toEqual(["absent", null]);
  });

  it("is torn down and told of: the place comes back and the receipt outlives its rows [CAP-6] [DEL-3] [DEL-7] [I11]", async () => {
    const rig = new SessionRig();
    const { generation } = await rig.running();
    await rig.pass(20 * second);
    const before = rig.indexed.at(-1)?.version ?? 0;
    spoil(rig);
    const asked = await rig.during(1, rig.commands.delete(caller, "requested"));
    expect(asked).toMatchObject({ ok: false, problem: { code: "unreadable_record" } });
    await rig.pass(minute);
    expect(rig.rig.world.processes()).toEqual([]);
    const { used, counts, imbalances } = rig.registry.ledger();
    expect({ used, imbalances }).toEqual({ used: 0, imbalances: [] });
    expect(counts).toMatchObject({ granted: 1, proven: 1 });
    const told = rig.indexed.at(-1);
    expect(told).toMatchObject({ status: "failed", blocked: "unreadable" });
    expect(told?.version).toBeGreaterThan(before);

    await rig.pass(rig.policy.retentionMs + hour);
    expect([rig.commands.state.mode.type, rig.alarm]).toEqual(["absent", null]);
    expect(rig.indexed.at(-1)?.erased).toBe(true);
    expect(rig.registry.receipts.receipt(rig.id, null)).toMatchObject({ phase: "closed", generation });
  });

  it("is looked at slowly past its retention while a lease row stays unreadable too, and is not erased [DEL-3]", async () => {
    const rig = new SessionRig({ retentionMs: minute });
    let gone = false;
    rig.fault = ({ op }): Fault => {
      if (op !== "renew" || gone) return { type: "none" };
      gone = true;
      return { type: "disappear" };
    };
    await rig.running({ on_loss: "relaunch" });
    await rig.pass(2 * minute);
    expect(leases(rig)).toEqual(["past closed", "newest held"]);
    // Only a receipt can still be read; the lease that is in force cannot.
    rig.sql.run("UPDATE lease SET record = '{' WHERE standing = 'newest'");
    rig.reincarnate();
    await rig.commands.delete(caller, "requested");
    await rig.pass(5 * minute);
    let wakes = 0;
    const { engine } = rig.commands;
    const wake = engine.wake.bind(engine);
    engine.wake = (actor) => {
      wakes += 1;
      return wake(actor);
    };
    const watched = hour;
    await rig.pass(watched);
    expect(wakes).toBeGreaterThan(0);
    expect(wakes).toBeLessThanOrEqual(watched / rig.policy.unreadableRetryMs + 1);
    expect(rig.commands.state.mode.type).toBe("unreadable");
    expect(rig.registry.ledger().used).toBe(1);
  });

  it("keeps the places of its leases: a ghost torn down meanwhile does not push out the newest [LEA-18]", async () => {
    const rig = new SessionRig();
    const { generation: frozen } = await rig.running({ ...lasting, on_loss: "relaunch" });
    // The first freezes, is replaced, and stays a ghost.
    rig.fault = ({ generation }): Fault => (generation === frozen ? { type: "hang", deaf: false } : { type: "none" });
    await rig.pass(20 * minute);
    expect(leases(rig)).toEqual(["ghost stopping", "newest held"]);
    const { generation: newest } = await rig.view();
    const record = String(rig.sql.run("SELECT record FROM session")[0]?.["record"]);
    spoil(rig);
    await rig.pass(20 * minute);
    expect(leases(rig)).toEqual(["ghost stopping", "newest held"]);

    // The code that reads it returns.
    rig.sql.run("UPDATE session SET record = ?", record);
    rig.reincarnate();
    rig.fault = null;
    await rig.pass(hour);
    const view = await rig.view();
    expect(view).toMatchObject({ status: "running", ghosts: 0 });
    expect(view.generation).toBeGreaterThanOrEqual(newest ?? Infinity);
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
    expect(await rig.commands.timeout(caller, "timeout", 100)).toMatchObject({ ok: true });
  });

  it("whose sandbox an operator asserted gone stays a ghost across an eviction, and is erased in its time [LEA-20]", async () => {
    const rig = new SessionRig({ retentionMs: hour });
    await rig.running(lasting);
    rig.fault = () => ({ type: "hang", deaf: false });
    spoil(rig);
    await rig.during(1, rig.commands.delete(caller, "requested"));
    await rig.pass(30 * minute);
    const gone = { action: "assert_absent", reason: "its host burnt down" } as const;
    expect(await rig.commands.resolve(operator, gone, "*")).toMatchObject({ ok: true });
    expect(leases(rig)).toEqual(["ghost stopping"]);
    rig.reincarnate();
    expect(rig.commands.state.session).toMatchObject({ newest: null, ghosts: [{ phase: "stopping" }] });
    await rig.pass(minute);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, counts: { asserted: 1, stopping: 0 }, imbalances: [] });
    await rig.pass(3 * hour);
    expect([rig.commands.state.mode.type, rig.alarm]).toEqual(["absent", null]);
    // Never taken for a proof.
    expect(rig.registry.ledger().counts).toMatchObject({ asserted: 1, proven: 0 });
  });
});

describe("a session that is over", () => {
  it("and moves while its end is being told keeps its rows, and tells its end once more [DEL-5]", async () => {
    const rig = new SessionRig({ retentionMs: hour });
    await rig.running(lasting);
    rig.fault = () => ({ type: "hang", deaf: false });
    await rig.during(1, rig.commands.delete(caller, "requested"));
    await rig.pass(30 * minute);
    const gone = { action: "assert_absent", reason: "its host burnt down" } as const;
    expect(await rig.commands.resolve(operator, gone, "*")).toMatchObject({ ok: true });
    await rig.pass(minute);
    let asked = false;
    rig.registryFate = async (call) => {
      const ends =
        call === "report" && rig.rig.clock.now() > (rig.commands.state.session?.createdAt ?? 0) + 90 * minute;
      if (!ends || asked) return;
      asked = true;
      await rig.commands.resolve(operator, { action: "retry_stop", reason: "once more" }, "*");
    };
    await rig.pass(3 * hour);
    expect([asked, rig.commands.state.mode.type]).toEqual([true, "absent"]);
    const [first, second] = rig.indexed.filter(({ erased }) => erased);
    expect(second?.version).toBeGreaterThan(first?.version ?? Infinity);
    expect(rig.indexed.at(-1)).toBe(second);
  });
});

describe("a create", () => {
  it("that could be written only in part leaves nothing, and its repeat runs [I1] [I5] [API-2]", async () => {
    const rig = new SessionRig();
    const run = rig.sql.run.bind(rig.sql);
    rig.sql.run = (statement, ...bindings) => {
      const rows = run(statement, ...bindings);
      if (statement.startsWith("INSERT INTO session")) throw new Error("disk full");
      return rows;
    };
    const create = () => rig.during(3 * second, rig.commands.create(rig.id, caller, {}, "hash", 0));
    expect(await create()).toMatchObject({ ok: false, problem: { code: "storage_failed" } });
    expect(rig.sql.run("SELECT id FROM session")).toEqual([]);
    expect(rig.asked).toEqual([]);
    rig.sql.run = run;
    expect(await create()).toMatchObject({ ok: true, value: { replayed: false } });
    expect(rig.alarm).not.toBeNull();
    // Its first life ends here: the alarm alone brings it to an end.
    rig.reincarnate();
    await rig.pass(minute);
    expect((await rig.view()).status).toBe("running");
    expect(rig.calls("launch")).toBe(1);
  });
});

describe("a write that is rolled back", () => {
  it("takes its alarm with it: the same change, made again at the same instant, is armed for [I1] [I5]", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    rig.commitFails = true;
    expect(await rig.commands.timeout(caller, "timeout", 30)).toMatchObject({ ok: false });
    rig.commitFails = false;
    expect(await rig.commands.timeout(caller, "timeout", 30)).toMatchObject({ ok: true });
    expect(rig.alarm).toBeLessThanOrEqual(rig.rig.clock.now() + 30 * second);
  });
});

describe("rows of newer code", () => {
  it("are marked in the index again and again, and nothing else is told of them; afterwards whoever asks hears the truth [LEA-19] [FLT-13]", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: null });
    rig.sql.run("UPDATE session SET record_version = 99");
    rig.reincarnate();
    const told = rig.indexed.length;
    const wakes = 4;
    rig.alarm = rig.rig.clock.now();
    await rig.pass((wakes - 1) * rig.policy.newerRetryMs + 1_000);
    expect(rig.marked).toHaveLength(wakes);
    const last = rig.marked.at(-1);
    expect(last).toMatchObject({ sessionId: rig.id, blocked: "newer_record" });
    // Ahead of the next mark, so that nobody takes it for one whose alarm was lost.
    expect(last?.nextDeadline).toBeGreaterThan(rig.rig.clock.now() + rig.policy.newerRetryMs);
    expect(rig.indexed).toHaveLength(told);
    rig.sql.run("UPDATE session SET record_version = 1");
    rig.reincarnate();
    await rig.commands.poke("maintenance");
    await rig.pass(1_000);
    expect(rig.indexed.length).toBeGreaterThan(told);
    expect(rig.indexed.at(-1)?.blocked).toBeNull();
  });
});
