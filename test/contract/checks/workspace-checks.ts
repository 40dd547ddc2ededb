import assert from "node:assert/strict";
import type { ProviderResult } from "../../../src/domain/state/failure.ts";
import { bootstrapOrderOf, type BootstrapReply, type WorkspaceOrder } from "../../../src/protocol/sandbox/workspace.ts";
import { assertFailed, bound, ContractSession, power, valueOf } from "../contract-session.ts";
import type { ProviderCheck, ProviderWorld } from "../provider-harness.ts";

export const workspaceChecks: readonly ProviderCheck[] = [
  { name: "a workspace is prepared step by step, each told with its end [API-9]", needs: [], run: stepByStep },
  { name: "an order for a workspace is carried out once, and another one is refused", needs: [], run: once },
  { name: "no job is taken before the workspace is prepared", needs: [], run: jobsWait },
  { name: "no workspace is prepared before the first renewal", needs: [], run: notRenewed },
  { name: "a step that fails is told with its exit code and its output, and is the last one", needs: [], run: failing },
  {
    name: "a step that hangs ends at its limit, with all that it started [PHY-6]",
    needs: ["countProcesses"],
    run: hanging,
  },
  { name: "what is told of a step holds no value of its environment [SEC-3]", needs: [], run: masked },
  { name: "a repository is cloned at the ref that was asked for", needs: ["repository"], run: cloned },
  { name: "a repository or a ref that is not there fails the clone", needs: ["repository"], run: notThere },
  { name: "a stop ends a workspace that is being prepared", needs: [], run: stopped },
];

const stepMs = 60_000;

function ask(
  session: ContractSession,
  order: WorkspaceOrder,
  seen = 0,
  limitMs = stepMs,
): Promise<ProviderResult<BootstrapReply>> {
  const request = { order: bootstrapOrderOf(order, limitMs), seen, wait_ms: 2_000 };
  return session.world.settle(session.wrapper().prepare(request, bound()));
}

const isOver = ({ steps }: BootstrapReply, of: number): boolean =>
  steps.some(({ state }) => state === "failed" || state === "timed_out") ||
  (steps.length === of && steps.every(({ state }) => state === "succeeded"));

/** Until its last step has ended, or one has failed; asking as a session does. */
async function prepared(session: ContractSession, order: WorkspaceOrder, limitMs = stepMs): Promise<BootstrapReply> {
  const of = (order.git === undefined ? 0 : 1) + (order.setup ?? []).length;
  const until = session.world.now() + 60_000;
  let reply = valueOf(await ask(session, order, 0, limitMs), "prepare");
  while (!isOver(reply, of)) {
    assert.ok(session.world.now() < until, `not prepared within a minute: ${JSON.stringify(reply)}`);
    reply = valueOf(await ask(session, order, reply.version, limitMs), "prepare");
  }
  return reply;
}

async function held(world: ProviderWorld): Promise<ContractSession> {
  const session = new ContractSession(world);
  await session.held();
  return session;
}

async function stepByStep(world: ProviderWorld): Promise<void> {
  const session = await held(world);
  const { steps } = await prepared(session, { setup: [world.jobs.echo("one"), world.jobs.echo("two")] });
  assert.deepEqual(
    steps.map(({ name, state, exit_code, last_output }) => [name, state, exit_code, last_output]),
    [
      ["setup 1", "succeeded", 0, "one\n"],
      ["setup 2", "succeeded", 0, "two\n"],
    ],
  );
  assert.ok(steps.every(({ ended_ago_ms }) => ended_ago_ms !== null));
  assert.equal(valueOf(await session.renew(), "renew").jobs.length, 0, "a step is no job");
}

async function once(world: ProviderWorld): Promise<void> {
  const session = await held(world);
  const order = { setup: [world.jobs.sleep] };
  const all = await Promise.all(Array.from({ length: 4 }, () => ask(session, order)));
  for (const reply of all) assert.ok(valueOf(reply, "the same order").steps.length <= 1, "it was begun twice");
  assertFailed(await ask(session, { setup: [world.jobs.echo("other")] }), "invalid", "none");
}

async function jobsWait(world: ProviderWorld): Promise<void> {
  const session = await held(world);
  const order = { setup: [world.jobs.exit(4)] };
  valueOf(await ask(session, { setup: [world.jobs.sleep] }), "prepare");
  const job = { id: "early", command: world.jobs.echo("early"), timeout_ms: 5_000 };
  assertFailed(await world.settle(session.wrapper().startJob(job, bound())), "not_ready", "none");
  // Nor after one that failed: what the job was promised is not there.
  const other = await held(world);
  await prepared(other, order);
  assertFailed(await world.settle(other.wrapper().startJob(job, bound())), "not_ready", "none");
  const third = await held(world);
  await prepared(third, { setup: [world.jobs.echo("ready")] });
  valueOf(await world.settle(third.wrapper().startJob(job, bound())), "a job after it");
}

async function notRenewed(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  assertFailed(await ask(session, { setup: [world.jobs.echo("early")] }), "not_ready", "none");
}

async function failing(world: ProviderWorld): Promise<void> {
  const session = await held(world);
  const { steps } = await prepared(session, {
    setup: [world.jobs.echo("fine"), world.jobs.exit(7), world.jobs.echo("never")],
  });
  assert.deepEqual(
    steps.map(({ state, exit_code }) => [state, exit_code]),
    [
      ["succeeded", 0],
      ["failed", 7],
    ],
  );
}

async function hanging(world: ProviderWorld): Promise<void> {
  const session = await held(world);
  const count = power(world, "countProcesses");
  const idle = await count(session.ref());
  const { steps } = await prepared(session, { setup: [world.jobs.fork] }, 1_000);
  assert.equal(steps[0]?.state, "timed_out");
  await session.becomes(
    "nothing of the step",
    () => count(session.ref()),
    (left) => left === idle,
  );
}

async function masked(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world, { env: { SESSION_TOKEN: "session-token-value" } });
  await session.held();
  const setup = [world.jobs.echo("a session-token-value b"), world.jobs.echo("a workspace-token-value b")];
  const { steps } = await prepared(session, { setup, env: { TOKEN: "workspace-token-value" } });
  const told = JSON.stringify(steps);
  assert.ok(!told.includes("token-value"), told);
  assert.ok(
    steps.every(({ last_output }) => /^a .+ b\n$/.test(last_output)),
    "the rest of the output is still there",
  );
}

async function cloned(world: ProviderWorld): Promise<void> {
  const session = await held(world);
  const { url, ref, show, content } = await power(world, "repository")();
  const { steps } = await prepared(session, { git: { url, ref, depth: 1 }, setup: [show] });
  assert.deepEqual(
    steps.map(({ name, state }) => [name, state]),
    [
      ["clone", "succeeded"],
      ["setup 1", "succeeded"],
    ],
  );
  assert.equal(steps[1]?.last_output, content);
}

async function notThere(world: ProviderWorld): Promise<void> {
  const { url, nowhere } = await power(world, "repository")();
  for (const git of [{ url: nowhere }, { url, ref: "no-such-ref" }]) {
    const { steps } = await prepared(await held(world), { git, setup: [world.jobs.echo("never")] });
    assert.equal(steps.length, 1, "a step ran without its files");
    assert.equal(steps[0]?.state, "failed");
    assert.notEqual(steps[0]?.last_output, "", "git said nothing");
  }
}

async function stopped(world: ProviderWorld): Promise<void> {
  const session = await held(world);
  valueOf(await ask(session, { setup: [world.jobs.ignoreTerm] }), "prepare");
  valueOf(await session.stop(), "stop");
  await session.becomesAbsent();
}
