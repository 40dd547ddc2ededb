import { describe, expect, it } from "vitest";
import type { Generation, JobId } from "../../../src/domain/state/ids.ts";
import { MemoryRig } from "../../support/memory-rig.ts";

const job = "job" as JobId;

describe("a wrapper of the memory world", () => {
  it("does nothing before its first accepted renewal", async () => {
    const rig = new MemoryRig();
    const order = rig.order();
    await rig.done(rig.sandbox.launch(order, rig.bound()));
    const refused = await rig.startJob(order, job, "echo hi");
    expect(refused).toMatchObject({ ok: false, failure: { code: "not_ready", effect: "none" } });
    await rig.renew(order, 1);
    expect((await rig.startJob(order, job, "echo hi")).ok).toBe(true);
  });

  it("refuses another generation, and fences itself when the other is newer", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    const asked = (generation: number) =>
      rig.done(rig.sandbox.wrapper(rig.ref(order, { generation: generation as Generation })).health(rig.bound()));
    expect(await asked(order.generation - 1)).toMatchObject({ ok: false, failure: { code: "foreign_instance" } });
    expect(rig.kinds(order.sandboxId)).toEqual(["guardian", "wrapper"]);
    expect(await asked(order.generation + 1)).toMatchObject({ ok: false, failure: { code: "foreign_instance" } });
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("serves nobody who does not know its secret", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    const reply = await rig.done(rig.sandbox.wrapper(rig.ref(order, { secret: "x".repeat(64) })).drain(rig.bound()));
    expect(reply).toMatchObject({ ok: false, failure: { code: "foreign_instance" } });
    expect((await rig.startJob(order, job, "echo hi")).ok).toBe(true);
  });

  it("ends itself and its jobs when it is not renewed for the TTL, with nobody left to ask for it", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.startJob(order, job, "ignore-term; sleep 100000");
    await rig.time.run(order.leaseTtlMs - 1);
    expect(rig.kinds(order.sandboxId)).toEqual(["guardian", "job", "wrapper"]);
    await rig.time.run(1 + order.jobGraceMs);
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("a renewal held up on its way does not extend the lease by its delay", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    const sentAt = rig.clock.now();
    await rig.time.run(200_000);
    await rig.renew(order, 2, sentAt);
    await rig.time.run(order.leaseTtlMs - 200_000);
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("a stale renewal is refused and changes nothing", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.time.run(1_000);
    expect(await rig.renew(order, 1)).toMatchObject({ ok: false, failure: { code: "invalid", effect: "none" } });
    await rig.time.run(order.leaseTtlMs - 1_000);
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it.each(["killed", "frozen"] as const)("when the wrapper is %s the guardian ends the jobs", async (how) => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.startJob(order, job, "ignore-term; fork; sleep 100000");
    if (how === "killed") rig.world.mischief.killWrappers(order.sandboxId);
    else rig.world.mischief.freeze(order.sandboxId, "wrapper", 10_000_000);
    await rig.time.run(order.leaseTtlMs + order.jobGraceMs);
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("frozen whole beyond its lease, it ends as soon as it thaws, whatever waits in its sockets", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.startJob(order, job, "sleep 100000");
    rig.world.mischief.freeze(order.sandboxId, "everything", 2 * order.leaseTtlMs);
    const renewal = await rig.renew(order, 2);
    expect(renewal).toMatchObject({ ok: false, failure: { code: "timed_out", effect: "unknown" } });
    await rig.time.run(2 * order.leaseTtlMs);
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("nor does a renewal bring it back that was sent while it was frozen past its lease [I8]", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    rig.world.mischief.freeze(order.sandboxId, "everything", 2 * order.leaseTtlMs);
    await rig.time.run(2 * order.leaseTtlMs - 20_000);
    expect(await rig.renew(order, 2)).toMatchObject({ ok: false });
    await rig.time.run(30_000);
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("a guardian that is frozen in the middle of ending goes on when it thaws", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.startJob(order, job, "ignore-term; sleep 100000");
    rig.world.mischief.killWrappers(order.sandboxId);
    rig.world.mischief.freeze(order.sandboxId, "everything", 600_000);
    await rig.time.run(60_000);
    expect(rig.kinds(order.sandboxId)).toEqual(["guardian"]);
    await rig.time.run(600_000);
    expect(rig.kinds(order.sandboxId)).toEqual([]);
  });

  it("runs one id once, refuses it another body, and reports as ages", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.startJob(order, job, "echo one; sleep 2; exit 3");
    await rig.startJob(order, job, "echo one; sleep 2; exit 3");
    expect(await rig.startJob(order, job, "echo two")).toMatchObject({ ok: false, failure: { code: "invalid" } });
    await rig.time.run(5_000);
    const detail = await rig.done(rig.sandbox.wrapper(rig.ref(order)).job(job, 64_000, rig.bound()));
    expect(detail).toMatchObject({
      ok: true,
      value: { state: "failed", exit_code: 3, started_ago_ms: 5_000, ended_ago_ms: 3_000, output_bytes: 4 },
    });
    expect(detail.ok && atob(detail.value.tail_base64)).toBe("one\n");
    expect(await rig.renew(order, 2)).toMatchObject({ ok: true, value: { active_jobs: 0, idle_ms: 3_000 } });
  });

  it("ends a job at its timeout and the wrapper lives on", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.startJob(order, job, "ignore-term; sleep 100", 10_000);
    await rig.time.run(10_000 + order.jobGraceMs);
    const detail = await rig.done(rig.sandbox.wrapper(rig.ref(order)).job(job, 0, rig.bound()));
    expect(detail).toMatchObject({ ok: true, value: { state: "timed_out", signal: "SIGKILL" } });
    expect(rig.kinds(order.sandboxId)).toEqual(["guardian", "wrapper"]);
  });

  it("cancelling answers when the job has ended, with the state that was asked for", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.startJob(order, job, "ignore-term; sleep 100");
    const began = rig.time.elapsed;
    const ended = await rig.done(rig.sandbox.wrapper(rig.ref(order)).endJob(job, "cancelled", rig.bound()));
    expect(ended).toMatchObject({ ok: true, value: { state: "cancelled", signal: "SIGKILL" } });
    expect(rig.time.elapsed - began).toBe(order.jobGraceMs);
  });

  it("[BUG-30] keeps the beginning and the end of an output that is too long and says what was dropped", async () => {
    const keepOutputBytes = 400_000;
    const rig = new MemoryRig({ keepOutputBytes });
    const order = await rig.running();
    await rig.startJob(order, job, "echo first; spew 100000000; echo last");
    const wrapper = rig.sandbox.wrapper(rig.ref(order));
    const detail = await rig.done(wrapper.job(job, 2_000, rig.bound()));
    const total = 100_000_000 + "first\nlast\n".length;
    const gap = { from: 100_000, to: total - 300_000 };
    expect(detail).toMatchObject({
      ok: true,
      value: { output_bytes: total, output_truncated: true, output_gap: gap, tail_offset: total - 2_000 },
    });
    expect(detail.ok && atob(detail.value.tail_base64).slice(-5)).toBe("last\n");
    const parts: [number, number][] = [];
    for (const offset of [0, gap.from]) {
      const opened = await rig.done(wrapper.output(job, offset, rig.bound()));
      if (!opened.ok) throw new Error(opened.failure.message);
      parts.push([opened.value.from, (await rig.done(new Response(opened.value.body).bytes())).length]);
    }
    expect(parts).toEqual([
      [0, 100_000],
      [gap.to, 300_000],
    ]);
  });

  it("streams output from an offset until the job has ended, with nothing lost or repeated", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.startJob(order, job, "echo one; sleep 1; cat; echo three");
    const opened = await rig.done(rig.sandbox.wrapper(rig.ref(order)).output(job, 2, rig.bound()));
    if (!opened.ok) throw new Error(opened.failure.message);
    const text = new Response(opened.value.body).text();
    await rig.time.run(2_000);
    const input = new TextEncoder().encode("two\n");
    expect((await rig.done(rig.sandbox.wrapper(rig.ref(order)).writeStdin(job, input, true, rig.bound()))).ok).toBe(
      true,
    );
    expect(await rig.done(text)).toBe("e\ntwo\nthree\n");
  });

  it("a stream breaks, and does not end, when its wrapper is gone", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.startJob(order, job, "echo one; sleep 1000");
    const opened = await rig.done(rig.sandbox.wrapper(rig.ref(order)).output(job, 0, rig.bound()));
    if (!opened.ok) throw new Error(opened.failure.message);
    const text = new Response(opened.value.body).text();
    text.catch(() => {});
    await rig.time.run(1_000);
    rig.world.mischief.disappear(order.sandboxId);
    await expect(rig.done(text)).rejects.toThrow("cut");
  });

  it("admits no job once it drains", async () => {
    const rig = new MemoryRig();
    const order = await rig.running();
    await rig.startJob(order, job, "sleep 10");
    expect(await rig.done(rig.sandbox.wrapper(rig.ref(order)).drain(rig.bound()))).toEqual({
      ok: true,
      value: { activeJobs: 1 },
    });
    expect(await rig.startJob(order, "late", "echo hi")).toMatchObject({ ok: false, failure: { effect: "none" } });
  });
});
