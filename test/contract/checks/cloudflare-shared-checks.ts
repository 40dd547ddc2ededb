/** The behaviour of shared containers on Cloudflare: seats, the one gate, the dead-man switch, and what nobody can inspect. */
import assert from "node:assert/strict";
import type { InstanceRef } from "../../../src/sandbox/agent-sandbox.ts";
import { sleepAfterMs } from "../../support/cloudflare/stand-in-account.ts";
import { pidsWith } from "../../support/processes.ts";
import { markers } from "../../../src/protocol/sandbox/wrapper.ts";
import type { CloudflareCheck, CloudflareWorld } from "../cloudflare-harness.ts";
import { assertAnswer, assertFailed, bound, type ContractSession, power, valueOf } from "../contract-session.ts";
import { runs, SharedContainer } from "./shared-checks.ts";

export const cloudflareSharedChecks: readonly CloudflareCheck[] = [
  {
    name: "neither the stop nor the failed launch of a member ends its container, the last one's as little [CAP-10]",
    run: membersComeAndGo,
  },
  { name: "no two living members of a container have a port or a user in common", run: seatsAreTheirOwn },
  { name: "a launch that was given up can be repeated in the same container [PHY-10]", run: repeated },
  {
    name: "a start that is overtaken by the container's retirement starts nothing [PHY-15]",
    run: retirementOvertakes,
  },
  {
    name: "a renewal of any member keeps a shared container awake, and without one it is ended [CLK-12]",
    run: anyRenewal,
  },
  {
    name: "a member is unknown, not absent, while a process of its container cannot be inspected [PHY-1]",
    run: uninspected,
    needs: ["hideProcesses"],
  },
  {
    name: "what a member's jobs hid is seen, and ended, though guardian and wrapper are gone [PHY-14]",
    run: hidAndAlone,
    needs: ["jobUsers"],
  },
  {
    name: "a member of a frozen container is unknown within the bound, and the container is ended all the same [PHY-8] [CAP-10]",
    run: frozen,
  },
  {
    name: "a shared container that denies to run while somebody answers in it is unknown, and so is its member [PHY-7]",
    run: denies,
  },
  {
    name: "an object that is evicted knows its members, their seats and the container's retirement",
    run: evicted,
  },
];

function standIn(world: CloudflareWorld, container: SharedContainer) {
  return world.container(container.id);
}

async function ended(member: ContractSession): Promise<void> {
  valueOf(await member.retire(), "retire");
  valueOf(await member.stop(), "stop");
  await member.becomesAbsent();
}

async function membersComeAndGo(world: CloudflareWorld): Promise<void> {
  const container = new SharedContainer(world);
  const [one, other] = [await container.held(), await container.held()];
  await ended(one);
  await runs(other, "the sibling of one that was stopped");
  const late = container.member();
  assertFailed(await late.launch({ launchNotAfter: world.now() - 1 }), "refused_late", "none");
  const slow = container.member();
  assert.ok(!(await slow.launch({}, 400)).ok, "it came up in no time");
  await runs(other, "the sibling of one that did not come up");
  await ended(slow);
  await ended(other);
  assert.equal(standIn(world, container).starts, 1);
  assert.ok(standIn(world, container).runs, "the last member took the container with it");
  await runs(await container.held(), "a newcomer");
  assert.equal(standIn(world, container).starts, 1);
}

async function seatsAreTheirOwn(world: CloudflareWorld): Promise<void> {
  const container = new SharedContainer(world);
  const living = [await container.held(), await container.held(), await container.held()];
  const [gone] = living.splice(1, 1);
  assert.ok(gone !== undefined);
  const freed = world.wrapperPort(gone.ref());
  await ended(gone);
  valueOf(await world.provider.destroy(gone.target(), bound()), "destroy");
  assert.ok(freed > 0);
  living.push(await container.held(), await container.held());
  const ports = living.map((member) => world.wrapperPort(member.ref()));
  assert.equal(new Set(ports).size, living.length, `they listen on ${ports.join(", ")}`);
  const users = new Set<string>();
  for (const member of living) {
    await member.startJob("whoami", "id -u; sleep 300");
    const said = async () => valueOf(await member.wrapper().job("whoami" as never, 64, bound()), "job").tail_base64;
    const tail = await member.becomes("whoami", said, (text) => text !== "");
    users.add(atob(tail).trim());
    await runs(member, "one of them");
  }
  const { firstUser } = standIn(world, container);
  if (world.has("jobUsers")) {
    assert.equal(users.size, living.length, `their jobs run as ${[...users].join(", ")}`);
    assert.ok([...users].every((user) => Number(user) > firstUser));
  }
}

async function repeated(world: CloudflareWorld): Promise<void> {
  const container = new SharedContainer(world);
  const one = await container.held();
  const slow = container.member();
  for (let turn = 0; turn < 2; turn += 1) {
    const launched = await slow.launch({}, 600);
    if (launched.ok) break;
  }
  await slow.held();
  assert.equal(pidsWith(`${markers.instance}=${slow.order.instanceId}`).length, 2, "a guardian and a wrapper");
  await runs(slow, "the repeated one");
  await runs(one, "its sibling");
}

async function retirementOvertakes(world: CloudflareWorld): Promise<void> {
  const container = new SharedContainer(world);
  const member = container.member();
  standIn(world, container).mischief.startTakesMs = 700;
  const launching = member.launch();
  await world.wait(100);
  valueOf(await container.retire(), "retire the container");
  assertFailed(await launching, "refused_retired");
  assert.equal(standIn(world, container).starts, 0, "a retired container was started");
  assertAnswer(await member.observe(), "absent");
}

async function anyRenewal(world: CloudflareWorld): Promise<void> {
  const container = new SharedContainer(world);
  const [silent, renewed] = [await container.held(), await container.held()];
  const look = async (): Promise<void> => {
    await world.account.alarm(container.id);
    await world.account.object(container.id).fence.endIfForgotten();
  };
  for (let turn = 0; turn < 8; turn += 1) {
    world.passes(sleepAfterMs / 5);
    valueOf(await renewed.renew(), "renew");
    world.account.evict(container.id);
    await look();
  }
  await runs(renewed, "the renewed one");
  world.passes(sleepAfterMs + 1);
  await look();
  assert.ok(!standIn(world, container).runs, "nobody renewed anything in it, and it runs");
  for (const member of [silent, renewed]) assertAnswer(await member.observe(), "absent");
  // It was forgotten, not retired.
  await runs(await container.held(), "a newcomer");
}

async function uninspected(world: CloudflareWorld): Promise<void> {
  const container = new SharedContainer(world);
  const [one, other] = [await container.held(), await container.held()];
  await power(world, "hideProcesses")();
  assertAnswer(await other.observe(), "present");
  await one.stop();
  assertAnswer(await one.observe(), "unknown");
  await runs(other, "the sibling");
  standIn(world, container).mischief.unreadable = null;
  await one.becomesAbsent();
}

async function hidAndAlone(world: CloudflareWorld): Promise<void> {
  const container = new SharedContainer(world);
  const [one, other] = [await container.held(), await container.held()];
  const { command, count } = power(world, "hidingInShared");
  const id = await one.startJob("hides", command);
  const printed = async () => valueOf(await one.wrapper().job(id, 64, bound()), "job").tail_base64;
  await one.becomes("hidden", printed, (tail) => atob(tail) === "hidden\n");
  const marked = pidsWith(`${markers.instance}=${one.order.instanceId}`);
  await one.becomes("what hides", count, (found) => found === 1);
  // At once, so that none of them sees another go and cleans up.
  for (const pid of marked) process.kill(pid, "SIGSTOP");
  for (const pid of marked) process.kill(pid, "SIGKILL");
  assert.equal(await count(), 1, "nothing hides: the check would prove nothing");
  const seen = await one.observe();
  assertAnswer(seen, "present");
  valueOf(await one.stop(500), "stop");
  await one.becomesAbsent();
  assert.equal((await one.observe()).containment, "user");
  assert.equal(await count(), 0, "it was called gone, and what hid is still there");
  await runs(other, "the sibling");
}

async function frozen(world: CloudflareWorld): Promise<void> {
  const container = new SharedContainer(world);
  const [member, elsewhere] = [await container.held(), await new SharedContainer(world).held()];
  standIn(world, container).mischief.frozen = true;
  assertAnswer(await member.observe({}, 1_500), "unknown");
  const stopped = await world.provider.stop(member.target(), 200, bound(1_500));
  assert.ok(!stopped.ok, "it was called stopped");
  assertAnswer(await container.observe(), "present");
  valueOf(await container.retire(), "retire the container");
  valueOf(await container.destroy(), "destroy");
  assertAnswer(await member.observe(), "absent");
  assert.deepEqual(standIn(world, container).pids(), []);
  await runs(elsewhere, "a member of another container");
}

async function denies(world: CloudflareWorld): Promise<void> {
  const container = new SharedContainer(world);
  const member = await container.held();
  const { mischief } = standIn(world, container);
  mischief.lies = { left: 8, says: false };
  assertAnswer(await member.observe(), "unknown");
  mischief.lies = { left: 8, says: false };
  assertAnswer(await container.observe(), "unknown");
  mischief.lies = { left: 0, says: false };
  assertAnswer(await member.observe(), "present");
}

async function evicted(world: CloudflareWorld): Promise<void> {
  const container = new SharedContainer(world);
  const [one, other] = [await container.held(), await container.held()];
  const ports = [one, other].map((member) => world.wrapperPort(member.ref() satisfies InstanceRef));
  world.account.evict(container.id);
  await runs(one, "the first");
  await runs(other, "the second");
  await runs(await container.held(), "a third");
  assert.deepEqual(
    [one, other].map((member) => world.wrapperPort(member.ref())),
    ports,
  );
  valueOf(await container.retire(), "retire the container");
  world.account.evict(container.id);
  assertFailed(await container.member().launch(), "refused_retired", "none");
}
