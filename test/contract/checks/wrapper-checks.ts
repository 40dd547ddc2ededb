import assert from "node:assert/strict";
import type { Generation, JobId } from "../../../src/domain/state/ids.ts";
import type { WrapperJob } from "../../../src/protocol/sandbox/wrapper.ts";
import {
  assertAnswer,
  assertFailed,
  assertWithin,
  bound,
  ContractSession,
  power,
  valueOf,
} from "../contract-session.ts";
import type { ProviderCheck, ProviderWorld } from "../provider-harness.ts";

export const wrapperChecks: readonly ProviderCheck[] = [
  { name: "a wrapper names itself, and a renewal tells how long it will live", needs: [], run: health },
  { name: "a wrapper does nothing before its first renewal", needs: [], run: notRenewed },
  { name: "a renewal that is overtaken by a later one is refused as stale", needs: [], run: staleRenewal },
  { name: "an old fencing token is refused by the wrapper, and moves nothing [FEN-3]", needs: [], run: oldToken },
  { name: "a controller without the instance's secret is refused", needs: [], run: wrongSecret },
  {
    name: "a process that takes over the wrapper's port is not taken for the instance [PHY-17]",
    needs: ["impersonate"],
    run: impostor,
  },
  { name: "a call to an instance that has ended fails within its bound [PHY-8]", needs: [], run: ended },
  { name: "a job runs, its output and exit code are told, and the same id runs once", needs: [], run: runsOnce },
  { name: "a failing job is told as failed, with its exit code", needs: [], run: failing },
  { name: "an unknown job is not_found", needs: [], run: unknownJob },
  { name: "output is read from an offset and ends with the job", needs: [], run: outputFrom },
  { name: "a job is cancelled, and told as such", needs: [], run: cancelled },
  { name: "standard input reaches a job", needs: [], run: standardInput },
  { name: "a draining wrapper admits no job and goes on with those it has", needs: [], run: drains },
  { name: "a drain that is taken back admits jobs again [DEL-10]", needs: [], run: admits },
];

async function health(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  const seen = valueOf(await world.settle(session.wrapper().health(bound())), "health");
  const { sessionId, instanceId, generation } = session.order;
  assert.deepEqual([seen.session_id, seen.instance_id, seen.generation], [sessionId, instanceId, generation]);
  const renewed = valueOf(await session.renew({}, 30_000), "renew");
  assert.ok(renewed.expires_in_ms > 0 && renewed.expires_in_ms <= 30_000, `expires in ${renewed.expires_in_ms} ms`);
  assert.equal(renewed.instance_id, instanceId);
}

async function notRenewed(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  const order = { id: "early", command: world.jobs.echo("hello"), timeout_ms: 5_000 };
  assertFailed(await world.settle(session.wrapper().startJob(order, bound())), "not_ready", "none");
  assert.deepEqual(valueOf(await session.renew(), "renew").jobs, []);
}

async function staleRenewal(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.launched();
  valueOf(await session.renewAs(5), "renewal 5");
  assertFailed(await session.renewAs(5), "invalid", "none");
  assertFailed(await session.renewAs(4), "invalid", "none");
  valueOf(await session.renewAs(6), "renewal 6");
}

async function oldToken(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  const old = { generation: (session.order.generation - 1) as Generation };
  assertFailed(await session.renew(old), "foreign_instance", "none");
  const order = { id: "old", command: world.jobs.echo("old"), timeout_ms: 5_000 };
  assertFailed(await world.settle(session.wrapper(old).startJob(order, bound())), "foreign_instance", "none");
  assert.deepEqual(valueOf(await session.renew(), "renew").jobs, []);
}

async function wrongSecret(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  const stranger = { secret: "0".repeat(64) };
  assertFailed(await session.renew(stranger), "foreign_instance");
  assertFailed(await world.settle(session.wrapper(stranger).health(bound())), "foreign_instance");
  valueOf(await session.renew(), "the controller with the secret");
}

async function impostor(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const wrapper = await session.held();
  await power(world, "impersonate")(session.ref());
  for (const client of [wrapper, session.wrapper()]) {
    assertFailed(await world.settle(client.health(bound(3_000))), ["foreign_instance", "unavailable", "timed_out"]);
  }
  assertFailed(await session.renew(), ["foreign_instance", "unavailable", "timed_out"]);
}

async function ended(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const wrapper = await session.held();
  valueOf(await session.stop(), "stop");
  const began = world.now();
  assertFailed(await world.settle(wrapper.health(bound(3_000))), ["unavailable", "timed_out"]);
  assertWithin(world, began, 3_000);
}

function hasEnded(session: ContractSession, id: JobId): Promise<WrapperJob & { tail_base64: string }> {
  const look = async () => valueOf(await session.world.settle(session.wrapper().job(id, 4_096, bound())), "job");
  return session.becomes(`the end of job ${id}`, look, (job) => job.state !== "running");
}

async function runsOnce(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const wrapper = await session.held();
  const order = { id: "once", command: world.jobs.echo("hello there"), timeout_ms: 10_000 };
  const all = await Promise.all(Array.from({ length: 4 }, () => world.settle(wrapper.startJob(order, bound()))));
  for (const one of all) assert.equal(valueOf(one, "the same job").id, "once");
  const job = await hasEnded(session, "once" as JobId);
  assert.deepEqual([job.state, job.exit_code, job.output_truncated], ["succeeded", 0, false]);
  assert.equal(atob(job.tail_base64), "hello there\n");
  const other = { ...order, command: world.jobs.echo("something else") };
  assertFailed(await world.settle(wrapper.startJob(other, bound())), "invalid", "none");
  assert.equal(valueOf(await session.renew(), "renew").jobs.length, 1);
}

async function failing(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  await session.held();
  const job = await hasEnded(session, await session.startJob("fails", world.jobs.exit(3)));
  assert.deepEqual([job.state, job.exit_code], ["failed", 3]);
}

async function unknownJob(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const wrapper = await session.held();
  const id = "nobody" as JobId;
  assertFailed(await world.settle(wrapper.job(id, 0, bound())), "not_found");
  assertFailed(await world.settle(wrapper.output(id, 0, bound())), "not_found");
  assertFailed(await world.settle(wrapper.endJob(id, "cancelled", bound())), "not_found");
}

async function outputFrom(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const wrapper = await session.held();
  const id = await session.startJob("talks", world.jobs.echo("0123456789"));
  const stream = valueOf(await world.settle(wrapper.output(id, 0, bound())), "output");
  assert.equal(stream.from, 0);
  assert.equal(await world.settle(new Response(stream.body).text()), "0123456789\n");
  const rest = valueOf(await world.settle(wrapper.output(id, 4, bound())), "output from 4");
  assert.equal(rest.from, 4);
  assert.equal(await world.settle(new Response(rest.body).text()), "456789\n");
  assertFailed(await world.settle(wrapper.output(id, 12, bound())), "invalid", "none");
}

async function cancelled(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const wrapper = await session.held();
  const id = await session.startJob("long", world.jobs.sleep);
  const job = valueOf(await world.settle(wrapper.endJob(id, "cancelled", bound())), "cancel");
  assert.equal(job.state, "cancelled");
  assert.equal(valueOf(await world.settle(wrapper.endJob(id, "interrupted", bound())), "again").state, "cancelled");
}

async function standardInput(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const wrapper = await session.held();
  const id = await session.startJob("copies", world.jobs.cat, true);
  const text = new TextEncoder().encode("through and through\n");
  valueOf(await world.settle(wrapper.writeStdin(id, text, false, bound())), "stdin");
  valueOf(await world.settle(wrapper.writeStdin(id, new Uint8Array(), true, bound())), "end of stdin");
  const job = await hasEnded(session, id);
  assert.deepEqual([job.state, atob(job.tail_base64)], ["succeeded", "through and through\n"]);
  assertFailed(await world.settle(wrapper.writeStdin(id, text, false, bound())), "job_ended", "none");
}

async function drains(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const wrapper = await session.held();
  await session.startJob("stays", world.jobs.sleep);
  assert.equal(valueOf(await world.settle(wrapper.drain(bound())), "drain").activeJobs, 1);
  const order = { id: "next", command: world.jobs.echo("next"), timeout_ms: 5_000 };
  assertFailed(await world.settle(wrapper.startJob(order, bound())), "not_ready", "none");
  assert.equal(valueOf(await session.renew(), "renew").active_jobs, 1);
  assertAnswer(await session.observe(), "present");
}

async function admits(world: ProviderWorld): Promise<void> {
  const session = new ContractSession(world);
  const wrapper = await session.held();
  valueOf(await world.settle(wrapper.drain(bound())), "drain");
  const order = { id: "next", command: world.jobs.echo("next"), timeout_ms: 5_000 };
  assertFailed(await world.settle(wrapper.startJob(order, bound())), "not_ready", "none");
  valueOf(await world.settle(wrapper.admit(bound())), "admit");
  valueOf(await world.settle(wrapper.admit(bound())), "admit again");
  valueOf(await world.settle(wrapper.startJob(order, bound())), "a job after it");
}
