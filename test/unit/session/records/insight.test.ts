/** What a session's sandbox uses and says, over the real shell and the memory provider. */
import { describe, expect, it } from "vitest";
import type { TenantId } from "../../../../src/domain/state/ids.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const stranger = { ...caller, tenant: "other" as TenantId };

async function resources(rig: SessionRig) {
  const reply = await rig.during(2_000, rig.commands.resources(caller));
  if (!reply.ok) throw new Error(reply.problem.detail);
  return reply.value;
}

describe("resources", () => {
  it("come from the sandbox, with a history that survives an eviction and a launch that is its beginning [FLT-19]", async () => {
    const rig = new SessionRig();
    await rig.running({ agent_type: "coder" });
    const first = await resources(rig);
    expect(first.processes).toBeGreaterThan(0);
    expect(first.memory_mb).toBeGreaterThan(0);
    // Two looks, a second apart: nobody had asked before.
    expect(first.history).toHaveLength(2);
    await rig.pass(30_000);
    rig.reincarnate();
    const second = await resources(rig);
    expect(second.history).toHaveLength(3);
    expect(second.history.slice(0, 2)).toEqual(first.history);
    expect(second.duration_ms).toBeGreaterThan(first.duration_ms + 29_000);
    expect(second.diagnosis).toEqual([]);
  });

  it("wake nothing, count as no activity, and are kept to the newest sixty [I12]", async () => {
    const rig = new SessionRig();
    const { idle_at: idleAt } = await rig.running({});
    for (let asked = 0; asked < 70; asked += 1) await resources(rig);
    expect((await resources(rig)).history).toHaveLength(60);
    expect((await rig.view()).idle_at).toBe(idleAt);
    await rig.commands.delete(caller, "requested");
    await rig.pass(60_000);
    const launches = rig.calls("launch");
    const asked = rig.calls("readResources");
    expect(await rig.commands.resources(caller)).toMatchObject({ ok: false, problem: { code: "session_gone" } });
    expect([rig.calls("launch"), rig.calls("readResources")]).toEqual([launches, asked]);
  });

  it("of a sandbox that does not answer are refused in time, and of another's session not found", async () => {
    const rig = new SessionRig();
    await rig.running({});
    rig.fault = (call) => (call.op === "readResources" ? { type: "hang", deaf: false } : { type: "none" });
    const reply = await rig.during(15_000, rig.commands.resources(caller));
    expect(reply).toMatchObject({ ok: false, problem: { code: "sandbox_unreachable" } });
    expect(await rig.commands.resources(stranger)).toMatchObject({ ok: false, problem: { code: "not_found" } });
    expect(await rig.commands.logs(stranger, 100)).toMatchObject({ ok: false, problem: { code: "not_found" } });
  });
});

describe("logs", () => {
  it("show the sandbox's log and what a job has written so far, and its last words when all is gone [FLT-19]", async () => {
    const rig = new SessionRig();
    await rig.running({});
    await rig.commands.createJob(caller, { id: "live", command: "echo hello; sleep 600" });
    await rig.pass(2_000);
    const live = await rig.during(1_000, rig.commands.logs(null, 8_192));
    if (!live.ok) throw new Error(live.problem.detail);
    expect(live.value.sandbox?.text).toContain("live accepted");
    expect(live.value.jobs.map(({ id, state, tail }) => ({ id, state, tail }))).toEqual([
      { id: "live", state: "running", tail: "hello\n" },
    ]);
    expect(live.value.diagnosis.map((hint) => hint.code)).toEqual(["no_task_or_agent"]);

    await rig.commands.delete(caller, "requested");
    await rig.pass(120_000);
    const after = await rig.during(0, rig.commands.logs(caller, 8_192));
    if (!after.ok) throw new Error(after.problem.detail);
    expect(after.value.sandbox).toBeNull();
    expect(after.value.unavailable).toBe("There is no sandbox now.");
    expect(after.value.jobs[0]?.tail).toBe("hello\n");
  });
});
