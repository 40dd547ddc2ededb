/** A sandbox that is lost, unreachable or cannot be proven gone: what the session does, and what its client is told. */
import { describe, expect, it } from "vitest";
import type { Call, Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const none: Fault = { type: "none" };
const minute = 60_000;
const hour = 60 * minute;

function once(op: Call["op"], fault: Fault): (call: Call) => Fault {
  let armed = true;
  return (call) => {
    if (!armed || call.op !== op) return none;
    armed = false;
    return fault;
  };
}

/** Nobody can look: every answer about it is unknown, and no stop gets through. */
const unreachable = ({ op }: Call): Fault =>
  op === "launch" || op === "destroy" ? none : { type: "fail_before", effect: "unknown" };

async function told(rig: SessionRig): Promise<readonly string[]> {
  const events = await rig.commands.events(caller, 0, 1_000, 0);
  if (!events.ok) throw new Error(events.problem.detail);
  return events.value.map((event) => event.type);
}

describe("on_loss", () => {
  it("hold: lost, quota back at the proof, jobs refused by name, nothing replaced [REB-5] [CAP-6]", async () => {
    const rig = new SessionRig();
    await rig.running({ on_loss: "hold" });
    expect(rig.registry.ledger().used).toBe(1);
    rig.fault = once("renew", { type: "disappear" });
    await rig.pass(2 * minute);
    expect(await rig.view()).toMatchObject({ status: "lost", teardown: { phase: "closed", reason: "lost" } });
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    const job = await rig.commands.createJob(caller, { command: "echo hi" });
    expect(job).toMatchObject({ ok: false, problem: { code: "sandbox_lost" } });
    await rig.pass(10 * minute);
    expect([rig.calls("launch"), (await rig.view()).status]).toEqual([1, "lost"]);
    expect(await told(rig)).toContain("sandbox_lost");
    expect(await told(rig)).not.toContain("sandbox_replaced");
  });

  it("relaunch: another generation, said as sandbox_replaced, three times and then as hold [REB-5] [FEN-11]", async () => {
    const rig = new SessionRig();
    let generation = (await rig.running({ on_loss: "relaunch", timeout_seconds: 7_200 })).generation ?? 0;
    for (let loss = 1; loss <= 3; loss += 1) {
      rig.fault = once("renew", { type: "disappear" });
      await rig.pass(4 * minute);
      const view = await rig.view();
      expect(view.status).toBe("running");
      expect(view.generation).toBeGreaterThan(generation);
      generation = view.generation ?? 0;
      expect((await told(rig)).filter((type) => type === "sandbox_replaced")).toHaveLength(loss);
    }
    rig.fault = once("renew", { type: "disappear" });
    await rig.pass(4 * minute);
    expect((await rig.view()).status).toBe("lost");
    expect(rig.calls("launch")).toBe(4);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
  });

  it("terminate: failed, saying that the sandbox was lost [REB-5]", async () => {
    const rig = new SessionRig();
    await rig.running({ on_loss: "terminate" });
    rig.fault = once("renew", { type: "disappear" });
    await rig.pass(2 * minute);
    expect(await rig.view()).toMatchObject({
      status: "failed",
      terminate_reason: "failed",
      failure: expect.stringContaining("lost") as string,
      teardown: { phase: "closed" },
    });
  });

  it("a foreign instance that answers in its place is a loss, and the successor is another sandbox [PHY-17] [FEN-3]", async () => {
    const rig = new SessionRig();
    const { generation } = await rig.running({ on_loss: "relaunch" });
    rig.fault = once("renew", { type: "foreign_instance" });
    await rig.pass(3 * minute);
    const view = await rig.view();
    expect(view.status).toBe("running");
    expect(view.generation).toBeGreaterThan(generation ?? 0);
    expect(rig.rig.world.processes().every((process) => process.generation === view.generation)).toBe(true);
  });
});

describe("an unreachable sandbox", () => {
  it("held, and unknown past its lease and grace, goes on to stop, and stopping deletes nothing [LEA-23] [I4]", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = unreachable;
    await rig.pass(5 * minute);
    expect((await rig.view()).status).toBe("running");
    await rig.pass(2 * minute);
    const view = await rig.view();
    expect(view).toMatchObject({ status: "recovering", teardown: { phase: "stopping", reason: "lapsed" } });
    expect(view.teardown?.verified_absent_at).toBeNull();
    expect(rig.registry.ledger().used).toBe(1);
    expect(rig.sql.run("SELECT phase FROM lease")).toEqual([{ phase: "stopping" }]);
  });

  it("whose host says that it cannot read its processes is not lost: that is no answer about them [I4]", async () => {
    const rig = new SessionRig();
    await rig.running({ on_loss: "hold" });
    rig.fault = ({ op }) =>
      op === "renew"
        ? { type: "fail_before", effect: "unknown" }
        : op === "observe"
          ? { type: "stale_read", lie: { type: "malformed" } }
          : none;
    await rig.pass(3 * minute);
    expect(rig.calls("observe")).toBeGreaterThan(1);
    expect((await rig.view()).status).toBe("running");
    rig.fault = () => none;
    await rig.pass(2 * minute);
    expect((await rig.view()).status).toBe("running");
    expect(rig.calls("launch")).toBe(1);
  });

  it("when at last proven gone, its session and the queued work go on [LEA-13]", async () => {
    // One ghost at most: so replacement has to wait for the proof here.
    const rig = new SessionRig({ maxActiveJobs: 1, maxGhosts: 0, provisionMs: 3 * hour });
    await rig.running({ on_loss: "relaunch", timeout_seconds: 4 * 3_600, idle_timeout_seconds: null });
    await rig.commands.createJob(caller, { id: "accepted", command: "sleep 9000", timeout_seconds: 9_000 });
    await rig.pass(1_000);
    await rig.commands.createJob(caller, { id: "waiting", command: "echo at last" });
    rig.fault = unreachable;
    await rig.pass(80 * minute);
    expect(await rig.view()).toMatchObject({ status: "recovering", blocked: { code: "parked" } });
    const held = await rig.job("waiting");
    expect(held.state).toBe("queued");
    expect(held.held_back?.retry_at).not.toBeNull();
    expect(rig.calls("launch")).toBe(1);
    rig.fault = null;
    await rig.pass(70 * minute);
    expect((await rig.view()).status).toBe("running");
    expect((await rig.job("waiting")).state).toBe("succeeded");
    expect((await rig.job("accepted")).state).toBe("lost");
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });

  it("is replaced only past certain expiry, in another sandbox, and stays a counted, probed ghost [LEA-18]", async () => {
    const rig = new SessionRig();
    const { generation } = await rig.running({ on_loss: "relaunch", idle_timeout_seconds: null });
    const blind = ({ op, generation: of }: Call): Fault =>
      of === generation && op !== "launch" ? { type: "fail_before", effect: "unknown" } : none;
    rig.fault = blind;
    const { leaseTtlMs, stopGraceMs, alarmSlipMs } = rig.policy;
    await rig.pass(leaseTtlMs + stopGraceMs);
    expect([rig.calls("launch"), (await rig.view()).ghosts]).toEqual([1, 0]);
    // The last renewal that may have got through was sent just now: the wrapper may live one more TTL from there.
    await rig.pass(leaseTtlMs + stopGraceMs);
    expect([rig.calls("launch"), (await rig.view()).ghosts]).toEqual([1, 0]);
    await rig.pass(alarmSlipMs + minute);
    const view = await rig.view();
    expect(view).toMatchObject({ status: "running", ghosts: 1 });
    expect(view.generation).toBeGreaterThan(generation ?? 0);
    const sandboxes = new Set(rig.asked.filter((call) => call.op === "launch").map((call) => call.sandboxId));
    expect(sandboxes.size).toBe(2);
    expect(rig.registry.ledger()).toMatchObject({ used: 2, imbalances: [] });
    // Deleted: nothing is final while a ghost is open.
    await rig.commands.delete(caller, "requested");
    await rig.pass(5 * minute);
    expect((await rig.view()).status).toBe("terminating");
    rig.fault = null;
    await rig.pass(2 * hour);
    expect(await rig.view()).toMatchObject({ status: "terminated", ghosts: 0 });
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    expect(rig.sql.run("SELECT count(*) AS receipts FROM lease WHERE phase = 'closed'")).toEqual([{ receipts: 2 }]);
  });

  it("leaves at most three ghosts behind, past which nothing is replaced [LEA-18]", async () => {
    const rig = new SessionRig({ relaunchBudget: 10 });
    await rig.running({ on_loss: "relaunch", idle_timeout_seconds: null, timeout_seconds: 86_400 });
    // Each sandbox is lost from sight five minutes after it was launched.
    const seen = new Map<number, number>();
    rig.fault = ({ op, generation, now }) => {
      if (generation === null || op === "launch") return none;
      const first = seen.get(generation) ?? now;
      seen.set(generation, first);
      return now - first > 5 * minute ? { type: "fail_before", effect: "unknown" } : none;
    };
    for (let hours = 0; hours < 6; hours += 1) {
      await rig.pass(hour);
      expect((await rig.view()).ghosts).toBeLessThanOrEqual(3);
    }
    expect((await rig.view()).ghosts).toBe(3);
    expect(rig.calls("launch")).toBe(4);
    expect(rig.registry.ledger()).toMatchObject({ used: 4, imbalances: [] });
  });
});

describe("a parked stop", () => {
  async function parked(rig: SessionRig): Promise<void> {
    await rig.running();
    rig.fault = unreachable;
    await rig.commands.delete(caller, "requested");
    await rig.pass(40 * minute);
    expect(await rig.view()).toMatchObject({ status: "terminating", blocked: { code: "parked" } });
  }

  it("made exactly the policy's attempts, each later than the one before, and no deletion resets them [LEA-10] [LEA-5]", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = unreachable;
    await rig.commands.delete(caller, "requested");
    for (let i = 0; i < 40; i += 1) {
      await rig.pass(minute);
      await rig.commands.delete(caller, "requested");
      await rig.commands.poke("maintenance");
      if (i % 7 === 3) rig.reincarnate();
    }
    const { teardown } = await rig.view();
    expect(teardown?.attempts).toHaveLength(rig.policy.stopAttempts);
    const begun = (teardown?.attempts ?? []).map((attempt) => Date.parse(attempt.started_at));
    const ended = (teardown?.attempts ?? []).map((attempt) => Date.parse(attempt.ended_at ?? ""));
    const waits = begun.slice(1).map((at, i) => at - (ended[i] ?? 0));
    waits.forEach((wait, i) => {
      const plain = Math.min(rig.policy.stopBackoffCapMs, rig.policy.stopBackoffBaseMs * 2 ** i);
      expect(wait).toBeGreaterThanOrEqual(0.8 * plain);
      expect(wait).toBeLessThanOrEqual(1.2 * plain + 1_000);
    });
    expect(teardown?.reason).toBe("terminated");
  });

  it("is only observed: no kill, no wake, one probe at a time, and they never end [LEA-11] [I7]", async () => {
    const rig = new SessionRig();
    await parked(rig);
    const before = { stop: rig.calls("stop"), launch: rig.calls("launch"), renew: rig.calls("renew") };
    let inFlight = 0;
    let most = 0;
    rig.fault = (call) => {
      if (call.op === "observe") {
        inFlight += 1;
        most = Math.max(most, inFlight);
        void rig.rig.clock.sleep(1_000).then(() => (inFlight -= 1));
        return { type: "fail_before", effect: "none" };
      }
      return unreachable(call);
    };
    const seen = rig.calls("observe");
    await rig.pass(6 * hour);
    const hourly = rig.calls("observe") - seen;
    // Every ten minutes for an hour, then each hour: some dozen looks, not thousands.
    expect(hourly).toBeGreaterThanOrEqual(6);
    expect(hourly).toBeLessThan(30);
    // Somebody who keeps asking, and maintenance that keeps poking, force none of their own.
    for (let i = 0; i < 20; i += 1) {
      await Promise.all([rig.commands.get(caller), rig.commands.teardown(caller), rig.commands.poke("maintenance")]);
    }
    await rig.pass(1_000);
    expect(rig.calls("observe") - seen - hourly).toBeLessThanOrEqual(1);
    await rig.pass(24 * hour);
    const daily = rig.calls("observe") - seen - hourly;
    expect(daily).toBeGreaterThanOrEqual(23);
    expect(most).toBe(1);
    expect({ stop: rig.calls("stop"), launch: rig.calls("launch"), renew: rig.calls("renew") }).toEqual(before);
  });

  it("closes by itself at the first probe that proves it, with a receipt [LEA-11] [DEL-7]", async () => {
    const rig = new SessionRig();
    await parked(rig);
    // Nothing could kill it, but its lease ran out: it fenced itself long ago.
    expect(rig.rig.world.processes()).toEqual([]);
    const stops = rig.calls("stop");
    rig.fault = null;
    await rig.pass(11 * minute);
    const view = await rig.view();
    expect(view).toMatchObject({ status: "terminated", blocked: null, teardown: { phase: "closed" } });
    expect(view.teardown?.verified_absent_at).not.toBeNull();
    expect(rig.calls("stop")).toBe(stops);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
  });

  it("of an adapter that is not wired is blocked and told, and goes on when it is back", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.adapterMissing = true;
    await rig.commands.delete(caller, "requested");
    await rig.pass(minute);
    expect(await rig.view()).toMatchObject({ status: "terminating", blocked: { code: "adapter_missing" } });
    expect(rig.indexed.at(-1)?.blocked).toBe("adapter_missing");
    rig.adapterMissing = false;
    await rig.pass(30 * minute);
    expect((await rig.view()).status).toBe("terminated");
  });
});

describe("a frozen provider", () => {
  it("that never answers keeps requests answered, attempts bounded and the alarm armed [PHY-8] [LEA-10]", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = () => ({ type: "hang", deaf: true });
    await rig.commands.createJob(caller, { id: "stuck", command: "echo hi" });
    await rig.pass(100);
    const before = rig.rig.clock.now();
    expect((await rig.commands.get(caller)).ok).toBe(true);
    expect((await rig.commands.timeout(caller, "timeout", 600)).ok).toBe(true);
    expect((await rig.commands.jobs(caller, null, 10)).ok).toBe(true);
    expect((await rig.commands.delete(caller, "requested")).ok).toBe(true);
    expect(rig.rig.clock.now()).toBe(before);
    for (let i = 0; i < 60; i += 1) {
      await rig.pass(minute);
      expect((await rig.commands.get(caller)).ok).toBe(true);
      expect(rig.alarm).not.toBeNull();
    }
    expect(rig.rig.clock.now()).toBe(before + 60 * minute);
    const { teardown } = await rig.view();
    expect(teardown?.attempts).toHaveLength(rig.policy.stopAttempts);
    expect(teardown?.parked).toBe(true);
    for (const attempt of teardown?.attempts ?? []) {
      const took = Date.parse(attempt.ended_at ?? "") - Date.parse(attempt.started_at);
      expect(took).toBeLessThanOrEqual(rig.policy.stopAttemptMs + 1_000);
    }
    rig.fault = null;
    await rig.pass(2 * hour);
    expect((await rig.view()).status).toBe("terminated");
  });
});
