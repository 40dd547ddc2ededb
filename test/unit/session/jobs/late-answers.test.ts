/** Answers that arrive when what they answer is over: each names its attempt, and changes nothing that came after it. */
import { describe, expect, it } from "vitest";
import type { Fault } from "../../../memory/fault-plan.ts";
import { instantSeals } from "../../../support/instant-seals.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { journalOf, once, pause, told } from "../../../support/suspension.ts";

const second = 1_000;
const minute = 60 * second;
const lasting = { idle_timeout_seconds: null, timeout_seconds: 86_400 } as const;

async function resumed(rig: SessionRig): Promise<void> {
  const asked = await rig.commands.resume(caller, 3_600, 0);
  if (!asked.ok) throw new Error(asked.problem.detail);
}

describe("a drain that was called off while its answer was on the way", () => {
  it("[BUG-4] starts no save of the next pause around a job that runs", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    await rig.pass(5 * second);
    rig.fault = once("drain", { type: "slow", ms: 9_500 });
    await pause(rig);
    await rig.pass(second);
    await resumed(rig);
    expect(await rig.commands.createJob(caller, { id: "job", command: "sleep 600" })).toMatchObject({ ok: true });
    await rig.pass(7 * second);
    await pause(rig);
    await rig.pass(20 * second);
    expect(journalOf(rig, "saved").filter(({ jobs }) => jobs > 0)).toEqual([]);
  });

  it("[BUG-4] does not call off the next pause when it fails late", async () => {
    const rig = new SessionRig({ drainMs: 5 * second });
    await rig.running(lasting);
    await rig.pass(5 * second);
    rig.fault = once("drain", { type: "slow", ms: 9_500 });
    await pause(rig);
    await rig.pass(second);
    await resumed(rig);
    await rig.pass(7 * second);
    await pause(rig);
    await rig.pass(30 * second);
    expect((await told(rig)).filter((type) => type === "pause_failed")).toEqual([]);
    expect((await rig.view()).status).toBe("paused");
  });
});

/** Decryption that waits for its turn, as on a busy machine. */
function slowSeals(): { readonly seals: ReturnType<typeof instantSeals>; readonly release: () => void } {
  const instant = instantSeals();
  const waiting: (() => void)[] = [];
  let held = false;
  const seals: ReturnType<typeof instantSeals> = {
    ...instant,
    open: async (stored, about) => {
      if (held) await new Promise<void>((resolve) => waiting.push(resolve));
      held = about.endsWith("/launch");
      return instant.open(stored, about);
    },
  };
  return { seals, release: () => waiting.splice(0).forEach((go) => go()) };
}

describe("a step whose secrets were being decrypted when its sandbox began to stop", () => {
  it("[SIM-4] tells the wrapper nothing more: a workspace is not prepared in a sandbox that is stopped [I1]", async () => {
    const rig = new SessionRig();
    const { seals, release } = slowSeals();
    rig.seals = seals;
    rig.reincarnate();
    void rig.commands.create(rig.id, caller, { workspace: { setup: ["sleep 600"] } }, null, 0);
    await rig.pass(10 * second);
    expect(rig.commands.state.session?.newest).toMatchObject({ phase: "held", gate: { type: "preparing" } });
    const asked = rig.calls("prepare");
    await rig.commands.delete(caller, "requested");
    release();
    await rig.pass(0);
    expect(rig.calls("prepare")).toBe(asked);
    await rig.pass(minute);
    expect(rig.calls("prepare")).toBe(asked);
    expect((await rig.view()).status).toBe("terminated");
  });

  it("[SIM-4] launches nothing more: an attempt that was given up, or is to be stopped, sends no order [I1]", async () => {
    const rig = new SessionRig();
    const { seals, release } = slowSeals();
    rig.seals = seals;
    rig.reincarnate();
    rig.fault = once("launch", { type: "fail_before", effect: "none" });
    void rig.commands.create(rig.id, caller, { env: { TOKEN: "x" } }, null, 0);
    await rig.pass(30 * second);
    expect(rig.commands.state.session?.newest).toMatchObject({ phase: "launching", step: { type: "acting" } });
    const asked = rig.calls("launch");
    await rig.commands.delete(caller, "requested");
    release();
    await rig.pass(minute);
    expect(rig.calls("launch")).toBe(asked);
    expect((await rig.view()).status).toBe("terminated");
  });
});

describe("a parked teardown", () => {
  it("[BUG-4] whose probe saw it alive before an operator's word does not take that word back", async () => {
    const rig = new SessionRig();
    const { generation } = await rig.running(lasting);
    rig.fault = () => ({ type: "hang", deaf: false });
    await rig.commands.delete(caller, "requested");
    const parked = () => {
      const lease = rig.commands.state.session?.newest;
      return lease?.phase === "stopping" && lease.step.type === "parked";
    };
    for (let tries = 0; tries < 240 && !parked(); tries += 1) await rig.pass(minute);
    expect(parked()).toBe(true);
    // The next probe's look takes nine seconds to say what it saw.
    let looked = false;
    rig.fault = ({ op }): Fault => {
      if (op !== "observe") return op === "retire" ? { type: "none" } : { type: "hang", deaf: false };
      looked = true;
      return { type: "slow", ms: 9 * second };
    };
    for (let tries = 0; tries < 120 && !looked; tries += 1) await rig.pass(minute / 6);
    const answer = await rig.commands.resolve(
      { by: "ann", requestId: "r" },
      { action: "assert_absent", reason: "the host burned down" },
      "*",
    );
    expect(answer).toMatchObject({ ok: true });
    await rig.pass(20 * second);
    expect(rig.commands.state.session?.ghosts).toMatchObject([{ generation, assertion: { by: "ann" } }]);
  });
});
