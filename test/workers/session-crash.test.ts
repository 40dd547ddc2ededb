/**
 * The real object in workerd, ended in every phase without a word (`crash`: reset in the middle of whatever it did) and
 * continued by its alarm from storage alone. What is not shown: losing the machine that holds the storage.
 */
import { describe, expect, it } from "vitest";
import type { Call, Fault } from "../memory/fault-plan.ts";
import { now, policy, Rigged, seen, setAhead } from "../support/workers/rigged-session.ts";

const none: Fault = { type: "none" };
const deaf: Fault = { type: "hang", deaf: true };
const refused: Fault = { type: "fail_before", effect: "none" };

async function running(body: Parameters<Rigged["create"]>[0] = {}): Promise<Rigged> {
  const session = new Rigged();
  expect(await session.create(body)).toMatchObject({ ok: true, value: { body: { status: "running" } } });
  return session;
}

/** From here on its calls of that op are never answered. Answers how to wait for the first of them. */
function hangs(session: Rigged, op: Call["op"]): () => Promise<void> {
  let asked = false;
  session.fate((call) => {
    if (call.op !== op) return none;
    asked = true;
    return deaf;
  });
  return () => seen(() => asked);
}

const stored = (session: Rigged) =>
  session.rows("SELECT phase, json_extract(record, '$.step.type') AS step FROM lease");

async function expectReceipt(session: Rigged): Promise<void> {
  const { teardown } = await session.driveTo("terminated", 600);
  expect(teardown).toMatchObject({ phase: "closed" });
  expect(teardown?.verified_absent_at).not.toBeNull();
  expect(session.processes()).toEqual([]);
  await expect.poll(() => session.registry.receipt(session.id, null)).toMatchObject({ phase: "closed" });
  expect(await session.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
}

describe("an object that ends in the middle", () => {
  it("of a reservation asks again for the same generation [LEA-7] [CAP-6]", async () => {
    const session = new Rigged();
    let asked = false;
    session.tenantFate(() => {
      asked = true;
      return new Promise(() => {});
    });
    void session.create().catch(() => {});
    await seen(() => asked);
    await session.crash();
    session.tenantFate(null);
    expect(await session.driveTo("running")).toMatchObject({ status: "running" });
    expect(await session.registry.ledger()).toMatchObject({ used: 1, counts: { granted: 1 }, imbalances: [] });
    await session.api.delete(session.caller, "requested");
    await expectReceipt(session);
  });

  it("of a launch goes on from the stored deadline, and only one generation is ever held [LEA-7] [API-2]", async () => {
    const session = new Rigged();
    const launched = hangs(session, "launch");
    void session.create().catch(() => {});
    await launched();
    await session.crash();
    session.fate(null);
    // The new life confirms the interrupted launch at once instead of waiting for the bound of its call.
    expect(await stored(session)).toEqual([{ phase: "launching", step: "confirming" }]);
    const view = await session.driveTo("running");
    const living = new Set(session.processes().map((process) => process.generation));
    expect([...living]).toEqual([view.generation]);
    await session.api.delete(session.caller, "requested");
    await expectReceipt(session);
  });

  it("of a launch whose effect came finds its own instance again [LEA-7] [PHY-9]", async () => {
    const session = new Rigged();
    session.fate(({ op }) => (op === "launch" ? { type: "late_effect", ms: 20, reply: "silence" } : none));
    void session.create().catch(() => {});
    await seen(() => session.calls("launch").length > 0);
    await session.crash();
    session.fate(null);
    const [lease] = await session.rows("SELECT generation FROM lease");
    await expect.poll(() => session.processes().length).toBeGreaterThan(0);
    expect(await session.driveTo("running")).toMatchObject({ generation: lease?.["generation"] });
    expect(session.calls("launch")).toHaveLength(1);
    await session.api.delete(session.caller, "requested");
    await expectReceipt(session);
  });

  it("while held is the same session, renewed by its alarm as before [LEA-7]", async () => {
    const session = await running();
    const before = await session.view();
    const pids = session.processes().map((process) => process.pid);
    await session.crash();
    expect(await session.alarm()).not.toBeNull();
    const renewals = session.calls("renew").length;
    setAhead(policy.renewMs);
    await session.wake();
    expect(session.calls("renew").length).toBe(renewals + 1);
    expect(await session.view()).toMatchObject({ status: "running", generation: before.generation });
    expect(session.processes().map((process) => process.pid)).toEqual(pids);
    expect((await session.view()).created_at).toBe(before.created_at);
    await session.api.delete(session.caller, "requested");
    await expectReceipt(session);
  });

  it("of a renewal neither loses the lease nor its certain expiry [LEA-7] [I8]", async () => {
    const session = await running();
    const asked = hangs(session, "renew");
    setAhead(policy.renewMs);
    const woken = session.wake().catch(() => {});
    await asked();
    await session.crash();
    await woken;
    session.fate(null);
    const [lease] = await session.rows(
      "SELECT json_extract(record, '$.renewals.lastSentAt') AS sent, json_extract(record, '$.renewals.sendsUntil') AS covered, json_extract(record, '$.acceptedSentAt') AS accepted FROM lease",
    );
    // It may have arrived: the wrapper may live one TTL from this send, which was stored or is covered by what was.
    const covered = Math.max(Number(lease?.["sent"]), Number(lease?.["covered"]));
    expect(covered).toBeGreaterThanOrEqual(Number(lease?.["accepted"]) + policy.renewMs);
    setAhead(20_000);
    await session.wake();
    expect(await session.view()).toMatchObject({ status: "running" });
    await session.api.delete(session.caller, "requested");
    await expectReceipt(session);
  });

  it("of a stop attempt abandons that one and makes the next [LEA-7] [LEA-10]", async () => {
    const session = await running();
    const asked = hangs(session, "stop");
    expect(await session.api.delete(session.caller, "requested")).toMatchObject({ ok: true });
    await asked();
    await session.crash();
    session.fate(null);
    expect(await stored(session)).toEqual([{ phase: "stopping", step: "acting" }]);
    await expectReceipt(session);
    const { teardown } = await session.view();
    expect(teardown?.attempts.map((attempt) => attempt.outcome)).toEqual(["abandoned", "verified_absent"]);
  });

  it("between two stop attempts keeps attempts, reason and backoff [LEA-5] [LEA-7]", async () => {
    const session = await running();
    session.fate(({ op }) => (op === "stop" || op === "retire" ? refused : none));
    await session.api.delete(session.caller, "requested");
    await expect.poll(() => stored(session)).toEqual([{ phase: "stopping", step: "waiting" }]);
    const before = (await session.view()).teardown;
    await session.crash();
    await session.api.delete(session.caller, "requested");
    expect((await session.view()).teardown).toEqual(before);
    session.fate(null);
    await expectReceipt(session);
    expect((await session.view()).teardown).toMatchObject({ reason: "terminated", requested_at: before?.requested_at });
  });

  it("while parked goes on probing, and closes when a probe proves it [LEA-7] [LEA-11]", async () => {
    const session = await running();
    session.fate(({ op }) => (op === "destroy" ? none : refused));
    await session.api.delete(session.caller, "requested");
    for (let i = 0; i < 40 && (await session.view()).blocked === null; i += 1) {
      setAhead(400_000);
      await session.wake();
    }
    expect((await session.view()).blocked).toMatchObject({ code: "parked" });
    await session.crash();
    expect((await session.view()).blocked).toMatchObject({ code: "parked" });
    const alarm = await session.alarm();
    expect(alarm).not.toBeNull();
    expect((alarm ?? 0) - now()).toBeLessThanOrEqual(policy.parkedProbeMs);
    // Unreachable all that time: nobody killed it, and what is still there is seen and not struck.
    const stops = session.calls("stop").length;
    session.fate(null);
    setAhead(policy.parkedProbeMs);
    await session.wake();
    expect(await session.view()).toMatchObject({ status: "terminating", blocked: { code: "parked" } });
    expect(session.processes().length).toBeGreaterThan(0);
    expect(session.calls("stop")).toHaveLength(stops);
    session.fate(({ op }) => (op === "observe" ? { type: "disappear" } : none));
    setAhead(policy.parkedProbeMs);
    await session.wake();
    await expectReceipt(session);
    expect(session.calls("stop")).toHaveLength(stops);
  });

  it("terminated, before anybody was told, tells it after all [LEA-7] [FLT-2] [DEL-7]", async () => {
    const session = await running();
    await expect.poll(async () => (await session.registry.ledger()).counts.held).toBe(1);
    session.tenantFate(async (call) => {
      if (call === "report") throw new Error("the registry is down");
    });
    await session.api.delete(session.caller, "requested");
    await session.driveTo("terminated");
    await session.crash();
    expect(await session.registry.ledger()).toMatchObject({ used: 1 });
    expect(await session.registry.receipt(session.id, null)).toBeNull();
    session.tenantFate(null);
    await session.wake();
    await expectReceipt(session);
  });

  it("at every single call to its provider, one after the other, still comes to a proven end [LEA-7] [I1]", async () => {
    const session = new Rigged();
    let left = 0;
    session.fate(() => {
      left -= 1;
      return left >= 0 ? none : deaf;
    });
    const crashAfter = async (calls: number, drive: () => Promise<unknown>) => {
      left = calls;
      let driven = false;
      void drive().then(
        () => (driven = true),
        () => (driven = true),
      );
      await seen(() => driven || left < 0);
      await session.crash();
    };
    await crashAfter(0, () => session.create());
    for (let calls = 0; calls < 5; calls += 1) {
      setAhead(3_000);
      await crashAfter(calls, () => session.wake());
    }
    await session.api.delete(session.caller, "requested");
    for (let calls = 0; calls < 5; calls += 1) {
      setAhead(10_000);
      await crashAfter(calls, () => session.wake());
      expect(await session.alarm()).not.toBeNull();
    }
    session.fate(null);
    await expectReceipt(session);
  });
});

describe("before the provider is called", () => {
  it("phase, attempt and an alarm no later than the deadline are in storage [LEA-6] [I1] [I5]", async () => {
    const session = new Rigged();
    const seen: { op: Call["op"]; phase: unknown; step: unknown; deadline: number; alarm: Promise<number | null> }[] =
      [];
    session.fate(({ op }) => {
      // Looks: nothing comes of them that would have to be stored before.
      if (op === "observe" || op === "inspectCapacity" || op === "destroy") return none;
      const [row] = session.rowsNow(
        "SELECT phase, json_extract(record, '$.step.type') AS step, coalesce(json_extract(record, '$.step.deadline'), json_extract(record, '$.step.nextAt'), json_extract(record, '$.nextRenewalAt')) AS deadline FROM lease",
      );
      seen.push({
        op,
        phase: row?.["phase"],
        step: row?.["step"],
        deadline: Number(row?.["deadline"]),
        alarm: session.alarmNow(),
      });
      return none;
    });
    await session.create();
    setAhead(policy.renewMs);
    await session.wake();
    await session.api.delete(session.caller, "requested");
    await session.driveTo("terminated");
    expect(seen.map(({ op, phase, step }) => [op, phase, step])).toEqual([
      ["launch", "launching", "acting"],
      ["renew", "launching", "confirming"],
      ["renew", "held", null],
      ["retire", "stopping", "acting"],
      ["cutTraffic", "stopping", "acting"],
      ["stop", "stopping", "acting"],
    ]);
    for (const { phase, deadline, alarm } of seen) {
      const at = await alarm;
      // The renewal of a held lease is made up for by the next one, so its wake arms for that (decision 0024).
      const latest = phase === "held" ? deadline + policy.renewMs : deadline;
      expect(at).not.toBeNull();
      expect(deadline).toBeGreaterThan(0);
      expect(at ?? Infinity).toBeLessThanOrEqual(latest);
    }
  });
});

describe("an alarm that fails", () => {
  it("ten times in a row, because nothing can be stored, still leaves the session armed [LEA-16] [I5]", async () => {
    const session = await running();
    await session.api.delete(session.caller, "requested");
    await session.storage((storage) => {
      Object.assign(storage, {
        transactionSync: () => {
          throw new Error("disk I/O error");
        },
      });
    });
    for (let i = 0; i < 10; i += 1) {
      setAhead(120_000);
      await session.wake();
      expect(await session.alarm()).not.toBeNull();
    }
    // Nothing was reported that was not stored.
    expect(await session.view()).toMatchObject({ status: "terminating" });
    expect(await session.api.timeout(session.caller, "timeout", 60)).toMatchObject({ ok: false });
    await session.crash();
    await expectReceipt(session);
  });

  it("because reading fails as well, leaves nothing unhandled and is armed all the same [LEA-16] [I5]", async () => {
    const session = await running();
    await session.storage((storage) => {
      const broken = () => {
        throw new Error("disk I/O error");
      };
      Object.assign(storage, { transactionSync: broken });
      Object.assign(storage.sql, { exec: broken });
    });
    for (let i = 0; i < 10; i += 1) {
      setAhead(120_000);
      await session.wake();
      expect(await session.alarm()).not.toBeNull();
    }
    await session.crash();
    await session.api.delete(session.caller, "requested");
    await expectReceipt(session);
  });
});
