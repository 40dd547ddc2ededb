import assert from "node:assert/strict";
import type { ProviderResult } from "../../../src/domain/state/failure.ts";
import {
  containerId,
  isolatedSandboxId,
  type Generation,
  type SandboxId,
  type SessionId,
} from "../../../src/domain/state/ids.ts";
import { untouchedForMs } from "../../../src/protocol/sandbox/stale-workspace.ts";
import type { Capacity, SandboxLocation, Reclaimed, Space } from "../../../src/sandbox/agent-sandbox.ts";
import { assertAnswer, assertFailed, bound, ContractSession, power, valueOf } from "../contract-session.ts";
import type { ProviderCheck, ProviderWorld } from "../provider-harness.ts";

export const spaceChecks: readonly ProviderCheck[] = [
  { name: "it can measure room exactly when it says that it can", needs: [], run: asDeclared },
  { name: "what is free is a number of bytes, and no more than there is", needs: ["workspaces"], run: numbers },
  { name: "measuring and reclaiming start nothing", needs: ["workspaces"], run: startsNothing },
  {
    name: "measuring and reclaiming start no shared container",
    needs: ["workspaces", "containers"],
    run: startsNoContainer,
  },
  {
    name: "a measurement that cannot be made is space_unmeasurable, never a number [CAP-4]",
    needs: ["disk"],
    run: unmeasurable,
  },
  {
    name: "a read-only filesystem is filesystem_unusable, to a measurement and to a launch, which starts nothing [CAP-3] [CAP-4]",
    needs: ["disk"],
    run: readOnly,
  },
  {
    name: "reclaiming removes the workspace of a sandbox that ended long ago [CAP-2]",
    needs: ["workspaces"],
    run: removesStale,
  },
  {
    name: "reclaiming keeps what runs, what is of the session that asks, and what it does not know [CAP-2]",
    needs: ["workspaces"],
    run: keeps,
  },
  { name: "reclaiming keeps what was touched a moment ago [CAP-2]", needs: ["workspaces"], run: keepsYoung },
  {
    name: "reclaiming removes nothing when processes cannot be inspected [CAP-2]",
    needs: ["workspaces", "hideProcesses"],
    run: keepsAllWhenBlind,
  },
  {
    name: "nothing starts any more in a workspace that was reclaimed",
    needs: ["workspaces"],
    run: reclaimedIsRetired,
  },
  {
    name: "a reclaim whose reply is lost says so, and has its effect",
    needs: ["workspaces", "disturb"],
    run: lostReply,
  },
  {
    name: "a reclaim that hangs is given up at its bound, with its effect unknown",
    needs: ["workspaces", "disturb"],
    run: hangs,
  },
];

const longAgo = untouchedForMs + 60_000;

function spaceOf(world: ProviderWorld): Space {
  const { space } = world.provider;
  assert.ok(space !== undefined, "it declares that it can measure room, and has no way to");
  return space;
}

/** Where sandboxes lie beside each other: everywhere on a host; else in a shared container, which somebody has to be in. */
type Beside = Pick<SandboxLocation, "container">;

async function beside(world: ProviderWorld): Promise<Beside> {
  if (world.can.workspaces?.inOneContainer !== true) return {};
  const container = containerId(isolatedSandboxId(world.sessionId(), 1 as Generation));
  await new ContractSession(world, { container }).held();
  return { container };
}

function locationIn(world: ProviderWorld, at: Beside, sessionId: SessionId = world.sessionId()): SandboxLocation {
  return { ...at, sessionId, sandboxId: isolatedSandboxId(sessionId, world.now() as Generation) };
}

function inspect(world: ProviderWorld, at: SandboxLocation): Promise<ProviderResult<Capacity>> {
  return world.settle(spaceOf(world).inspectCapacity(at, bound()));
}

async function reclaim(world: ProviderWorld, at: SandboxLocation): Promise<Reclaimed> {
  return valueOf(await world.settle(spaceOf(world).reclaim(at, bound())), "reclaim");
}

/** One that ran and was stopped; its workspace was never removed. */
async function ended(world: ProviderWorld, at: Beside): Promise<ContractSession> {
  const session = new ContractSession(world, at);
  await session.held();
  valueOf(await session.stop(), "stop");
  await session.becomesAbsent();
  return session;
}

async function asDeclared(world: ProviderWorld): Promise<void> {
  assert.equal(world.provider.space !== undefined, world.provider.capabilities.space);
}

async function numbers(world: ProviderWorld): Promise<void> {
  for (const at of [locationIn(world, {}), locationIn(world, await beside(world))]) {
    const { freeBytes, totalBytes } = valueOf(await inspect(world, at), "inspectCapacity");
    assert.ok(Number.isSafeInteger(freeBytes) && freeBytes > 0, `${freeBytes} bytes are free`);
    assert.ok(Number.isSafeInteger(totalBytes) && totalBytes >= freeBytes, `of ${totalBytes}`);
  }
}

async function startsNothing(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  valueOf(await inspect(world, session.target()), "inspectCapacity");
  await reclaim(world, session.target());
  assertAnswer(await session.observe(), "absent");
}

async function startsNoContainer(world: ProviderWorld): Promise<void> {
  const container = containerId(isolatedSandboxId(world.sessionId(), 1 as Generation));
  const at = locationIn(world, { container });
  await inspect(world, at);
  await reclaim(world, at);
  const { containers } = world.provider;
  assert.ok(containers !== undefined);
  const target = { id: container, generation: world.now() as Generation, host: null };
  assertAnswer(await world.settle(containers.observe(target, world.now(), bound())), "absent");
}

async function unmeasurable(world: ProviderWorld): Promise<void> {
  const at = locationIn(world, await beside(world));
  await power(world, "disk")("unmeasurable");
  assertFailed(await inspect(world, at), "space_unmeasurable", "none");
  await power(world, "disk")("well");
  valueOf(await inspect(world, at), "inspectCapacity");
}

async function readOnly(world: ProviderWorld): Promise<void> {
  const at = await beside(world);
  await power(world, "disk")("read_only");
  assertFailed(await inspect(world, locationIn(world, at)), "filesystem_unusable", "none");
  const session = new ContractSession(world, at);
  assertFailed(await session.launch(), "filesystem_unusable", "none");
  assertAnswer(await session.observe(), "absent");
  await power(world, "disk")("well");
  await session.launched();
}

async function removesStale(world: ProviderWorld): Promise<void> {
  const { age, has } = power(world, "workspaces");
  const at = await beside(world);
  const old = await ended(world, at);
  assert.ok(await has(old.order.sandboxId), "it has no workspace to begin with");
  await age(longAgo);
  const { removed } = await reclaim(world, locationIn(world, at));
  assert.deepEqual(removed, [old.order.sandboxId]);
  assert.ok(!(await has(old.order.sandboxId)), "it says that it removed it, and did not");
  assert.deepEqual((await reclaim(world, locationIn(world, at))).removed, []);
}

async function keeps(world: ProviderWorld): Promise<void> {
  const { age, has, plant } = power(world, "workspaces");
  const at = await beside(world);
  const running = new ContractSession(world, at);
  await running.held();
  const own = await ended(world, at);
  const unknown = isolatedSandboxId(world.sessionId(), 1_000 as Generation);
  // Its name begins with that of one that is stale, and is not one of ours.
  const odd = `${unknown}-backup` as SandboxId;
  await plant(unknown);
  await plant(odd);
  await age(longAgo);
  const before = valueOf(await running.renew(), "renewal");
  const { removed, kept } = await reclaim(world, locationIn(world, at, own.order.sessionId));
  assert.deepEqual(removed, []);
  const names = kept.map(({ name }) => name);
  for (const each of [running.order.sandboxId, unknown, odd]) {
    assert.ok(await has(each), `${each} was removed`);
    assert.ok(names.includes(each), `${each} was kept, and nothing is said of it`);
  }
  assert.ok(await has(own.order.sandboxId), "the workspace of the session that asked was removed");
  assert.equal(valueOf(await running.renew(), "a renewal afterwards").instance_id, before.instance_id);
}

async function keepsYoung(world: ProviderWorld): Promise<void> {
  const at = await beside(world);
  const young = await ended(world, at);
  assert.deepEqual((await reclaim(world, locationIn(world, at))).removed, []);
  assert.ok(await power(world, "workspaces").has(young.order.sandboxId), "it was removed at once");
}

async function keepsAllWhenBlind(world: ProviderWorld): Promise<void> {
  const { age, has } = power(world, "workspaces");
  const at = await beside(world);
  const old = await ended(world, at);
  await age(longAgo);
  await power(world, "hideProcesses")();
  const { removed, kept } = await reclaim(world, locationIn(world, at));
  assert.deepEqual(removed, []);
  assert.ok(await has(old.order.sandboxId), "it was removed");
  assert.match(kept.find(({ name }) => name === old.order.sandboxId)?.why ?? "", /inspected/);
}

async function reclaimedIsRetired(world: ProviderWorld): Promise<void> {
  const at = await beside(world);
  const old = await ended(world, at);
  await power(world, "workspaces").age(longAgo);
  assert.deepEqual((await reclaim(world, locationIn(world, at))).removed, [old.order.sandboxId]);
  const late = { launchNotAfter: world.now() + 60_000 };
  assertFailed(await old.launch(late), "refused_retired", "none");
  assertAnswer(await old.observe(), "absent");
}

async function lostReply(world: ProviderWorld): Promise<void> {
  const { age, has } = power(world, "workspaces");
  const at = await beside(world);
  const old = await ended(world, at);
  await age(longAgo);
  await power(world, "disturb")("reclaim", "lost_reply");
  assertFailed(
    await world.settle(spaceOf(world).reclaim(locationIn(world, at), bound())),
    ["timed_out", "unavailable"],
    "unknown",
  );
  await old.becomes(
    "removed",
    () => has(old.order.sandboxId),
    (there) => !there,
  );
}

async function hangs(world: ProviderWorld): Promise<void> {
  const at = await beside(world);
  await power(world, "disturb")("reclaim", "hang");
  assertFailed(await world.settle(spaceOf(world).reclaim(locationIn(world, at), bound(300))), "timed_out", "unknown");
}
