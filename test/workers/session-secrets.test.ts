/** What a client gives as a secret, at rest: real objects, real storage, the real cipher, and keys that come and go. */
import { afterEach, describe, expect, it } from "vitest";
import { isSealed } from "../../src/storage/seals.ts";
import { policy, Rigged, setAhead, setSealKeys } from "../support/workers/rigged-session.ts";

const [first, second, third] = [
  "the key of the tests, number 1",
  "the key of the tests, number 2",
  "and a third key of them",
];
const secret = "hunter2-is-the-canary";
const env = { TOKEN: secret };

afterEach(() => {
  setSealKeys(first);
});

async function running(body: Parameters<Rigged["create"]>[0] = {}): Promise<Rigged> {
  const session = new Rigged();
  expect(await session.create(body)).toMatchObject({ ok: true, value: { body: { status: "running" } } });
  return session;
}

/** Every value of every row of every table, as it lies there, bytes as text. */
async function stored(session: Rigged): Promise<string> {
  const rows = await session.storage((storage) => {
    const tables = storage.sql.exec<{ name: string }>(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*'",
    );
    return tables.toArray().flatMap(({ name }) => storage.sql.exec(`SELECT * FROM ${name}`).toArray());
  });
  const text = (value: unknown) => (value instanceof ArrayBuffer ? new TextDecoder().decode(value) : String(value));
  return rows.flatMap((row) => Object.values(row).map(text)).join("\n");
}

async function output(session: Rigged, id: string): Promise<string | null> {
  const read = await session.api.job(session.caller, id, 5_000);
  return read.ok ? read.value.output_tail : null;
}

async function end(session: Rigged): Promise<void> {
  await session.api.delete(session.caller, "requested");
  await session.driveTo("terminated");
}

describe("at rest", () => {
  it("no row holds what was given as env or stdin, nor a digest that gives it away [SEC-3]", async () => {
    const session = new Rigged();
    const hash = "d1".repeat(32);
    await session.api.create(session.id, session.caller, { env }, hash, 60_000);
    const job = { id: "job", command: "echo ran", env: { OTHER: `${secret}-2` } };
    await session.api.createJob(session.caller, job);
    await session.api.createJob(session.caller, { id: "fed", command: "echo fed", stdin: `${secret}-3` });
    expect(await output(session, "job")).toBe("ran\n");
    expect(await output(session, "fed")).toBe("fed\n");
    const bytes = await stored(session);
    expect(bytes).toContain("echo ran");
    expect(bytes).not.toContain(secret);
    expect(bytes).not.toContain(hash);
    // The same again is the same again, and another env is another.
    expect(await session.api.createJob(session.caller, job)).toMatchObject({ ok: true, value: { replayed: true } });
    const other = { ...job, env: { OTHER: "another" } };
    expect(await session.api.createJob(session.caller, other)).toMatchObject({
      ok: false,
      problem: { code: "idempotency_mismatch" },
    });
    expect(await session.api.create(session.id, session.caller, { env }, hash, 0)).toMatchObject({
      ok: true,
      value: { replayed: true },
    });
    expect(await session.api.create(session.id, session.caller, { env }, "e2".repeat(32), 0)).toMatchObject({
      ok: false,
      problem: { code: "idempotency_mismatch" },
    });
    await end(session);
    expect(await stored(session)).not.toContain(secret);
  });

  it("nothing is kept without a key: a create with an env is refused, one without works [SEC-1] [SEC-3]", async () => {
    setSealKeys();
    const session = new Rigged();
    expect(await session.create({ env })).toMatchObject({ ok: false, problem: { code: "secret_missing" } });
    expect(await session.api.get(session.caller)).toMatchObject({ ok: false, problem: { code: "not_found" } });
    expect(await session.create()).toMatchObject({ ok: true, value: { body: { status: "running" } } });
    expect(await session.api.createJob(session.caller, { command: "true", env })).toMatchObject({
      ok: false,
      problem: { code: "secret_missing" },
    });
    expect(await session.api.createJob(session.caller, { command: "true" })).toMatchObject({ ok: true });
    await end(session);
  });
});

describe("a rotation", () => {
  it("opens with the old key, seals with the new at the next alarm, and then the old one can go [SEC-1] [SEC-3]", async () => {
    const session = await running({ env });
    await session.api.createJob(session.caller, { id: "job", command: "printenv TOKEN", env: { A: secret } });
    await output(session, "job");
    const sealed = async () => {
      const [row] = await session.rows("SELECT env, (SELECT secrets FROM job) AS job FROM session");
      return [row?.["env"], row?.["job"]] as string[];
    };
    const before = await sealed();
    setSealKeys(second, first);
    await session.crash();
    await session.wake();
    const after = await sealed();
    expect(after.every(isSealed)).toBe(true);
    // The key's id, which stands in each of them.
    expect(after.map((text) => text.split(":")[2])).not.toEqual(before.map((text) => text.split(":")[2]));
    expect(await session.api.reseal()).toEqual({ ok: true, value: { current: 2, renewed: 0, unreadable: 0 } });
    setSealKeys(second);
    await session.crash();
    const again = { id: "job", command: "printenv TOKEN", env: { A: secret } };
    expect(await session.api.createJob(session.caller, again)).toMatchObject({ ok: true, value: { replayed: true } });
    await session.api.pause(session.caller, 0);
    await session.driveTo("paused");
    await session.api.resume(session.caller, null, 0);
    await session.driveTo("running");
    await session.api.createJob(session.caller, { id: "after", command: "printenv TOKEN" });
    expect(await output(session, "after")).toBe(`${secret}\n`);
    await end(session);
  });

  it("reaches a paused session, which no alarm wakes for days, by an operator's round", async () => {
    const session = await running({ env });
    await session.api.pause(session.caller, 0);
    await session.driveTo("paused");
    setSealKeys(third, first);
    await session.crash();
    expect(await session.api.reseal()).toEqual({ ok: true, value: { current: 0, renewed: 1, unreadable: 0 } });
    setSealKeys(third);
    await session.crash();
    expect(await session.api.reseal()).toEqual({ ok: true, value: { current: 1, renewed: 0, unreadable: 0 } });
    await end(session);
  });

  it("that removes the old key too early blocks what needs it, loses nothing, and is mended by putting it back [SEC-3]", async () => {
    const session = await running({ env });
    await session.api.pause(session.caller, 0);
    await session.driveTo("paused");
    setSealKeys(second);
    await session.crash();
    expect(await session.api.reseal()).toEqual({ ok: true, value: { current: 0, renewed: 0, unreadable: 1 } });
    await session.api.resume(session.caller, null, 0);
    for (let turn = 0; turn < 3; turn += 1) {
      setAhead(2_000);
      await session.wake();
    }
    expect(await session.view()).toMatchObject({ status: "provisioning", blocked: { code: "env_unreadable" } });
    const history = await session.api.events(session.caller, 0, 100, 0);
    expect(JSON.stringify(history)).toContain("not configured");
    expect(JSON.stringify(history)).not.toContain(secret);
    expect(await session.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    // Its deadline passes: it is paused again, with what was saved.
    setAhead(policy.provisionMs);
    await session.driveTo("paused");
    setSealKeys(second, first);
    await session.crash();
    await session.api.resume(session.caller, null, 0);
    await session.driveTo("running");
    await session.api.createJob(session.caller, { id: "well", command: "printenv TOKEN" });
    expect(await output(session, "well")).toBe(`${secret}\n`);
    await end(session);
  });

  it("leaves a queued job whose key is gone where it is, says why, and runs it when the key is back; others overtake it [SEC-3] [FEN-1]", async () => {
    const session = new Rigged();
    session.fate(({ op }) => (op === "launch" ? { type: "fail_before", effect: "none" } : { type: "none" }));
    await session.create({}, 0);
    await session.api.createJob(session.caller, { id: "sealed", command: "printenv TOKEN", env });
    setSealKeys(second);
    await session.crash();
    session.fate(null);
    await session.driveTo("running");
    await session.api.createJob(session.caller, {
      id: "other",
      command: "printenv TOKEN",
      env: { TOKEN: "of its own" },
    });
    expect(await output(session, "other")).toBe("of its own\n");
    const waiting = await session.api.job(session.caller, "sealed", 0);
    expect(waiting).toMatchObject({
      ok: true,
      value: { state: "queued", held_back: { detail: expect.stringContaining("key") as string } },
    });
    expect(await session.api.createJob(session.caller, { id: "sealed", command: "printenv TOKEN", env })).toMatchObject(
      { ok: false, problem: { code: "secret_missing" } },
    );
    setSealKeys(second, first);
    await session.crash();
    await session.wake();
    expect(await output(session, "sealed")).toBe(`${secret}\n`);
    await end(session);
  });

  it("of rows from before there was sealing: plain env and jobs are sealed by the next alarm and still work [SEC-3]", async () => {
    const session = await running({});
    await session.rows("UPDATE session SET env = ?", JSON.stringify(env));
    await session.api.createJob(session.caller, { id: "old", command: "printenv A" });
    await output(session, "old");
    await session.rows("UPDATE job SET secrets = ?", JSON.stringify({ env: { A: secret } }));
    await session.crash();
    await session.wake();
    expect(await stored(session)).not.toContain(secret);
    expect(
      await session.api.createJob(session.caller, { id: "old", command: "printenv A", env: { A: secret } }),
    ).toMatchObject({ ok: true, value: { replayed: true } });
    await session.api.rebuild(session.caller, 0);
    await session.driveTo("running");
    await session.api.createJob(session.caller, { id: "after", command: "printenv TOKEN" });
    expect(await output(session, "after")).toBe(`${secret}\n`);
    await end(session);
  });
});
