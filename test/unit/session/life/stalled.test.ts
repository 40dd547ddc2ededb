/**
 * What does not come back: writes that fail for one rule, timers and alarms that stall while the clock stands still, calls that
 * hang, launches whose object crashed. None of it may hold up what else is due.
 */
import { describe, expect, it } from "vitest";
import type { Fault } from "../../../memory/fault-plan.ts";
import type { SandboxId } from "../../../../src/domain/state/ids.ts";
import { refuseEvents } from "../../../support/refused-events.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const lasting = { idle_timeout_seconds: null, timeout_seconds: 86_400 } as const;

describe("a rule of time whose move cannot be stored", () => {
  it("[BUG-8] stops neither the probes of a ghost nor the renewals of its successor", async () => {
    const rig = new SessionRig({ parkedProbeMs: minute, parkedProbeSlowMs: minute });
    const { generation } = await rig.running({ ...lasting, timeout_seconds: 3 * 3_600, on_loss: "relaunch" });
    rig.fault = (call): Fault => (call.generation === generation ? { type: "hang", deaf: false } : { type: "none" });
    await rig.pass(2 * hour);
    expect(rig.commands.state.session?.ghosts).toHaveLength(1);
    refuseEvents(rig.sql, "terminating");
    await rig.pass(61 * minute);
    const probes = () => rig.asked.filter((call) => call.generation === generation && call.op === "observe").length;
    const [probed, renewed] = [probes(), rig.calls("renew")];
    await rig.pass(30 * minute);
    expect(probes() - probed).toBeGreaterThan(5);
    expect(rig.calls("renew") - renewed).toBeGreaterThan(5);
    rig.sql.run("DROP TRIGGER broken");
    await rig.pass(6 * minute);
    expect((await rig.view()).terminate_reason).toBe("timeout");
  });

  it("[BUG-8] is tried again after rests, not without pause", async () => {
    const rig = new SessionRig();
    await rig.running({ ...lasting, timeout_seconds: 600 });
    await rig.pass(9 * minute);
    refuseEvents(rig.sql, "terminating");
    await rig.pass(2 * minute);
    const failures = () => rig.logged.filter((line) => line.includes("could not be stored")).length;
    const before = failures();
    expect(before).toBeGreaterThan(0);
    await rig.pass(hour);
    expect(failures() - before).toBeLessThan(200);
  });
});

describe("timers that stall while the clock is put back", () => {
  it("[BUG-103] keep no lane once the clock is right again: the next stop attempt follows in its time", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    rig.fault = ({ op }): Fault => (op === "stop" ? { type: "hang", deaf: true } : { type: "none" });
    rig.timersStall = true;
    await rig.commands.delete(caller, "requested");
    await rig.pass(second);
    expect(rig.calls("stop")).toBe(1);
    rig.fault = null;
    rig.timersStall = false;
    // Its alarm went with the stall as well: maintenance comes by.
    rig.alarm = null;
    await rig.pass(2 * minute);
    await rig.commands.poke("maintenance");
    await rig.pass(30 * second);
    await rig.commands.poke("maintenance");
    await rig.pass(minute);
    expect((await rig.view()).status).toBe("terminated");
    expect(rig.rig.world.processes()).toEqual([]);
  });

  it("[BUG-103] do not keep a session running without a process: whoever asks next has it looked at", async () => {
    const rig = new SessionRig();
    const { generation } = await rig.running(lasting);
    await rig.pass(30 * second);
    rig.timersStall = true;
    rig.fault = ({ op }): Fault => (op === "renew" ? { type: "hang", deaf: true } : { type: "none" });
    await rig.pass(2 * minute);
    rig.rig.world.mischief.disappear(`${rig.id}-g${generation}` as SandboxId);
    rig.timersStall = false;
    rig.fault = null;
    // The alarm that was armed meanwhile is as late as the timers.
    rig.alarm = rig.rig.clock.now() + hour;
    await rig.view();
    await rig.pass(minute);
    await rig.view();
    await rig.pass(minute);
    expect((await rig.view()).status).toBe("lost");
  });
});

describe("a launch whose object crashed in the middle", () => {
  it("[BUG-107] is confirmed by the next life at once, not when its call would have ended", async () => {
    const rig = new SessionRig();
    rig.fault = ({ op }): Fault => (op === "launch" ? { type: "slow", ms: 2 * second } : { type: "none" });
    void rig.commands.create(rig.id, caller, lasting, null, 0);
    await rig.pass(1_500);
    expect(rig.calls("launch")).toBe(1);
    rig.reincarnate();
    await rig.pass(15 * second);
    expect((await rig.view()).status).toBe("running");
    expect(rig.calls("launch")).toBe(1);
  });
});

describe("a wrapper that dies", () => {
  it("[BUG-43] is looked at as soon as a call to it fails", async () => {
    const rig = new SessionRig();
    const { generation } = await rig.running(lasting);
    await rig.pass(15 * second);
    rig.rig.world.mischief.disappear(`${rig.id}-g${generation}` as SandboxId);
    await rig.commands.createJob(caller, { command: "true" });
    await rig.pass(5 * second);
    expect((await rig.view()).status).toBe("lost");
  });
});

describe("a job whose record cannot be read", () => {
  it("[BUG-13] takes neither the list nor the jobs behind it with it", async () => {
    const rig = new SessionRig();
    rig.fault = ({ op }): Fault => (op === "launch" ? { type: "fail_before", effect: "none" } : { type: "none" });
    await rig.during(3 * second, rig.commands.create(rig.id, caller, lasting, null, 0));
    await rig.commands.createJob(caller, { id: "broken", command: "true" });
    await rig.commands.createJob(caller, { id: "whole", command: "echo hi" });
    rig.sql.run("UPDATE job SET body = '{' WHERE id = 'broken'");
    rig.fault = null;
    await rig.pass(minute);
    const listed = await rig.commands.jobs(caller, null, 10);
    if (!listed.ok) throw new Error(listed.problem.detail);
    expect(listed.value.map(({ id, state }) => [id, state])).toEqual([
      ["broken", "failed"],
      ["whole", "succeeded"],
    ]);
  });

  it("[BUG-13] a cursor whose job is gone is refused by name, not answered with an empty page", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    await rig.commands.createJob(caller, { id: "one", command: "true" });
    await rig.commands.createJob(caller, { id: "two", command: "true" });
    expect(await rig.commands.jobs(caller, "one", 10)).toMatchObject({ ok: true, value: [{ id: "two" }] });
    rig.sql.run("DELETE FROM job WHERE id = 'one'");
    expect(await rig.commands.jobs(caller, "one", 10)).toMatchObject({
      ok: false,
      problem: { code: "validation_failed", errors: [{ pointer: "/cursor" }] },
    });
  });
});

describe("live events of a session that has ended", () => {
  it("[BUG-41] end with its history: nobody keeps its object awake", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    await rig.commands.delete(caller, "requested");
    await rig.pass(minute);
    const history = await rig.commands.events(caller, 0, 100, 0);
    if (!history.ok) throw new Error(history.problem.detail);
    const last = history.value.at(-1);
    expect(last?.to).toBe("terminated");
    // What is not read yet is answered first.
    expect(await rig.commands.events(caller, (last?.sequence ?? 0) - 1, 100, hour)).toMatchObject({ ok: true });
    expect(await rig.commands.events(caller, last?.sequence ?? 0, 100, hour)).toMatchObject({
      ok: false,
      problem: { code: "session_ended" },
    });
    // As a page it is empty, as ever.
    expect(await rig.commands.events(caller, last?.sequence ?? 0, 100, 0)).toEqual({ ok: true, value: [] });
  });
});
