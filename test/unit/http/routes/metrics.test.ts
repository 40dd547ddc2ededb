import { describe, expect, it } from "vitest";
import type { OutcomeTotals, ShardStats } from "../../../../src/fleet/shard/shard-api.ts";
import { probesView } from "../../../../src/http/answer/probes-view.ts";
import { metricsText } from "../../../../src/http/answer/metrics.ts";
import { expectProblem, httpClient, testSecrets } from "../../../support/http-client.ts";
import { noOutcomes } from "../../../../src/fleet/shard/outcomes.ts";
import { noStats } from "../../../../src/fleet/shard/shard-counters.ts";

const one: ShardStats = {
  ...noStats,
  active: 3,
  provisioning: 1,
  created: 9,
  destroyed: 5,
  sessions: { running: 3, paused: 2 },
  blocked: { parked: 1 },
};
const outcomes: OutcomeTotals = { ...noOutcomes, jobsEnded: 7, jobsTimedOut: 2 };
const metrics = { key: testSecrets.ADMIN_TOKEN };

describe("/metrics", () => {
  it("sums the shards in Prometheus text, each asked twice and no session at all [FLT-14] [FLT-1]", async () => {
    const shard = { stats: async () => one, outcomes: async () => outcomes };
    const client = await httpClient({ answers: { shard } });
    const response = await client.send("GET", "/metrics", metrics);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const lines = (await response.text()).split("\n");
    expect(lines).toEqual(
      expect.arrayContaining([
        "# TYPE mooring_sandboxes gauge",
        'mooring_sandboxes{phase="active"} 6',
        "# TYPE mooring_sandboxes_created_total counter",
        "mooring_sandboxes_created_total 18",
        'mooring_sessions{status="paused"} 4',
        'mooring_sessions_blocked{code="parked"} 2',
        "mooring_jobs_timed_out_total 4",
        "mooring_capacity_limit 100",
      ]),
    );
    expect(client.calls.map(({ object, method }) => `${object} ${method}`).sort()).toEqual(
      ["shard-0 outcomes", "shard-0 stats", "shard-1 outcomes", "shard-1 stats"].sort(),
    );
  });

  it("has labels from closed sets only, and one line for each series [FLT-14]", () => {
    const layer = {
      layer: "sweep",
      lastStartedAt: 1,
      lastEndedAt: 1,
      lastOutcome: "ok",
      lastOkAt: 1,
      ended: 1,
      ok: 1,
    } as const;
    const alert = {
      name: "session_stuck",
      severity: "warning",
      phase: "firing",
      since: 1,
      summary: "",
      page: "",
      command: "",
    } as const;
    const text = metricsText({
      stats: [one, one],
      outcomes: [outcomes],
      capacity: { limit: 10, used: 4, tenants: 2, draining: null },
      layers: [{ ...layer, failuresInRow: 0 }],
      probes: probesView(null, null, 1),
      board: {
        since: 1,
        lookedAt: 2_000,
        everyMs: 1,
        alerts: [{ ...alert, context: { sessions: "x".repeat(20) }, untold: null }],
      },
    });
    const series = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    for (const line of series)
      expect(line).toMatch(/^mooring_[a-z_]+(\{[a-z]+="[a-z_]+"(,[a-z]+="[a-z_]+")*\})? [\d.]+$/);
    const names = series.map((line) => line.slice(0, line.lastIndexOf(" ")));
    expect(new Set(names).size).toBe(names.length);
    const labels = new Set([...text.matchAll(/[{,]([a-z]+)="/g)].map((match) => match[1] ?? ""));
    expect([...labels].sort()).toEqual(["alert", "code", "layer", "outcome", "phase", "severity", "status"]);
    expect(text).not.toContain("x".repeat(20));
  });

  it("is for the admin token alone, and half a fleet is no metrics [FLT-18]", async () => {
    const open = await httpClient();
    await expectProblem(await open.send("GET", "/metrics", { key: null }), "unauthorized");
    await expectProblem(await open.send("GET", "/metrics"), "unauthorized");
    const stats = () => Promise.reject(new Error("reset"));
    const client = await httpClient({ answers: { shard: { stats } } });
    await expectProblem(await client.send("GET", "/metrics", metrics), "unavailable");
  });
});
