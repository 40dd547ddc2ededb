/** Many requests at one object at once, in workerd: input gates open at every await, so they really interleave. */
import { describe, expect, it } from "vitest";
import { now, policy, Rigged, seen, setAhead } from "../support/workers/rigged-session.ts";

const twenty = <T>(call: (i: number) => Promise<T>): Promise<readonly T[]> =>
  Promise.all(Array.from({ length: 20 }, (_, i) => call(i)));

async function running(body: Parameters<Rigged["create"]>[0] = {}): Promise<Rigged> {
  const session = new Rigged();
  expect(await session.create(body)).toMatchObject({ ok: true, value: { body: { status: "running" } } });
  return session;
}

describe("during a stop", () => {
  it("20 deletes, 20 reads and 20 timeouts at once: one stop, each answered, none brings it back [DEL-1] [CLK-4] [LEA-5]", async () => {
    const session = await running();
    const { end_at: endAt, created_at: createdAt } = await session.view();
    let held = true;
    session.fate(({ op }) => (op === "stop" && held ? { type: "slow", ms: 60 } : { type: "none" }));
    const [deletes, reads, timeouts, jobs] = await Promise.all([
      twenty(() => session.api.delete(session.caller, "requested")),
      twenty(() => session.api.get(session.caller)),
      twenty((i) => session.api.timeout(session.caller, "timeout", 4_000 + i)),
      twenty((i) => session.api.createJob(session.caller, { id: `job-${i}`, command: "true" })),
    ]);
    held = false;
    for (const reply of deletes) {
      expect(reply).toMatchObject({ ok: true, value: { session: { terminate_reason: "requested" } } });
    }
    expect(reads.every((reply) => reply.ok)).toBe(true);
    // Each won whole or was told that it came too late.
    for (const reply of timeouts) {
      if (!reply.ok) expect(reply.problem.code).toBe("session_ended");
    }
    for (const reply of jobs) {
      if (!reply.ok) expect(reply.problem.code).toBe("session_gone");
    }
    const won = timeouts.filter((reply) => reply.ok).length;
    const view = await session.driveTo("terminated");
    expect(view.created_at).toBe(createdAt);
    if (won === 0) expect(view.end_at).toBe(endAt);
    expect(view.teardown?.attempts).toHaveLength(1);
    expect([session.calls("stop").length, session.calls("retire").length]).toEqual([1, 1]);
    expect(session.processes()).toEqual([]);
    expect(await session.api.timeout(session.caller, "refresh", 60)).toMatchObject({
      ok: false,
      problem: { code: "session_ended" },
    });
    const again = await twenty(() => session.api.delete(session.caller, "requested"));
    expect(again.every((reply) => reply.ok && reply.value.done)).toBe(true);
  });

  it("requests are answered at once while the provider answers nobody [PHY-8]", async () => {
    const session = await running();
    session.fate(() => ({ type: "hang", deaf: true }));
    expect(await session.api.delete(session.caller, "requested")).toMatchObject({ ok: true });
    await seen(() => session.calls("retire").length > 0);
    const replies = await twenty(() => session.api.get(session.caller));
    expect(replies.every((reply) => reply.ok && reply.value.body.status === "terminating")).toBe(true);
    // The provider still answers nobody: no reply waited for it.
    expect(session.calls("retire")).toHaveLength(1);
    session.fate(null);
    await session.driveTo("terminated");
  });
});

describe("50 timeouts at once", () => {
  it("end with the last one's end_at in storage, and nothing else is changed [CLK-3]", async () => {
    const session = await running();
    const before = await session.view();
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, i) => session.api.timeout(session.caller, "timeout", 1_000 + i)),
    );
    const ends = replies.map((reply) => (reply.ok ? reply.value.body.end_at : ""));
    const tags = replies.map((reply) => (reply.ok ? Number(reply.value.etag) : 0));
    const last = ends[tags.indexOf(Math.max(...tags))];
    await session.crash();
    const after = await session.view();
    expect(after.end_at).toBe(last);
    const { end_at, refreshed_at, idle_at, expires_at, ...rest } = before;
    expect([end_at, refreshed_at, idle_at, expires_at]).toHaveLength(4);
    expect(after).toMatchObject(rest);
  });
});

describe("creates of one id at once", () => {
  it("make one session; the others are told it is in flight, or get the same one replayed [API-1] [PHY-9]", async () => {
    const session = new Rigged();
    const create = () => session.api.create(session.id, session.caller, { timeout_seconds: 600 }, "hash", 60_000);
    const replies = await twenty(create);
    const answers = replies.map((reply) =>
      reply.ok ? (reply.value.replayed ? "replayed" : "created") : reply.problem.code,
    );
    expect(answers.filter((answer) => answer === "created")).toHaveLength(1);
    expect(answers.every((answer) => ["created", "replayed", "idempotency_in_flight"].includes(answer))).toBe(true);
    await session.crash();
    const again = await create();
    expect(again).toMatchObject({ ok: true, value: { replayed: true, body: { status: "running" } } });
    expect(await session.api.create(session.id, session.caller, {}, "another", 0)).toMatchObject({
      ok: false,
      problem: { code: "idempotency_mismatch" },
    });
    expect(session.calls("launch")).toHaveLength(1);
    expect(await session.registry.ledger()).toMatchObject({ used: 1, counts: { granted: 1 }, imbalances: [] });
    await session.api.delete(session.caller, "requested");
    await session.driveTo("terminated");
  });

  it("over the tenant's cap leave no row and no alarm in the ones refused [CAP-5] [CAP-7]", async () => {
    const sessions = Array.from({ length: 12 }, () => new Rigged("capped"));
    const replies = await Promise.all(sessions.map((session) => session.create()));
    const refused = sessions.filter((_, i) => replies[i]?.ok === false);
    expect(refused).toHaveLength(2);
    for (const [i, reply] of replies.entries()) {
      if (reply.ok) continue;
      expect(reply.problem).toMatchObject({ code: "quota_exhausted", limit: 10, used: 10 });
      const session = sessions[i];
      expect(await session?.rows("SELECT name FROM sqlite_master WHERE name NOT GLOB '_cf_*'")).toEqual([]);
      expect(await session?.alarm()).toBeNull();
      expect(session?.calls("launch")).toEqual([]);
    }
    for (const session of sessions.filter((each) => !refused.includes(each))) {
      await session.api.delete(session.caller, "requested");
      await session.driveTo("terminated");
    }
    const [first] = sessions;
    await expect.poll(async () => (await first?.registry.ledger())?.used).toBe(0);
  });
});

describe("alarm, requests and maintenance at once", () => {
  it("share one stop and one renewal: no step runs twice side by side [LEA-11]", async () => {
    const session = await running();
    setAhead(policy.renewMs);
    const renewals = session.calls("renew").length;
    session.fate(() => ({ type: "slow", ms: 30 }));
    await Promise.all([
      session.wake(),
      twenty(() => session.api.poke("maintenance")),
      twenty(() => session.api.get(session.caller)),
    ]);
    await seen(() => session.calls("renew").length > renewals);
    expect(session.calls("renew").length).toBe(renewals + 1);
    await session.api.delete(session.caller, "requested");
    await Promise.all([session.wake(), twenty(() => session.api.poke("maintenance"))]);
    const { teardown } = await session.driveTo("terminated");
    expect(teardown?.attempts).toHaveLength(1);
    expect(Date.parse(teardown?.verified_absent_at ?? "")).toBeLessThanOrEqual(now());
  });
});
