/** What a job's record and its output tell, over the real shell: reasons, refusals, waits and gaps. */
import { describe, expect, it } from "vitest";
import { bootstrapOrderOf, workspaceOrder } from "../../../../src/protocol/sandbox/workspace.ts";
import type { Problem, Reply } from "../../../../src/protocol/problem.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

function problem(reply: Reply<unknown>): Partial<Problem> {
  if (reply.ok) throw new Error("it was not refused");
  return reply.problem;
}

async function textOf(reply: Awaited<ReturnType<SessionRig["commands"]["jobOutput"]>>): Promise<[number, string]> {
  if (!reply.ok) throw new Error(reply.problem.detail);
  return [reply.value.from, await new Response(reply.value.body).text()];
}

const long = { timeout_seconds: 6_000 };
const input = (bytes: number) => new Uint8Array(bytes).fill(120);

describe("input that a sandbox refuses", () => {
  it("[BUG-34] a full stdin is told as such: nothing was taken, and it may be sent again", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "deaf", command: "sleep 3000", stdin_open: true, ...long });
    await rig.pass(1_000);
    const write = () => rig.during(1_000, rig.commands.writeStdin(caller, "deaf", input(700_000), false));
    expect((await write()).ok).toBe(true);
    expect(problem(await write())).toMatchObject({
      code: "stdin_full",
      detail: expect.stringContaining("Nothing of this"),
    });
  });

  it("[BUG-34] a call that certainly never arrived does not say that the input may have been taken", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "reads", command: "cat", stdin_open: true, ...long });
    await rig.pass(1_000);
    rig.fault = ({ op }) => (op === "writeStdin" ? { type: "fail_before", effect: "none" } : { type: "none" });
    const refused = problem(await rig.during(1_000, rig.commands.writeStdin(caller, "reads", input(1), false)));
    expect(refused).toMatchObject({ code: "sandbox_unreachable", detail: expect.stringContaining("Nothing of this") });
    rig.fault = ({ op }) => (op === "writeStdin" ? { type: "lost_reply" } : { type: "none" });
    const silent = problem(await rig.during(60_000, rig.commands.writeStdin(caller, "reads", input(1), false)));
    expect(silent).toMatchObject({ code: "sandbox_unreachable", detail: expect.stringContaining("not known") });
  });
});

describe("an offset past the end", () => {
  it("[BUG-35] is refused with the present length: while the job waits, runs, and after its end", async () => {
    const rig = new SessionRig({ maxActiveJobs: 1 });
    await rig.running();
    await rig.commands.createJob(caller, { id: "talks", command: "echo 0123456789; sleep 100", ...long });
    await rig.pass(1_000);
    await rig.commands.createJob(caller, { id: "waits", command: "echo later" });
    const at = (id: string, offset: number) => rig.during(1_000, rig.commands.jobOutput(caller, id, offset));
    expect(problem(await at("talks", 12))).toMatchObject({ code: "offset_past_end", length: 11 });
    expect(problem(await at("waits", 1))).toMatchObject({ code: "offset_past_end", length: 0 });
    await rig.pass(110_000);
    await rig.commands.delete(caller, "requested");
    await rig.pass(30_000);
    expect(problem(await at("talks", 12))).toMatchObject({ code: "offset_past_end", length: 11 });
    expect(await textOf(await at("talks", 11))).toEqual([11, ""]);
  });
});

describe("the output of a job that has not begun", () => {
  it("[BUG-37] is answered at once, waits however long, and is whole", async () => {
    const rig = new SessionRig({ maxActiveJobs: 1 });
    await rig.running();
    await rig.commands.createJob(caller, { id: "before", command: "sleep 600", ...long });
    await rig.pass(1_000);
    await rig.commands.createJob(caller, { id: "after", command: "echo my turn" });
    const opened = await rig.during(0, rig.commands.jobOutput(caller, "after", 0));
    expect(opened.ok).toBe(true);
    const text = textOf(opened);
    await rig.pass(500_000);
    expect((await rig.job("after")).state).toBe("queued");
    expect(await rig.during(200_000, text)).toEqual([0, "my turn\n"]);
  });

  it("[BUG-37] ends with its session, and a client that leaves leaves nothing waiting", async () => {
    const rig = new SessionRig({ maxActiveJobs: 1 });
    await rig.running();
    await rig.commands.createJob(caller, { id: "before", command: "sleep 600", ...long });
    await rig.pass(1_000);
    await rig.commands.createJob(caller, { id: "after", command: "echo never" });
    const [left, stays] = await Promise.all([0, 0].map((offset) => rig.commands.jobOutput(caller, "after", offset)));
    if (!left?.ok || stays === undefined) throw new Error("refused");
    const reader = left.value.body.getReader();
    const read = reader.read();
    await reader.cancel();
    expect((await read).done).toBe(true);
    const text = textOf(stays);
    await rig.commands.delete(caller, "requested");
    expect(await rig.during(30_000, text)).toEqual([0, ""]);
  });
});

describe("waiting for a job", () => {
  it("[BUG-38] asks its wrapper once for all who wait, and answers them all when it has ended", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "long", command: "sleep 50; echo done", ...long });
    await rig.pass(1_000);
    const before = rig.calls("job");
    const began = rig.rig.clock.now();
    const ends: number[] = [];
    const waits = Array.from({ length: 5 }, async () => {
      const reply = await rig.commands.job(caller, "long", 60_000);
      ends.push(rig.rig.clock.now() - began);
      return reply;
    });
    for (const reply of await rig.during(60_000, Promise.all(waits)))
      expect(reply).toMatchObject({ ok: true, value: { state: "succeeded", output_tail: "done\n" } });
    // Ten waits of five seconds, and one more that heard of the end.
    expect(rig.calls("job") - before).toBeLessThanOrEqual(12);
    expect(Math.max(...ends)).toBeLessThan(50_000);
    const after = rig.calls("job");
    await rig.pass(30_000);
    expect(rig.calls("job")).toBe(after);
  });
});

describe("what a job leaves", () => {
  it("[BUG-42] is ended with it, and its record says how many they were and what they are called", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "leaves", command: "fork; fork; echo up" });
    await rig.pass(2_000);
    expect(await rig.job("leaves")).toMatchObject({
      state: "succeeded",
      keep: false,
      left_running: { count: 2, names: ["fork"], kept: false },
    });
    expect(rig.rig.world.processes().filter(({ kind }) => kind === "job")).toEqual([]);
  });

  it("[BUG-42] goes on with keep until the session ends, and its record says that", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "service", command: "fork; echo up", keep: true });
    await rig.pass(2_000);
    expect(await rig.job("service")).toMatchObject({
      state: "succeeded",
      keep: true,
      left_running: { count: 1, kept: true },
    });
    expect(rig.rig.world.processes().filter(({ kind }) => kind === "job")).toHaveLength(1);
    await rig.commands.delete(caller, "requested");
    await rig.pass(60_000);
    expect(rig.rig.world.processes()).toEqual([]);
    rig.reincarnate();
    expect(await rig.job("service")).toMatchObject({ left_running: { count: 1, names: ["fork"], kept: true } });
  });
});

describe("the output of a job that wrote more than is kept", () => {
  it("[BUG-30] has its true end in the record, which says what was dropped; a stream ends at the gap", async () => {
    const rig = new SessionRig();
    await rig.running();
    const kept = 2 ** 20;
    await rig.commands.createJob(caller, { id: "noisy", command: `spew ${3 * kept}; echo the last words` });
    await rig.pass(2_000);
    const job = await rig.job("noisy");
    const gap = { from: kept / 4, to: job.output_bytes - (kept * 3) / 4 };
    expect(job).toMatchObject({ output_truncated: true, output_gap: gap, failure: null });
    expect(job.output_tail?.slice(-15)).toBe("the last words\n");
    const head = await textOf(await rig.during(1_000, rig.commands.jobOutput(caller, "noisy", 0)));
    expect([head[0], head[1].length]).toEqual([0, gap.from]);
    const rest = await textOf(await rig.during(1_000, rig.commands.jobOutput(caller, "noisy", gap.from)));
    expect([rest[0], rest[1].length]).toEqual([gap.to, job.output_bytes - gap.to]);
  });
});

describe("an address that no order can be made of", () => {
  const urls = ["https://host/a%zz", "https://us%er:pw@host/repo", "https://user:%ff@host/repo", "https://host/100%"];

  it("[BUG-36] is refused where it comes in, by the field it is in", () => {
    for (const url of urls) {
      const parsed = workspaceOrder.safeParse({ git: { url } });
      expect(parsed.success, url).toBe(false);
      expect(parsed.error?.issues[0]?.path).toEqual(["git", "url"]);
    }
    expect(workspaceOrder.safeParse({ git: { url: "https://us%40er:p%25w@host/a%20b" } }).success).toBe(true);
  });

  it("[BUG-36] makes no step throw when it was stored before it was refused", () => {
    for (const url of urls) expect(bootstrapOrderOf({ git: { url } }, 1_000).git?.url, url).toBe(url);
  });
});

describe("a step that throws", () => {
  it("[BUG-36] is tried again, and the view says what it threw until it goes well", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.commands.engine.pump();
    expect((await rig.view()).failure).toBeNull();
    rig.storageFails = true;
    await rig.pass(rig.policy.renewMs + 5_000);
    expect((await rig.view()).failure).toContain("disk I/O error");
    rig.storageFails = false;
    await rig.pass(2 * rig.policy.renewMs);
    expect(await rig.view()).toMatchObject({ status: "running", failure: null });
  });
});
