/** The clocks of a session and what may move them, over the real shell. */
import { describe, expect, it } from "vitest";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const minute = 60_000;

describe("end_at", () => {
  it("is the same in create, get, index and events, and moves by timeout and refresh only [CLK-1]", async () => {
    const rig = new SessionRig();
    const created = await rig.during(3_000, rig.commands.create(rig.id, caller, { timeout_seconds: 600 }, null, 1_000));
    if (!created.ok) throw new Error(created.problem.detail);
    const { end_at: endAt } = created.value.body;
    const indexed = () => new Date(rig.indexed.at(-1)?.endAt ?? 0).toISOString();
    expect([(await rig.view()).end_at, indexed()]).toEqual([endAt, endAt]);
    await rig.commands.createJob(caller, { id: "job", command: "echo hi" });
    await rig.commands.keepalive(caller);
    await rig.pass(2 * minute);
    rig.reincarnate();
    expect([(await rig.view()).end_at, indexed()]).toEqual([endAt, endAt]);

    const moved = await rig.commands.timeout(caller, "timeout", 120);
    if (!moved.ok) throw new Error(moved.problem.detail);
    const set = new Date(rig.rig.clock.now() + 120_000).toISOString();
    expect(moved.value.body.end_at).toBe(set);
    const refreshed = await rig.commands.timeout(caller, "refresh", 60);
    expect(refreshed).toMatchObject({ ok: true, value: { body: { end_at: set } } });
    await rig.pass(1_000);
    expect([(await rig.view()).end_at, indexed()]).toEqual([set, set]);
    const events = await rig.commands.events(caller, 0, 100, 0);
    if (!events.ok) throw new Error(events.problem.detail);
    expect(events.value.filter((event) => event.type === "timeout_set").map((event) => event.facts)).toEqual([
      { end_at: set },
    ]);
  });

  it("that could not be stored is said not to be, and a later read shows the old one [CLK-2] [I9]", async () => {
    const rig = new SessionRig();
    const { end_at: endAt } = await rig.running({ timeout_seconds: 600 });
    for (const kind of ["timeout", "refresh"] as const) {
      rig.storageFails = true;
      expect(await rig.commands.timeout(caller, kind, 3_600)).toMatchObject({
        ok: false,
        problem: { code: "storage_failed" },
      });
      rig.storageFails = false;
      expect((await rig.view()).end_at).toBe(endAt);
      rig.reincarnate();
      expect((await rig.view()).end_at).toBe(endAt);
    }
    // The very same request is heard once the disk is well again.
    expect(await rig.commands.timeout(caller, "timeout", 3_600)).toMatchObject({ ok: true });
    expect((await rig.view()).end_at).not.toBe(endAt);
  });

  it("of 50 timeouts at once is that of the last, and nothing else has changed [CLK-3]", async () => {
    const rig = new SessionRig();
    const before = await rig.running();
    const asked = Array.from({ length: 50 }, (_, i) => 600 + 7 * i);
    await rig.during(0, Promise.all(asked.map((seconds) => rig.commands.timeout(caller, "timeout", seconds))));
    const after = await rig.view();
    const last = rig.rig.clock.now() + (asked.at(-1) ?? 0) * 1_000;
    expect(Date.parse(after.end_at)).toBe(last);
    const { end_at, refreshed_at, idle_at, expires_at, ...rest } = before;
    expect(after).toEqual({
      ...rest,
      end_at: new Date(last).toISOString(),
      refreshed_at: expect.any(String) as string,
      idle_at: expect.any(String) as string,
      expires_at: expect.any(String) as string,
    });
    expect([end_at, refreshed_at, idle_at, expires_at]).toHaveLength(4);
  });

  it("that was moved in time is never followed by the kill it prevented; one that passed is 409 [CLK-4] [CLK-9]", async () => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 60, idle_timeout_seconds: null });
    await rig.pass(50_000);
    // The alarm for the old end is armed already.
    await rig.commands.timeout(caller, "timeout", 300);
    await rig.pass(200_000);
    expect((await rig.view()).status).toBe("running");
    await rig.pass(110_000);
    expect(await rig.view()).toMatchObject({ status: "terminated", terminate_reason: "timeout" });
    expect(await rig.commands.timeout(caller, "timeout", 300)).toMatchObject({
      ok: false,
      problem: { code: "session_ended" },
    });
    expect((await rig.view()).status).toBe("terminated");
  });
});

describe("created_at", () => {
  it("is byte-identical after a job, a timeout, a reset, a delete and its receipt [CLK-5]", async () => {
    const rig = new SessionRig();
    const { created_at: createdAt } = await rig.running();
    const stored = () => rig.sql.run("SELECT created_at FROM session")[0]?.["created_at"];
    const at = stored();
    const same = async () => expect([(await rig.view()).created_at, stored()]).toEqual([createdAt, at]);
    await rig.commands.createJob(caller, { id: "job", command: "echo hi" });
    await rig.pass(minute);
    await same();
    await rig.commands.timeout(caller, "refresh", 7_200);
    rig.reincarnate();
    await same();
    await rig.commands.delete(caller, "requested");
    await rig.pass(minute);
    await same();
    expect((await rig.view()).status).toBe("terminated");
  });
});

describe("the idle clock", () => {
  it("is not moved by reads, lists, probes or renewals, and none of them launches anything [CLK-7] [I12]", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: 900 });
    const { idle_at: idleAt } = await rig.view();
    const launches = rig.calls("launch");
    for (let i = 0; i < 10; i += 1) {
      await rig.pass(minute);
      await rig.commands.jobs(caller, null, 100);
      await rig.commands.events(caller, 0, 100, 0);
      await rig.commands.teardown(caller);
      await rig.commands.poke("maintenance");
      expect((await rig.view()).idle_at).toBe(idleAt);
    }
    expect(rig.calls("renew")).toBeGreaterThan(9);
    expect(rig.calls("launch")).toBe(launches);
    await rig.pass(6 * minute);
    expect(await rig.view()).toMatchObject({ status: "terminated", terminate_reason: "idle_timeout" });
    expect(rig.calls("launch")).toBe(launches);
  });

  it("stands while a job runs and starts over when it ends [CLK-7]", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: 120 });
    await rig.commands.createJob(caller, { id: "long", command: "sleep 600", timeout_seconds: 3_600 });
    await rig.pass(5 * minute);
    expect(await rig.view()).toMatchObject({ status: "running", idle_at: null });
    await rig.pass(5 * minute + 60_000);
    expect((await rig.job("long")).state).toBe("succeeded");
    expect((await rig.view()).status).toBe("running");
    await rig.pass(3 * minute);
    expect(await rig.view()).toMatchObject({ status: "terminated", terminate_reason: "idle_timeout" });
  });

  it("restarts with an accepted timeout or refresh; null switches it off [CLK-14]", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: 300 });
    await rig.pass(4 * minute);
    await rig.commands.timeout(caller, "refresh", 3_600);
    expect((await rig.view()).idle_at).toBe(new Date(rig.rig.clock.now() + 300_000).toISOString());
    await rig.pass(4 * minute);
    expect((await rig.view()).status).toBe("running");

    const off = new SessionRig();
    await off.running({ idle_timeout_seconds: null, timeout_seconds: 7_200 });
    await off.pass(100 * minute);
    const view = await off.view();
    expect(view).toMatchObject({ status: "running", idle_at: null });
    expect(view.expires_at).toBe(view.end_at);
  });

  it("is not stopped by a report of running jobs that has grown stale [CLK-8]", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: 60 });
    await rig.commands.createJob(caller, { id: "long", command: "sleep 9000", timeout_seconds: 9_000 });
    await rig.pass(minute);
    // From here on nobody hears of it; it is unreachable, not gone.
    rig.fault = ({ op }) =>
      op === "renew" || op === "observe" ? { type: "fail_before", effect: "unknown" } : { type: "none" };
    const silentSince = rig.rig.clock.now();
    await rig.pass(4 * minute);
    const ended = await rig.view();
    expect(ended.terminate_reason).toBe("idle_timeout");
    const events = await rig.commands.events(caller, 0, 100, 0);
    const at = events.ok ? events.value.find((event) => event.type === "terminating")?.at : null;
    expect(Date.parse(at ?? "") - silentSince).toBeLessThan(rig.policy.staleActivityMs + minute);
  });
});

describe("a change that was stored", () => {
  it("is not called a failure because the look that follows it fails [I9] [CLK-2]", async () => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 600 });
    const honest = { ...rig.sql };
    let written = false;
    rig.sql.transaction = (body) => {
      const result = honest.transaction(body);
      written = true;
      return result;
    };
    rig.sql.run = (statement, ...bindings) => {
      if (written && statement.startsWith("SELECT * FROM job")) throw new Error("disk I/O error");
      return honest.run(statement, ...bindings);
    };
    const asked = await rig.commands.timeout(caller, "timeout", 3_600);
    expect(written).toBe(true);
    Object.assign(rig.sql, honest);
    const stored = (await rig.view()).end_at;
    expect(asked).toMatchObject({ ok: true, value: { body: { end_at: stored } } });
  });
});
