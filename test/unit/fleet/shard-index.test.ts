import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { SessionId, TenantId } from "../../../src/domain/state/ids.ts";
import type { SessionReport } from "../../../src/session/reports/reports.ts";
import type { ListQuery } from "../../../src/fleet/shard/shard-api.ts";
import { ShardIndex, tombstoneMs } from "../../../src/fleet/shard/shard-index.ts";
import { nodeSql, type NodeSql } from "../../support/node-sql.ts";
import { born, lease, report, sessionId } from "../../support/reports.ts";

const acme = "acme" as TenantId;
const a = sessionId("a");

describe("a shard of the index", () => {
  let now: number;
  let sql: NodeSql;
  let index: ShardIndex;

  beforeEach(() => {
    now = born;
    sql = nodeSql();
    index = new ShardIndex(sql, { now: () => now });
  });

  function query(changes: Partial<ListQuery> = {}): ListQuery {
    return {
      tenant: acme,
      limit: 100,
      after: null,
      status: null,
      template: null,
      blocked: null,
      labels: {},
      createdAfter: null,
      ...changes,
    };
  }
  const listed = (changes: Partial<ListQuery> = {}) =>
    index.list(query(changes)).map((each) => each.id.replace(/0+$/, ""));

  it("asking an index that never was writes nothing [API-12]", () => {
    expect(index.list(query())).toEqual([]);
    expect(index.overdue(born, 10)).toEqual([]);
    expect(sql.run("SELECT name FROM sqlite_master")).toEqual([]);
  });

  it("shows what the newest report said, and when it came", () => {
    const labels = { team: "x", "app/part": "ü" };
    index.report(report(a, 1, { labels, agentType: "coder", taskId: "t-1", critical: true, template: "python" }));
    now += 5;
    index.report(report(a, 2, { labels, leases: [lease(a, 1, "closed"), lease(a, 2, "held")], expiresAt: null }));
    index.report(report(a, 3, { labels, status: "terminated" }));
    expect(index.list(query())).toEqual([
      {
        id: a,
        status: "terminated",
        created_at: "2026-11-01T00:00:00.000Z",
        end_at: "2026-11-01T01:00:00.000Z",
        expires_at: "2026-11-01T00:15:00.000Z",
        generation: born + 2,
        provider: "memory",
        template: "python",
        blocked: null,
        labels,
        agent_type: null,
        task_id: null,
        critical: false,
        as_of: "2026-11-01T00:00:00.005Z",
      },
    ]);
  });

  it("lists what a code blocks, for a tenant as for an operator, and says it of each row", () => {
    index.report(report(a, 1));
    index.report(report(sessionId("b"), 1, { blocked: "no_capacity" }));
    index.report(report(sessionId("c"), 1, { blocked: "parked" }));
    expect(listed({ blocked: "no_capacity" })).toEqual(["b"]);
    expect(index.list(query({ blocked: "parked" })).map(({ blocked }) => blocked)).toEqual(["parked"]);
    expect(listed({ blocked: "unavailable" })).toEqual([]);
    expect(listed()).toHaveLength(3);
  });

  describe("filtered by labels", () => {
    const all = 2_200;
    const labelsOf = (at: number) => ({
      half: String(at % 2),
      third: String(at % 3),
      ...(at % 500 === 0 ? { few: "yes" } : {}),
    });
    const idOf = (at: number) => sessionId(`n${at + 10_000}x`);
    /** What SQLite does for the page: its plan, step by step. */
    const planOf = (labels: Readonly<Record<string, string>>): readonly string[] => {
      const seen: (readonly string[])[] = [];
      const watched = {
        transaction: <T>(body: () => T) => sql.transaction(body),
        run: (text: string, ...bindings: Parameters<NodeSql["run"]>[1][]) => {
          if (text.includes("ORDER BY created_at"))
            seen.push(sql.run(`EXPLAIN QUERY PLAN ${text}`, ...bindings).map(({ detail }) => String(detail)));
          return sql.run(text, ...bindings);
        },
      };
      new ShardIndex(watched, { now: () => now }).list(query({ labels, limit: 50 }));
      return seen[0] ?? [];
    };

    beforeEach(() => {
      for (let at = 0; at < all; at += 1)
        index.report(report(idOf(at), 1, { createdAt: born + at, labels: labelsOf(at) }));
    });

    it.each([
      [{ half: "1" }],
      [{ few: "yes" }],
      [{ half: "0", third: "1" }],
      [{ few: "yes", third: "2" }],
      [{ third: "1", few: "no" }],
    ])("%j: the page holds exactly the newest sessions that have them", (labels: Readonly<Record<string, string>>) => {
      const fits = (at: number) =>
        Object.entries(labels).every(([name, value]) =>
          Object.entries(labelsOf(at)).some(([n, v]) => n === name && v === value),
        );
      const expected = Array.from({ length: all }, (_, at) => all - 1 - at).filter(fits);
      const page = index.list(query({ labels, limit: 50 }));
      expect(page.map(({ id }) => id)).toEqual(expected.slice(0, 50).map(idOf));
      const last = page.at(-1);
      if (expected.length <= 50 || last === undefined) return;
      const after = { createdAt: Date.parse(last.created_at), id: last.id as SessionId };
      const next = index.list(query({ labels, limit: 50, after }));
      expect(next.map(({ id }) => id)).toEqual(expected.slice(50, 100).map(idOf));
    });

    it("a label that many have is looked up for each session on the way, and no list of all that have it is made", () => {
      const plan = planOf({ half: "1" });
      expect(plan[0]).toMatch(/SEARCH session USING INDEX/);
      expect(plan.join("; ")).not.toContain("LIST SUBQUERY");
    });

    it("a label that few have is where the page begins, and no other session is read", () => {
      for (const labels of [{ few: "yes" }, { half: "0", few: "yes" }]) {
        const plan = planOf(labels);
        expect(plan[0]).toMatch(/SEARCH label USING PRIMARY KEY/);
        expect(plan[1]).toMatch(/SEARCH session USING PRIMARY KEY/);
      }
    });
  });

  it("an older report, and the same one again, never overwrite a newer one [FLT-2]", () => {
    expect(index.report(report(a, 5, { status: "terminated" }))).toEqual({ version: 5 });
    expect(index.report(report(a, 4, { status: "running" }))).toEqual({ version: 5 });
    expect(index.report(report(a, 5, { status: "running" }))).toEqual({ version: 5 });
    expect(listed({ status: "terminated" })).toEqual(["a"]);
  });

  it("whatever the order and however often reports arrive, the newest stands at the end [FLT-2]", () => {
    const history: readonly SessionReport[] = [
      report(a, 1, { status: "provisioning", labels: { step: "1" } }),
      report(a, 2, { status: "running", labels: { step: "2" } }),
      report(a, 3, { status: "terminating", labels: { step: "3" } }),
      report(a, 4, { status: "terminated", labels: { step: "3" }, nextDeadline: null }),
    ];
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 12 }), (arrivals) => {
        const shard = new ShardIndex(nodeSql(), { now: () => born });
        for (const arrival of arrivals) shard.report(history[arrival] ?? report(a, 99));
        const newest = history[Math.max(...arrivals)];
        const [item] = shard.list(query({ labels: { ...newest?.labels } }));
        expect(item).toMatchObject({ status: newest?.status, labels: newest?.labels });
        expect(shard.list(query({ labels: { step: "9" } }))).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  it("a terminated session is listed until it is erased, and an overtaken report does not bring it back [FLT-2]", () => {
    index.report(report(a, 7, { status: "terminated", labels: { x: "1" } }));
    expect(listed()).toEqual(["a"]);
    index.report(report(a, 9, { status: "terminated", erased: true }));
    index.report(report(a, 8, { status: "terminated", labels: { x: "1" } }));
    expect(listed()).toEqual([]);
    expect(listed({ labels: { x: "1" } })).toEqual([]);
    expect(index.overdue(born * 2, 10)).toEqual([]);
  });

  it("a session made anew under an erased id is listed, whatever its version; the one before it is not heard", () => {
    index.report(report(a, 40, { status: "terminated", erased: true }));
    index.report(report(a, 1, { createdAt: born + 10 }));
    expect(index.report(report(a, 41, { status: "terminated", erased: true }))).toEqual({ version: 41 });
    expect(listed({ status: "running" })).toEqual(["a"]);
  });

  it("tombstones go after a day", () => {
    index.report(report(a, 9, { status: "terminated", erased: true }));
    now += tombstoneMs + 1;
    index.report(report(sessionId("b"), 1));
    expect(sql.run("SELECT session_id FROM session").map((row) => row["session_id"])).toEqual([sessionId("b")]);
  });

  it("filters by tenant, status, template, labels together, and creation time", () => {
    const rows: readonly [string, Partial<SessionReport>][] = [
      ["a", { labels: { team: "x", env: "prod" }, template: "python" }],
      ["b", { labels: { team: "x" }, status: "paused", createdAt: born + 1 }],
      ["c", { labels: { team: "y", env: "prod" }, createdAt: born + 2, template: "python" }],
      ["d", { labels: { team: "x", env: "prod" }, tenant: "other" as TenantId }],
    ];
    for (const [name, changes] of rows) index.report(report(sessionId(name), 1, changes));
    expect(listed()).toEqual(["c", "b", "a"]);
    expect(listed({ labels: { team: "x" } })).toEqual(["b", "a"]);
    expect(listed({ labels: { team: "x", env: "prod" } })).toEqual(["a"]);
    expect(listed({ labels: { team: "x' OR '1'='1" } })).toEqual([]);
    expect(listed({ status: "paused" })).toEqual(["b"]);
    expect(listed({ template: "python" })).toEqual(["c", "a"]);
    expect(listed({ template: "python", labels: { team: "y" } })).toEqual(["c"]);
    expect(listed({ createdAfter: born })).toEqual(["c", "b"]);
    expect(listed({ tenant: "other" as TenantId })).toEqual(["d"]);
  });

  it("pages neither skip nor repeat a session that did not change, while others come, change and go [FLT-1]", () => {
    const scenario = fc.record({
      // Few distinct times: the order within one instant matters.
      created: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 25 }),
      limit: fc.integer({ min: 1, max: 6 }),
      disturbances: fc.array(fc.record({ kind: fc.constantFrom("new", "end", "erase"), of: fc.nat(24) }), {
        maxLength: 30,
      }),
    });
    fc.assert(
      fc.property(scenario, ({ created, limit, disturbances }) => {
        const shard = new ShardIndex(nodeSql(), { now: () => born });
        const ids = created.map((_, i) => sessionId(`s${i}x`));
        const make = (i: number, changes: Partial<SessionReport> = {}, version = 1) =>
          shard.report(report(sessionId(`s${i}x`), version, { createdAt: born + (created[i] ?? 4), ...changes }));
        ids.forEach((_, i) => make(i));
        const disturbed = new Set<SessionId>();
        const seen: string[] = [];
        let after: ListQuery["after"] = null;
        let version = 2;
        for (;;) {
          const page = shard.list(query({ limit, after }));
          seen.push(...page.map((each) => each.id));
          const last = page.at(-1);
          if (last === undefined) break;
          after = { createdAt: Date.parse(last.created_at), id: last.id as SessionId };
          const next = disturbances.pop();
          if (next === undefined) continue;
          const which = next.kind === "new" ? 100 + version : next.of % created.length;
          disturbed.add(sessionId(`s${which}x`));
          make(which, next.kind === "new" ? {} : { status: "terminated", erased: next.kind === "erase" }, version++);
        }
        expect(new Set(seen).size).toBe(seen.length);
        for (const id of ids) if (!disturbed.has(id)) expect(seen).toContain(id);
      }),
      { numRuns: 200 },
    );
  });

  it("names what is overdue, oldest first, and nothing that waits for nothing", () => {
    index.report(report(sessionId("late"), 1, { nextDeadline: born - 2 }));
    index.report(report(sessionId("later"), 1, { nextDeadline: born - 1 }));
    index.report(report(sessionId("due"), 1, { nextDeadline: born }));
    index.report(report(sessionId("done"), 1, { nextDeadline: null, status: "terminated" }));
    const overdue = (limit: number) => index.overdue(born, limit).map((each) => each.sessionId);
    expect(overdue(10)).toEqual(["late", "later"].map(sessionId));
    expect(overdue(1)).toEqual([sessionId("late")]);
  });

  it("lists and the overdue scan use an index, not the whole table [FLT-1]", () => {
    index.report(report(a, 1));
    const plan = (statement: string) =>
      sql
        .run(`EXPLAIN QUERY PLAN ${statement}`)
        .map((row) => String(row["detail"]))
        .join("; ");
    const spied: string[] = [];
    const recording = { ...sql, run: (text: string, ...rest: never[]) => (spied.push(text), sql.run(text, ...rest)) };
    const watched = new ShardIndex(recording, { now: () => born });
    watched.list(query({ after: { createdAt: born, id: a } }));
    watched.list(query({ labels: { x: "1" } }));
    watched.overdue(born, 10);
    const plans = spied.filter((text) => /(FROM|JOIN) session/.test(text)).map(plan);
    expect(plans).toHaveLength(3);
    expect(plans[0]).toContain("USING INDEX session_list");
    expect(plans[1]).toMatch(/SEARCH label USING PRIMARY KEY|SEARCH label USING INDEX/);
    expect(plans[2]).toContain("session_due");
    for (const each of plans) expect(each).not.toMatch(/SCAN session(?! USING)/);
    // The few sessions of a rare label are sorted; nothing else is.
    for (const each of [plans[0], plans[2]]) expect(each).not.toContain("TEMP B-TREE FOR ORDER BY");
  });
});

describe("a mark", () => {
  it("changes what blocks a session it knows, counts it so, and makes up none [LEA-19]", () => {
    const index = new ShardIndex(nodeSql(), { now: () => born });
    index.report(report(a, 3, { labels: { team: "blue" }, blocked: "parked" }));
    const mark = { blocked: "newer_record", nextDeadline: born + 9 } as const;
    index.markBlocked({ sessionId: a, ...mark });
    index.markBlocked({ sessionId: a, ...mark });
    index.markBlocked({ sessionId: sessionId("nobody"), ...mark });
    expect(index.stats()).toMatchObject({ blocked: { newer_record: 1 }, sessions: { running: 1 } });
    expect(index.stats().blocked["parked"] ?? 0).toBe(0);
    expect(index.select({ limit: 9, order: "newest", blocked: "newer_record" })).toMatchObject([
      { sessionId: a, labels: { team: "blue" }, nextDeadline: born + 9, version: 3 },
    ]);
    // The same version once more, made later: the rows can be read again.
    index.report(report(a, 3, { asOf: born + 1 }));
    expect(index.stats().blocked["newer_record"] ?? 0).toBe(0);
  });
});
