/** A session in a shared container, in its real shell: joined with its reservation, aimed at by names of its own, never more. */
import { describe, expect, it } from "vitest";
import type { SandboxId, SessionId } from "../../../../src/domain/state/ids.ts";
import { ContainerKeeper } from "../../../../src/tenant/containers/container-keeper.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { ran } from "../../../support/suspension.ts";

const minute = 60_000;

async function shared(rig = new SessionRig(), body: Parameters<SessionRig["running"]>[0] = {}): Promise<SessionRig> {
  await rig.running({ isolation: "shared", ...body });
  return rig;
}

/** Another member of the container that the rig's session is in, running. */
async function sibling(rig: SessionRig) {
  const { container_id: container } = await rig.view();
  const order = await rig.rig.running({
    sessionId: "zzzzzzzzzzzzzzzzzzzz" as SessionId,
    container: container as never,
  });
  return order;
}

describe("a shared session", () => {
  it("is a place in a container, under a sandbox id of its own, and says so [CAP-10]", async () => {
    const rig = await shared();
    const view = await rig.view();
    expect(view).toMatchObject({ status: "running", isolation: "shared" });
    expect(view.container_id).toMatch(/^shared-/);
    const [peopled] = rig.registry.containers.containers(null, 10);
    expect(peopled).toMatchObject({
      container: { id: view.container_id, phase: "open" },
      members: [{ state: "held" }],
    });
    const record = rig.rig.world.sandbox(`${rig.id}-g${view.generation ?? 0}` as SandboxId);
    expect(record?.container).toBe(view.container_id);
    expect(
      rig.asked.filter(({ sandboxId, container }) => sandboxId !== null && container !== view.container_id),
    ).toEqual([]);
  });

  it("is refused at once where the provider cannot share, with what to do instead", async () => {
    const rig = new SessionRig();
    (rig.rig.sandbox.capabilities as { shared: boolean }).shared = false;
    const refused = await rig.during(1_000, rig.commands.create(rig.id, caller, { isolation: "shared" }, null, 0));
    expect(refused).toMatchObject({
      ok: false,
      problem: { code: "unsupported_by_provider", errors: [{ pointer: "/isolation" }] },
    });
    expect(refused.ok || refused.problem.detail).toContain("Leave isolation out");
    expect(rig.asked).toEqual([]);
  });

  it("ended, ends its own instance and workspace and nothing of a sibling; its receipt is its own [CAP-10] [DEL-7]", async () => {
    const rig = await shared();
    const other = await sibling(rig);
    await rig.commands.delete(caller, "requested");
    await rig.pass(minute);
    expect((await rig.view()).status).toBe("terminated");
    expect(rig.rig.kinds(other.sandboxId)).toEqual(["guardian", "wrapper"]);
    const own = (await rig.view()).teardown;
    expect(own).toMatchObject({ phase: "closed", sandbox_id: expect.stringContaining(rig.id) });
    const struck = rig.rig.world.journal
      .since(0)
      .flatMap((entry) => (entry.type === "signalled" ? [entry.process] : []));
    expect(struck.filter(({ sessionId }) => sessionId !== rig.id)).toEqual([]);
  });

  it("that crashes between its reservation and its launch finds the same place again [CAP-6] [LEA-7]", async () => {
    const rig = new SessionRig();
    rig.fault = (call) => (call.op === "observe" ? { type: "hang", deaf: true } : { type: "none" });
    void rig.commands.create(rig.id, caller, { isolation: "shared" }, null, 0);
    await rig.pass(100);
    const [before] = rig.registry.containers.containers(null, 10);
    expect(before?.members).toMatchObject([{ state: "reserved" }]);
    rig.fault = null;
    rig.reincarnate();
    await rig.pass(2 * minute);
    expect((await rig.view()).container_id).toBe(before?.container.id);
    expect(rig.registry.containers.containers(null, 10)).toHaveLength(1);
  });

  it("that is replaced after a loss joins a container, and leaves the old one by proof only [LEA-18] [CAP-10]", async () => {
    const rig = await shared(new SessionRig(), { on_loss: "relaunch" });
    const first = await rig.view();
    rig.rig.world.mischief.disappear(`${rig.id}-g${first.generation ?? 0}` as SandboxId);
    await rig.pass(3 * minute);
    const second = await rig.view();
    expect(second).toMatchObject({ status: "running", isolation: "shared" });
    expect(second.generation).toBeGreaterThan(first.generation ?? 0);
    // The old one had no member left, so it was not joined again.
    expect(second.container_id).not.toBe(first.container_id);
    const phases = rig.registry.containers.containers(null, 10).map(({ container }) => [container.id, container.phase]);
    expect(phases).toContainEqual([first.container_id, "stopping"]);
    expect(phases).toContainEqual([second.container_id, "open"]);
  });

  it("whose container takes no writes goes to another one, and tells the registry why [CAP-3]", async () => {
    const rig = new SessionRig();
    const { disk } = rig.rig.world;
    rig.fault = (call) => {
      if (call.op === "launch") disk.state = rig.calls("launch") === 1 ? "read_only" : "well";
      if (call.op === "retire") disk.state = "well";
      return { type: "none" };
    };
    await rig.running({ isolation: "shared" });
    await rig.pass(2 * minute);
    const { container_id, status } = await rig.view();
    expect(status).toBe("running");
    const all = rig.registry.containers.containers(null, 10);
    expect(all).toHaveLength(2);
    expect(all.find(({ container }) => container.id === container_id)?.members).toHaveLength(1);
    expect(all.find(({ container }) => container.id !== container_id)?.members).toEqual([]);
  });

  it("is paused and resumed like any other, in whichever container has a place [DEL-11]", async () => {
    const rig = await shared();
    await rig.during(1_000, rig.commands.createJob(caller, { command: "write notes.txt kept" }));
    await rig.pass(minute);
    await rig.during(minute, rig.commands.pause(caller));
    expect(await rig.view()).toMatchObject({ status: "paused", container_id: null });
    await rig.during(3_000, rig.commands.resume(caller, null, 0));
    const back = await rig.view();
    expect(back).toMatchObject({ status: "running", container_id: expect.stringMatching(/^shared-/) });
  });

  it("that was paused while its provider gave such places comes back in a container of its own where it does not any more [DEL-11]", async () => {
    const rig = await shared();
    await rig.during(1_000, rig.commands.createJob(caller, { command: "write notes.txt kept" }));
    await rig.pass(minute);
    await rig.during(minute, rig.commands.pause(caller));
    (rig.rig.sandbox.capabilities as { shared: boolean }).shared = false;
    const from = rig.asked.length;
    await rig.during(3_000, rig.commands.resume(caller, null, 0));
    expect(await rig.view()).toMatchObject({ status: "running", isolation: "shared", container_id: null });
    expect(rig.asked.slice(from).filter(({ container }) => container !== undefined)).toEqual([]);
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
  });

  it("whose record cannot be read is still aimed at in its container [DEL-3]", async () => {
    const rig = await shared();
    const { container_id: container } = await rig.view();
    rig.sql.run("UPDATE session SET record = 'nonsense'");
    rig.reincarnate();
    await rig.commands.delete(caller, "requested");
    const from = rig.asked.length;
    await rig.pass(minute);
    const stops = rig.asked.slice(from).filter(({ op }) => op === "stop" || op === "retire");
    expect(stops.length).toBeGreaterThan(0);
    expect(stops.every((call) => call.container === container)).toBe(true);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
  });

  it("[BUG-26] hears from the keeper of its container that this is gone, and tries its pending stop at once", async () => {
    const rig = await shared();
    rig.fault = ({ op }) =>
      op === "stop" || op === "retire" ? { type: "fail_before", effect: "unknown" } : { type: "none" };
    await rig.commands.delete(caller, "requested");
    const waitsFor = () => {
      const lease = rig.commands.state.session?.newest;
      return lease?.phase === "stopping" && lease.step.type === "waiting"
        ? lease.step.nextAttemptAt - rig.rig.clock.now()
        : 0;
    };
    // All of its members are stuck: the registry ends the container as a whole, and tells each of them.
    const told: string[] = [];
    let waited = 0;
    const keeper = new ContainerKeeper(
      {
        clock: rig.rig.clock,
        ids: { id: () => `attempt${told.length}`.padEnd(20, "0"), secret: () => "", random: () => 0.5 },
        logger: { info: () => {}, warn: () => {}, error: (...words) => void told.push(JSON.stringify(words)) },
        providers: { get: () => rig.rig.sandbox },
        policy: rig.policy,
        poke: (id, gone) => {
          told.push(id);
          waited = waitsFor();
          rig.fault = null;
          return rig.commands.poke("maintenance", gone);
        },
      },
      rig.registry,
      async (write) => write(),
    );
    for (let tries = 0; tries < 200 && told.length === 0; tries += 1) {
      // Its own next try is far away.
      if (waitsFor() > 20_000) void keeper.work();
      await rig.pass(5_000);
    }
    expect(told).toEqual([rig.id]);
    expect(waited).toBeGreaterThan(10_000);
    await rig.pass(5_000);
    expect((await rig.view()).status).toBe("terminated");
  });
});
