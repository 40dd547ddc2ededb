/** What becomes of the files of a session whose clock runs out, over the real shell. */
import { describe, expect, it } from "vitest";
import type { Call, Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { always, aWhile, journalOf, pausedWith, ran, savedOf, told } from "../../../support/suspension.ts";

const second = 1_000;
const minute = 60 * second;
const keeps = { on_timeout: "pause", idle_timeout_seconds: null } as const;

async function eventsOf(rig: SessionRig, type: string) {
  const events = await rig.commands.events(caller, 0, 1_000, 0);
  return events.ok ? events.value.filter((event) => event.type === type) : [];
}

describe("on_timeout pause", () => {
  it("whose saves fail tries again with a growing delay, and pauses when one succeeds [CLK-10] [DEL-10]", async () => {
    const rig = new SessionRig();
    await rig.running({ ...keeps, timeout_seconds: 60 });
    await ran(rig, "write notes.txt kept");
    rig.fault = always("save", { type: "fail_before", effect: "none" });
    await rig.pass(10 * minute);
    expect((await rig.view()).status).toBe("running");
    const tries = rig.calls("save");
    // 30 s, 1, 2, 4 minutes between them, not one after the other.
    expect([tries, (await eventsOf(rig, "pause_failed")).length]).toEqual([5, 5]);
    rig.fault = null;
    await rig.pass(10 * minute);
    expect((await rig.view()).status).toBe("paused");
    expect(savedOf(rig)).toHaveLength(1);
    await rig.during(aWhile, rig.commands.resume(caller, null, 5_000));
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
  });

  it("that never can be saved ends after its tries, says what was lost, and leaves nothing behind", async () => {
    const rig = new SessionRig();
    await rig.running({ ...keeps, timeout_seconds: 60 });
    await ran(rig, "write notes.txt kept");
    rig.fault = ({ op }: Call): Fault =>
      op === "save" || op === "remove" ? { type: "fail_before", effect: "unknown" } : { type: "none" };
    await rig.pass(3 * 60 * minute);
    expect(rig.calls("save")).toBe(rig.policy.pauseTries);
    const [lost, ...more] = await eventsOf(rig, "contents_lost");
    expect(more).toEqual([]);
    expect(lost).toMatchObject({ facts: { clock: "end_at", tries: rig.policy.pauseTries } });
    expect(await rig.view()).toMatchObject({ terminate_reason: "timeout", failure: lost?.cause });
    rig.fault = null;
    // Its deletions back off to an hour.
    await rig.pass(75 * minute);
    expect((await rig.view()).status).toBe("terminated");
    expect(savedOf(rig)).toEqual([]);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
  });

  it("survives an eviction between two tries: neither the delay nor the count begins anew [I1] [LEA-7]", async () => {
    const rig = new SessionRig();
    await rig.running({ ...keeps, timeout_seconds: 60 });
    rig.fault = always("save", { type: "fail_before", effect: "none" });
    await rig.pass(3 * minute);
    const before = rig.calls("save");
    rig.reincarnate();
    await rig.pass(minute);
    expect(rig.calls("save")).toBe(before);
    expect(rig.commands.state.session?.pauseTries).toMatchObject({ tries: before });
  });

  it("during a rebuild's save, and during a resume that cannot launch, ends up paused with the files [CLK-10]", async () => {
    const rig = new SessionRig();
    await rig.running({ ...keeps, timeout_seconds: 60 });
    await ran(rig, "write notes.txt kept");
    rig.fault = always("save", { type: "slow", ms: 90 * second });
    await rig.pass(30 * second);
    expect(await rig.commands.rebuild(caller, 0)).toMatchObject({ ok: true });
    await rig.pass(5 * minute);
    expect((await rig.view()).status).toBe("paused");
    expect(savedOf(rig)).toHaveLength(1);
    rig.fault = always("launch", { type: "fail_before", effect: "none" });
    await rig.during(aWhile, rig.commands.resume(caller, 60, 0));
    await rig.pass(5 * minute);
    expect((await rig.view()).status).toBe("paused");
    rig.fault = null;
    await rig.during(aWhile, rig.commands.resume(caller, 600, 5_000));
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
    expect(journalOf(rig, "saved")).toHaveLength(1);
  });
});

describe("a resume", () => {
  it("whose snapshot the provider does not have is answered by name, and the session stays paused [LEA-22]", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "kept");
    const [name] = savedOf(rig);
    rig.rig.world.snapshots.remove(rig.id, name ?? "");
    const asked = await rig.during(aWhile, rig.commands.resume(caller, null, 8_000));
    expect(asked).toMatchObject({ ok: false, problem: { code: "snapshot_missing" } });
    // It is found missing before a sandbox is launched for it.
    expect(rig.calls("launch")).toBe(1);
    await rig.pass(minute);
    expect(await rig.view()).toMatchObject({
      status: "paused",
      failure: expect.stringContaining(name ?? "") as string,
    });
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
  });

  it("behind a stop that is never proven goes on in another sandbox, with the files [LEA-18] [DEL-9]", async () => {
    const rig = new SessionRig();
    const { generation } = await rig.running({ idle_timeout_seconds: null });
    await ran(rig, "write notes.txt kept");
    let blind = false;
    rig.fault = ({ op, generation: of }: Call): Fault =>
      blind && of === generation && op !== "save" ? { type: "fail_before", effect: "unknown" } : { type: "none" };
    await rig.commands.pause(caller, 0);
    await rig.pass(500);
    blind = true;
    await rig.pass(minute);
    expect(await rig.view()).toMatchObject({ status: "pausing", teardown: { phase: "stopping" } });
    expect(await rig.commands.resume(caller, 4 * 3_600, 0)).toMatchObject({ ok: true });
    await rig.pass(20 * minute);
    const view = await rig.view();
    expect(view).toMatchObject({ status: "running", ghosts: 1 });
    expect(view.generation).toBeGreaterThan(generation ?? Infinity);
    expect(await told(rig)).toContain("became_ghost");
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
    blind = false;
    await rig.pass(3 * 60 * minute);
    expect(await rig.view()).toMatchObject({ status: "running", ghosts: 0 });
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });
});
