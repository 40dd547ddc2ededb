import assert from "node:assert/strict";
import {
  assertAnswer,
  assertFailed,
  assertWithin,
  bound,
  ContractSession,
  lateMs,
  power,
  valueOf,
} from "../contract-session.ts";
import type { ProviderCheck, ProviderWorld } from "../provider-harness.ts";

export const stopChecks: readonly ProviderCheck[] = [
  {
    name: "what hides from its group, its environment and its parents is found and ended, or no look promises that it would be [PHY-14]",
    needs: ["hiding"],
    run: hidden,
  },
  {
    name: "a stop ends the wrapper and its jobs, and what it says remains is what a look finds [PHY-5]",
    needs: [],
    run: endsAll,
  },
  { name: "a stop of what is not there is success [PHY-12]", needs: [], run: nothingThere },
  { name: "a second stop is success [PHY-12]", needs: [], run: twice },
  { name: "a job that ignores TERM is killed [PHY-5]", needs: [], run: ignoresTerm },
  { name: "a child that left for a session of its own is ended too [PHY-6]", needs: [], run: forked },
  { name: "a frozen wrapper is killed after the grace [PHY-5]", needs: ["freeze"], run: frozen },
  {
    name: "what ignores TERM is killed once the grace is over, and not before [PHY-5]",
    needs: ["startForeign"],
    run: graceKept,
  },
  {
    name: "a stop strikes its instance, not another of the same session and generation [LEA-9]",
    needs: ["startForeign"],
    run: byInstance,
  },
  {
    name: "a stop of a whole generation ends every instance of it, and not the next generation [LEA-9]",
    needs: ["startForeign"],
    run: wholeGeneration,
  },
  {
    name: "a stop that lands late leaves the next generation alone [PHY-15] [LEA-9]",
    needs: ["disturb"],
    run: landsLate,
  },
  { name: "a stop whose reply is lost says so, and has its effect", needs: ["disturb"], run: lostReply },
  {
    name: "a stop that hangs is given up at its bound, with its effect unknown [PHY-8]",
    needs: ["disturb"],
    run: hangs,
  },
  { name: "stopping does not retire, and retiring does not stop", needs: [], run: twoThings },
  {
    name: "a sandbox is destroyed only when it is retired and empty, and stays retired [PHY-15]",
    needs: [],
    run: destroyed,
  },
];

async function endsAll(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  await session.startJob("worker", world.jobs.sleep);
  const stopped = valueOf(await session.stop(), "stop");
  const seen = await session.observe();
  assert.equal(seen.answer, stopped.remaining.length === 0 ? "absent" : "present");
  await session.becomesAbsent();
  const count = world.can.countProcesses;
  if (count !== undefined)
    assert.equal(await count(session.ref()), 0, "processes are left that the provider does not show");
}

async function nothingThere(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  assert.deepEqual(valueOf(await session.stop(), "stop").remaining, []);
  assert.deepEqual(valueOf(await session.stop(0, { instanceId: null }), "stop").remaining, []);
}

async function twice(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  valueOf(await session.stop(), "the first stop");
  assert.deepEqual(valueOf(await session.stop(), "the second stop").remaining, []);
  await session.becomesAbsent();
}

async function ignoresTerm(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  await session.startJob("deaf", world.jobs.ignoreTerm);
  valueOf(await session.stop(1_000), "stop");
  await session.becomesAbsent(lateMs);
}

async function forked(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  await session.startJob("forks", world.jobs.fork);
  await world.wait(300);
  valueOf(await session.stop(), "stop");
  await session.becomesAbsent(lateMs);
  const count = world.can.countProcesses;
  if (count !== undefined)
    assert.equal(await count(session.ref()), 0, "processes are left that the provider does not show");
}

async function frozen(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  await session.startJob("worker", world.jobs.sleep);
  await power(world, "freeze")(session.ref());
  valueOf(await session.stop(1_000), "stop");
  await session.becomesAbsent(lateMs);
}

async function graceKept(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const { sessionId, generation, instanceId } = session.order;
  const marks = { sessionId, generation, instanceId, ignoresTerm: true } as const;
  const deaf = await power(world, "startForeign")(marks);
  const began = world.now();
  const stopping = world.provider.stop(session.target(), 1_000, bound());
  await world.wait(500);
  const lives = await deaf.isAlive();
  // A look that came too late says nothing.
  if (world.now() - began < 1_000) assert.ok(lives, "it was killed before its grace was over");
  valueOf(await world.settle(stopping), "stop");
  await session.becomesAbsent(lateMs);
  assert.ok(!(await deaf.isAlive()), "it lives on");
  assert.ok(world.now() - began >= 1_000, "the grace was not kept");
}

async function byInstance(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  const { sessionId, generation } = session.order;
  const other = await power(world, "startForeign")({ sessionId, generation, instanceId: "other" });
  valueOf(await session.stop(), "stop");
  assert.ok(await other.isAlive(), "another instance was struck");
  const seen = await session.observe({ instanceId: null });
  assertAnswer(seen, "present");
  assert.deepEqual(new Set(seen.residue.map((one) => one.instanceId)), new Set(["other"]));
}

async function wholeGeneration(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  const next = session.successor();
  await next.launched();
  const { sessionId, generation } = session.order;
  const other = await power(world, "startForeign")({ sessionId, generation, instanceId: "other" });
  valueOf(await session.stop(1_000, { instanceId: null }), "stop");
  await session.becomes(
    "absent",
    () => session.observe({ instanceId: null }),
    ({ answer }) => answer === "absent",
  );
  assert.ok(!(await other.isAlive()), "the second instance of the generation lives on");
  valueOf(await next.renew(), "the next generation");
}

async function landsLate(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  await power(world, "disturb")("stop", { lateByMs: 800 });
  const stopping = world.provider.stop(session.target(), 500, bound());
  await world.wait(100);
  valueOf(await session.retire(), "retire");
  const next = session.successor();
  await next.held();
  await world.settle(stopping);
  await session.becomesAbsent();
  valueOf(await next.renew(), "the next generation");
}

async function lostReply(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  await power(world, "disturb")("stop", "lost_reply");
  assertFailed(await session.stop(), ["timed_out", "unavailable"], "unknown");
  await session.becomesAbsent();
}

async function hangs(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  await power(world, "disturb")("stop", "hang");
  const began = world.now();
  assertFailed(await world.settle(world.provider.stop(session.target(), 100, bound(300))), "timed_out", "unknown");
  assertWithin(world, began, 300);
}

async function twoThings(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  valueOf(await session.retire(), "retire");
  assertAnswer(await session.observe(), "present");
  const other = new ContractSession(world);
  valueOf(await other.stop(), "stop before anything was launched");
  await other.launched();
}

async function destroyed(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const destroy = () => world.settle(world.provider.destroy(session.target(), bound()));
  await session.launched();
  assert.ok(!(await destroy()).ok, "a running sandbox was destroyed");
  valueOf(await session.retire(), "retire");
  assert.ok(!(await destroy()).ok, "a sandbox with processes was destroyed");
  valueOf(await session.stop(), "stop");
  await session.becomesAbsent();
  valueOf(await destroy(), "destroy");
  valueOf(await destroy(), "destroy again");
  assertFailed(await session.launch(), "refused_retired", "none");
  assertAnswer(await session.observe(), "absent");
}

async function hidden(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  const { command, count } = power(world, "hiding");
  const id = await session.startJob("hides", command);
  const printed = async () => valueOf(await world.settle(session.wrapper().job(id, 64, bound())), "job").tail_base64;
  await session.becomes("hidden", printed, (tail) => atob(tail) === "hidden\n");
  await session.becomes("what hides", count, (found) => found > 0);
  const { containment } = await session.observe();
  valueOf(await session.stop(), "stop");
  // A provider that says `marker` promises nothing here, and the receipt says so (domain/state/observation.ts).
  if (containment === undefined || containment === "marker") return;
  await session.becomesAbsent();
  assert.equal(await count(), 0, `a look said ${containment}, and what hid is still there`);
}
