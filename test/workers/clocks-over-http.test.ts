/** Clocks, ends and replacements as a client meets them: the real routes and objects in workerd, with storage and a provider that fail. */
import { describe, expect, it } from "vitest";
import { eventPage } from "../../src/protocol/resources/session/events.ts";
import { jobView } from "../../src/protocol/resources/session/jobs.ts";
import { sessionView, type SessionView } from "../../src/protocol/resources/session/sessions.ts";
import { bodyOf, expectProblem, keyOf } from "../support/workers/mooring.ts";
import { riggedSend } from "../support/workers/rigged-http.ts";
import { now, policy, Rigged, setAhead } from "../support/workers/rigged-session.ts";

const second = 1_000;
const lasting = { idle_timeout_seconds: null } as const;

class Client {
  readonly session = new Rigged();
  readonly path = `/v1/sessions/${this.session.id}`;

  async send(method: string, rest: string, json?: unknown): Promise<Response> {
    const key = await keyOf(this.session.tenant);
    return await riggedSend(method, `${this.path}${rest}`, { key, ...(json === undefined ? {} : { json }) });
  }

  async started(body: Parameters<Rigged["create"]>[0] = lasting): Promise<this> {
    expect(await this.session.create(body)).toMatchObject({ value: { body: { status: "running" } } });
    return this;
  }

  async view(): Promise<SessionView> {
    return await bodyOf(await this.send("GET", ""), sessionView);
  }

  async events(): Promise<readonly string[]> {
    const page = await bodyOf(await this.send("GET", "/events?limit=100"), eventPage);
    return page.data.map((event) => event.type);
  }
}

describe("a change that could not be stored", () => {
  it("is a 503, and every later read shows the end_at of before, also after an eviction [CLK-2] [I9]", async () => {
    const client = await new Client().started({ ...lasting, timeout_seconds: 600 });
    const { end_at: endAt } = await client.view();
    // From here on no row of it can be written.
    await client.session.rows("ALTER TABLE session RENAME TO session_elsewhere");
    for (const [path, json] of [
      ["/timeout", { timeout_seconds: 3_000 }],
      ["/refresh", { duration_seconds: 3_000 }],
    ] as const) {
      await expectProblem(await client.send("POST", path, json), "storage_failed");
      expect((await client.view()).end_at).toBe(endAt);
    }
    await client.session.rows("ALTER TABLE session_elsewhere RENAME TO session");
    expect((await client.view()).end_at).toBe(endAt);
    await client.session.crash();
    expect((await client.view()).end_at).toBe(endAt);
    expect((await client.send("POST", "/timeout", { timeout_seconds: 3_000 })).status).toBe(200);
    expect((await client.view()).end_at).not.toBe(endAt);
  });
});

describe("an end that is moved while it comes", () => {
  it("40 timeouts and refreshes beside a delete: each wins whole or is 409; ended stays ended, erased is 404 [CLK-4] [DEL-5]", async () => {
    const client = await new Client().started();
    const { created_at: createdAt } = await client.view();
    const moves = (count: number) =>
      Array.from({ length: count }, (_, index) =>
        index % 2 === 0
          ? client.send("POST", "/timeout", { timeout_seconds: 1_000 + index })
          : client.send("POST", "/refresh", { duration_seconds: 2_000 + index }),
      );
    const [before, ended, after] = await Promise.all([
      Promise.all(moves(20)),
      client.send("DELETE", ""),
      Promise.all(moves(20)),
    ]);
    expect(ended.status).toBe(202);
    const ends: string[] = [];
    for (const reply of [...before, ...after]) {
      if (reply.status === 200) ends.push((await bodyOf(reply, sessionView)).end_at);
      else await expectProblem(reply, "session_ended");
    }
    const stands = (await client.view()).end_at;
    if (ends.length > 0) expect(ends).toContain(stands);
    await client.session.driveTo("terminated");
    for (const reply of await Promise.all(moves(4))) await expectProblem(reply, "session_ended");
    expect(await client.view()).toMatchObject({ status: "terminated", end_at: stands, created_at: createdAt });
    setAhead(policy.retentionMs);
    await client.session.wake();
    setAhead(60 * second);
    await client.session.wake();
    for (const reply of [...(await Promise.all(moves(4))), await client.send("GET", "")])
      await expectProblem(reply, "not_found");
    expect(await client.session.alarm()).toBeNull();
  });
});

describe("the idle clock", () => {
  it("is restarted by an accepted timeout, refresh and resume, not by reads; expires_at is the earliest [CLK-14] [CLK-7]", async () => {
    const client = await new Client().started({ idle_timeout_seconds: 120, timeout_seconds: 600 });
    const first = await client.view();
    expect(first.expires_at).toBe(first.idle_at);
    for (const [path, json] of [
      ["/timeout", { timeout_seconds: 700 }],
      ["/refresh", { duration_seconds: 800 }],
    ] as const) {
      setAhead(30 * second);
      // What is due by now is done first: a read sees to an alarm that is overdue, whose renewal tells of the sandbox's own activity.
      await client.session.wake();
      const quiet = await client.view();
      for (const read of ["", "/events", "/jobs", "/explain", "/usage"]) await client.send("GET", read);
      expect((await client.view()).idle_at).toBe(quiet.idle_at);
      await client.send("POST", path, json);
      const moved = await client.view();
      expect(Date.parse(moved.idle_at ?? "") - now()).toBeGreaterThan(115 * second);
      expect(moved.expires_at).toBe(moved.idle_at);
    }
    await client.send("POST", "/timeout", { timeout_seconds: 60 });
    const short = await client.view();
    expect(short.expires_at).toBe(short.end_at);
    await client.send("POST", "/pause");
    await client.session.driveTo("paused");
    await client.send("POST", "/resume", { timeout_seconds: 900 });
    const running = await client.session.driveTo("running");
    expect(Date.parse(running.idle_at ?? "") - now()).toBeGreaterThan(100 * second);
  });

  it("switched off has no date, and ends nothing [CLK-14]", async () => {
    const client = await new Client().started({ ...lasting, timeout_seconds: 86_400 });
    const view = await client.view();
    expect([view.idle_at, view.idle_timeout_seconds, view.expires_at]).toEqual([null, null, view.end_at]);
    for (let hours = 0; hours < 3; hours += 1) {
      for (let minutes = 0; minutes < 60; minutes += 1) {
        setAhead(60 * second);
        await client.session.wake();
      }
    }
    expect((await client.view()).status).toBe("running");
    await client.send("DELETE", "");
  });
});

describe("auto_resume", () => {
  async function paused(autoResume: boolean): Promise<Client> {
    const client = await new Client().started({ ...lasting, auto_resume: autoResume });
    await client.send("POST", "/pause");
    await client.session.driveTo("paused");
    return client;
  }

  it("eight jobs at once start it once, and each runs; no read did [CLK-15]", async () => {
    const client = await paused(true);
    for (const read of ["", "/events", "/jobs", "/teardown", "/explain", "/usage", "/logs"])
      await client.send("GET", read);
    expect((await client.view()).status).toBe("paused");
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, index) => client.send("POST", "/jobs", { id: `j${index}`, command: "echo hi" })),
    );
    expect(replies.map((reply) => reply.status)).toEqual(Array.from({ length: 8 }, () => 201));
    await client.session.driveTo("running");
    await expect
      .poll(async () => {
        await client.session.wake();
        const jobs = await Promise.all(
          replies.map(async (_, index) => bodyOf(await client.send("GET", `/jobs/j${index}`), jobView)),
        );
        return jobs.every((job) => job.state === "succeeded");
      })
      .toBe(true);
    expect(client.session.calls("launch")).toHaveLength(2);
  });

  it("off: a job and stdin are 409 by name, and nothing starts [CLK-15]", async () => {
    const client = await new Client().started();
    // Nothing can be handed over, so the job is still queued when the session has paused.
    client.session.fate(({ op }) => (op === "startJob" ? { type: "fail_before", effect: "none" } : { type: "none" }));
    await client.send("POST", "/jobs", { id: "waits", command: "cat" });
    await client.send("POST", "/pause");
    await client.session.driveTo("paused");
    client.session.fate(null);
    const key = await keyOf(client.session.tenant);
    await expectProblem(
      await riggedSend("POST", `${client.path}/jobs/waits/stdin?end=true`, { key }),
      "session_paused",
    );
    await expectProblem(await client.send("POST", "/jobs", { command: "true" }), "session_paused");
    for (let looks = 0; looks < 5; looks += 1) {
      setAhead(60 * second);
      await client.session.wake();
    }
    expect((await client.view()).status).toBe("paused");
    expect(client.session.calls("launch")).toHaveLength(1);
  });
});

describe("once a session is ending", () => {
  it("what would need its sandbox is 410 at once, reads are 200, and nothing starts again [DEL-8] [DEL-4]", async () => {
    const client = await new Client().started();
    await client.send("POST", "/jobs", { id: "job", command: "sleep 600" });
    client.session.fate(({ op }) => (op === "stop" ? { type: "hang", deaf: false } : { type: "none" }));
    const ended = await client.send("DELETE", "");
    expect(ended.status).toBe(202);
    expect((await bodyOf(ended, sessionView)).teardown).not.toBeNull();
    const refused = async () => {
      await expectProblem(await client.send("POST", "/jobs", { command: "true" }), "session_gone");
      await expectProblem(await client.send("POST", "/keepalive"), "session_gone");
      await expectProblem(await client.send("POST", "/interrupt"), "session_gone");
      const key = await keyOf(client.session.tenant);
      await expectProblem(await riggedSend("POST", `${client.path}/jobs/job/stdin?end=true`, { key }), "session_gone");
    };
    await refused();
    for (const read of ["", "/jobs", "/jobs/job", "/events", "/teardown", "/explain", "/usage"])
      expect((await client.send("GET", read)).status, read).toBe(200);
    client.session.fate(null);
    await client.session.driveTo("terminated");
    await refused();
    expect(client.session.calls("launch")).toHaveLength(1);
    expect(client.session.processes()).toEqual([]);
  });
});

describe("a job that cannot run yet", () => {
  it("is kept and says when it is tried again; it runs once its sandbox does [FEN-1]", async () => {
    const client = new Client();
    client.session.fate(({ op }) => (op === "launch" ? { type: "fail_before", effect: "none" } : { type: "none" }));
    await client.session.create(lasting, 0);
    const made = await client.send("POST", "/jobs", { id: "early", command: "echo at last" });
    expect(made.status).toBe(201);
    const job = async () => await bodyOf(await client.send("GET", "/jobs/early"), jobView);
    await expect.poll(async () => (await job()).held_back?.retry_at ?? null).not.toBeNull();
    expect(await job()).toMatchObject({
      state: "queued",
      held_back: { detail: expect.stringContaining("provisioning") as string },
    });
    client.session.fate(null);
    await client.session.driveTo("running");
    await expect
      .poll(async () => {
        await client.session.wake();
        return (await job()).state;
      })
      .toBe("succeeded");
    expect(await job()).toMatchObject({ held_back: null, output_tail: "at last\n" });
  });
});

describe("a sandbox that is replaced", () => {
  it("after a loss: the client is told in the history, and its accepted job is lost, not run again [FEN-11] [FEN-6]", async () => {
    const client = await new Client().started({ ...lasting, on_loss: "relaunch" });
    const { generation } = await client.view();
    await client.send("POST", "/jobs", { id: "running", command: "sleep 600", timeout_seconds: 900 });
    await expect
      .poll(async () => {
        await client.session.wake();
        return (await bodyOf(await client.send("GET", "/jobs/running"), jobView)).state;
      })
      .toBe("running");
    let lose = true;
    client.session.fate(({ op }) => {
      if (op !== "renew" || !lose) return { type: "none" };
      lose = false;
      return { type: "disappear" };
    });
    for (let waited = 0; (await client.view()).generation === generation && waited < 300; waited += 1) {
      setAhead(second);
      await client.session.wake();
    }
    const view = await client.session.driveTo("running");
    expect(view.generation).toBeGreaterThan(generation ?? Infinity);
    const told = await client.events();
    expect(told.indexOf("sandbox_lost")).toBeGreaterThan(-1);
    expect(told.indexOf("sandbox_replaced")).toBeGreaterThan(told.indexOf("sandbox_lost"));
    expect((await bodyOf(await client.send("GET", "/jobs/running"), jobView)).state).toBe("lost");
    expect(client.session.calls("startJob")).toHaveLength(1);
  });

  it("of a lost one by rebuild: from what is stored, without a save; a failed one leaves it lost and retryable [REB-1] [REB-4]", async () => {
    const labels = { team: "blue" };
    const client = await new Client().started({ ...lasting, labels });
    client.session.fate(({ op }) => (op === "renew" ? { type: "disappear" } : { type: "none" }));
    await client.session.driveTo("lost", 300);
    const before = await client.view();
    client.session.fate(({ op }) => (op === "launch" ? { type: "fail_before", effect: "none" } : { type: "none" }));
    expect((await client.send("POST", "/rebuild", { confirm: true })).status).toBe(202);
    const failed = await client.session.driveTo("lost", 1_200);
    expect(failed).toMatchObject({ labels, end_at: before.end_at, created_at: before.created_at });
    expect(failed.failure).not.toBeNull();
    client.session.fate(null);
    expect((await client.send("POST", "/rebuild", { confirm: true })).status).toBe(202);
    const rebuilt = await client.session.driveTo("running");
    expect(rebuilt).toMatchObject({ labels, end_at: before.end_at, created_at: before.created_at, failure: null });
    expect(client.session.calls("save")).toEqual([]);
    expect(await client.events()).toContain("sandbox_replaced");
  });

  it("of a live one by rebuild is saved first; a failed save stops the rebuild, and it runs on [REB-2]", async () => {
    const client = await new Client().started();
    const { generation } = await client.view();
    client.session.fate(({ op }) => (op === "save" ? { type: "fail_before", effect: "none" } : { type: "none" }));
    expect((await client.send("POST", "/rebuild", { confirm: true })).status).toBe(202);
    await expect
      .poll(async () => {
        await client.session.wake();
        return await client.events();
      })
      .toContain("rebuild_failed");
    expect(await client.view()).toMatchObject({ status: "running", generation });
    client.session.fate(null);
    expect((await client.send("POST", "/rebuild", { confirm: true })).status).toBe(202);
    for (let waited = 0; (await client.view()).generation === generation && waited < 120; waited += 1) {
      await client.session.wake();
      setAhead(second);
    }
    await client.session.driveTo("running");
    const ops = ["save", "stop", "launch"] as const;
    expect(ops.map((op) => client.session.calls(op).length)).toEqual([2, 1, 2]);
  });
});
