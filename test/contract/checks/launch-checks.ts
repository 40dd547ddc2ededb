import assert from "node:assert/strict";
import type { Generation, InstanceId } from "../../../src/domain/state/ids.ts";
import { assertAnswer, assertFailed, bound, ContractSession, overtaken, power, valueOf } from "../contract-session.ts";
import type { ProviderCheck, ProviderWorld } from "../provider-harness.ts";

export const launchChecks: readonly ProviderCheck[] = [
  { name: "eight launches of one instance at once start one process [PHY-9]", needs: [], run: eightAtOnce },
  {
    name: "a launch after a lost reply finds what the first one started [PHY-9]",
    needs: ["disturb"],
    run: lostLaunchReply,
  },
  { name: "a launch that arrives after launchNotAfter starts nothing [PHY-10]", needs: [], run: lateLaunch },
  {
    name: "a launch that was held up past launchNotAfter starts nothing [PHY-10]",
    needs: ["disturb"],
    run: heldUpLaunch,
  },
  { name: "a launch of a retired generation is refused", needs: [], run: launchAfterRetire },
  {
    name: "a retirement covers earlier generations of that sandbox id, and no other sandbox id",
    needs: [],
    run: retireCovers,
  },
  {
    name: "a launch that was sent before the retirement and lands after it starts nothing [PHY-15]",
    needs: ["disturb"],
    run: launchOvertaken,
  },
  { name: "a retirement is not undone by a restart of the provider [PHY-15]", needs: ["restart"], run: retireSurvives },
  {
    name: "a running instance is found again after a restart of the provider, and not started twice [PHY-9]",
    needs: ["restart"],
    run: runningSurvives,
  },
  {
    name: "another instance, or another generation, is refused in a sandbox id that serves one, which lives on",
    needs: [],
    run: occupied,
  },
];

async function onlyOne(session: ContractSession): Promise<void> {
  const seen = await session.observe();
  assertAnswer(seen, "present");
  for (const kind of ["wrapper", "guardian", "container"] as const) {
    const count = seen.residue.filter((one) => one.kind === kind).length;
    assert.ok(count <= 1, `${count} × ${kind}`);
  }
  assert.ok(
    seen.residue.every((one) => one.kind === "container" || one.instanceId === session.order.instanceId),
    "of another instance",
  );
}

async function eightAtOnce(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const all = await Promise.all(Array.from({ length: 8 }, () => session.launch()));
  for (const one of all) valueOf(one, "launch");
  await onlyOne(session);
  valueOf(await session.renew(), "renew");
}

async function lostLaunchReply(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await power(world, "disturb")("launch", "lost_reply");
  assertFailed(await session.launch(), ["timed_out", "unavailable"], "unknown");
  await session.becomes(
    "present",
    () => session.observe(),
    ({ answer }) => answer === "present",
  );
  valueOf(await session.launch(), "launch again");
  await onlyOne(session);
}

async function lateLaunch(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  assertFailed(await session.launch({ launchNotAfter: world.now() - 1 }), "refused_late", "none");
  assertAnswer(await session.observe(), "absent");
}

async function heldUpLaunch(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world, { launchNotAfter: world.now() + 300 });
  await power(world, "disturb")("launch", { lateByMs: 900 });
  const launching = session.launch();
  assert.ok(!(await launching).ok, "it must not succeed");
  await world.wait(1_200);
  assertAnswer(await session.observe(), "absent");
}

async function launchAfterRetire(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const retired = valueOf(await session.retire(), "retire");
  assert.notEqual(retired.host, "");
  assertFailed(await session.launch(), "refused_retired", "none");
  assertAnswer(await session.observe(), "absent");
}

async function retireCovers(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const later = (session.order.generation + 5) as Generation;
  valueOf(await session.retire({ generation: later }), "retire");
  assertFailed(await session.launch(), "refused_retired", "none");
  valueOf(await session.retire(), "an earlier retirement, later");
  assertFailed(await session.launch({ generation: later }), "refused_retired", "none");
  await session.successor().launched();
}

async function launchOvertaken(world: ProviderWorld): Promise<void> {
  // Late enough for the retirement to come first on a busy machine.
  const lateByMs = 4_000;
  const session = await overtaken(world, lateByMs, async () => {
    const value = new ContractSession(world);
    await power(world, "disturb")("launch", { lateByMs });
    const late = world.provider.launch(value.order, bound());
    await world.wait(100);
    valueOf(await value.retire(), "retire");
    return { late, value };
  });
  await world.wait(1_000);
  assertAnswer(await session.observe(), "absent");
}

async function retireSurvives(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  valueOf(await session.retire(), "retire");
  await power(world, "restart")("ready");
  assertFailed(await session.launch(), "refused_retired", "none");
}

async function runningSurvives(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const before = await session.launched();
  await power(world, "restart")("ready");
  await onlyOne(session);
  const after = valueOf(await session.launch(), "the same launch again");
  assert.deepEqual(after, before, "the same host and boot");
  await onlyOne(session);
  valueOf(await session.renew(), "renew after the restart");
  assertFailed(await session.launch({ instanceId: "other" as InstanceId }), "foreign_instance", "none");
}

async function occupied(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  assertFailed(await session.launch({ instanceId: "other" as InstanceId }), "foreign_instance", "none");
  const generation = (session.order.generation + 1) as Generation;
  assertFailed(await session.launch({ generation, instanceId: "another" as InstanceId }), "foreign_instance", "none");
  await onlyOne(session);
  valueOf(await session.renew(), "the first instance");
}
