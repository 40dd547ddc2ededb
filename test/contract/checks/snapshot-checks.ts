import assert from "node:assert/strict";
import type { JobId } from "../../../src/domain/state/ids.ts";
import type { ProviderResult } from "../../../src/domain/state/failure.ts";
import type { Snapshots } from "../../../src/sandbox/agent-sandbox.ts";
import { assertFailed, assertWithin, bound, ContractSession, power, valueOf } from "../contract-session.ts";
import type { ProviderCheck, ProviderWorld } from "../provider-harness.ts";

export const snapshotChecks: readonly ProviderCheck[] = [
  { name: "it can save exactly when it says that it can", needs: [], run: asDeclared },
  {
    name: "what is saved of one sandbox is what another begins with, after the first is stopped and destroyed [DEL-11]",
    needs: ["snapshots"],
    run: saveAndRestore,
  },
  {
    name: "a snapshot is the workspace as it was saved, not as it became later",
    needs: ["snapshots"],
    run: asItWas,
  },
  { name: "a save of the same name is done once, however often it is asked", needs: ["snapshots"], run: saveRepeated },
  { name: "a snapshot is restored as often as it is asked for", needs: ["snapshots"], run: restoreRepeated },
  { name: "a removed name is never saved again, and is not restored [DEL-13]", needs: ["snapshots"], run: tombstone },
  { name: "removing what is not there is success, and forbids what comes later", needs: ["snapshots"], run: absent },
  {
    name: "a removal is not undone by a restart",
    needs: ["snapshots", "restart"],
    run: tombstoneKept,
  },
  { name: "an unknown snapshot is not_found, and nothing is started", needs: ["snapshots"], run: unknownSnapshot },
  {
    name: "a snapshot that was changed since is told as damaged, one that is gone as not found, and nothing is started",
    needs: ["snapshots", "spoilSnapshot"],
    run: spoiledSince,
  },
  { name: "a snapshot of another session is not restored", needs: ["snapshots"], run: ofAnother },
  {
    name: "a session begins with another's snapshot where the order says whose it is, and shares nothing with it [TRA-15]",
    needs: ["snapshots"],
    run: ofTheTenant,
  },
  {
    name: "a look finds a snapshot until it is removed, and nothing then [TRA-15]",
    needs: ["snapshots"],
    run: lookedAt,
  },
  {
    name: "a sandbox that stands still for a snapshot takes no job and ends none, and goes on when it is told to [TRA-15]",
    needs: ["snapshots"],
    run: standsStill,
  },
  {
    name: "a drain lets go what stands still for a snapshot, and nothing is stopped for one until it is taken back [TRA-15]",
    needs: ["snapshots"],
    run: drainsFirst,
  },
  { name: "what does not exist cannot be saved", needs: ["snapshots"], run: nothingToSave },
  {
    name: "a save that lands after its removal leaves nothing behind",
    needs: ["snapshots", "disturb"],
    run: landsLate,
  },
  {
    name: "a save whose reply is lost says so, and a repeat finds it done",
    needs: ["snapshots", "disturb"],
    run: lostReply,
  },
  {
    name: "a save that hangs is given up at its bound, with its effect unknown",
    needs: ["snapshots", "disturb"],
    run: hangs,
  },
  {
    name: "a removal whose reply is lost says so, and has its effect",
    needs: ["snapshots", "disturb"],
    run: lostRemoval,
  },
];

function snapshotsOf(world: ProviderWorld): Snapshots {
  const { snapshots } = world.provider;
  assert.ok(snapshots !== undefined, "it declares that it can save, and has no way to");
  return snapshots;
}

async function asDeclared(world: ProviderWorld): Promise<void> {
  assert.equal(world.provider.snapshots !== undefined, world.provider.capabilities.snapshot);
}

/** A running sandbox with one file in it. */
async function worker(world: ProviderWorld, text: string): Promise<ContractSession> {
  const session = new ContractSession(world);
  await session.held();
  await write(session, "writes", text);
  return session;
}

async function write(session: ContractSession, job: string, text: string): Promise<void> {
  await ran(session, job, power(session.world, "snapshots").write("notes.txt", text));
}

async function read(session: ContractSession, job = "reads"): Promise<string> {
  return ran(session, job, power(session.world, "snapshots").read("notes.txt"));
}

async function ran(session: ContractSession, job: string, command: string): Promise<string> {
  await session.startJob(job, command);
  const look = async () =>
    valueOf(await session.world.settle(session.wrapper().job(job as JobId, 4_096, bound())), "job");
  return atob((await session.becomes(job, look, ({ state }) => state !== "running")).tail_base64);
}

function save(session: ContractSession, name: string, timeoutMs?: number): Promise<ProviderResult<{ bytes: number }>> {
  const { world } = session;
  return world.settle(snapshotsOf(world).save(session.target(), name, bound(timeoutMs)));
}

function remove(session: ContractSession, name: string): Promise<ProviderResult<null>> {
  const { world } = session;
  return world.settle(snapshotsOf(world).remove(session.order.sessionId, name, bound()));
}

/** The next generation, in a sandbox of its own. */
async function resumed(from: ContractSession, name: string): Promise<ContractSession> {
  const next = from.successor();
  valueOf(await next.launch({ restore: name }), "a launch that restores");
  valueOf(await next.renew(), "renew");
  return next;
}

async function ended(session: ContractSession): Promise<void> {
  valueOf(await session.retire(), "retire");
  valueOf(await session.stop(), "stop");
  await session.becomesAbsent();
  valueOf(await session.world.settle(session.world.provider.destroy(session.target(), bound())), "destroy");
}

async function saveAndRestore(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  assert.ok(valueOf(await save(session, "s1"), "save").bytes > 0, "it saved nothing");
  await ended(session);
  assert.equal(await read(await resumed(session, "s1")), "kept\n");
}

async function asItWas(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "before");
  valueOf(await save(session, "s1"), "save");
  await write(session, "again", "after");
  assert.equal(await read(session), "after\n");
  await ended(session);
  assert.equal(await read(await resumed(session, "s1")), "before\n");
}

async function saveRepeated(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "first");
  const bytes = valueOf(await save(session, "s1"), "save").bytes;
  await write(session, "again", "second");
  const all = await Promise.all([save(session, "s1"), save(session, "s1"), save(session, "s1")]);
  for (const one of all) assert.equal(valueOf(one, "a repeat").bytes, bytes);
  await ended(session);
  assert.equal(await read(await resumed(session, "s1")), "first\n");
}

async function restoreRepeated(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  valueOf(await save(session, "s1"), "save");
  await ended(session);
  const next = session.successor();
  const launches = Array.from({ length: 3 }, () => next.launch({ restore: "s1" }));
  for (const launch of await Promise.all(launches)) valueOf(launch, "a launch that restores");
  valueOf(await next.renew(), "renew");
  await write(next, "spoils", "changed");
  valueOf(await next.launch({ restore: "s1" }), "a repeat of a launch that landed");
  assert.equal(await read(next), "changed\n", "a repeated launch undid what was done since");
  await ended(next);
  const third = next.successor();
  valueOf(await third.launch({ restore: "s1" }), "another generation");
  valueOf(await third.renew(), "renew");
  assert.equal(await read(third), "kept\n");
}

async function tombstone(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  valueOf(await save(session, "s1"), "save");
  valueOf(await remove(session, "s1"), "remove");
  valueOf(await remove(session, "s1"), "remove again");
  assertFailed(await save(session, "s1"), "refused_retired", "none");
  assertFailed(await session.successor().launch({ restore: "s1" }), "not_found", "none");
  valueOf(await save(session, "s2"), "another name");
}

async function absent(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  valueOf(await remove(session, "never"), "remove what never was");
  assertFailed(await save(session, "never"), "refused_retired", "none");
}

async function tombstoneKept(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  valueOf(await save(session, "s1"), "save");
  valueOf(await save(session, "s2"), "save");
  valueOf(await remove(session, "s1"), "remove");
  await power(world, "restart")("ready");
  assertFailed(await save(session, "s1"), "refused_retired", "none");
  assertFailed(await session.successor().launch({ restore: "s1" }), "not_found", "none");
  await ended(session);
  assert.equal(await read(await resumed(session, "s2")), "kept\n", "what was acknowledged is gone after a restart");
}

async function unknownSnapshot(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  assertFailed(await session.launch({ restore: "nobody" }), "not_found", "none");
  assert.equal((await session.observe()).answer, "absent");
}

async function spoiledSince(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  valueOf(await save(session, "s1"), "save");
  await ended(session);
  const spoil = power(world, "spoilSnapshot");
  for (const [how, code] of [
    ["changed", "damaged"],
    ["gone", "not_found"],
  ] as const) {
    await spoil(session.order.sessionId, "s1", how);
    const next = session.successor();
    assertFailed(await next.launch({ restore: "s1" }), code, "none");
    assert.equal((await next.observe()).answer, "absent", `${how}: something was started`);
  }
}

async function ofAnother(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "mine");
  valueOf(await save(session, "s1"), "save");
  const stranger = new ContractSession(world);
  assertFailed(await stranger.launch({ restore: "s1" }), "not_found", "none");
  valueOf(await remove(stranger, "s1"), "a removal of its own name");
  await ended(session);
  assert.equal(await read(await resumed(session, "s1")), "mine\n", "another session's removal struck it");
}

async function ofTheTenant(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "mine");
  valueOf(await save(session, "s1"), "save");
  const other = new ContractSession(world);
  const restoreOf = session.order.sessionId;
  valueOf(await other.launch({ restore: "s1", restoreOf }), "a launch with another's snapshot");
  valueOf(await other.renew(), "renew");
  assert.equal(await read(other), "mine\n");
  await write(other, "changes", "changed");
  assert.equal(await read(session, "reads-its-own"), "mine\n", "the two share a file");
}

async function lookedAt(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  const look = async () =>
    valueOf(await world.settle(snapshotsOf(world).inspect(session.order.sessionId, "s1", bound())), "look");
  assert.equal((await look()).files, 0);
  const { bytes } = valueOf(await save(session, "s1"), "save");
  const stored = await look();
  assert.ok(stored.files > 0 && stored.bytes >= bytes, `${stored.files} files, ${stored.bytes} of ${bytes} bytes`);
  valueOf(await remove(session, "s1"), "remove");
  assert.deepEqual([(await look()).files, (await look()).bytes], [0, 0]);
}

async function standsStill(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  const wrapper = session.wrapper();
  const order = { id: "late" as JobId, command: "echo late", timeout_ms: 60_000 };
  for (let times = 0; times < 2; times += 1)
    valueOf(await world.settle(wrapper.freeze("s1", 60_000, bound())), "a freeze, and its repeat");
  assertFailed(await world.settle(wrapper.startJob(order, bound())), "not_ready", "none");
  valueOf(await world.settle(wrapper.thaw("s0", bound())), "a late thaw of another snapshot");
  assertFailed(await world.settle(wrapper.startJob(order, bound())), "not_ready", "none");
  valueOf(await save(session, "s1"), "save");
  for (let times = 0; times < 2; times += 1)
    valueOf(await world.settle(wrapper.thaw("s1", bound())), "a thaw, and its repeat");
  assert.equal(await read(session), "kept\n");
}

async function drainsFirst(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  const wrapper = session.wrapper();
  valueOf(await world.settle(wrapper.freeze("s1", 60_000, bound())), "a freeze");
  valueOf(await world.settle(wrapper.drain(bound())), "a drain");
  assertFailed(await world.settle(wrapper.freeze("s2", 60_000, bound())), "not_ready", "none");
  valueOf(await world.settle(wrapper.thaw("s1", bound())), "the late thaw");
  const order = { id: "late" as JobId, command: "echo late", timeout_ms: 60_000 };
  assertFailed(await world.settle(wrapper.startJob(order, bound())), "not_ready", "none");
  valueOf(await world.settle(wrapper.admit(bound())), "an admission");
  assert.equal(await read(session), "kept\n");
}

async function nothingToSave(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  assertFailed(await save(session, "s1"), "not_found", "none");
  const real = await worker(world, "kept");
  const next = real.successor();
  assertFailed(await save(next, "s1"), "not_found", "none");
}

async function landsLate(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  await power(world, "disturb")("save", { lateByMs: 700 });
  const saving = snapshotsOf(world).save(session.target(), "s1", bound(200));
  assertFailed(await world.settle(saving), "timed_out", "unknown");
  valueOf(await remove(session, "s1"), "remove");
  await world.wait(1_500);
  assertFailed(await session.successor().launch({ restore: "s1" }), "not_found", "none");
  assertFailed(await save(session, "s1"), "refused_retired", "none");
}

async function lostReply(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  await power(world, "disturb")("save", "lost_reply");
  assertFailed(await save(session, "s1"), ["timed_out", "unavailable"], "unknown");
  valueOf(await save(session, "s1"), "a repeat");
  await ended(session);
  assert.equal(await read(await resumed(session, "s1")), "kept\n");
}

async function hangs(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  await power(world, "disturb")("save", "hang");
  const began = world.now();
  assertFailed(await save(session, "s1", 300), "timed_out", "unknown");
  assertWithin(world, began, 300);
}

async function lostRemoval(world: ProviderWorld): Promise<void> {
  const session = await worker(world, "kept");
  valueOf(await save(session, "s1"), "save");
  await power(world, "disturb")("remove", "lost_reply");
  assertFailed(await remove(session, "s1"), ["timed_out", "unavailable"], "unknown");
  assertFailed(await session.successor().launch({ restore: "s1" }), "not_found", "none");
}
