/** What the object of a shared container keeps, forgets and understands: over the stand-in, on a clock that the test moves. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  containerId,
  type ContainerId,
  type Generation,
  type InstanceId,
  type SandboxId,
  type SessionId,
} from "../../../src/domain/state/ids.ts";
import { seatCount } from "../../../src/protocol/sandbox/toolbox.ts";
import type { LaunchOrder } from "../../../src/sandbox/agent-sandbox.ts";
import { tombstoneMs } from "../../../src/sandbox/cloudflare/fence/fence-dependencies.ts";
import { FenceRecords } from "../../../src/sandbox/cloudflare/fence/fence-records.ts";
import { cloudflareSandbox } from "../../../src/sandbox/cloudflare/cloudflare-sandbox.ts";
import type { ObjectAim, SandboxObjectApi } from "../../../src/sandbox/cloudflare/object-api.ts";
import { StandInAccount } from "../../support/cloudflare/stand-in-account.ts";
import { StandInSandboxError, StandInStorage } from "../../support/cloudflare/stand-in-platform.ts";
import { systemClock, systemIds } from "../../support/system-runtime.ts";

/** Another in each test: all containers of this machine share its /proc, and what is late of one must not strike the next. */
let container: ContainerId;
const ms = 15_000;
const accounts: StandInAccount[] = [];

beforeEach(() => {
  container = containerId(`${systemIds.id()}-g1` as SandboxId);
});

afterEach(async () => {
  for (const account of accounts.splice(0)) await account.close();
});

function rig() {
  let ahead = 0;
  const clock = {
    now: () => systemClock.now() + ahead,
    sleep: (time: number, signal?: AbortSignal) => systemClock.sleep(time, signal),
  };
  const account = new StandInAccount({ clock });
  accounts.push(account);
  return {
    account,
    pass: (time: number) => (ahead += time),
    object: () => account.object(container),
    order: (): LaunchOrder => orderOf(systemIds.id() as SessionId, clock.now()),
  };
}

function orderOf(sessionId: SessionId, now: number): LaunchOrder {
  return {
    sessionId,
    sandboxId: `${sessionId}-g7` as SandboxId,
    container,
    generation: 7 as Generation,
    instanceId: `i${sessionId}` as InstanceId,
    secret: "x".repeat(64),
    launchNotAfter: now + 60_000,
    leaseTtlMs: 60_000,
    jobGraceMs: 100,
    stopGraceMs: 500,
    env: {},
  };
}

function aimOf({ sessionId, sandboxId, generation }: LaunchOrder): ObjectAim {
  return { sessionId, sandboxId, container, generation, instanceId: null };
}

describe("the object of a shared container", () => {
  it("answers for an hour after its end from what it stored, refuses every launch, and then keeps nothing [PHY-15]", async () => {
    const { account, object, order, pass } = rig();
    const member = order();
    expect(await object().fence.launchMember(member, ms)).toMatchObject({ ok: true });
    expect(await object().fence.destroyContainer(ms)).toMatchObject({ failure: { code: "invalid", effect: "none" } });
    const retired = await object().fence.retireContainer(ms);
    expect(retired).toMatchObject({ ok: true });
    expect(await object().fence.destroyContainer(ms)).toMatchObject({ ok: true });
    pass(tombstoneMs - 1_000);
    account.evict();
    await account.alarm(container);
    const { fence } = object();
    if (!retired.ok) return;
    expect(await fence.lookAtContainer(ms)).toMatchObject({ answer: "absent", boot: retired.value.boot });
    expect(await fence.look(aimOf(member), ms)).toMatchObject({ answer: "absent", boot: retired.value.boot });
    expect(await fence.launchMember(order(), ms)).toMatchObject({ failure: { code: "refused_retired" } });
    pass(2_000);
    await account.alarm(container);
    expect(object().storage.size).toBe(0);
    expect(object().storage.alarmAt).toBeNull();
  });

  it("is not called destroyed on its own word, and is ended when it runs although it was", async () => {
    const { account, object, order, pass } = rig();
    expect(await object().fence.launchMember(order(), ms)).toMatchObject({ ok: true });
    await object().fence.retireContainer(ms);
    const { container: standIn, storage } = object();
    standIn.mischief.lies = { left: 100, says: false };
    expect(await object().fence.destroyContainer(ms)).toMatchObject({ ok: false, failure: { effect: "unknown" } });
    expect(await object().fence.lookAtContainer(ms)).toMatchObject({ answer: "unknown" });
    standIn.mischief.lies = { left: 0, says: false };
    expect(await object().fence.destroyContainer(ms)).toMatchObject({ ok: true });
    // Whatever starts it now, past every gate.
    standIn.boot();
    pass(tombstoneMs + 1_000);
    await account.alarm(container);
    expect(standIn.runs).toBe(false);
    expect(storage.size).toBeGreaterThan(0);
    pass(tombstoneMs + 1_000);
    await account.alarm(container);
    expect(storage.size).toBe(0);
  });

  it("forgets a member that it never knew after an hour, and refuses no other for it", async () => {
    const { account, object, order, pass } = rig();
    const stray = order();
    expect(await object().fence.retire(aimOf(stray), ms)).toMatchObject({ ok: true });
    expect(await object().fence.erase(aimOf(stray), ms)).toMatchObject({ ok: true });
    // It is no tombstone: the container may be about to be used.
    expect(await object().fence.launchMember(order(), ms)).toMatchObject({ ok: true });
    pass(tombstoneMs + 1_000);
    await account.alarm(container);
    expect(object().storage.get("mooring:shared")).toBeDefined();

    const unused = rig();
    const gone = unused.order();
    await unused.object().fence.retire(aimOf(gone), ms);
    await unused.object().fence.erase(aimOf(gone), ms);
    unused.pass(tombstoneMs + 1_000);
    await unused.account.alarm(container);
    expect(unused.object().storage.size).toBe(0);
  });

  it("gives a seat back only once its member is gone, and takes it from one that ended when all are taken", async () => {
    const { object, order } = rig();
    const first = order();
    expect(await object().fence.launchMember(first, ms)).toMatchObject({ ok: true });
    const { storage } = object();
    const { roster } = new FenceRecords(storage, () => "boot");
    for (let seat = roster.members.length; seat < seatCount; seat += 1) {
      expect(roster.take(`taken${seat}` as SandboxId, 1)).not.toBeNull();
    }
    const next = order();
    expect(await object().fence.launchMember(next, ms)).toMatchObject({
      failure: { code: "no_capacity", effect: "none" },
    });
    expect(await object().fence.erase(aimOf(first), ms)).toMatchObject({ ok: false });
    expect(await object().fence.retire(aimOf(first), ms)).toMatchObject({ ok: true });
    // Retired, and running: its seat is its own.
    expect(await object().fence.launchMember(next, ms)).toMatchObject({ failure: { code: "no_capacity" } });
    expect(await object().fence.erase(aimOf(first), ms)).toMatchObject({ ok: false });
    expect(await object().fence.stopInstance(aimOf(first), 500, ms)).toMatchObject({ ok: true });
    expect(await object().fence.launchMember(next, ms)).toMatchObject({ ok: true });
    expect(roster.seatOf(first.sandboxId)).toBeNull();
  });

  it("keeps a launch and an end that were sent five minutes ago from doing anything, whichever comes first [PHY-15]", async () => {
    const { object, order, pass } = rig();
    const [late, member] = [order(), order()];
    pass(5 * 60_000);
    expect(await object().fence.launchMember(late, ms)).toMatchObject({
      failure: { code: "refused_late", effect: "none" },
    });
    expect(object().container.starts).toBe(0);
    // An end without a retirement is nobody's.
    const now = { ...member, launchNotAfter: Number.MAX_SAFE_INTEGER };
    expect(await object().fence.launchMember(now, ms)).toMatchObject({ ok: true });
    expect(await object().fence.destroyContainer(ms)).toMatchObject({ failure: { code: "invalid" } });
    expect(object().container.runs).toBe(true);
    await object().fence.retireContainer(ms);
    await object().fence.destroyContainer(ms);
    pass(5 * 60_000);
    const again = { ...order(), launchNotAfter: Number.MAX_SAFE_INTEGER };
    expect(await object().fence.launchMember(again, ms)).toMatchObject({ failure: { code: "refused_retired" } });
    expect(object().container).toMatchObject({ starts: 1, runs: false });
  });
});

describe("a launch that meets a filesystem which takes no writes", () => {
  const readOnly = new StandInSandboxError("FileSystemError", "READ_ONLY", "EROFS: read-only file system");

  it("says so, ends a container that is one sandbox's, and no shared one [CAP-3] [CAP-4]", async () => {
    let fails = false;
    const account = new StandInAccount({
      clock: systemClock,
      spoil: (honest) =>
        new Proxy(honest, {
          get: (_, name) => {
            if (name === "writeFile" && fails) return () => Promise.reject(readOnly);
            const member: unknown = Reflect.get(honest, name, honest);
            return typeof member === "function" ? (member.bind(honest) as unknown) : member;
          },
        }),
    });
    accounts.push(account);
    const { fence, container: standIn } = account.object(container);
    const sibling = orderOf(systemIds.id() as SessionId, systemClock.now());
    expect(await fence.launchMember(sibling, ms)).toMatchObject({ ok: true });
    fails = true;
    const refused = { ok: false, failure: { code: "filesystem_unusable", effect: "none" } };
    const member = orderOf(systemIds.id() as SessionId, systemClock.now());
    expect(await fence.launchMember(member, ms)).toMatchObject(refused);
    expect(standIn).toMatchObject({ runs: true, starts: 1 });
    expect(await fence.look(aimOf(sibling), ms)).toMatchObject({ answer: "present" });

    const { container: _, ...alone } = orderOf(systemIds.id() as SessionId, systemClock.now());
    const isolated = account.object(alone.sandboxId);
    expect(await isolated.fence.launch(alone, ms)).toMatchObject(refused);
    expect(isolated.container).toMatchObject({ runs: false, starts: 1 });
  });
});

describe("an object that runs older code in the middle of a deploy", () => {
  it("launches no member, and its silence about a container is no absence [LEA-17]", async () => {
    const provider = cloudflareSandbox({
      name: "sandbox-sdk",
      sharing: "offered",
      object: () => ({}) as SandboxObjectApi,
      bucket: null,
      clock: systemClock,
      ids: systemIds,
    });
    const order = orderOf(systemIds.id() as SessionId, systemClock.now());
    const bound = { timeoutMs: 1_000, signal: new AbortController().signal };
    expect(await provider.launch(order, bound)).toMatchObject({ failure: { code: "unavailable", effect: "unknown" } });
    const target = { id: container, generation: 1 as Generation, host: null };
    expect(await provider.containers?.observe(target, 0, bound)).toMatchObject({ answer: "unknown" });
    expect(await provider.containers?.retire(target, bound)).toMatchObject({ ok: false });
    expect(await provider.space?.inspectCapacity(order, bound)).toMatchObject({ failure: { code: "unavailable" } });
  });
});

describe("what an object of before there were shared containers has stored", () => {
  const sandboxId = `${"s".repeat(20)}-g7` as SandboxId;
  const armed = { sessionId: "s".repeat(20), generation: 7, instanceId: "i1", ready: true, starts: 1 };

  function stored(): StandInStorage {
    const storage = new StandInStorage();
    storage.put("mooring:object", { boot: "b", awakeUntil: 5_000, destroys: 1, erasedAt: null });
    storage.put(`mooring:place:${sandboxId}`, { sandboxId, armed, retiredThrough: 6 });
    return storage;
  }

  it("is read as it was meant, and reading it writes nothing", () => {
    const storage = stored();
    const records = new FenceRecords(storage, () => "another");
    expect(records.boot).toBe("b");
    expect(records.awakeUntil).toBe(5_000);
    expect(records.erasedAt).toBeNull();
    expect(records.forgetAt).toBeNull();
    expect(records.sandbox(sandboxId)).toMatchObject({ armed, retiredThrough: 6 });
    expect(records.roster).toMatchObject({ known: false, retired: false, members: [] });
    expect(storage.size).toBe(2);
  });

  it("goes on where it was: what is written then is still readable for older code", () => {
    const storage = stored();
    const records = new FenceRecords(storage, () => "another");
    records.retire(sandboxId, 7 as Generation);
    records.stayAwakeUntil(9_000);
    expect(storage.get("mooring:object")).toEqual({ boot: "b", awakeUntil: 9_000, destroys: 1, erasedAt: null });
    expect(storage.get(`mooring:place:${sandboxId}`)).toEqual({ sandboxId, armed, retiredThrough: 7 });
  });

  it("that cannot be understood is no empty roster", () => {
    const storage = stored();
    storage.put("mooring:shared", { seats: "?" });
    const { roster } = new FenceRecords(storage, () => "another");
    expect(() => roster.retired).toThrow(/cannot be understood/);
  });
});
