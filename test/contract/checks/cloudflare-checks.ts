/**
 * What the kit cannot ask of every provider: the behaviour of containers and of the SDK that was measured (docs/containers.md). Run against the
 * real adapter and fence over the stand-in, and against ones with a mistake (cloudflare-canaries.test.ts).
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { markers } from "../../../src/protocol/sandbox/wrapper.ts";
import type { Target } from "../../../src/sandbox/agent-sandbox.ts";
import { sleepAfterMs } from "../../support/cloudflare/stand-in-account.ts";
import { noInstance } from "../../support/cloudflare/stand-in-platform.ts";
import { isAlive, pidsWith } from "../../support/processes.ts";
import { type CloudflareCheck, type CloudflareWorld, wrapperOf } from "../cloudflare-harness.ts";
import { cloudflareSharedChecks } from "./cloudflare-shared-checks.ts";
import { assertAnswer, assertFailed, bound, ContractSession, lateMs, power, valueOf } from "../contract-session.ts";

export const cloudflareChecks: readonly CloudflareCheck[] = [
  { name: "a container that denies to run while somebody answers in it is unknown, not absent [PHY-7]", run: denies },
  { name: "a container that claims to run and does not is not started by looking [PHY-7]", run: claims },
  { name: "a frozen container is unknown within the bound, and delays no other session [PHY-8]", run: frozen },
  { name: "a frozen container is ended although nothing in it answers [PHY-8]", run: frozenEnds },
  { name: "a destroy of the SDK that hangs is not waited for: the container's own follows", run: destroyHangs },
  { name: "a container that cannot be destroyed is not called gone", run: indestructible },
  { name: "a start that lands after its launch was given up starts nothing [PHY-10]", run: startLandsLate },
  { name: "a start that is overtaken by the retirement starts nothing [PHY-15]", run: startOvertaken },
  { name: "nothing but a launch starts a container: no look, report, stop, call or save [PHY-7]", run: onlyLaunches },
  { name: "an accepted renewal keeps the container awake, and nothing else of ours does [CLK-12]", run: onlyRenewals },
  { name: "a renewal that an impostor answers keeps nothing awake [CLK-12] [PHY-17]", run: impostorRenews },
  { name: "a container that nobody renewed is ended, not only asked to [CLK-12]", run: forgotten },
  { name: "a renewed container outlives the platform's own end of idle ones [CLK-12]", run: renewed },
  {
    name: "a provider that has no instance says so, without effect, and the next launch succeeds [CAP-9]",
    run: noCapacity,
  },
  {
    name: "the secret of an instance is in no environment, no command line and no file while it runs",
    run: secretKept,
  },
  { name: "a wrapper that was killed takes its jobs and its container with it [PHY-13]", run: wrapperKilled },
  { name: "a job that kills guardian and wrapper ends its own container [PHY-13]", run: bothKilled },
  { name: "an object that is evicted in the middle of a launch starts one process all the same [PHY-9]", run: evicted },
  { name: "what the bucket spoiled is not acknowledged as a snapshot", run: spoiled },
  { name: "a workspace of several parts comes back byte by byte [DEL-11]", run: large },
  ...cloudflareSharedChecks,
  { name: "a stopped and erased sandbox leaves no process, and its object starts nothing again [PHY-15]", run: erased },
];

function containerOf(session: ContractSession) {
  return (session.world as CloudflareWorld).container(session.order.sandboxId);
}

function awakeUntil(session: ContractSession): unknown {
  const { storage } = (session.world as CloudflareWorld).account.object(session.order.sandboxId);
  return (storage.get("mooring:object") as { awakeUntil?: number } | undefined)?.awakeUntil;
}

async function denies(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  containerOf(session).mischief.lies = { left: 8, says: false };
  assertAnswer(await session.observe(), "unknown");
  containerOf(session).mischief.lies = { left: 0, says: false };
  assertAnswer(await session.observe(), "present");
}

async function claims(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  valueOf(await session.stop(), "stop");
  containerOf(session).mischief.lies = { left: 8, says: true };
  assertAnswer(await session.observe(), "unknown");
  containerOf(session).mischief.lies = { left: 0, says: true };
  assert.equal(containerOf(session).starts, 1, "a look started it");
  assertAnswer(await session.observe(), "absent");
}

async function frozen(world: CloudflareWorld): Promise<void> {
  const [session, other] = [new ContractSession(world), new ContractSession(world)];
  await session.launched();
  await other.launched();
  containerOf(session).mischief.frozen = true;
  const looking = session.observe({}, 1_500);
  assertAnswer(await other.observe(), "present");
  valueOf(await other.renew(), "the other session");
  assertAnswer(await looking, "unknown");
}

async function frozenEnds(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  containerOf(session).mischief.frozen = true;
  valueOf(await session.stop(500), "stop");
  await session.becomesAbsent(lateMs);
  assert.deepEqual(containerOf(session).pids(), []);
}

async function destroyHangs(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  containerOf(session).mischief.sdkDestroyHangs = true;
  // In no time of its own: what is frozen ends by its container alone.
  containerOf(session).mischief.frozen = true;
  valueOf(await session.stop(500), "stop");
  await session.becomesAbsent(lateMs);
}

async function indestructible(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  const { mischief } = containerOf(session);
  Object.assign(mischief, { frozen: true, sdkDestroyHangs: true, indestructible: true });
  const stopped = await world.provider.stop(session.target(), 200, bound(3_000));
  assert.ok(!stopped.ok || stopped.value.remaining.length > 0, "it was called gone");
  assertAnswer(await session.observe({}, 1_000), "unknown", "present");
  Object.assign(mischief, { frozen: false, sdkDestroyHangs: false, indestructible: false });
}

async function startLandsLate(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  containerOf(session).mischief.startTakesMs = 1_500;
  assertFailed(await session.launch({}, 800), "timed_out");
  await world.wait(2_000);
  assert.equal(containerOf(session).starts, 0, "it started after it was given up");
  await session.becomesAbsent();
}

async function startOvertaken(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  containerOf(session).mischief.startTakesMs = 700;
  const launching = session.launch();
  await world.wait(100);
  valueOf(await session.retire(), "retire");
  // Acknowledged: from here on nothing starts.
  const { starts } = containerOf(session);
  assertFailed(await launching, "refused_retired");
  await world.wait(1_000);
  assert.equal(containerOf(session).starts, starts, "something started after the retirement was acknowledged");
  assertAnswer(await session.observe(), "absent");
}

async function onlyLaunches(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  const { provider } = world;
  await session.held();
  valueOf(await session.stop(), "stop");
  const target: Target = session.target();
  await session.observe();
  await provider.readLogs(target, 100, bound());
  await provider.readResources(target, bound());
  await session.stop();
  await session.renew();
  await session.wrapper().health(bound());
  await provider.snapshots?.save(target, "s1", bound());
  await session.launch();
  assert.equal(containerOf(session).starts, 1, "an instance runs once, and nothing else starts a container");
  assert.deepEqual(containerOf(session).pids(), []);
}

async function onlyRenewals(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  const { platform } = world.account.object(session.order.sandboxId);
  const before = { renewals: platform.activity.renewals, awake: awakeUntil(session) };
  await session.observe();
  await session.startJob("worker", world.jobs.sleep);
  valueOf(await session.wrapper().health(bound()), "health");
  await world.provider.readResources(session.target(), bound());
  await session.launch();
  assertFailed(await session.renewAs(1), "invalid");
  assert.deepEqual({ renewals: platform.activity.renewals, awake: awakeUntil(session) }, before);
  await world.wait(2);
  valueOf(await session.renew(), "renew");
  assert.equal(platform.activity.renewals, before.renewals + 1);
  assert.ok(Number(awakeUntil(session)) > Number(before.awake), "a renewal was not counted");
}

async function impostorRenews(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  const before = awakeUntil(session);
  await power(world, "impersonate")(session.ref());
  await world.wait(2);
  assert.ok(!(await session.renew()).ok, "an impostor was taken for the instance");
  assert.equal(awakeUntil(session), before, "an impostor keeps the container awake");
}

async function forgotten(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  await session.startJob("deaf", world.jobs.ignoreTerm);
  world.passes(sleepAfterMs + 1);
  await world.account.alarm(session.order.sandboxId);
  assert.deepEqual(containerOf(session).pids(), []);
  assertAnswer(await session.observe(), "absent");
}

async function renewed(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  for (let turn = 0; turn < 8; turn += 1) {
    world.passes(sleepAfterMs / 5);
    valueOf(await session.renew(), "renew");
    // As the platform does after each construction, and on its own.
    world.account.evict();
    await world.account.alarm(session.order.sandboxId);
    await world.account.object(session.order.sandboxId).fence.endIfForgotten();
  }
  assertAnswer(await session.observe(), "present");
  valueOf(await session.renew(), "renew at the end");
}

async function noCapacity(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  containerOf(session).mischief.startFails = noInstance();
  assertFailed(await session.launch(), "no_capacity", "none");
  assertAnswer(await session.observe(), "absent");
  containerOf(session).mischief.startFails = null;
  await session.held();
}

async function secretKept(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  const { instanceId, secret } = session.order;
  const { state } = containerOf(session).paths;
  for (const pid of pidsWith(`${markers.instance}=${instanceId}`)) {
    for (const file of ["environ", "cmdline"]) {
      assert.ok(
        !readFileSync(`/proc/${pid}/${file}`, "utf8").includes(secret),
        `process ${pid} shows it in its ${file}`,
      );
    }
  }
  assert.ok(!existsSync(`${state}/${instanceId}.1.boot`), "the document with the secret is still there");
}

async function wrapperKilled(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  await session.startJob("forks", world.jobs.fork);
  process.kill(wrapperOf(session.order), "SIGKILL");
  await session.becomesAbsent();
  assert.deepEqual(pidsWith(`${markers.session}=${session.order.sessionId}`), []);
}

async function bothKilled(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  await session.startJob("worker", world.jobs.ignoreTerm);
  const marked = new Set(pidsWith(`${markers.instance}=${session.order.instanceId}`));
  const guardian = pidsWith(`${markers.role}=guardian`).find((pid) => marked.has(pid));
  const wrapper = wrapperOf(session.order);
  assert.ok(guardian !== undefined);
  for (const pid of [guardian, wrapper]) process.kill(pid, "SIGKILL");
  // The job is left, and with it the container, until somebody stops it: it is seen.
  assertAnswer(await session.observe(), "present");
  valueOf(await session.stop(500), "stop");
  await session.becomesAbsent(lateMs);
  assert.ok(!isAlive(wrapper) && containerOf(session).pids().length === 0);
}

async function evicted(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  containerOf(session).mischief.startTakesMs = 300;
  const first = session.launch();
  await world.wait(100);
  world.account.evict();
  const second = session.launch();
  await Promise.all([first, second]);
  const seen = await session.observe();
  if (seen.answer === "present") {
    const wrappers = seen.residue.filter(({ kind }) => kind === "wrapper");
    assert.ok(wrappers.length <= 1, `${wrappers.length} wrappers`);
  }
  valueOf(await session.launch(), "a launch afterwards");
  valueOf(await session.renew(), "renew");
  assert.equal(pidsWith(`${markers.instance}=${session.order.instanceId}`).length, 2, "a guardian and a wrapper");
}

async function spoiled(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  world.account.bucket.corrupts = (bytes) => bytes.map((byte, index) => (index === 100 ? byte ^ 1 : byte));
  const save = () => world.provider.snapshots?.save(session.target(), "s1", bound());
  assert.equal((await save())?.ok, false, "it was acknowledged");
  assertFailed(await session.successor().launch({ restore: "s1" }), "not_found", "none");
  world.account.bucket.corrupts = null;
  assert.equal((await save())?.ok, true, "a repeat");
}

async function large(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  const run = async (of: ContractSession, id: string, command: string): Promise<string> => {
    const job = await of.startJob(id, command);
    const look = async () => valueOf(await of.wrapper().job(job, 4_096, bound()), "job");
    const ended = await of.becomes(id, look, ({ state }) => state !== "running");
    assert.equal(ended.state, "succeeded", atob(ended.tail_base64));
    return atob(ended.tail_base64);
  };
  const sums = "find . -type f -exec sha256sum {} + | sort; find . -printf '%m %y %l %p\\n' | sort";
  await run(
    session,
    "fills",
    "head -c 20000000 /dev/urandom > big; mkdir -p 'a b/ü'; echo x > 'a b/ü/file'; chmod 750 'a b'; ln -s ../big 'a b/link'",
  );
  const before = await run(session, "sums", sums);
  valueOf(await world.provider.snapshots!.save(session.target(), "s1", bound()), "save");
  valueOf(await session.retire(), "retire");
  valueOf(await session.stop(), "stop");
  const next = session.successor();
  valueOf(await next.launch({ restore: "s1" }), "a launch that restores");
  valueOf(await next.renew(), "renew");
  assert.equal(await run(next, "again", sums), before);
}

async function erased(world: CloudflareWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  valueOf(await session.retire(), "retire");
  valueOf(await session.stop(), "stop");
  valueOf(await world.provider.destroy(session.target(), bound()), "destroy");
  world.account.evict();
  await world.account.alarm(session.order.sandboxId);
  assertFailed(await session.launch(), "refused_retired", "none");
  assert.equal(containerOf(session).starts, 1);
  assertAnswer(await session.observe(), "absent");
}
