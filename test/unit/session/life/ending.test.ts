/** From the first moment of an end nothing is admitted any more, and nothing comes back to life. */
import { describe, expect, it } from "vitest";
import type { Call } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const launched = (rig: SessionRig): number =>
  rig.rig.world.journal.since(0).filter((entry) => entry.type === "launched").length;

async function ending(): Promise<{ rig: SessionRig; job: string }> {
  const rig = new SessionRig();
  await rig.during(2_000, rig.commands.create(rig.id, caller, {}, null, 1_000));
  const made = await rig.commands.createJob(caller, { id: "long", command: "sleep 600", stdin_open: true });
  if (!made.ok) throw new Error(made.problem.detail);
  await rig.pass(2_000);
  // A provider that cannot say: the teardown takes a while, and every answer below is given in the middle of it.
  rig.rig.fault = (call: Call) => (call.op === "observe" ? { type: "fail_before", effect: "none" } : { type: "none" });
  const asked = await rig.commands.delete(caller, "requested");
  expect(asked).toMatchObject({ ok: true, value: { done: false, session: { status: "terminating" } } });
  return { rig, job: made.value.job.id };
}

/** Everything that would feed a sandbox, or start one. */
async function ask(rig: SessionRig, job: string): Promise<readonly unknown[]> {
  return [
    await rig.commands.createJob(caller, { command: "echo late" }),
    await rig.commands.writeStdin(caller, job, new Uint8Array([1]), false),
    await rig.commands.keepalive(caller),
    await rig.commands.interrupt(caller),
  ];
}

const gone = { ok: false, problem: { code: "session_gone" } };
const ended = { ok: false, problem: { code: "session_ended" } };

describe("after an end was asked for", () => {
  it("data-plane requests are gone at once, and none of them starts a container again [DEL-8] [I10]", async () => {
    const { rig, job } = await ending();
    for (const answer of await ask(rig, job)) expect(answer).toMatchObject(gone);
    expect(await rig.commands.timeout(caller, "timeout", 60)).toMatchObject(ended);
    expect(await rig.commands.timeout(caller, "refresh", 60)).toMatchObject(ended);
    expect(await rig.commands.resume(caller, null, 0)).toMatchObject(ended);
    expect(await rig.commands.rebuild(caller, 0)).toMatchObject(ended);
    await rig.pass(60_000);
    expect(launched(rig)).toBe(1);
    expect(await rig.commands.get(caller)).toMatchObject({ ok: true, value: { body: { status: "terminating" } } });
  });

  it("the same holds once it is terminated, while plain reads go on [DEL-8] [I10]", async () => {
    const { rig, job } = await ending();
    rig.rig.fault = () => ({ type: "none" });
    await rig.pass(60_000);
    expect(await rig.commands.get(caller)).toMatchObject({ ok: true, value: { body: { status: "terminated" } } });
    for (const answer of await ask(rig, job)) expect(answer).toMatchObject(gone);
    expect(await rig.commands.job(caller, job, 0)).toMatchObject({ ok: true, value: { state: "interrupted" } });
    expect(await rig.commands.teardown(caller)).toMatchObject({ ok: true, value: { phase: "closed" } });
    const row = rig.sql.run("SELECT record FROM session")[0];
    await rig.pass(60 * 60_000);
    expect(launched(rig)).toBe(1);
    expect(rig.sql.run("SELECT record FROM session")[0]).toEqual(row);
  });
});
