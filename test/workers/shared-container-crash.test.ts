/**
 * The registry of a tenant, ended without a word in every step of a shared container's end, and continued by its alarm from
 * storage alone. The sessions, the registry and the routes between them are the real ones; the provider is a world that
 * counts what was really done to it.
 */
import { describe, expect, it } from "vitest";
import { strandedAfterMs, type StoppingContainer } from "../../src/domain/state/container.ts";
import type { ContainerId } from "../../src/domain/state/ids.ts";
import type { Call, Fault } from "../memory/fault-plan.ts";
import { containerFate, now, policy, seen, setAhead, world } from "../support/workers/rigged-session.ts";
import { callsAbout, destructions, endPolicy, Sharing } from "../support/workers/rigged-tenant.ts";

const none: Fault = { type: "none" };
const deaf: Fault = { type: "hang", deaf: true };
const refused: Fault = { type: "fail_before", effect: "unknown" };

/** The `count`th call of that op about it is never answered. Answers how to wait for it. */
function hangsAt(id: ContainerId, op: Call["op"], count: number, fault = deaf): () => Promise<void> {
  let met = 0;
  containerFate(id, (call) => {
    if (call.op === op) met += 1;
    return call.op === op && met === count ? fault : none;
  });
  return () => seen(() => met >= count);
}

async function stopping(sharing: Sharing, id: ContainerId): Promise<StoppingContainer> {
  const container = await sharing.container(id);
  if (container.phase !== "stopping") throw new Error(`it is ${container.phase}`);
  return container;
}

function dueAt({ step }: StoppingContainer): number {
  return step.type === "waiting" ? step.nextAttemptAt : step.deadline;
}

/** There is an alarm, and it comes no later than the stored step is due. */
async function expectArmed(sharing: Sharing, id: ContainerId): Promise<void> {
  const alarm = await sharing.alarm();
  expect(alarm).not.toBeNull();
  expect(alarm).toBeLessThanOrEqual(dueAt(await stopping(sharing, id)) + 1_000);
}

/** By nothing but its alarm, each time when that is due. */
async function driveToGone(sharing: Sharing, id: ContainerId): Promise<void> {
  for (let wakes = 0; (await sharing.container(id)).phase !== "gone"; wakes += 1) {
    if (wakes > 40) throw new Error(JSON.stringify(await sharing.container(id)));
    await expectArmed(sharing, id);
    setAhead(Math.max(0, dueAt(await stopping(sharing, id)) - now()));
    await sharing.wake();
  }
}

async function expectReceipt(sharing: Sharing, id: ContainerId, attempts: number): Promise<void> {
  expect(destructions(id)).toBe(1);
  const { container, members } = await sharing.peopled(id);
  if (container.phase !== "gone") throw new Error(`it is ${container.phase}`);
  expect(members).toEqual([]);
  expect(container).toMatchObject({ reason: "empty", attempts, host: "memory-host", retired: { host: "memory-host" } });
  const proof = container.observations.slice(-2);
  expect(proof).toMatchObject([{ answer: "absent" }, { answer: "absent" }]);
  expect(container.verifiedAbsentAt).toBe(proof[1]?.beganAt);
  // Done is done: nothing about it is asked of the provider any more.
  const asked = callsAbout(id).length;
  setAhead(2 * policy.parkedProbeSlowMs);
  await sharing.wake();
  expect(callsAbout(id)).toHaveLength(asked);
}

describe("a registry that ends in the middle of a container's end", () => {
  it.each([
    ["the intent and the attempt are stored, nothing was asked", "retireContainer", 1, deaf],
    ["it is retired, and whether it was destroyed nobody knows: it was not", "destroyContainer", 1, deaf],
    [
      "it is retired, and whether it was destroyed nobody knows: it was",
      "destroyContainer",
      1,
      { type: "late_effect", ms: 10, reply: "silence" },
    ],
    ["it is destroyed, and nobody has looked", "observeContainer", 1, deaf],
    ["it is destroyed, and one look found nothing", "observeContainer", 2, deaf],
  ] as const)(
    "when %s: its alarm goes on, ends it once, and no newcomer with it [CAP-10] [LEA-7] [DEL-7]",
    async (_, op, count, fault) => {
      const sharing = new Sharing();
      const { session, container: id } = await sharing.member();
      const asked = hangsAt(id, op, count, fault);
      await sharing.end(session);
      await asked();
      await sharing.crash();
      containerFate(id, null);
      expect(await stopping(sharing, id)).toMatchObject({ attempts: 1, reason: "empty", step: { type: "acting" } });
      await expectArmed(sharing, id);
      // One that comes now is somewhere else, and stays there untouched.
      const newcomer = await sharing.member();
      expect(newcomer.container).not.toBe(id);
      const pids = newcomer.session.processes().map(({ pid }) => pid);
      await driveToGone(sharing, id);
      await expectReceipt(sharing, id, 2);
      expect(newcomer.session.processes().map(({ pid }) => pid)).toEqual(pids);
      expect(await sharing.container(newcomer.container)).toMatchObject({ phase: "open" });
      expect(await sharing.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
    },
  );

  it("again and again, at every call of the end, still ends it once, by evidence [CAP-10] [LEA-7] [I1]", async () => {
    const sharing = new Sharing();
    const { session, container: id } = await sharing.member();
    const order = ["retireContainer", "destroyContainer", "observeContainer"] as const;
    let asked = hangsAt(id, order[0], 1);
    await sharing.end(session);
    const others = [];
    for (const [round, op] of [...order, ...order].entries()) {
      await asked();
      await sharing.crash();
      await expectArmed(sharing, id);
      others.push(await sharing.member());
      asked = hangsAt(id, [...order, ...order][round + 1] ?? op, 1);
      for (let wakes = 0; wakes < 2 && round < 5; wakes += 1) {
        setAhead(Math.max(0, dueAt(await stopping(sharing, id)) - now()));
        // It hangs in the call that the next round ends it in.
        if ((await stopping(sharing, id)).step.type === "acting") await sharing.wake();
        else void sharing.wake().catch(() => {});
      }
    }
    containerFate(id, null);
    await driveToGone(sharing, id);
    await expectReceipt(sharing, id, 7);
    expect(new Set(others.map(({ container }) => container)).size).toBe(1);
    for (const other of others) expect(await other.session.view()).toMatchObject({ status: "running" });
  });

  it("between two attempts keeps attempts, backoff and reason, and its retirement stands [CAP-10] [LEA-5] [LEA-10]", async () => {
    const sharing = new Sharing();
    const { session, container: id } = await sharing.member();
    containerFate(id, ({ op }) => (op === "destroyContainer" ? refused : none));
    await sharing.end(session);
    await expect.poll(async () => (await stopping(sharing, id)).step.type).toBe("waiting");
    const before = await stopping(sharing, id);
    expect(before).toMatchObject({ attempts: 1, retired: { host: "memory-host" } });
    expect(before.lastError).toContain("not destroyed");
    await sharing.crash();
    expect(await stopping(sharing, id)).toEqual(before);
    await expectArmed(sharing, id);
    // Too early: nothing is asked.
    const asked = callsAbout(id).length;
    setAhead(Math.max(0, dueAt(before) - now() - 2_000));
    await sharing.wake();
    expect(callsAbout(id)).toHaveLength(asked);
    containerFate(id, null);
    await driveToGone(sharing, id);
    await expectReceipt(sharing, id, 2);
  });
});

describe("the alarm of a registry with a container to end", () => {
  it("that fails ten times in a row, because nothing can be stored or read, is still there [LEA-16] [I5]", async () => {
    const sharing = new Sharing();
    const { session, container: id } = await sharing.member();
    containerFate(id, () => refused);
    await sharing.end(session);
    await expect.poll(async () => (await stopping(sharing, id)).step.type).toBe("waiting");
    const before = await stopping(sharing, id);
    for (const breaks of [["transactionSync"], ["transactionSync", "exec"]]) {
      await sharing.storage((storage) => {
        const broken = () => {
          throw new Error("disk I/O error");
        };
        if (breaks.includes("transactionSync")) Object.assign(storage, { transactionSync: broken });
        if (breaks.includes("exec")) Object.assign(storage.sql, { exec: broken });
      });
      for (let wakes = 0; wakes < 10; wakes += 1) {
        setAhead(120_000);
        await sharing.wake();
        const alarm = await sharing.alarm();
        expect(alarm).not.toBeNull();
        expect(alarm).toBeLessThanOrEqual(now() + 60_000);
      }
      await sharing.crash();
      expect(await stopping(sharing, id)).toEqual(before);
    }
    containerFate(id, null);
    // The net that the failing ones left: from here on each is when the next step is due.
    await sharing.wake();
    await driveToGone(sharing, id);
    await expectReceipt(sharing, id, 2);
  });

  it("of which another part fails every time still ends the container [LEA-16] [FLT-7]", async () => {
    const sharing = new Sharing();
    const { session, container: id } = await sharing.member();
    containerFate(id, () => refused);
    await sharing.end(session);
    await expect.poll(async () => (await stopping(sharing, id)).step.type).toBe("waiting");
    await sharing.storage(({ sql }) => sql.exec("ALTER TABLE receipt RENAME TO receipt_elsewhere"));
    containerFate(id, null);
    setAhead(Math.max(0, dueAt(await stopping(sharing, id)) - now()));
    await sharing.wake();
    await expect.poll(async () => (await sharing.container(id)).phase).toBe("gone");
    expect(await sharing.alarm()).not.toBeNull();
  });

  it("that the platform dropped is set again by whoever asks the registry anything [LEA-16] [FLT-12]", async () => {
    const sharing = new Sharing();
    const { session, container: id } = await sharing.member();
    containerFate(id, () => refused);
    await sharing.end(session);
    await expect.poll(async () => (await stopping(sharing, id)).step.type).toBe("waiting");
    await sharing.storage((storage) => storage.deleteAlarm());
    await sharing.crash();
    // What the audit asks of every registry once an hour.
    await sharing.registry.open(null, 10);
    await expectArmed(sharing, id);
    containerFate(id, null);
    await driveToGone(sharing, id);
    await expectReceipt(sharing, id, 2);
  });

  it("is none where a tenant never was, and asking makes none [API-12]", async () => {
    const nobody = new Sharing();
    await nobody.registry.open(null, 10);
    expect(await nobody.alarm()).toBeNull();
    expect(await nobody.storage(({ sql }) => sql.exec("SELECT name FROM sqlite_master").toArray())).toEqual([]);
  });
});

it("a frozen container with only ended members, whose registry ends in the middle of its end, is ended around them once [CAP-10] [LEA-7]", async () => {
  const sharing = new Sharing();
  const { session, container: id } = await sharing.member();
  session.fate(({ op }) => (op === "stop" ? deaf : none));
  const asked = hangsAt(id, "destroyContainer", 1);
  await session.api.delete(session.caller, "requested");
  // A stop that hangs is told two seconds after it began.
  await expect.poll(async () => (await sharing.peopled(id)).members.map(({ state }) => state)).toEqual(["stopping"]);
  setAhead(strandedAfterMs(endPolicy()));
  void sharing.wake().catch(() => {});
  await asked();
  await sharing.crash();
  containerFate(id, null);
  expect(await stopping(sharing, id)).toMatchObject({ reason: "stranded", attempts: 1 });
  expect(session.processes().length).toBeGreaterThan(0);
  await driveToGone(sharing, id);
  expect(destructions(id)).toBe(1);
  expect(session.processes()).toEqual([]);
  // The container's end proves nothing about the member: its own two looks do, and until then it counts (I4).
  expect(await sharing.registry.ledger()).toMatchObject({ used: 1 });
  session.fate(null);
  expect((await session.driveTo("terminated", 600)).teardown?.verified_absent_at).not.toBeNull();
  await expect.poll(() => sharing.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
  expect(world.processes().filter(({ sessionId }) => sessionId === session.id)).toEqual([]);
});
