import { describe, expect, it } from "vitest";
import { sessionMigrations } from "../../../../src/session/migrations/session-tables.ts";
import { jobTable, sessionTablesAtOnce } from "../../../../src/session/migrations/session-tables-at-once.ts";
import { sessionUsage } from "../../../../src/session/records/usage.ts";
import { migrate, schemaVersion } from "../../../../src/storage/migrate.ts";
import { nodeSql } from "../../../support/node-sql.ts";
import { shapeOf } from "../../../support/table-shape.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

describe("the tables of a session", () => {
  it("are the same, made at once or step by step, but for those that are made when they are needed", () => {
    const [atOnce, stepwise] = [nodeSql(), nodeSql()];
    migrate(atOnce, sessionMigrations, sessionTablesAtOnce);
    migrate(stepwise, sessionMigrations);
    // Older code made it for every session. What stands there is still read.
    stepwise.run("DROP TABLE event");
    expect(shapeOf(atOnce)).not.toEqual(shapeOf(stepwise));
    atOnce.run(jobTable);
    expect(shapeOf(atOnce)).toEqual(shapeOf(stepwise));
    expect(schemaVersion(atOnce)).toBe(sessionMigrations.length);
  });

  it("of jobs and of older events are made by the first of them", async () => {
    const rig = new SessionRig();
    const names = () =>
      rig.sql.run("SELECT name FROM sqlite_master WHERE type = 'table'").map(({ name }) => String(name));
    await rig.running({});
    expect(names().toSorted()).toEqual(["lease", "schema_migration", "session"]);
    await rig.commands.createJob(caller, { command: "true" });
    expect(names()).toContain("job");
  });

  it("keep the time in each status that older code stored in tables of its own", async () => {
    const rig = new SessionRig();
    await rig.running({});
    const session = rig.commands.state.session;
    if (session === null) throw new Error("there is no session");
    const older = nodeSql();
    migrate(older, sessionMigrations.slice(0, 6));
    older.run(
      `INSERT INTO session (id, tenant, provider, isolation, created_at, next_generation, version, record_version, record,
         reported_version, reported_at, env) VALUES ('s', 't', 'memory', 'session', 0, 1, 1, 2, '{}', 0, 0, '{}')`,
    );
    older.run(
      "INSERT INTO usage (status, provider, ms) VALUES ('provisioning', 'memory', 70), ('paused', 'memory', 5)",
    );
    older.run("INSERT INTO usage_now (only, status, provider, since) VALUES (1, 'running', 'memory', 1000)");
    migrate(older, sessionMigrations);
    expect(sessionUsage(older).figures(session, 1_600)).toEqual([
      { status: "paused", provider: "memory", ms: 5 },
      { status: "provisioning", provider: "memory", ms: 70 },
      { status: "running", provider: "memory", ms: 600 },
    ]);
  });
});
