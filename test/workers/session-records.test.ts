/** What an object does with rows it did not write itself: newer, older, unreadable, none at all. In workerd, over real storage. */
import { describe, expect, it } from "vitest";
import { isolatedSandboxId, type Generation } from "../../src/domain/state/ids.ts";
import type { EventView } from "../../src/protocol/resources/session/events.ts";
import { sessionMigrations } from "../../src/session/migrations/session-tables.ts";
import { durableSql } from "../../src/storage/durable-sql.ts";
import { migrate } from "../../src/storage/migrate.ts";
import { now, policy, Rigged, setAhead } from "../support/workers/rigged-session.ts";

async function running(body: Parameters<Rigged["create"]>[0] = {}): Promise<Rigged> {
  const session = new Rigged();
  expect(await session.create(body)).toMatchObject({ ok: true, value: { body: { status: "running" } } });
  return session;
}

/** As `everything`, but for what says how far others have been told: an unreadable record is reported, and that is noted. */
async function untold(session: Rigged): Promise<unknown> {
  const tables = (await everything(session)) as readonly (readonly [string, readonly Record<string, unknown>[]])[];
  const noted = new Set(["version", "reported_version", "reported_at"]);
  return tables.map(([name, rows]) => [
    name,
    name === "schema_migration"
      ? rows
      : rows.map((row) => Object.entries(row).filter(([column]) => !noted.has(column))),
  ]);
}

/** Every row of every table, as it lies there. */
async function everything(session: Rigged): Promise<unknown> {
  return await session.storage((storage) => {
    const names = storage.sql.exec<{ name: string }>(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*'",
    );
    return names.toArray().map(({ name }) => [name, storage.sql.exec(`SELECT * FROM ${name}`).toArray()]);
  });
}

const expectSlow = async (session: Rigged, retryMs: number) => {
  const alarm = await session.alarm();
  expect(alarm).not.toBeNull();
  // Never re-armed each second; never later than its own retry.
  expect((alarm ?? 0) - now()).toBeGreaterThan(retryMs / 2);
  expect((alarm ?? 0) - now()).toBeLessThanOrEqual(retryMs);
};

describe("an id that was never created", () => {
  it("is 404 however it is asked for, and nothing is written for it, not even an alarm [API-12]", async () => {
    const session = new Rigged();
    const { api, caller } = session;
    const replies = [
      await api.get(caller),
      await api.delete(caller, "requested"),
      await api.delete(caller, "operator"),
      await api.timeout(caller, "timeout", 60),
      await api.keepalive(caller),
      await api.interrupt(caller),
      await api.teardown(caller),
      await api.events(caller, 0, 10, 0),
      await api.createJob(caller, { command: "true" }),
      await api.jobs(caller, null, 10),
      await api.job(caller, "job", 0),
      await api.cancelJob(caller, "job"),
      await api.writeStdin(caller, "job", new Uint8Array(1), true),
    ];
    for (const reply of replies) expect(reply).toMatchObject({ ok: false, problem: { code: "not_found" } });
    expect(await api.poke("maintenance")).toEqual({ known: false, nextDeadline: null });
    expect(await everything(session)).toEqual([]);
    expect(await session.alarm()).toBeNull();
  });
});

describe("after its retention", () => {
  it("a terminated session leaves no row and no alarm, its receipt stays, and a read is 404 [DEL-5] [DEL-6]", async () => {
    const session = await running();
    await session.api.delete(session.caller, "requested");
    await session.driveTo("terminated");
    const alarm = await session.alarm();
    expect(alarm).not.toBeNull();
    setAhead(policy.retentionMs - 60_000);
    await session.wake();
    expect((await session.view()).status).toBe("terminated");
    // The registry cannot be told: nothing is forgotten before it is.
    session.tenantFate(() => Promise.reject(new Error("the registry is down")));
    setAhead(120_000);
    await session.wake();
    expect((await session.view()).status).toBe("terminated");
    expect(await session.alarm()).not.toBeNull();
    session.tenantFate(null);
    setAhead(60_000);
    await session.wake();
    setAhead(60_000);
    await session.wake();
    expect(await session.api.get(session.caller)).toMatchObject({ ok: false, problem: { code: "not_found" } });
    expect(await everything(session)).toEqual([]);
    expect(await session.alarm()).toBeNull();
    expect(await session.registry.receipt(session.id, null)).toMatchObject({ phase: "closed" });
    await session.crash();
    expect(await session.api.get(session.caller)).toMatchObject({ ok: false, problem: { code: "not_found" } });
    expect(await everything(session)).toEqual([]);
  });
});

describe("rows of newer code, after a rollback", () => {
  const changes = {
    "a newer schema": [
      `INSERT INTO schema_migration (version, name) VALUES (${sessionMigrations.length + 1}, 'of the future')`,
      `DELETE FROM schema_migration WHERE version > ${sessionMigrations.length}`,
    ],
    "a newer session record": ["UPDATE session SET record_version = 99", "UPDATE session SET record_version = 2"],
    "a newer lease record": ["UPDATE lease SET record_version = 99", "UPDATE lease SET record_version = 2"],
  } as const;

  it.each(Object.entries(changes))(
    "%s: untouched but for the delete intent, 503, armed slowly, nothing killed, well again when the code returns [LEA-19]",
    async (_what, [become, restore]) => {
      const session = await running();
      const { end_at: endAt } = await session.view();
      await session.rows(become);
      await session.crash();
      const before = await everything(session);
      const pids = session.processes().map((process) => process.pid);
      const provider = session.calls("observe").length;
      const { api, caller } = session;
      for (const reply of [
        await api.get(caller),
        await api.timeout(caller, "timeout", 60),
        await api.createJob(caller, { command: "true" }),
        await api.events(caller, 0, 10, 0),
        await api.create(session.id, caller, {}, null, 0),
      ]) {
        expect(reply).toMatchObject({ ok: false, problem: { code: "newer_record" } });
      }
      for (let i = 0; i < 5; i += 1) {
        setAhead(policy.newerRetryMs);
        await session.wake();
        await expectSlow(session, policy.newerRetryMs);
      }
      expect(await api.poke("maintenance")).toMatchObject({ known: true });
      expect(await everything(session)).toEqual(before);
      expect(session.calls("observe")).toHaveLength(provider);
      expect(session.calls("stop")).toEqual([]);
      // Nobody renewed it meanwhile: its own clock, not ours, decides about what runs there.
      expect(session.processes().map((process) => process.pid)).toEqual(pids);

      expect(await api.delete(caller, "requested")).toMatchObject({ ok: false, problem: { code: "newer_record" } });
      const [row] = await session.rows("SELECT delete_requested_at, record FROM session");
      expect(row?.["delete_requested_at"]).not.toBeNull();
      expect(session.calls("stop")).toEqual([]);

      await session.rows(restore);
      await session.crash();
      expect((await session.view()).end_at).toBe(endAt);
      // The delete that was remembered is carried out by the alarm alone.
      const gone = await session.driveTo("terminated", 300);
      expect(gone.teardown?.verified_absent_at).not.toBeNull();
    },
  );
});

describe("a record that cannot be read", () => {
  it.each(["{", "{}", "null", '{"limits":{"timeoutMs":"soon"}}'])(
    "%s: fails closed, 503, nothing killed, blocked and told, armed slowly [LEA-4]",
    async (text) => {
      const session = await running();
      await session.rows("UPDATE session SET record = ?", text);
      await session.crash();
      const before = await untold(session);
      const { api, caller } = session;
      for (const reply of [
        await api.get(caller),
        await api.timeout(caller, "timeout", 60),
        await api.createJob(caller, { command: "true" }),
        await api.create(session.id, caller, {}, null, 0),
      ]) {
        expect(reply).toMatchObject({ ok: false, problem: { code: "unreadable_record" } });
      }
      for (let i = 0; i < 3; i += 1) {
        setAhead(policy.unreadableRetryMs);
        await session.wake();
        await expectSlow(session, policy.unreadableRetryMs);
      }
      expect(await untold(session)).toEqual(before);
      expect(session.calls("stop")).toEqual([]);
      expect(session.processes().length).toBeGreaterThan(0);
      expect(await session.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
      expect(session.told).toMatchObject({ blocked: "unreadable", erased: false, leases: [{ phase: "held" }] });
      expect(session.told?.nextDeadline).toBeGreaterThan(now());
      await api.delete(caller, "requested");
    },
  );

  it("DELETE is remembered and its readable lease is torn down to a receipt; the record stays as found [DEL-3] [LEA-4]", async () => {
    const session = await running();
    await session.rows("UPDATE session SET record = '{'");
    await session.crash();
    expect(await session.api.delete(session.caller, "requested")).toMatchObject({
      ok: false,
      problem: { code: "unreadable_record" },
    });
    const phase = async () => (await session.rows("SELECT phase FROM lease"))[0]?.["phase"];
    for (let i = 0; i < 30 && (await phase()) !== "closed"; i += 1) {
      setAhead(10_000);
      await session.wake();
    }
    expect(await phase()).toBe("closed");
    expect(session.processes()).toEqual([]);
    const [row] = await session.rows("SELECT record, delete_requested_at FROM session");
    expect(row).toMatchObject({ record: "{", delete_requested_at: expect.any(Number) as number });
    await expect.poll(() => session.registry.receipt(session.id, null)).toMatchObject({ phase: "closed" });
    expect(await session.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
  });

  it("a stop that was under way goes on from the lease row alone [DEL-3]", async () => {
    const session = await running();
    session.fate(({ op }) =>
      op === "stop" || op === "retire" ? { type: "fail_before", effect: "none" } : { type: "none" },
    );
    await session.api.delete(session.caller, "requested");
    await session.rows("UPDATE session SET record = 'null'");
    await session.crash();
    session.fate(null);
    const phase = async () => (await session.rows("SELECT phase FROM lease"))[0]?.["phase"];
    for (let i = 0; i < 30 && (await phase()) !== "closed"; i += 1) {
      setAhead(10_000);
      await session.wake();
    }
    expect(await phase()).toBe("closed");
    expect(session.processes()).toEqual([]);
  });

  it("with its lease unreadable as well: DELETE's intent is stored, nothing is killed, freed or erased [DEL-3] [I4]", async () => {
    const session = await running();
    await session.rows("UPDATE session SET record = '{'");
    await session.rows('UPDATE lease SET record = \'{"phase":"flying"}\'');
    await session.crash();
    await session.api.delete(session.caller, "requested");
    const [row] = await session.rows("SELECT delete_requested_at FROM session");
    expect(row?.["delete_requested_at"]).not.toBeNull();
    const before = await untold(session);
    for (let i = 0; i < 3; i += 1) {
      setAhead(policy.unreadableRetryMs);
      await session.wake();
      await expectSlow(session, policy.unreadableRetryMs);
    }
    setAhead(2 * policy.retentionMs);
    await session.wake();
    expect(await untold(session)).toEqual(before);
    expect(session.calls("stop")).toEqual([]);
    // Counted for as long as nobody proved anything, and shown as what nobody can account for.
    expect(await session.registry.ledger()).toMatchObject({
      used: 1,
      imbalances: [{ type: "unaccounted", sessionId: session.id }],
    });
  });

  it("of a lease alone fails the whole session closed, and it is well again when the row is [LEA-4]", async () => {
    const session = await running();
    const [row] = await session.rows("SELECT record FROM lease");
    await session.rows("UPDATE lease SET record = '{'");
    await session.crash();
    expect(await session.api.get(session.caller)).toMatchObject({ ok: false, problem: { code: "unreadable_record" } });
    setAhead(policy.unreadableRetryMs);
    await session.wake();
    await session.rows("UPDATE lease SET record = ?", row?.["record"]);
    await session.crash();
    expect((await session.view()).status).toBe("running");
    await session.api.delete(session.caller, "requested");
    await session.driveTo("terminated", 600);
  });
});

async function eventsOf(session: Rigged): Promise<readonly EventView[]> {
  const reply = await session.api.events(session.caller, 0, 100, 0);
  if (!reply.ok) throw new Error(reply.problem.detail);
  return reply.value;
}

describe("an older stored schema", () => {
  it("of each shipped version is brought up to date at the first load, and loses nothing", async () => {
    for (let version = 1; version < sessionMigrations.length; version += 1) {
      const donor = await running({ labels: { kept: "yes" } });
      await donor.api.createJob(donor.caller, { id: "before", command: "echo kept; exit 3" });
      await donor.api.job(donor.caller, "before", 2_000);
      await donor.api.delete(donor.caller, "requested");
      const gone = await donor.driveTo("terminated");
      const rows = (await everything(donor)) as readonly (readonly [string, readonly Record<string, unknown>[]])[];
      const told = await eventsOf(donor);

      // The same rows as code of that version would have left them.
      const older = new Rigged(donor.tenant);
      await older.storage((storage) => {
        migrate(durableSql(storage), sessionMigrations.slice(0, version));
        for (const [table, contents] of rows) {
          if (table === "schema_migration") continue;
          const known = storage.sql.exec<{ name: string }>(`SELECT name FROM pragma_table_info('${table}')`).toArray();
          const columns = known.map(({ name }) => name);
          // A table that code of that version did not have yet.
          if (columns.length === 0) continue;
          for (const row of contents) {
            const marks = columns.map(() => "?").join(", ");
            const values = columns.map((column) => row[column]);
            storage.sql.exec(`INSERT INTO ${table} (${columns.join(", ")}) VALUES (${marks})`, ...values);
          }
        }
        // Events had a row each, in a table that new sessions do not have.
        for (const { sequence, at, type, actor, cause, from, to, generation, facts } of version < 9 ? told : [])
          storage.sql.exec(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ...[sequence, Date.parse(at), type, actor, cause, from, to, generation, JSON.stringify(facts)],
          );
      });
      await older.crash();
      const view = await older.view();
      expect(view).toEqual(gone);
      expect(await older.api.job(older.caller, "before", 0)).toMatchObject({
        ok: true,
        value: { state: "failed", exit_code: 3, output_tail: "kept\n" },
      });
      const [stored] = await older.rows("SELECT max(version) AS version FROM schema_migration");
      expect(stored).toEqual({ version: sessionMigrations.length });
      expect(told.length).toBeGreaterThan(5);
      expect(await eventsOf(older)).toEqual(told);
    }
  });

  it("that cannot be brought up to date is left as it was, whole steps at a time", async () => {
    const session = await running();
    await session.api.delete(session.caller, "requested");
    const gone = await session.driveTo("terminated");
    const shape = () => session.rows("SELECT name, sql FROM sqlite_master ORDER BY name");
    const before = await shape();
    const next = {
      version: sessionMigrations.length + 1,
      name: "half of it works",
      statements: ["ALTER TABLE session ADD COLUMN extra TEXT", "ALTER TABLE nowhere ADD COLUMN extra TEXT"],
    };
    await session.storage((storage) => {
      expect(() => migrate(durableSql(storage), [...sessionMigrations, next])).toThrow();
    });
    expect(await shape()).toEqual(before);
    await session.crash();
    expect(await session.view()).toEqual(gone);
  });
});

describe("generations", () => {
  it("of a session made anew under an erased id lie above every earlier one [LEA-2]", async () => {
    const session = await running();
    const first = (await session.view()).generation ?? 0;
    await session.api.delete(session.caller, "requested");
    await session.driveTo("terminated");
    setAhead(policy.retentionMs + 60_000);
    for (let i = 0; i < 3; i += 1) {
      await session.wake();
      setAhead(20_000);
    }
    expect(await everything(session)).toEqual([]);
    const again = await session.create();
    if (!again.ok) throw new Error(again.problem.detail);
    expect(again.value.body.generation).toBeGreaterThan(first);
    const sandbox = isolatedSandboxId(session.id, first as Generation);
    expect(session.calls("launch").at(-1)?.sandboxId).not.toBe(sandbox);
    await session.api.delete(session.caller, "requested");
    await session.driveTo("terminated");
  });
});
