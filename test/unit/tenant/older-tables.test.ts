import { expect, it } from "vitest";
import { pruneRegistry, receiptRetentionMs } from "../../../src/tenant/apply-report.ts";
import { readLedger } from "../../../src/tenant/ledger.ts";
import { tenantMigrations } from "../../../src/tenant/schema.ts";
import { readUsage } from "../../../src/tenant/usage.ts";
import { migrate } from "../../../src/storage/migrate.ts";
import { nodeSql } from "../../support/node-sql.ts";

it("a registry whose tallies and sums were a row each keeps all of them, and they still balance", () => {
  const sql = nodeSql();
  migrate(sql, tenantMigrations.slice(0, 15));
  for (const id of ["a", "b"])
    sql.run("INSERT INTO session (session_id, created_at, version, highest_generation) VALUES (?, 1, 1, 1)", id);
  sql.run(
    `INSERT INTO reservation (session_id, generation, sandbox_id, state, ghost, listed, reserved_at, changed_at, look_at)
     VALUES ('a', 1, 'a-g1', 'held', 0, 1, 1, 1, 1)`,
  );
  sql.run(`INSERT INTO tally (name, amount) VALUES ('granted', 3), ('held', 1), ('proven', 2), ('pruned_proven', 2)`);
  sql.run("INSERT INTO usage VALUES ('a', 'running', 'memory', 70), ('a', 'paused', 'local', 5)");
  sql.run("INSERT INTO usage_total VALUES ('running', 'memory', 100), ('paused', 'local', 5)");
  sql.run("INSERT INTO usage_pruned VALUES ('running', 'memory', 30)");
  migrate(sql, tenantMigrations);
  expect(readUsage(sql)).toEqual({
    figures: [
      { status: "paused", provider: "local", ms: 5 },
      { status: "running", provider: "memory", ms: 100 },
    ],
    sessions: 1,
    imbalances: [],
  });
  expect(readLedger(sql)).toMatchObject({ counts: { granted: 3, held: 1, proven: 2 }, used: 1, imbalances: [] });
});

it("receipts that were stored with an index of their age are forgotten when they are old, in the chain or not", () => {
  const sql = nodeSql();
  migrate(sql, tenantMigrations.slice(0, 18));
  for (const id of ["a", "b"])
    sql.run("INSERT INTO receipt (session_id, generation, body, stored_at) VALUES (?, 1, '{}', 1000)", id);
  sql.run(
    `INSERT INTO statement (sequence, session_id, generation, body, signed, stored_at) VALUES (1, 'a', 1, '{}', 1, 1000)`,
  );
  migrate(sql, tenantMigrations);
  const left = () => sql.run("SELECT session_id FROM receipt").length;
  pruneRegistry(sql, 1_000 + receiptRetentionMs, 10);
  expect(left()).toBe(2);
  pruneRegistry(sql, 1_001 + receiptRetentionMs, 10);
  expect(left()).toBe(0);
});
