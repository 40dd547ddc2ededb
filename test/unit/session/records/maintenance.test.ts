/** What maintenance and operators do to a real session: end it under a guard that it judges itself, and bring it back to its alarm. */
import { describe, expect, it } from "vitest";
import { defaultPolicy } from "../../../../src/domain/rules/policy.ts";
import { overdueAfterMs } from "../../../../src/fleet/layers/choices.ts";
import { sweep, sweepTerms } from "../../../../src/fleet/layers/sweep.ts";
import { ShardIndex } from "../../../../src/fleet/shard/shard-index.ts";
import type { CreateSession } from "../../../../src/protocol/resources/session/sessions.ts";
import type { EndGuard } from "../../../../src/session/session-api.ts";
import { nodeSql } from "../../../support/node-sql.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const minute = 60_000;

async function end(rig: SessionRig, guard: EndGuard): Promise<{ readonly ended: boolean; readonly why: string }> {
  const order = { actor: "maintenance", reason: "emergency", words: "a test", guard } as const;
  const reply = await rig.during(0, rig.commands.end(order));
  if (!reply.ok) throw new Error(reply.problem.detail);
  return reply.value;
}

async function running(body: CreateSession = {}): Promise<SessionRig> {
  const rig = new SessionRig();
  await rig.running(body);
  return rig;
}

describe("a guard", () => {
  it("overdue: holds only when a clock is past by that long, at the moment of acting [FLT-5] [FLT-8]", async () => {
    const rig = await running({ timeout_seconds: 600, idle_timeout_seconds: null });
    const guard: EndGuard = { type: "overdue", byMs: overdueAfterMs(rig.policy) };
    expect(await end(rig, guard)).toMatchObject({ ended: false });
    // Its alarm is lost: the clock runs out and nothing happens by itself.
    rig.alarm = null;
    await rig.rig.time.run(600_000 + overdueAfterMs(rig.policy));
    // In the same life any request would notice that; a new one has no alarm to miss.
    rig.reincarnate();
    expect(await end(rig, guard)).toMatchObject({ ended: true });
    expect(await rig.view()).toMatchObject({ status: "terminating", terminate_reason: "emergency" });
  });

  it("overdue: an extension that came in between saves it [FLT-8]", async () => {
    const rig = await running({ timeout_seconds: 600, idle_timeout_seconds: null });
    await rig.pass(500_000);
    await rig.during(0, rig.commands.timeout(caller, "timeout", 3_600));
    await rig.pass(400_000);
    expect(await end(rig, { type: "overdue", byMs: 1 })).toMatchObject({ ended: false });
    expect(await rig.view()).toMatchObject({ status: "running" });
  });

  it("stuck: a late warning of a paused session's end is no reason to end it now [FLT-5]", async () => {
    const rig = await running();
    const paused = await rig.during(2 * minute, rig.commands.pause(caller, 0));
    expect(paused).toMatchObject({ ok: true });
    expect(await rig.view()).toMatchObject({ status: "paused" });
    rig.alarm = null;
    await rig.rig.time.run(rig.policy.pausedRetentionMs - rig.policy.pausedWarningMs + 60 * minute);
    expect(await end(rig, { type: "stuck", forMs: rig.policy.stuckAfterMs })).toMatchObject({ ended: false });
    expect(await rig.view()).toMatchObject({ status: "paused" });
  });

  it("status: what has changed since it was chosen is not ended", async () => {
    const rig = await running();
    expect(await end(rig, { type: "status", anyOf: ["lost"] })).toEqual(
      expect.objectContaining({ ended: false, why: "It is running by now." }),
    );
    expect(await end(rig, { type: "status", anyOf: ["lost", "running"] })).toMatchObject({ ended: true });
  });

  it("all: each has to hold; the first that does not says why [FLT-8]", async () => {
    const rig = await running({ idle_timeout_seconds: null });
    await rig.pass(2 * minute);
    const old: EndGuard = { type: "age", atLeastMs: minute };
    const idle: EndGuard = { type: "idle", forMs: 60 * minute };
    expect(await end(rig, { type: "all", guards: [old, idle] })).toMatchObject({
      ended: false,
      why: expect.stringContaining("meanwhile"),
    });
    expect(await end(rig, { type: "all", guards: [old] })).toMatchObject({ ended: true });
  });

  it("critical is spared until its max lifetime, and then no more [FLT-8]", async () => {
    const rig = await running({ critical: true, idle_timeout_seconds: null, max_lifetime_seconds: 600 });
    const guard: EndGuard = { type: "all", guards: [{ type: "age", atLeastMs: 1 }, { type: "notCritical" }] };
    expect(await end(rig, guard)).toMatchObject({ ended: false, why: expect.stringContaining("critical") });
    rig.alarm = null;
    await rig.rig.time.run(600_000);
    expect(await end(rig, guard)).toMatchObject({ ended: true });
  });
});

describe("a lost alarm", () => {
  it("is found by the sweep over the index, and the session is armed again and ends on its own clock [FLT-12]", async () => {
    const rig = await running({ timeout_seconds: 600, idle_timeout_seconds: null });
    const index = new ShardIndex(nodeSql(), rig.rig.clock);
    const ports = {
      shards: [{ name: "shard-0", api: { overdue: async (...asked: [number, number]) => index.overdue(...asked) } }],
      poke: () => rig.commands.poke("maintenance"),
      clock: rig.rig.clock,
      random: () => 0.5,
    };
    const tick = () => rig.rig.time.until(sweep(ports, sweepTerms(rig.policy)));
    await rig.pass(minute);
    for (const report of rig.indexed) index.report(report);
    // Well, and on time: nobody touches it.
    expect((await tick()).sessions).toEqual([]);
    rig.alarm = null;
    // A held session is heard of each quarter of an hour: a lost alarm is noticed that late.
    await rig.rig.time.run(rig.policy.reportEveryMs + 2 * minute);
    expect(rig.alarm).toBeNull();
    expect((await tick()).sessions).toEqual([{ sessionId: rig.id, outcome: "looked", detail: "" }]);
    expect(rig.alarm).not.toBeNull();
    await rig.pass(15 * minute);
    expect(await rig.view()).toMatchObject({ status: "terminated", terminate_reason: "timeout" });
  });
});

it("the sweep's own default slip is the alarm's", () => {
  expect(sweepTerms(defaultPolicy).alarmSlipMs).toBe(defaultPolicy.alarmSlipMs);
});
