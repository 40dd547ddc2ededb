/** The runbook's commands as they stand there, by curl, against the dev stack with real processes; then the audit of it. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Generation, type InstanceId, isolatedSandboxId, type SessionId } from "../../../src/domain/state/ids.ts";
import { auditPlanView, auditResultView } from "../../../src/protocol/resources/operator/audits.ts";
import { cleanupReply, runsPage } from "../../../src/protocol/resources/operator/cleanup.ts";
import { hostHealth } from "../../../src/protocol/sandbox/host.ts";
import { localSandbox } from "../../../src/sandbox/local/local-sandbox.ts";
import { Api } from "../../../scripts/stack/api.ts";
import { systemClock, systemIds } from "../../../src/wiring/system.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

const run = promisify(execFile);
let world: TemporaryStack;
let api: Api;
beforeAll(async () => {
  world = await temporaryStack();
  const key = await world.stack.apiKey("runbook", ["critical"]);
  api = new Api(world.stack.url, key, new AbortController().signal);
});
afterAll(() => world.stop());

/** One line of the runbook, run by a shell. */
async function line(command: string): Promise<unknown> {
  const env = { ...process.env, MOORING_URL: world.stack.url, ADMIN_TOKEN: world.stack.secrets.ADMIN_TOKEN };
  const { stdout } = await run("sh", ["-c", command], { env });
  return stdout === "" ? null : JSON.parse(stdout);
}
const curl = (path: string, flags = "") =>
  line(`curl -s ${flags} -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL${path}"`);

const statsFields = ["active", "provisioning", "terminating", "total_created", "total_destroyed"];
const itemFields = ["age_minutes", "agent_type", "created_at", "id", "status", "task_id"];

type Stats = Record<"active" | "provisioning" | "terminating" | "total_created" | "total_destroyed", number>;
const stats = () => curl("/api/sandbox/stats") as Promise<Stats>;
const list = (query = "") => curl(`/api/sandbox/list${query}`) as Promise<Record<string, unknown>[]>;

it("the runbook's commands work as they stand there, fields and all [FLT-3] [FLT-4] [FLT-8]", async () => {
  const plain = await api.create({ agent_type: "coder", task_id: "t-1", idle_timeout_seconds: 600 });
  const second = await api.create({ idle_timeout_seconds: 600 });
  const critical = await api.create({ critical: true, idle_timeout_seconds: 600 });
  for (const { id } of [plain, second, critical]) {
    await until(`session ${id} runs`, async () => (await api.session(id)).status === "running");
  }
  await api.run(plain.id, { command: "echo hello from the runbook" });

  const counted = await until("three are active", async () => {
    const now = await stats();
    return now.active === 3 ? now : null;
  });
  expect(Object.keys(counted).sort()).toEqual(statsFields);
  expect(counted).toMatchObject({ active: 3, provisioning: 0, terminating: 0, total_created: 3, total_destroyed: 0 });

  const listed = await list();
  expect(listed).toHaveLength(3);
  for (const each of listed) expect(Object.keys(each).sort()).toEqual(itemFields);
  // No older than it is by now, and no younger than it was before.
  const ageOf = (): number => Math.floor((Date.now() - Date.parse(plain.created_at)) / 60_000);
  const ageBefore = ageOf();
  const item = { id: plain.id, status: "running", agent_type: "coder", task_id: "t-1", created_at: plain.created_at };
  expect(listed).toContainEqual({ ...item, age_minutes: expect.any(Number) });
  const { age_minutes: age, ...one } = (await curl(`/api/sandbox/${plain.id}`)) as Record<string, unknown>;
  expect(one).toEqual(item);
  expect([ageBefore, ageOf()]).toContain(age);
  expect(await list("?status=failed")).toEqual([]);

  const used = (await curl(`/api/sandbox/${plain.id}/resources`)) as Record<string, number>;
  expect(Object.keys(used).sort()).toEqual(["cpu_percent", "duration_ms", "memory_mb", "operations"]);
  expect(used["memory_mb"]).toBeGreaterThan(1);
  const logs = await until("the job's words are in the logs", async () => {
    const told = (await curl(`/api/sandbox/${plain.id}/logs`)) as { id: string; logs: string };
    return told.logs.includes("hello from the runbook") ? told : null;
  });
  expect(logs.id).toBe(plain.id);

  // Without a body: nothing is stuck, overdue or failed, so nothing ends.
  expect(cleanupReply.parse(await curl("/api/sandbox/cleanup", "-X POST"))).toMatchObject({ found: 0, ended: 0 });
  const aged = `-X POST -d '{"max_age_seconds": 1, "status": "running", "dry_run": true}'`;
  const rehearsed = cleanupReply.parse(await curl("/api/sandbox/cleanup", aged));
  expect(rehearsed).toMatchObject({ dry_run: true, found: 3, ended: 0 });
  expect((await stats()).active).toBe(3);

  expect(await curl(`/api/sandbox/${second.id}`, "-X DELETE")).toMatchObject({
    id: second.id,
    status: "terminating",
  });
  await until("the deleted one is gone", async () => (await api.session(second.id)).status === "terminated");

  const emergency = cleanupReply.parse(await curl("/api/sandbox/cleanup/emergency", "-X POST"));
  const outcomes = Object.fromEntries(emergency.results.map((each) => [each.id, each.outcome]));
  expect(outcomes).toEqual({ [plain.id]: "ended", [critical.id]: "kept" });
  await until("it is gone", async () => (await api.session(plain.id)).status === "terminated");
  expect(await api.session(plain.id)).toMatchObject({ terminate_reason: "emergency" });
  expect((await api.receipt(plain.id)).verified_absent_at).not.toBeNull();
  expect(await api.session(critical.id)).toMatchObject({ status: "running" });
  const balanced = await until("the counts have settled", async () => {
    const now = await stats();
    return now.active === 1 && now.terminating === 0 ? now : null;
  });
  expect(balanced.total_created - balanced.total_destroyed).toBe(1);
});

it("its cleanups leave the lines that the runbook looks for [FLT-19]", async () => {
  const log = readFileSync(join(world.order.stateDirectory, "wrangler.log"), "utf8");
  for (const words of ["Sandbox cleanup started", "Found 2 sandboxes to cleanup", "Cleaned up ", "Cleanup completed"]) {
    expect(log).toContain(words);
  }
});

it("a cron tick leaves a run of every layer, and touches no healthy session [FLT-7]", async () => {
  const before = await curl("/api/sandbox/list?status=running");
  await world.stack.fireCron();
  const page = runsPage.parse(await curl("/v1/admin/cleanup/runs"));
  const outcomes = Object.fromEntries(page.layers.map((each) => [each.layer, each.last_outcome]));
  expect(outcomes).toMatchObject({ sweep: "ok", shedding: "ok", age: "ok", audit: "ok" });
  expect(page.layers.every((each) => each.success_rate === 1)).toBe(true);
  expect(await curl("/api/sandbox/list?status=running")).toEqual(before);
});

it("a sandbox that nobody has a record of is found, and reaped only with the plan's hash [FLT-9] [FLT-10] [FLT-20]", async () => {
  const generation = (Date.now() - 3_600_000) as Generation;
  const sessionId = "orphan00000000000000" as SessionId;
  const sandboxId = isolatedSandboxId(sessionId, generation);
  const { hostUrl, secrets } = world.stack;
  const adapter = localSandbox({
    url: hostUrl,
    token: secrets.LOCAL_HOST_TOKEN,
    fetch,
    clock: systemClock,
    ids: systemIds,
    // The sandbox is a stray of this same control plane: a host refuses every other one.
    controlPlane: () => controlPlaneOf(hostUrl, secrets.LOCAL_HOST_TOKEN),
  });
  const launched = await adapter.launch(
    {
      ...{ sessionId, sandboxId, generation, instanceId: systemIds.id() as InstanceId, secret: systemIds.secret() },
      ...{ launchNotAfter: Date.now() + 600_000, leaseTtlMs: 600_000, jobGraceMs: 1_000, stopGraceMs: 3_000, env: {} },
    },
    { timeoutMs: 120_000, signal: AbortSignal.timeout(120_000) },
  );
  expect(launched.ok).toBe(true);
  const plan = auditPlanView.parse(await curl("/v1/admin/audits", "-X POST"));
  expect(plan.findings).toMatchObject([{ kind: "sandbox_without_record", sandbox_id: sandboxId, tenant: null }]);
  expect(plan.complete).toBe(true);
  const apply = (hash: string) =>
    curl(
      `/v1/admin/audits/${plan.id}/apply`,
      `-X POST -H "Content-Type: application/json" -d '{"plan_hash": "${hash}"}'`,
    );
  expect(await apply("0".repeat(64))).toMatchObject({ code: "precondition_failed" });
  expect((await world.stack.residue()).some((each) => each.sandbox_id === sandboxId)).toBe(true);
  const result = auditResultView.parse(await apply(plan.plan_hash));
  expect(result).toMatchObject({ done: 1, skipped: 0, failed: 0 });
  expect((await world.stack.residue()).filter((each) => each.sandbox_id === sandboxId)).toEqual([]);
  // The critical session, which has a record, was not touched.
  expect(await list("?status=running")).toHaveLength(1);
  expect(auditPlanView.parse(await curl("/v1/admin/audits", "-X POST")).findings).toEqual([]);
});

it("drain refuses new sessions, lets the running one go on, and is taken back", async () => {
  const drain = (draining: boolean) =>
    curl(
      "/v1/admin/drain",
      `-X POST -H "Content-Type: application/json" -d '{"draining": ${draining}, "reason": "a new host"}'`,
    );
  expect(await drain(true)).toMatchObject({ draining: true });
  await expect(api.create({})).rejects.toThrow(/answered 503/);
  const [running] = await list("?status=running");
  const job = await api.run(String(running?.["id"]), { command: "echo still here" });
  await until("the job ends", async () => (await api.job(String(running?.["id"]), job.id)).state === "succeeded");
  expect(await drain(false)).toMatchObject({ draining: false });
  const { id } = await api.create({});
  await until("a new session runs", async () => (await api.session(id)).status === "running");
});

async function controlPlaneOf(hostUrl: string, token: string): Promise<string | null> {
  const response = await fetch(`${hostUrl}/health`, { headers: { authorization: `Bearer ${token}` } });
  return hostHealth.parse(await response.json()).control_plane ?? null;
}
