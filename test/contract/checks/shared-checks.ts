import assert from "node:assert/strict";
import type { ProviderResult } from "../../../src/domain/state/failure.ts";
import {
  containerId,
  isolatedSandboxId,
  type ContainerId,
  type Generation,
  type SessionId,
} from "../../../src/domain/state/ids.ts";
import type { Observation } from "../../../src/domain/state/observation.ts";
import type { Containers, LaunchOrder } from "../../../src/sandbox/agent-sandbox.ts";
import {
  assertAnswer,
  assertFailed,
  bound,
  ContractSession,
  lateMs,
  overtaken,
  power,
  valueOf,
} from "../contract-session.ts";
import type { ProviderCheck, ProviderWorld } from "../provider-harness.ts";

export const sharedChecks: readonly ProviderCheck[] = [
  { name: "it can share containers exactly when it says that it can", needs: [], run: asDeclared },
  {
    name: "members of a container have a workspace and a wrapper each: none sees another's files or takes another's secret",
    needs: ["containers", "snapshots"],
    run: apart,
  },
  {
    name: "a stop of one member ends its instance and jobs, and no sibling's [LEA-9] [CAP-10]",
    needs: ["containers"],
    run: stopsOne,
  },
  {
    name: "retiring and destroying one member removes its workspace and hinders neither siblings nor newcomers [CAP-10]",
    needs: ["containers", "snapshots"],
    run: destroysOne,
  },
  {
    name: "a member whose session id begins like a sibling's is another one [PHY-3]",
    needs: ["containers"],
    run: prefixes,
  },
  {
    name: "two generations of one session in a container are two: a stop of the old one spares the new [LEA-9] [PHY-15]",
    needs: ["containers"],
    run: generations,
  },
  {
    name: "a stop that names a sibling's instance strikes nobody",
    needs: ["containers"],
    run: foreignInstance,
  },
  {
    name: "nothing is launched any more in a retired container, and what runs in it goes on",
    needs: ["containers"],
    run: retired,
  },
  {
    name: "a container's retirement is not undone by a restart",
    needs: ["containers", "restart"],
    run: retiredForGood,
  },
  {
    name: "a container is destroyed only when it is retired, with all that is in it, frozen or not, and nothing else [CAP-10]",
    needs: ["containers", "freeze"],
    run: destroysAll,
  },
  {
    name: "a container is there from its first launch until it is destroyed, though nothing runs in it",
    needs: ["containers"],
    run: thereUntilDestroyed,
  },
  {
    name: "what hides in a shared container is found and ended, or no look promises that it would be [PHY-14]",
    needs: ["containers", "hidingInShared"],
    run: hidden,
  },
  {
    name: "members are saved at once and restored in one container, each with its own files and no others [DEL-11]",
    needs: ["containers", "snapshots"],
    run: saved,
  },
  {
    name: "a member that cannot come up ends with its own processes, and a repeat of its launch may succeed [PHY-10]",
    needs: ["containers", "disturb"],
    run: givenUp,
  },
  { name: "members that are launched at once all come up, each as itself", needs: ["containers"], run: atOnce },
  {
    name: "a launch and a stop of a member that land late, in either order, start nothing and strike no sibling [PHY-15]",
    needs: ["containers", "disturb"],
    run: landLate,
  },
  { name: "destroying a container that never was is success", needs: ["containers"], run: neverWas },
  {
    name: "a look at a container of a provider that cannot be reached is unknown [PHY-1]",
    needs: ["containers", "takeDown"],
    run: unreachable,
  },
];

function containersOf(world: ProviderWorld): Containers {
  const { containers } = world.provider;
  assert.ok(containers !== undefined, "it declares that it can share containers, and has no way to");
  return containers;
}

function newId(world: ProviderWorld): ContainerId {
  return containerId(isolatedSandboxId(world.sessionId(), 1 as Generation));
}

export class SharedContainer {
  readonly id: ContainerId;
  readonly #world: ProviderWorld;
  readonly #at: { readonly id: ContainerId; readonly generation: Generation; readonly host: string | null };

  constructor(world: ProviderWorld) {
    this.#world = world;
    this.id = newId(world);
    this.#at = { id: this.id, generation: world.now() as Generation, host: null };
  }

  member(change: Partial<LaunchOrder> = {}): ContractSession {
    return new ContractSession(this.#world, { ...change, container: this.id });
  }

  async held(change: Partial<LaunchOrder> = {}): Promise<ContractSession> {
    const member = this.member(change);
    await member.held();
    return member;
  }

  retire(): Promise<ProviderResult<unknown>> {
    return this.#world.settle(containersOf(this.#world).retire(this.#at, bound()));
  }

  observe(): Promise<Observation> {
    return this.#world.settle(containersOf(this.#world).observe(this.#at, this.#world.now(), bound()));
  }

  destroy(): Promise<ProviderResult<null>> {
    return this.#world.settle(containersOf(this.#world).destroy(this.#at, bound()));
  }
}

export async function runs(session: ContractSession, what: string): Promise<void> {
  valueOf(await session.renew(), what);
  assertAnswer(await session.observe(), "present");
}

export async function ran(session: ContractSession, job: string, command: string): Promise<string> {
  await session.startJob(job, command);
  const done = await session.becomes(
    `job ${job}`,
    async () => valueOf(await session.world.settle(session.wrapper().job(job as never, 1_000, bound())), "job"),
    ({ state }) => state !== "running",
  );
  return Buffer.from(done.tail_base64, "base64").toString("utf8");
}

async function asDeclared(world: ProviderWorld): Promise<void> {
  assert.equal(world.provider.containers !== undefined, world.provider.capabilities.shared);
}

async function apart(world: ProviderWorld): Promise<void> {
  const files = power(world, "snapshots");
  const container = new SharedContainer(world);
  const [one, other] = [await container.held(), await container.held()];
  await ran(one, "writes", files.write("notes.txt", "of the first"));
  await ran(other, "writes", files.write("notes.txt", "of the second"));
  assert.match(await ran(one, "reads", files.read("notes.txt")), /of the first/);
  assert.match(await ran(other, "reads", files.read("notes.txt")), /of the second/);
  assertFailed(await one.renewAs(50, { secret: other.order.secret }), "foreign_instance");
  await runs(one, "the first, afterwards");
}

async function stopsOne(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  const [one, other] = [await container.held(), await container.held()];
  await one.startJob("works", world.jobs.fork);
  await other.startJob("works", world.jobs.sleep);
  valueOf(await one.retire(), "retire");
  valueOf(await one.stop(), "stop");
  await one.becomesAbsent();
  await runs(other, "the sibling");
  const job = valueOf(await world.settle(other.wrapper().job("works" as never, 10, bound())), "the sibling's job");
  assert.equal(job.state, "running");
}

async function destroysOne(world: ProviderWorld): Promise<void> {
  const files = power(world, "snapshots");
  const container = new SharedContainer(world);
  const [one, other] = [await container.held(), await container.held()];
  await ran(other, "writes", files.write("notes.txt", "kept"));
  valueOf(await one.retire(), "retire");
  valueOf(await one.stop(), "stop");
  await one.becomesAbsent();
  valueOf(await world.settle(world.provider.destroy(one.target(), bound())), "destroy");
  assert.match(await ran(other, "reads", files.read("notes.txt")), /kept/);
  assertFailed(await one.launch(), "refused_retired", "none");
  await runs(await container.held(), "a newcomer");
}

async function prefixes(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  const long = await container.held();
  const sessionId = long.order.sessionId.slice(0, 19) as SessionId;
  const short = container.member({ sessionId });
  assertAnswer(await short.observe(), "absent");
  valueOf(await short.stop(0, { instanceId: null }), "stop");
  await runs(long, "the one whose id is longer");
}

async function generations(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  const old = await container.held();
  const { sessionId, generation, instanceId } = old.order;
  const next = await container.held({
    sessionId,
    generation: (generation + 1) as Generation,
    instanceId: `j${instanceId}` as typeof instanceId,
  });
  valueOf(await old.retire(), "retire");
  valueOf(await old.stop(0, { instanceId: null }), "stop");
  await old.becomesAbsent();
  await runs(next, "the next generation");
}

async function foreignInstance(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  const [one, other] = [await container.held(), await container.held()];
  valueOf(await one.stop(0, { instanceId: other.order.instanceId }), "stop");
  await runs(one, "the one whose place was named");
  await runs(other, "the one whose instance was named");
}

async function retired(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  const one = await container.held();
  valueOf(await container.retire(), "retire the container");
  const late = container.member();
  assertFailed(await late.launch(), "refused_retired", "none");
  assertAnswer(await late.observe(), "absent");
  await runs(one, "the one that ran");
}

async function retiredForGood(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  valueOf(await container.retire(), "retire the container");
  await power(world, "restart")("ready");
  assertFailed(await container.member().launch(), "refused_retired", "none");
}

async function destroysAll(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  const [one, frozen, elsewhere] = [
    await container.held(),
    await container.held(),
    await new SharedContainer(world).held(),
  ];
  await one.startJob("deaf", world.jobs.ignoreTerm);
  await power(world, "freeze")(frozen.ref());
  assertFailed(await container.destroy(), "invalid", "none");
  await runs(one, "a member of a container that is not retired");
  valueOf(await container.retire(), "retire the container");
  valueOf(await container.destroy(), "destroy");
  for (const member of [one, frozen]) await member.becomesAbsent(lateMs);
  assertAnswer(await container.observe(), "absent");
  valueOf(await container.destroy(), "destroy again");
  assertFailed(await container.member().launch(), "refused_retired", "none");
  await runs(elsewhere, "a member of another container");
}

async function thereUntilDestroyed(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  assertAnswer(await container.observe(), "absent");
  const one = await container.held();
  assertAnswer(await container.observe(), "present");
  valueOf(await one.stop(), "stop");
  await one.becomesAbsent();
  assertAnswer(await container.observe(), "present");
  valueOf(await container.retire(), "retire the container");
  valueOf(await container.destroy(), "destroy");
  assertAnswer(await container.observe(), "absent");
}

async function hidden(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  const [one, other] = [await container.held(), await container.held()];
  const { command, count } = power(world, "hidingInShared");
  const id = await one.startJob("hides", command);
  const printed = async () => valueOf(await world.settle(one.wrapper().job(id, 64, bound())), "job").tail_base64;
  await one.becomes("hidden", printed, (tail) => atob(tail) === "hidden\n");
  await one.becomes("what hides", count, (found) => found > 0);
  valueOf(await one.stop(), "stop");
  await runs(other, "the sibling");
  const { containment } = await one.observe();
  // A provider that says `marker` promises nothing here, and the receipt says so (domain/state/observation.ts).
  if (containment === undefined || containment === "marker") return;
  await one.becomesAbsent();
  assert.equal(await count(), 0, `a look said ${containment}, and what hid is still there`);
}

async function saved(world: ProviderWorld): Promise<void> {
  const files = power(world, "snapshots");
  const { snapshots } = world.provider;
  assert.ok(snapshots !== undefined);
  const container = new SharedContainer(world);
  const members = [await container.held(), await container.held()];
  for (const member of members) await ran(member, "writes", files.write("whose.txt", member.order.sessionId));
  const saving = members.map((member) => world.settle(snapshots.save(member.target(), "s1", bound())));
  for (const each of await Promise.all(saving)) valueOf(each, "save");
  for (const member of members) {
    valueOf(await member.retire(), "retire");
    valueOf(await member.stop(), "stop");
  }
  const next = members.map(({ order }) =>
    container.member({
      sessionId: order.sessionId,
      generation: (order.generation + 1) as Generation,
      instanceId: `j${order.instanceId}` as typeof order.instanceId,
    }),
  );
  const launching = next.map((member) => member.launch({ restore: "s1" }));
  for (const each of await Promise.all(launching)) valueOf(each, "a launch that restores");
  for (const member of next) {
    valueOf(await member.renew(), "renew");
    const { sessionId } = member.order;
    assert.match(await ran(member, "reads", files.read("whose.txt")), new RegExp(sessionId));
    // What was brought back is the member's own to change.
    await ran(member, "writes", files.write("whose.txt", `still ${sessionId}`));
    assert.match(await ran(member, "reads-again", files.read("whose.txt")), new RegExp(`still ${sessionId}`));
  }
}

async function givenUp(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  const one = await container.held();
  const other = container.member();
  await power(world, "disturb")("launch", "error");
  assertFailed(await other.launch(), ["timed_out", "unavailable"]);
  await runs(one, "the sibling of one that did not come up");
  await other.held();
  await runs(other, "a repeat");
  await runs(one, "the sibling, after the repeat");
}

async function atOnce(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  const members = Array.from({ length: 4 }, () => container.member());
  for (const each of await Promise.all(members.map((member) => member.launch()))) valueOf(each, "launch");
  for (const member of members) await runs(member, "one of four");
  for (const member of members) assertFailed(await member.renewAs(50, { secret: "x".repeat(64) }), "foreign_instance");
}

async function landLate(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  const sibling = await container.held();
  const disturb = power(world, "disturb");
  // Late enough for the retirement to come first on a busy machine.
  const lateByMs = 4_000;
  const { gone, launch } = await overtaken(world, lateByMs, async () => {
    const member = container.member();
    await disturb("launch", { lateByMs });
    const late = world.provider.launch(member.order, bound());
    valueOf(await member.retire(), "retire");
    return { late, value: { gone: member, launch: late } };
  });
  assert.ok(!(await launch).ok, "a retired member was launched");
  assertAnswer(await gone.observe(), "absent");
  const old = await container.held();
  valueOf(await old.retire(), "retire");
  const { sessionId, generation, instanceId } = old.order;
  const next = await container.held({
    sessionId,
    generation: (generation + 1) as Generation,
    instanceId: `j${instanceId}` as typeof instanceId,
  });
  // Sent before the next generation was launched, and delivered now.
  await disturb("stop", { lateByMs: 600 });
  await old.stop(0, { instanceId: null });
  await old.becomesAbsent();
  await runs(next, "the next generation");
  await runs(sibling, "the sibling");
}

async function neverWas(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  valueOf(await container.retire(), "retire the container");
  valueOf(await container.destroy(), "destroy");
  assertAnswer(await container.observe(), "absent");
}

async function unreachable(world: ProviderWorld): Promise<void> {
  const container = new SharedContainer(world);
  await container.held();
  await power(world, "takeDown")();
  assertAnswer(await container.observe(), "unknown");
}
