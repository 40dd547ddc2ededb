import assert from "node:assert/strict";
import { assertAnswer, bound, ContractSession, valueOf } from "../contract-session.ts";
import type { ProviderCheck, ProviderWorld } from "../provider-harness.ts";

export const reportChecks: readonly ProviderCheck[] = [
  {
    name: "logs and resources of a running sandbox are told, and reading them starts nothing",
    needs: [],
    run: reports,
  },
  {
    name: "a provider that enumerates shows what runs, with whose it is, and not what has ended",
    needs: [],
    run: enumerates,
  },
  { name: "what a provider declares about its timers and containment is usable", needs: [], run: declares },
];

async function reports(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  const used = valueOf(await world.settle(world.provider.readResources(session.target(), bound())), "resources");
  assert.ok(used.processes >= 1 && used.memoryBytes > 0 && used.cpuSeconds >= 0, JSON.stringify(used));
  const logs = valueOf(await world.settle(world.provider.readLogs(session.target(), 100, bound())), "logs");
  assert.ok(new TextEncoder().encode(logs.text).length <= 100, "more than was asked for");
  valueOf(await session.stop(), "stop");
  await session.becomesAbsent();
  await world.settle(world.provider.readResources(session.target(), bound()));
  await world.settle(world.provider.readLogs(session.target(), 100, bound()));
  assertAnswer(await session.observe(), "absent");
}

async function enumerates(world: ProviderWorld): Promise<void> {
  const { provider } = world;
  assert.equal(provider.enumerate !== undefined, world.provider.capabilities.enumerate, "declared and offered differ");
  if (!provider.capabilities.enumerate) return;
  const list = async () => {
    const listing = provider.enumerate?.(bound());
    assert.ok(listing !== undefined);
    return valueOf(await world.settle(listing), "enumerate");
  };
  const session = new ContractSession(world);
  await session.launched();
  const { sessionId, sandboxId, generation, instanceId } = session.order;
  const own = (await list()).filter((one) => one.sessionId === sessionId);
  assert.ok(own.length > 0, "it is not there");
  for (const one of own) {
    assert.deepEqual([one.sandboxId, one.generation, one.residue.instanceId], [sandboxId, generation, instanceId]);
  }
  valueOf(await session.stop(), "stop");
  await session.becomesAbsent();
  assert.deepEqual(
    (await list()).filter((one) => one.sessionId === sessionId),
    [],
  );
}

async function declares(world: ProviderWorld): Promise<void> {
  const { launchRetriesMs, stopGraceMs, containment } = world.provider.capabilities;
  assert.ok(Number.isFinite(launchRetriesMs) && launchRetriesMs >= 0, `launchRetriesMs ${launchRetriesMs}`);
  assert.ok(Number.isFinite(stopGraceMs) && stopGraceMs > 0, `stopGraceMs ${stopGraceMs}`);
  assert.ok(["container", "cgroup", "user", "marker"].includes(containment), containment);
}
