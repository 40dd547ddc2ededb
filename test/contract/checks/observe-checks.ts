import assert from "node:assert/strict";
import type { Generation, SessionId } from "../../../src/domain/state/ids.ts";
import { assertAnswer, assertWithin, bound, ContractSession, power, valueOf } from "../contract-session.ts";
import type { FaultKind, ProviderCheck, ProviderWorld } from "../provider-harness.ts";

export const observeChecks: readonly ProviderCheck[] = [
  { name: "a sandbox that never was is absent, and looking at it starts nothing [PHY-7]", needs: [], run: neverWas },
  { name: "an observation says who answered, about what, and when it began [PHY-16]", needs: [], run: saysWho },
  {
    name: "looking does not extend a lease: an instance that is not renewed ends itself within its TTL and grace [PHY-7] [PHY-11]",
    needs: [],
    run: looksDoNotExtend,
  },
  { name: "a look that hangs is unknown within its bound [PHY-1] [PHY-8]", needs: ["disturb"], run: hangingLook },
  {
    name: "a look that fails is unknown, not absent [PHY-1]",
    needs: ["disturb"],
    run: (world) => disturbedLook(world, "error"),
  },
  {
    name: "a look that is answered with nonsense is unknown, not absent [PHY-1]",
    needs: ["disturb"],
    run: (world) => disturbedLook(world, "malformed"),
  },
  {
    name: "a look whose reply is lost is unknown, not absent [PHY-1]",
    needs: ["disturb"],
    run: (world) => disturbedLook(world, "lost_reply"),
  },
  {
    name: "a look at a provider that cannot be reached is unknown, not absent [PHY-1]",
    needs: ["takeDown"],
    run: unreachable,
  },
  { name: "a look whose caller gave up before is unknown", needs: [], run: givenUp },
  {
    name: "a provider that is not done looking around after its restart is unknown, not absent [PHY-16]",
    needs: ["restart"],
    run: scanning,
  },
  {
    name: "an answer of another host than the recorded one is unknown and names both [PHY-16]",
    needs: [],
    run: otherHost,
  },
  {
    name: "a second wrapper of a generation is seen beside the first [PHY-2]",
    needs: ["startForeign"],
    run: duplicates,
  },
  {
    name: "a session id or generation that begins like another never matches it [PHY-3]",
    needs: ["startForeign"],
    run: prefixes,
  },
  { name: "a wrapper without an instance marker is seen, as legacy", needs: ["startForeign"], run: legacy },
  {
    name: "a frozen wrapper is present or unknown within the bound, never absent [PHY-8]",
    needs: ["freeze"],
    run: frozen,
  },
  { name: "two sessions do not see each other", needs: [], run: apart },
];

async function neverWas(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  assertAnswer(await session.observe(), "absent");
  await world.wait(500);
  const again = await session.observe();
  assertAnswer(again, "absent");
  assert.deepEqual(again.residue, []);
}

async function saysWho(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const launched = await session.launched();
  const beganAt = world.now() - 7;
  const seen = await world.settle(world.provider.observe(session.target(), beganAt, bound()));
  assertAnswer(seen, "present");
  const { provider, host, boot, sandboxId, generation } = seen;
  const { order } = session;
  assert.deepEqual(
    { provider, host, boot, sandboxId, generation, beganAt: seen.beganAt },
    { provider: world.provider.name, ...launched, sandboxId: order.sandboxId, generation: order.generation, beganAt },
  );
  assert.ok(seen.residue.length > 0, "present, and nothing shown");
  assert.notEqual(seen.detail, "");
}

async function looksDoNotExtend(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world, { stopGraceMs: 500, jobGraceMs: 100 });
  await session.held();
  await session.startJob("worker", world.jobs.ignoreTerm);
  // Its last: only now, so that on a busy machine it outlives what comes before.
  valueOf(await session.renew({}, 1_500), "the last renewal");
  await session.becomesAbsent();
}

async function hangingLook(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await power(world, "disturb")("observe", "hang");
  const began = world.now();
  assertAnswer(await session.observe({}, 300), "unknown");
  assertWithin(world, began, 300);
}

async function disturbedLook(world: ProviderWorld, fault: FaultKind): Promise<void> {
  const session = new ContractSession(world);
  await power(world, "disturb")("observe", fault);
  const seen = await session.observe({}, 1_000);
  assertAnswer(seen, "unknown");
  assert.deepEqual(seen.residue, []);
  assertAnswer(await session.observe(), "absent");
}

async function unreachable(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await power(world, "takeDown")();
  const seen = await session.observe({}, 2_000);
  assertAnswer(seen, "unknown");
  assert.equal(seen.host, null);
}

async function givenUp(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const given = AbortSignal.abort();
  const seen = await world.settle(
    world.provider.observe(session.target(), world.now(), { timeoutMs: 5_000, signal: given }),
  );
  assertAnswer(seen, "unknown");
}

async function scanning(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await power(world, "restart")("scanning");
  assertAnswer(await session.observe(), "unknown");
  await session.becomesAbsent();
}

async function otherHost(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const { host } = await session.launched();
  const seen = await session.observe({ host: "a-host-elsewhere" });
  assertAnswer(seen, "unknown");
  assert.ok(seen.detail.includes("a-host-elsewhere"), `the detail does not name the recorded host: ${seen.detail}`);
  assert.ok(seen.host === null || seen.host === host, "it must not claim to be the recorded host");
  const retired = await session.retire({ host: "a-host-elsewhere" });
  assert.ok(!retired.ok || retired.value.host !== "a-host-elsewhere", "it must not claim to be the recorded host");
}

async function duplicates(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  const { sessionId, generation, instanceId } = session.order;
  await power(world, "startForeign")({ sessionId, generation, instanceId: "second" });
  const seen = await session.observe({ instanceId: null });
  assertAnswer(seen, "present");
  const wrappers = seen.residue.filter((one) => one.kind === "wrapper").map((one) => one.instanceId);
  assert.deepEqual(new Set(wrappers), new Set([instanceId, "second"]));
  valueOf(await session.stop(), "stop of the first");
  assertAnswer(await session.observe({ instanceId: null }), "present");
}

async function prefixes(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world, { generation: 1_790_000_000_000 as Generation });
  const { sessionId, generation } = session.order;
  const foreign = power(world, "startForeign");
  const longer = await foreign({ sessionId: `${sessionId}a`, generation, instanceId: "longer-session" });
  const later = await foreign({ sessionId, generation: generation * 10, instanceId: "longer-generation" });
  assertAnswer(await session.observe(), "absent");
  assertAnswer(await session.observe({ instanceId: null }), "absent");
  valueOf(await session.stop(500, { instanceId: null }), "stop");
  assert.ok((await longer.isAlive()) && (await later.isAlive()), "a stop struck what only begins like its target");
  const shorter = new ContractSession(world, { sessionId: sessionId.slice(0, -1) as SessionId, generation });
  assertAnswer(await shorter.observe({ instanceId: null }), "absent");
}

async function legacy(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const { sessionId } = session.order;
  await power(world, "startForeign")({ sessionId, generation: null, instanceId: null });
  const seen = await session.observe({ instanceId: null });
  assertAnswer(seen, "present");
  assert.deepEqual(
    seen.residue.map((one) => [one.kind, one.instanceId]),
    [["legacy", null]],
  );
}

async function frozen(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  await power(world, "freeze")(session.ref());
  const began = world.now();
  assertAnswer(await session.observe({}, 2_000), "present", "unknown");
  const health = await world.settle(session.wrapper().health(bound(500)));
  assert.ok(!health.ok, "a frozen wrapper cannot be healthy");
  assertWithin(world, began, 2_500);
}

async function apart(world: ProviderWorld): Promise<void> {
  const one = new ContractSession(world);
  const other = new ContractSession(world);
  await one.launched();
  assertAnswer(await other.observe(), "absent");
  await other.launched();
  valueOf(await other.stop(), "stop");
  await other.becomesAbsent();
  assertAnswer(await one.observe(), "present");
}
