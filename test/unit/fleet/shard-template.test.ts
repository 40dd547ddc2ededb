/** The template of each session in the index: a column that older code did not have. */
import { describe, expect, it } from "vitest";
import type { SessionReport } from "../../../src/session/reports/reports.ts";
import { ShardIndex } from "../../../src/fleet/shard/shard-index.ts";
import { shardMigrations } from "../../../src/fleet/shard/shard-schema.ts";
import { migrate } from "../../../src/storage/migrate.ts";
import { nodeSql } from "../../support/node-sql.ts";
import { born, report, sessionId } from "../../support/reports.ts";

const one = sessionId("one");

/** What code without templates sent. */
function olderReport(version: number): SessionReport {
  const { template: _, ...older } = report(one, version);
  return older;
}

describe("the template of a session in the index", () => {
  it("is unknown for a row of older code, is in no filter's answer until the session reports again, and then is", () => {
    const sql = nodeSql();
    migrate(sql, shardMigrations.slice(0, 6));
    sql.run(
      `INSERT INTO session (session_id, tenant, created_at, version, as_of, status, end_at, last_activity_at, active_jobs, phase, open,
         ghosts, stop_attempts, provider, isolation, labels, critical, reported_at)
       VALUES (?, 'acme', ?, 1, ?, 'running', 0, 0, 0, 'held', 1, 0, 0, 'memory', 'session', '{}', 0, 0)`,
      ...[one, born, born],
    );
    const index = new ShardIndex(sql, { now: () => born });
    const all = { tenant: report(one, 1).tenant, limit: 10, after: null, status: null, template: null, blocked: null };
    const listed = (template: string | null) =>
      index.list({ ...all, template, labels: {}, createdAfter: null }).map((row) => row.template);
    // The first write migrates, as in production.
    index.report(report(sessionId("two"), 1, { template: "base" }));
    expect(new Set(listed(null))).toEqual(new Set(["base", null]));
    expect(listed("python")).toEqual([]);
    index.report(report(one, 1, { asOf: born + 1, template: "python" }));
    expect(listed("python")).toEqual(["python"]);
    const operators = index.select({ template: "python", order: "newest", limit: 10 });
    expect(operators.map((row) => [row.sessionId, row.template])).toEqual([[one, "python"]]);
  });

  it("is stood in for by a label where a query names one: such a session is found by that alone, every other by its template", () => {
    const index = new ShardIndex(nodeSql(), { now: () => born });
    const templateLabel = "e2b/template";
    const told = (name: string, template: string, word?: string) =>
      index.report(
        report(sessionId(name), 1, { template, labels: word === undefined ? {} : { [templateLabel]: word } }),
      );
    told("native", "python");
    told("named", "python", "python");
    told("other", "python", "of-the-client");
    told("base", "base");
    const found = (query: { readonly template: string; readonly templateLabel?: string }) =>
      index
        .select({ tenant: report(one, 1).tenant, order: "newest", limit: 10, ...query })
        .map(({ sessionId: id }) => id)
        .toSorted();
    const ids = (...names: readonly string[]) => names.map(sessionId).toSorted();
    expect(found({ template: "python", templateLabel })).toEqual(ids("native", "named"));
    expect(found({ template: "of-the-client", templateLabel })).toEqual(ids("other"));
    expect(found({ template: "base", templateLabel })).toEqual(ids("base"));
    expect(found({ template: "python" })).toEqual(ids("native", "named", "other"));
  });

  it("stays when a registry that holds a report of older code fills the index again", () => {
    const index = new ShardIndex(nodeSql(), { now: () => born });
    index.report(report(one, 3, { template: "python" }));
    index.beginBuild(1, () => true, true);
    const held = olderReport(3);
    index.restore(held.tenant, [held], null, null);
    index.finishBuild();
    expect(index.select({ order: "newest", limit: 10 }).map((row) => row.template)).toEqual(["python"]);
  });
});
