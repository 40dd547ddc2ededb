/** The operator's routes over the fleet, and the runbook's names for them. */
import { describe, expect, it } from "vitest";
import { routes } from "../../../../src/http/app.ts";
import { runbookStatusOf } from "../../../../src/http/compat/runbook.ts";
import { runbookStatuses } from "../../../../src/protocol/contracts/operator/runbook-contracts.ts";
import { auditPlanView, auditsPage, auditView } from "../../../../src/protocol/resources/operator/audits.ts";
import {
  cleanupReply,
  drainReply,
  runDetailView,
  runsPage,
} from "../../../../src/protocol/resources/operator/cleanup.ts";
import { sessionStatuses } from "../../../../src/protocol/resources/session/sessions.ts";
import { adminLogPage } from "../../../../src/protocol/resources/operator/fleet.ts";
import type { ShardStats } from "../../../../src/fleet/shard/shard-api.ts";
import {
  expectProblem,
  httpClient,
  type HttpClient,
  samplePlan,
  testKey,
  testNow,
} from "../../../support/http-client.ts";
import { sampleId, sampleSession } from "../../../support/sample-views.ts";

const log = async (client: HttpClient) =>
  adminLogPage.parse(await (await client.send("GET", "/v1/admin/log")).json()).data;

describe("emergency", () => {
  it("natively needs a reason, and nothing is ended without one [FLT-8]", async () => {
    const client = await httpClient();
    for (const json of [{}, { reason: "" }, { dry_run: true }]) {
      await expectProblem(await client.send("POST", "/v1/admin/cleanup/emergency", { json }), "validation_failed");
    }
    await expectProblem(await client.send("POST", "/v1/admin/cleanup/emergency"), "validation_failed");
    expect(client.calls).toEqual([]);
  });

  it("hands over who, why and whether it is a rehearsal, and stands in the admin log [FLT-8]", async () => {
    const client = await httpClient();
    const json = { reason: "the host is full", dry_run: true };
    const response = await client.send("POST", "/v1/admin/cleanup/emergency", { json });
    expect(cleanupReply.strict().parse(await response.json())).toMatchObject({ dry_run: true });
    const order = { by: "admin", reason: "the host is full", dryRun: true, includePaused: false };
    expect(client.calls).toEqual([{ method: "emergency", object: "fleet", args: [order] }]);
    expect(await log(client)).toMatchObject([{ action: "cleanup.emergency.dry_run", reason: "the host is full" }]);
  });

  it("that breaks off is a 503 that says where to look, and is logged as such", async () => {
    const emergency = () => Promise.reject(new Error("reset"));
    const client = await httpClient({ answers: { operations: { emergency } } });
    const response = await client.send("POST", "/v1/admin/cleanup/emergency", { json: { reason: "the host is full" } });
    expect((await expectProblem(response, "unavailable")).detail).toContain("/v1/admin/cleanup/runs");
    expect(await log(client)).toMatchObject([{ action: "cleanup.emergency", outcome: "unavailable" }]);
  });
});

describe("drain", () => {
  it("says since when and why, is logged both times, and ends on request", async () => {
    const client = await httpClient();
    const send = async (draining: boolean) => {
      const json = { draining, reason: "a new host" };
      return drainReply.strict().parse(await (await client.send("POST", "/v1/admin/drain", { json })).json());
    };
    expect(await send(true)).toMatchObject({ draining: true, since: new Date(testNow).toISOString(), by: "admin" });
    expect(await send(false)).toEqual({ draining: false, since: null, by: null, reason: null });
    const actions = (await log(client)).map((each) => `${each.action}: ${each.outcome}`);
    expect(actions).toEqual([
      "drain.end: taking new sessions",
      "drain.end: asked",
      expect.stringContaining("drain: draining since"),
      "drain: asked",
    ]);
  });
});

describe("the history of the layers", () => {
  it("shows the last run, its result and the success rate of each; a run by its id with its detail [FLT-7]", async () => {
    const client = await httpClient();
    const counts = { found: 3, done: 2, skipped: 0, failed: 1 };
    const about = { layer: "sweep", by: "cron", reason: "", ...counts, detail: '{"results":[1]}' };
    const put = (id: string, startedAt: number, outcome: "ok" | "failed") =>
      client.control.putRun({ ...about, id, startedAt, endedAt: startedAt + 5, outcome });
    await put("one", testNow - 600_000, "ok");
    await put("two", testNow - 300_000, "failed");
    const page = runsPage.strict().parse(await (await client.send("GET", "/v1/admin/cleanup/runs?limit=1")).json());
    expect(page.layers).toMatchObject([
      { layer: "sweep", last_outcome: "failed", success_rate: 0.5, failures_in_row: 1 },
    ]);
    expect(page.data.map((each) => each.id)).toEqual(["two"]);
    const older = await client.send("GET", `/v1/admin/cleanup/runs?limit=1&before=${page.next_before ?? ""}`);
    expect(runsPage.parse(await older.json()).data.map((each) => each.id)).toEqual(["one"]);
    const one = await (await client.send("GET", "/v1/admin/cleanup/runs/one")).json();
    expect(runDetailView.strict().parse(one)).toMatchObject({ ...counts, detail: { results: [1] } });
    await expectProblem(await client.send("GET", "/v1/admin/cleanup/runs/none"), "not_found");
  });
});

describe("audits", () => {
  it("a plan is kept and listed, read back whole, and shows its result once applied [FLT-10]", async () => {
    const client = await httpClient();
    const made = auditPlanView.strict().parse(await (await client.send("POST", "/v1/admin/audits")).json());
    expect(made.plan_hash).toMatch(/^[0-9a-f]{64}$/);
    await expectProblem(await client.send("GET", "/v1/admin/audits/none"), "not_found");
    const plan = samplePlan();
    await client.control.putDocument({ kind: "audit_plan", id: plan.id, body: JSON.stringify(plan) });
    const page = auditsPage.strict().parse(await (await client.send("GET", "/v1/admin/audits")).json());
    expect(page.data).toMatchObject([{ id: plan.id, findings: 0, complete: true }]);
    const read = async () =>
      auditView.strict().parse(await (await client.send("GET", `/v1/admin/audits/${plan.id}`)).json());
    expect(await read()).toEqual({ plan: made, result: null });
    const result = { planId: plan.id, appliedAt: testNow, by: "admin", items: [] };
    await client.control.putDocument({ kind: "audit_result", id: plan.id, body: JSON.stringify(result) });
    expect((await read()).result).toMatchObject({ plan_id: plan.id, done: 0, skipped: 0, failed: 0 });
  });
});

describe("the runbook's names", () => {
  it("every path takes the admin token, and an API key opens none [FLT-4] [SEC-2]", async () => {
    const client = await httpClient();
    const key = await testKey();
    const paths = routes.filter((route) => route.path.startsWith("/api/sandbox/"));
    expect(paths).toHaveLength(8);
    for (const route of paths) {
      expect(route.access).toBe("admin");
      const path = route.path.replace(":id", sampleId);
      expect((await client.send(route.method, path)).status).toBeLessThan(300);
      await expectProblem(await client.send(route.method, path, { key }), "unauthorized");
    }
  });

  it("each native status has one of the six words [FLT-4]", () => {
    expect(sessionStatuses.map((status) => runbookStatusOf[status])).toEqual([
      ...["provisioning", "running", "running", "running", "paused", "failed", "terminating", "terminated", "failed"],
    ]);
    expect(new Set(Object.values(runbookStatusOf))).toEqual(new Set(runbookStatuses));
  });

  it("stats add up over the shards, each asked once; one that is silent makes it a 503 [FLT-1] [FLT-4]", async () => {
    const one: ShardStats = {
      ...{ provisioning: 1, active: 2, terminating: 3, created: 10, destroyed: 4, asserted: 0, tenants: 1 },
      ...{ sessions: {}, stuck: 0, blocked: {}, asOf: null },
    };
    const client = await httpClient({ answers: { shard: { stats: async () => one } } });
    expect(await (await client.send("GET", "/api/sandbox/stats")).json()).toEqual({
      ...{ active: 4, provisioning: 2, terminating: 6, total_created: 20, total_destroyed: 8 },
    });
    expect(client.calls.map((call) => call.object)).toEqual(["shard-0", "shard-1"]);
    let asked = 0;
    const stats = () => ((asked += 1) === 1 ? Promise.resolve(one) : Promise.reject(new Error("away")));
    const half = await httpClient({ answers: { shard: { stats } } });
    await expectProblem(await half.send("GET", "/api/sandbox/stats"), "unavailable");
    await expectProblem(
      await (
        await httpClient({ answers: { shard: { select: () => Promise.reject(new Error("away")) } } })
      ).send("GET", "/api/sandbox/list"),
      "unavailable",
    );
  });

  it("a cleanup takes curl's body without a content type, ignores what it does not know, and translates the status [FLT-4]", async () => {
    const client = await httpClient();
    const body = '{"max_age_seconds": 3600, "status": "running", "force": true}';
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    expect((await client.send("POST", "/api/sandbox/cleanup", { body, headers })).status).toBe(200);
    const statuses = ["running", "recovering", "pausing"];
    expect(client.calls).toMatchObject([
      { method: "cleanup", args: [{ maxAgeMs: 3_600_000, statuses, dryRun: false }] },
    ]);
    const wrong = { body: '{"max_age_seconds": "1h"}', headers };
    await expectProblem(await client.send("POST", "/api/sandbox/cleanup", wrong), "validation_failed");
  });

  it("a delete is an operator's, in the log, and goes through while control is out of order [FLT-4]", async () => {
    const client = await httpClient();
    const response = await client.send("DELETE", `/api/sandbox/${sampleId}`);
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({ id: sampleSession().id, status: "terminating" });
    expect(client.calls).toMatchObject([{ method: "delete", args: [expect.anything(), "operator"] }]);
    expect(await log(client)).toMatchObject([{ action: "session.delete", target: sampleId }]);
    client.control.log = () => Promise.reject(new Error("away"));
    expect((await client.send("DELETE", `/api/sandbox/${sampleId}`)).status).toBe(202);
    expect(client.log.some((line) => line.message === "not in the admin log")).toBe(true);
  });

  it("what must be logged first is not done when it cannot be", async () => {
    const client = await httpClient();
    client.control.log = () => Promise.reject(new Error("away"));
    const json = { draining: true, reason: "a new host" };
    await expectProblem(await client.send("POST", "/v1/admin/drain", { json }), "unavailable");
    expect((await client.control.capacity()).draining).toBeNull();
  });
});
