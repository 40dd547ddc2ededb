/** From a create to a held lease, and every way that can be cut short: quota, refusals, lost answers, stops in the middle. */
import { describe, expect, it } from "vitest";
import type { Call, Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const none: Fault = { type: "none" };
const minute = 60_000;

function once(op: Call["op"], fault: Fault): (call: Call) => Fault {
  let armed = true;
  return (call) => {
    if (!armed || call.op !== op) return none;
    armed = false;
    return fault;
  };
}

const started = (rig: SessionRig) => rig.rig.world.journal.since(0).filter((entry) => entry.type === "launched").length;

describe("quota", () => {
  it("refused with 429 leaves no session, no row, no alarm and no report behind [CAP-5] [CAP-7]", async () => {
    const rig = new SessionRig({}, 0);
    const refused = await rig.during(2_000, rig.commands.create(rig.id, caller, {}, null, 1_000));
    expect(refused).toMatchObject({ ok: false, problem: { code: "quota_exhausted", limit: 0, used: 0 } });
    expect(refused.ok || refused.problem.detail).toContain("Maximum sandbox limit reached");
    expect(rig.alarm).toBeNull();
    expect(rig.sql.run("SELECT name FROM sqlite_master WHERE type = 'table'")).toEqual([]);
    expect(rig.indexed).toEqual([]);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    expect(await rig.commands.get(caller)).toMatchObject({ ok: false, problem: { code: "not_found" } });
    expect(rig.asked).toEqual([]);
    await rig.pass(10 * minute);
    expect(rig.alarm).toBeNull();
    // The id is as free as before.
    const reply = await rig.during(2_000, rig.commands.create(rig.id, caller, {}, null, 1_000));
    expect(reply).toMatchObject({ ok: false, problem: { code: "quota_exhausted" } });
  });

  it("reserved just before a crash is used or given back: never kept for nothing [CAP-6] [API-2]", async () => {
    const rig = new SessionRig();
    let granted = false;
    rig.registryFate = async (call) => {
      if (call === "reserve" && !granted) {
        granted = true;
        // Reserved, and the answer is never heard.
        const [row] = rig.sql.run(
          "SELECT json_extract(record, '$.desired.provision.candidate.generation') AS g FROM session",
        );
        const generation = Number(row?.["g"]);
        rig.registry.quota.reserve({
          sessionId: rig.id,
          generation: generation as never,
          sandboxId: `${rig.id}-g${generation}` as never,
          createdAt: rig.rig.clock.now(),
          purpose: "create",
        });
        await new Promise(() => {});
      }
    };
    void rig.commands.create(rig.id, caller, {}, null, 0);
    await rig.pass(100);
    expect(rig.registry.ledger().used).toBe(1);
    rig.reincarnate();
    expect((await rig.view()).status).toBe("provisioning");
    await rig.commands.delete(caller, "requested");
    await rig.pass(minute);
    expect((await rig.view()).status).toBe("terminated");
    expect(rig.registry.ledger()).toMatchObject({ used: 0, counts: { cancelled: 1 }, imbalances: [] });
    expect(started(rig)).toBe(0);
  });

  it("reserved just before a crash serves the launch that follows: the same generation, once [CAP-6] [LEA-7]", async () => {
    const rig = new SessionRig();
    rig.fault = once("observe", { type: "hang", deaf: true });
    void rig.commands.create(rig.id, caller, {}, null, 0);
    await rig.pass(100);
    expect(rig.registry.ledger().used).toBe(1);
    rig.reincarnate();
    await rig.pass(minute);
    expect((await rig.view()).status).toBe("running");
    expect(rig.registry.ledger()).toMatchObject({ used: 1, counts: { granted: 1 }, imbalances: [] });
    expect(started(rig)).toBe(1);
  });

  it("used up while a session waits for its relaunch blocks it visibly and lets it in later [CAP-7]", async () => {
    const rig = new SessionRig({}, 1);
    await rig.running({ on_loss: "relaunch" });
    rig.fault = once("renew", { type: "disappear" });
    // Another session takes the place as soon as it is free.
    const other = {
      sessionId: "bbbbbbbbbbbbbbbbbbbb" as never,
      generation: 5 as never,
      createdAt: 5,
      purpose: "create" as const,
    };
    rig.registryFate = (call) => {
      if (call === "reserve") rig.registry.quota.reserve({ ...other, sandboxId: "bbbbbbbbbbbbbbbbbbbb-g5" as never });
      return Promise.resolve();
    };
    await rig.pass(2 * minute);
    const waiting = await rig.view();
    expect(waiting).toMatchObject({ status: "provisioning", blocked: { code: "quota_exhausted" } });
    expect(waiting.blocked?.retry_at).not.toBeNull();
    rig.registryFate = () => Promise.resolve();
    rig.registry.quota.cancel(other.sessionId, other.generation);
    await rig.pass(3 * minute);
    expect(await rig.view()).toMatchObject({ status: "running", blocked: null });
  });
});

describe("a launch", () => {
  it("whose reply got lost is confirmed by the instance itself, and was started once [PHY-9] [LEA-7]", async () => {
    const rig = new SessionRig();
    rig.fault = once("launch", { type: "lost_reply" });
    await rig.running();
    await rig.pass(5_000);
    expect((await rig.view()).status).toBe("running");
    expect([started(rig), rig.calls("launch")]).toEqual([1, 1]);
  });

  it("cut off by a reset is neither forgotten nor repeated in the same sandbox [LEA-7] [API-2]", async () => {
    const rig = new SessionRig();
    rig.fault = once("launch", { type: "late_effect", ms: 20_000, reply: "silence" });
    void rig.commands.create(rig.id, caller, {}, null, 0);
    await rig.pass(100);
    expect(rig.sql.run("SELECT phase FROM lease")).toEqual([{ phase: "launching" }]);
    rig.reincarnate();
    // It lands within its bound, and is taken for what it is: this very instance.
    await rig.pass(2 * minute);
    expect((await rig.view()).status).toBe("running");
    expect([started(rig), rig.calls("launch")]).toEqual([1, 1]);
  });

  it("that lands after its bound is refused there, and a late answer of it changes nothing [LEA-8] [PHY-10] [I6]", async () => {
    const rig = new SessionRig();
    rig.fault = once("launch", { type: "late_effect", ms: 150_000, reply: "result" });
    void rig.commands.create(rig.id, caller, {}, null, 0);
    await rig.pass(140_000);
    const before = await rig.view();
    await rig.pass(minute);
    const after = await rig.view();
    expect(after.status).toBe("running");
    const generations = new Set(rig.asked.filter(({ op }) => op === "launch").map(({ generation }) => generation));
    expect(generations.size).toBe(2);
    expect(Math.max(...[...generations].map(Number))).toBe(after.generation);
    const refused = rig.rig.world.journal.since(0).filter((entry) => entry.type === "launchRefused");
    expect(refused).toHaveLength(1);
    expect(started(rig)).toBe(1);
    expect(before.created_at).toBe(after.created_at);
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });

  it("answered after its generation was stopped and replaced moves neither lease [LEA-8] [I6]", async () => {
    const rig = new SessionRig({ launchCallMs: 60_000 });
    let answer = () => {};
    const { sandbox } = rig.rig;
    const launch = sandbox.launch.bind(sandbox);
    let held = false;
    // The adapter's promise settles minutes after its bound, with success.
    sandbox.launch = (order, bound) => {
      if (held) return launch(order, bound);
      held = true;
      return new Promise((resolve) => {
        answer = () => resolve({ ok: true, value: { host: "some-host", boot: "some-boot" } });
      });
    };
    rig.reincarnate();
    void rig.commands.create(rig.id, caller, {}, null, 0);
    await rig.pass(5 * minute);
    const before = await rig.view();
    expect(before.status).toBe("running");
    const rows = rig.sql.run("SELECT generation, phase, host, record FROM lease ORDER BY generation");
    answer();
    await rig.rig.time.settle();
    expect(rig.sql.run("SELECT generation, phase, host, record FROM lease ORDER BY generation")).toEqual(rows);
    expect(await rig.view()).toEqual(before);
  });

  it("that keeps failing backs off and ends as failed at the provision deadline, with everything back [LEA-22]", async () => {
    const rig = new SessionRig();
    rig.fault = ({ op }) => (op === "launch" ? { type: "fail_before", effect: "none" } : none);
    void rig.commands.create(rig.id, caller, { timeout_seconds: 3_600 }, null, 0);
    await rig.pass(9 * minute);
    expect((await rig.view()).status).toBe("provisioning");
    const launches = rig.asked.filter(({ op }) => op === "launch").map(({ now }) => now);
    const gaps = launches.slice(1).map((at, i) => at - (launches[i] ?? 0));
    expect(gaps[0]).toBeGreaterThanOrEqual(1_600);
    expect(Math.max(...gaps)).toBeGreaterThan(40_000);
    await rig.pass(3 * minute);
    expect(await rig.view()).toMatchObject({
      status: "failed",
      terminate_reason: "provision_timeout",
      teardown: { phase: "closed" },
    });
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    const last = rig.calls("launch");
    await rig.pass(30 * minute);
    expect(rig.calls("launch")).toBe(last);
  });

  it("during which the session is terminated ends with a receipt and no process, even when it lands later [DEL-9] [PHY-15]", async () => {
    for (const lands of [500, 5_000, 30_000]) {
      const rig = new SessionRig();
      rig.fault = once("launch", { type: "late_effect", ms: lands, reply: "result" });
      void rig.commands.create(rig.id, caller, {}, null, 0);
      await rig.pass(200);
      const asked = await rig.commands.delete(caller, "requested");
      expect(asked).toMatchObject({ ok: true, value: { done: false, session: { status: "terminating" } } });
      await rig.pass(3 * minute);
      const view = await rig.view();
      expect(view).toMatchObject({ status: "terminated", terminate_reason: "requested", started_at: null });
      expect(view.teardown?.verified_absent_at).not.toBeNull();
      expect(rig.rig.world.processes()).toEqual([]);
      expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
      // No renewal ever made it act.
      expect(rig.rig.world.journal.since(0).some((entry) => entry.type === "renewed")).toBe(false);
    }
  });

  it("goes where something is found already: that is stopped first, as an orphan, and another id is used [LEA-1]", async () => {
    const rig = new SessionRig();
    let squatted = false;
    rig.fault = ({ op, sandboxId, generation }) => {
      if (op === "observe" && !squatted && sandboxId !== null && generation !== null) {
        squatted = true;
        rig.rig.world.smuggle(rig.rig.order({ sessionId: rig.id, sandboxId, generation }));
      }
      return none;
    };
    void rig.commands.create(rig.id, caller, {}, null, 0);
    await rig.pass(2 * minute);
    expect((await rig.view()).status).toBe("running");
    const receipts = rig.sql.run(
      "SELECT json_extract(record, '$.receipt.reason') AS reason FROM lease WHERE phase = 'closed'",
    );
    expect(receipts).toEqual([{ reason: "orphaned" }]);
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });
});

describe("a renewal that races a stop", () => {
  it("loses: accepted after the delete, it brings no lease back [LEA-15]", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = once("renew", { type: "slow", ms: 3_000 });
    await rig.pass(rig.policy.renewMs + 500);
    await rig.commands.delete(caller, "requested");
    expect(rig.sql.run("SELECT phase FROM lease")).toEqual([{ phase: "stopping" }]);
    for (let i = 0; i < 40; i += 1) {
      await rig.pass(250);
      expect(["terminating", "terminated"]).toContain((await rig.view()).status);
    }
    expect((await rig.view()).status).toBe("terminated");
    // A stopping lease is never renewed.
    expect(rig.calls("renew")).toBe(2);
  });

  it("loses also when the stop began in another incarnation [LEA-15] [LEA-7]", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = once("renew", { type: "slow", ms: 3_000 });
    await rig.pass(rig.policy.renewMs + 500);
    rig.reincarnate();
    await rig.commands.delete(caller, "requested");
    await rig.pass(minute);
    expect((await rig.view()).status).toBe("terminated");
    expect(rig.rig.world.processes()).toEqual([]);
  });
});
