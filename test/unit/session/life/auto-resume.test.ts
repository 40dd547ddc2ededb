/** What wakes a paused session by itself (CLK-15): input for a job, and somebody who attaches. Reading never does. */
import { describe, expect, it } from "vitest";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { aWhile, once, pause, ran, savedOf, told } from "../../../support/suspension.ts";

const second = 1_000;
const text = (words: string) => new TextEncoder().encode(words);

/** One place only, taken by a job that the drain waits for in vain; `cat` is queued behind it and goes into the pause as it is. */
async function pausedWithQueuedCat(auto_resume: boolean): Promise<SessionRig> {
  const rig = new SessionRig({ maxActiveJobs: 1 });
  await rig.running({ auto_resume, timeout_seconds: 7_200, idle_timeout_seconds: null });
  await ran(rig, "write notes.txt kept");
  await rig.commands.createJob(caller, { id: "first", command: "sleep 100000" });
  await rig.pass(second);
  await rig.commands.createJob(caller, { id: "cat", command: "cat", stdin_open: true });
  await rig.pass(second);
  await pause(rig);
  await rig.pass(rig.policy.drainMs + 2 * aWhile);
  expect((await rig.view()).status).toBe("paused");
  expect([(await rig.job("first")).state, (await rig.job("cat")).state]).toEqual(["interrupted", "queued"]);
  return rig;
}

async function resumes(rig: SessionRig): Promise<number> {
  return (await told(rig)).filter((type) => type === "resuming").length;
}

describe("input for a queued job of a paused session", () => {
  it("resumes it once, waits for the job to begin, and is read [CLK-15]", async () => {
    const rig = await pausedWithQueuedCat(true);
    const launched = rig.calls("launch");
    const writes = [1, 2, 3].map((line) => rig.commands.writeStdin(caller, "cat", text(`line ${line}\n`), line === 3));
    await rig.pass(aWhile);
    expect(await Promise.all(writes)).toEqual([1, 2, 3].map(() => ({ ok: true, value: null })));
    expect([await resumes(rig), rig.calls("launch") - launched]).toEqual([1, 1]);
    await rig.pass(aWhile);
    expect(await rig.job("cat")).toMatchObject({ state: "succeeded", output_tail: "line 1\nline 2\nline 3\n" });
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
  });

  it("is 409 session_paused where auto_resume is off, and starts nothing [CLK-15]", async () => {
    const rig = await pausedWithQueuedCat(false);
    const answer = await rig.commands.writeStdin(caller, "cat", text("hello"), false);
    expect(answer).toMatchObject({ ok: false, problem: { code: "session_paused" } });
    await rig.pass(aWhile);
    expect([(await rig.view()).status, await resumes(rig)]).toEqual(["paused", 0]);
  });

  it("answers that nothing was taken while nothing can be resumed, and the job keeps its place [CLK-15]", async () => {
    const rig = await pausedWithQueuedCat(true);
    rig.registryFate = (call) => (call === "reserve" ? Promise.reject(new Error("no registry")) : Promise.resolve());
    const write = rig.commands.writeStdin(caller, "cat", text("hello"), true);
    await rig.pass(40 * second);
    expect(await write).toMatchObject({ ok: false, problem: { code: "session_not_running" } });
    expect((await rig.job("cat")).state).toBe("queued");
    rig.registryFate = () => Promise.resolve();
    await rig.pass(120 * second);
    expect((await rig.job("cat")).state).toBe("running");
  });
});

it("input for a job that has ended wakes nothing: nobody could ever read it [CLK-15]", async () => {
  const rig = await pausedWithQueuedCat(true);
  const answer = await rig.commands.writeStdin(caller, "first", text("too late"), false);
  expect(answer).toMatchObject({ ok: false, problem: { code: "job_ended" } });
  await rig.pass(aWhile);
  expect([(await rig.view()).status, await resumes(rig)]).toEqual(["paused", 0]);
});

describe("input for a running job while the pause still waits for it", () => {
  async function draining(auto_resume: boolean): Promise<SessionRig> {
    const rig = new SessionRig();
    await rig.running({ auto_resume, timeout_seconds: 7_200 });
    await rig.commands.createJob(caller, { id: "cat", command: "cat", stdin_open: true });
    await rig.pass(second);
    await pause(rig);
    await rig.pass(second);
    expect((await rig.view()).status).toBe("pausing");
    return rig;
  }

  it("is read without calling the pause off: the job can end, and its end is in what is saved [DEL-12]", async () => {
    const rig = await draining(false);
    const write = rig.commands.writeStdin(caller, "cat", text("the end\n"), true);
    await rig.pass(aWhile);
    expect(await write).toEqual({ ok: true, value: null });
    await rig.pass(2 * aWhile);
    expect(await rig.job("cat")).toMatchObject({ state: "succeeded", output_tail: "the end\n" });
    expect((await rig.view()).status).toBe("paused");
  });

  it("calls the pause off where the session resumes by itself: it is in use [CLK-15]", async () => {
    const rig = await draining(true);
    const { generation } = await rig.view();
    const write = rig.commands.writeStdin(caller, "cat", text("more\n"), false);
    await rig.pass(aWhile);
    expect(await write).toEqual({ ok: true, value: null });
    await rig.pass(rig.policy.drainMs + aWhile);
    expect(await rig.view()).toMatchObject({ status: "running", generation });
    expect((await rig.job("cat")).state).toBe("running");
    expect(savedOf(rig)).toEqual([]);
  });
});

describe("attaching", () => {
  const auto = { seconds: 600, resumes: "if_auto" } as const;

  async function paused(auto_resume: boolean): Promise<SessionRig> {
    const rig = new SessionRig();
    await rig.running({ auto_resume, timeout_seconds: 300, idle_timeout_seconds: null });
    await pause(rig);
    await rig.pass(aWhile);
    expect((await rig.view()).status).toBe("paused");
    return rig;
  }

  it("resumes once however many come at once, and the end is that of the longest wish [CLK-15] [DEL-9]", async () => {
    const rig = await paused(true);
    const launched = rig.calls("launch");
    const asked = rig.rig.clock.now();
    const all = [300, 900, 600].map((seconds) =>
      rig.commands.attach(caller, { seconds, resumes: "if_auto" }, 20 * second),
    );
    all.push(rig.commands.attach(caller, auto, 20 * second));
    await rig.pass(aWhile);
    for (const answer of await Promise.all(all)) {
      expect(answer).toMatchObject({ ok: true, value: { body: { status: "running" }, changed: true } });
    }
    expect([await resumes(rig), rig.calls("launch") - launched]).toEqual([1, 1]);
    expect(Date.parse((await rig.view()).end_at)).toBe(asked + 900 * second);
  });

  it("is 409 session_paused where auto_resume is off, unless it is asked for whatever that says [CLK-15]", async () => {
    const rig = await paused(false);
    expect(await rig.commands.attach(caller, auto, 0)).toMatchObject({
      ok: false,
      problem: { code: "session_paused" },
    });
    expect((await rig.view()).status).toBe("paused");
    const always = rig.during(aWhile, rig.commands.attach(caller, { seconds: 60, resumes: "always" }, 20 * second));
    expect(await always).toMatchObject({ ok: true, value: { body: { status: "running" }, changed: true } });
  });

  it("only ever moves the end of a running session out [CLK-1]", async () => {
    const rig = new SessionRig();
    const before = await rig.running({ timeout_seconds: 300 });
    const nearer = await rig.commands.attach(caller, { seconds: 10, resumes: "if_auto" }, 0);
    expect(nearer).toMatchObject({ ok: true, value: { body: { end_at: before.end_at }, changed: false } });
    const now = rig.rig.clock.now();
    await rig.commands.attach(caller, auto, 0);
    expect(Date.parse((await rig.view()).end_at)).toBe(now + 600 * second);
  });

  it("while a pause drains calls it off, and while its sandbox stops is queued: one start [DEL-9]", async () => {
    for (const wait of [0, 2 * second, 4 * second, 6 * second]) {
      const rig = new SessionRig();
      await rig.running({ auto_resume: true, timeout_seconds: 600 });
      await pause(rig);
      await rig.pass(wait);
      const both = [rig.commands.attach(caller, auto, 60 * second), rig.commands.attach(caller, auto, 60 * second)];
      await rig.pass(3 * aWhile);
      for (const answer of await Promise.all(both)) {
        expect(answer, `after ${wait} ms`).toMatchObject({ ok: true, value: { body: { status: "running" } } });
      }
      expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
    }
  });

  it("a paused session for no time at all is refused, and without room stays paused with what it saved", async () => {
    const rig = await paused(true);
    const none = await rig.commands.attach(caller, { seconds: 0, resumes: "if_auto" }, 0);
    expect(none).toMatchObject({ ok: false, problem: { code: "validation_failed" } });
    const full = new SessionRig({}, 1);
    await full.running({ auto_resume: true });
    await pause(full);
    await full.pass(aWhile);
    const other = { sessionId: "b".repeat(20) as typeof full.id, generation: 1, sandboxId: "other-g1", createdAt: 1 };
    full.registry.quota.reserve(other as Parameters<typeof full.registry.quota.reserve>[0]);
    const refused = full.commands.attach(caller, auto, 20 * second);
    await full.pass(aWhile);
    expect(await refused).toMatchObject({ ok: false, problem: { code: "quota_exhausted" } });
    expect((await full.view()).status).toBe("paused");
    expect(savedOf(full)).toHaveLength(1);
  });

  it.each(["terminated", "lost"] as const)("a %s session is refused with what it is", async (what) => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 7_200 });
    if (what === "terminated") await rig.commands.delete(caller, "requested");
    else rig.fault = once("renew", { type: "disappear" });
    await rig.pass(10 * 60 * second);
    const answer = await rig.commands.attach(caller, auto, 0);
    expect(answer).toMatchObject({
      ok: false,
      problem: { code: what === "terminated" ? "session_gone" : "sandbox_lost" },
    });
  });
});

it("whoever only looks on resumes nothing, and hears that it is paused; whoever uses it does [CLK-15]", async () => {
  const rig = await pausedWithQueuedCat(true);
  const looked = await rig.commands.pass(caller, 0, false);
  expect(looked).toMatchObject({ ok: false, problem: { code: "session_paused" } });
  await rig.pass(aWhile);
  expect([(await rig.view()).status, await resumes(rig)]).toEqual(["paused", 0]);
  void rig.commands.pass(caller, 0);
  await rig.pass(aWhile);
  expect(await resumes(rig)).toBe(1);
});
