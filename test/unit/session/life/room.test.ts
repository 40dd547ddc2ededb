/** Cold admission in the session's real shell: what is measured, when, and what a client hears of it. */
import { describe, expect, it } from "vitest";
import type { EventView } from "../../../../src/protocol/resources/session/events.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const minute = 60_000;
const mib = 2 ** 20;

/** A disk with so much free on it, and a threshold of 256 MiB. */
function rigWith(freeBytes: number): SessionRig {
  const rig = new SessionRig();
  rig.rig.world.disk.weigh("somebody-elses", rig.rig.world.disk.freeBytes - freeBytes);
  return rig;
}

/** A workspace of another session that ended long ago and was never removed. */
async function leftBehind(rig: SessionRig, bytes: number): Promise<string> {
  const order = await rig.rig.running({ sessionId: "cccccccccccccccccccc" as never });
  rig.rig.world.mischief.disappear(order.sandboxId);
  rig.rig.world.disk.weigh(order.sandboxId, bytes);
  return order.sandboxId;
}

async function events(rig: SessionRig): Promise<readonly EventView[]> {
  const read = await rig.commands.events(caller, 0, 100, 0);
  if (!read.ok) throw new Error(read.problem.detail);
  return read.value;
}

const create = (rig: SessionRig) => rig.during(3_000, rig.commands.create(rig.id, caller, {}, null, 0));

describe("a create", () => {
  it("is admitted with exactly the threshold free, and measured once [CAP-1]", async () => {
    const rig = rigWith(256 * mib);
    expect((await rig.running()).status).toBe("running");
    expect([rig.calls("inspectCapacity"), rig.calls("reclaim")]).toEqual([1, 0]);
  });

  it("one byte below reclaims, measures again, and is refused with the numbers; nothing is left of it [CAP-1] [CAP-4]", async () => {
    const rig = rigWith(256 * mib - 1);
    const refused = await create(rig);
    expect(refused).toMatchObject({ ok: false, problem: { code: "insufficient_space" } });
    if (!refused.ok) expect(refused.problem.detail).toContain(`${256 * mib - 1} of ${20 * 2 ** 30} bytes are free`);
    if (!refused.ok) expect(refused.problem.detail).toContain(`${256 * mib} are needed`);
    expect([rig.calls("inspectCapacity"), rig.calls("reclaim"), rig.calls("launch")]).toEqual([2, 1, 0]);
    expect(rig.alarm).toBeNull();
    expect(rig.registry.ledger()).toMatchObject({ used: 0, counts: { cancelled: 1 }, imbalances: [] });
    expect(await rig.commands.get(caller)).toMatchObject({ ok: false, problem: { code: "not_found" } });
  });

  it("goes on in the room that reclaiming made, and says so step by step [CAP-1] [CAP-2] [API-9]", async () => {
    const rig = rigWith(300 * mib);
    const old = await leftBehind(rig, 100 * mib);
    rig.rig.world.disk.age(21 * minute);
    expect((await rig.running()).status).toBe("running");
    expect(rig.rig.world.disk.taken(old)).toBe(0);
    const told = (await events(rig)).filter(({ type }) => type.startsWith("space_"));
    expect(told.map(({ type }) => type)).toEqual(["space_measured", "space_reclaimed", "space_measured"]);
    expect(told[0]?.facts).toMatchObject({ free_bytes: 200 * mib, needed_bytes: 256 * mib });
    expect(told[1]?.facts).toMatchObject({ removed: 1, freed_bytes: 100 * mib });
    expect(told[2]?.facts).toMatchObject({ free_bytes: 300 * mib });
  });

  it("is refused when room cannot be told, or the filesystem takes no writes: each by its own name, with quota back [CAP-4]", async () => {
    for (const [state, code] of [
      ["unmeasurable", "space_unmeasurable"],
      ["read_only", "filesystem_unusable"],
    ] as const) {
      const rig = new SessionRig();
      rig.rig.world.disk.state = state;
      expect(await create(rig), state).toMatchObject({ ok: false, problem: { code } });
      expect(rig.calls("reclaim"), state).toBe(0);
      expect(rig.registry.ledger(), state).toMatchObject({ used: 0, imbalances: [] });
      rig.rig.world.disk.state = "well";
      // The id, and an Idempotency-Key with it, is as free as before.
      expect((await rig.running()).status, state).toBe("running");
    }
  });

  it("waits for a provider that does not answer at all, as for any other call [CAP-4]", async () => {
    const rig = new SessionRig();
    rig.fault = (call) => (call.op === "inspectCapacity" ? { type: "fail_before", effect: "none" } : { type: "none" });
    const created = await create(rig);
    expect(created).toMatchObject({ ok: true });
    expect((await rig.view()).status).toBe("provisioning");
    rig.fault = null;
    await rig.pass(minute);
    expect((await rig.view()).status).toBe("running");
  });

  it("refused for want of room whose reservation cannot be given back at once leaves it to its registry [CAP-6]", async () => {
    const rig = rigWith(0);
    rig.registryFate = (call) =>
      call === "cancelReservation" ? Promise.reject(new Error("overloaded")) : Promise.resolve();
    expect(await create(rig)).toMatchObject({ ok: false, problem: { code: "insufficient_space" } });
    expect(rig.registry.ledger().used).toBe(1);
    // What its object does when it asks the session and hears that there is none.
    const overdue = (): readonly Parameters<typeof rig.registry.quota.sessionVanished>[0][] =>
      rig.registry.quota.takeOverdue(10);
    await rig.pass(20 * minute);
    for (const each of overdue()) rig.registry.quota.sessionVanished(each);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
  });
});

describe("room is not asked about", () => {
  it("again while a session runs: the warm path measures nothing [CAP-1]", async () => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 7_200, idle_timeout_seconds: null });
    await rig.pass(30 * minute);
    await rig.during(1_000, rig.commands.createJob(caller, { command: "echo hi" }));
    expect(rig.calls("inspectCapacity")).toBe(1);
  });
});

describe("a session that comes back", () => {
  it("stays paused with its snapshot when there is no room, is told so with the numbers, and resumes once there is [CAP-1] [CAP-4]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.during(minute, rig.commands.pause(caller));
    expect((await rig.view()).status).toBe("paused");
    rig.rig.world.disk.weigh("somebody-elses", rig.rig.world.disk.freeBytes);
    const refused = await rig.during(3_000, rig.commands.resume(caller, null, 0));
    expect(refused).toMatchObject({ ok: false, problem: { code: "insufficient_space" } });
    expect(refused.ok || refused.problem.detail).toMatch(/0 of \d+ bytes are free.*stays paused/);
    expect((await rig.view()).status).toBe("paused");
    await rig.pass(minute);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    rig.rig.world.disk.weigh("somebody-elses", 0);
    await rig.during(3_000, rig.commands.resume(caller, null, 0));
    expect((await rig.view()).status).toBe("running");
  });

  it("by itself after a loss waits for room, visibly, and goes on when there is [CAP-1]", async () => {
    const rig = new SessionRig();
    await rig.running({ on_loss: "relaunch" });
    rig.rig.world.disk.weigh("somebody-elses", rig.rig.world.disk.freeBytes);
    rig.rig.world.mischief.disappear(`${rig.id}-g${(await rig.view()).generation ?? 0}` as never);
    await rig.pass(2 * minute);
    expect(await rig.view()).toMatchObject({ status: "provisioning", blocked: { code: "insufficient_space" } });
    rig.rig.world.disk.weigh("somebody-elses", 0);
    await rig.pass(2 * minute);
    expect(await rig.view()).toMatchObject({ status: "running", blocked: null });
  });
});

describe("a launch", () => {
  it("that finds too little room or cannot tell is sent again for the same sandbox: nothing is given up for that [CAP-3]", async () => {
    for (const code of ["insufficient_space", "space_unmeasurable"] as const) {
      const rig = new SessionRig();
      const { disk } = rig.rig.world;
      const before = disk.freeBytes;
      rig.fault = (call) => {
        if (call.op !== "launch") return { type: "none" };
        // It got worse between the measurement and the launch, and better two launches later.
        const bad = rig.calls("launch") <= 2;
        if (code === "space_unmeasurable") disk.state = bad ? "unmeasurable" : "well";
        else disk.weigh("somebody-elses", bad ? before : 0);
        return { type: "none" };
      };
      await rig.running();
      await rig.pass(minute);
      expect(rig.calls("launch"), code).toBe(3);
      expect((await rig.view()).status, code).toBe("running");
      expect(rig.registry.ledger().counts, code).toMatchObject({ granted: 1, proven: 0 });
      expect([rig.calls("stop"), rig.calls("destroy")], code).toEqual([0, 0]);
    }
  });

  it("that meets a filesystem which refuses writes gives that sandbox up, proven gone, and takes another [CAP-3]", async () => {
    const rig = new SessionRig();
    rig.fault = (call) => {
      if (call.op === "launch" && rig.calls("launch") === 1) rig.rig.world.disk.state = "read_only";
      if (call.op === "retire") rig.rig.world.disk.state = "well";
      return { type: "none" };
    };
    await rig.running();
    await rig.pass(minute);
    expect((await rig.view()).status).toBe("running");
    expect(rig.registry.ledger()).toMatchObject({ used: 1, counts: { granted: 2, proven: 1 }, imbalances: [] });
  });
});
