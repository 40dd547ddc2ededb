/** What is told of a session to its tenant's registry and to the index. Each of these failed before its defect was mended. */
import { describe, expect, it } from "vitest";
import { refuseEvents } from "../../../support/refused-events.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const second = 1_000;

it("an id used again in the life that erased it is reported anew, to its end [FLT-2] [CAP-6]", async () => {
  const rig = new SessionRig({ retentionMs: 5 * second });
  await rig.running();
  // The first reaches a higher version than the second ever will: what was confirmed of it must not count.
  for (let index = 0; index < 5; index += 1) {
    await rig.commands.timeout(caller, "timeout", 600 + index);
    await rig.pass(second);
  }
  await rig.commands.delete(caller, "requested");
  await rig.pass(20 * second);
  expect(rig.commands.state.mode.type).toBe("absent");
  const told = rig.indexed.length;
  const since = () => rig.indexed.slice(told).map((report) => (report.erased ? "erased" : report.status));

  const { generation } = await rig.running();
  await rig.pass(10 * second);
  expect(rig.indexed.at(-1)).toMatchObject({ status: "running", version: rig.commands.state.version });
  expect(rig.registry.ledger()).toMatchObject({ used: 1, counts: { held: 1, proven: 1 }, imbalances: [] });
  await rig.commands.delete(caller, "requested");
  await rig.pass(3 * second);
  expect(since().at(-1)).toBe("terminated");
  expect(rig.registry.ledger()).toMatchObject({ used: 0, counts: { granted: 2, proven: 2 }, imbalances: [] });
  expect(rig.registry.receipts.receipt(rig.id, null)).toMatchObject({ phase: "closed", generation });
  await rig.pass(20 * second);
  expect(since().at(-1)).toBe("erased");
});

it("a crash between the end and its report leaves the alarm close by, so quota is given back soon [CAP-6] [I5]", async () => {
  const rig = new SessionRig();
  await rig.running();
  await rig.pass(20 * second);
  let crashes = 0;
  rig.registryFate = (call) => {
    const over = rig.sql.run("SELECT 1 FROM lease WHERE phase = 'closed'").length > 0;
    if (call !== "report" || !over || crashes > 0) return Promise.resolve();
    crashes += 1;
    rig.reincarnate();
    return new Promise(() => {});
  };
  await rig.commands.delete(caller, "requested");
  // Nobody asks and no maintenance comes by: only its own alarm can bring it back.
  await rig.pass(60 * second);
  expect(crashes).toBe(1);
  expect(rig.registry.ledger()).toMatchObject({ used: 0, counts: { proven: 1 }, imbalances: [] });
});

it("a heartbeat that fails takes nothing back of what both have heard: it is not told again a week later [CAP-6]", async () => {
  const rig = new SessionRig();
  await rig.running();
  await rig.pass(20 * second);
  rig.registryFate = (call) =>
    call === "report" ? Promise.reject(new Error("the network is down")) : Promise.resolve();
  await rig.commands.timeout(caller, "timeout", 600);
  await rig.pass(0);
  const { version } = rig.commands.state;
  expect(rig.indexed.at(-1)?.version).toBe(version);
  // The registry hears it now, and the index, asked once more for the heartbeat's sake, does not answer.
  rig.registryFate = () => Promise.resolve();
  rig.indexFails = true;
  await rig.commands.poke("maintenance");
  await rig.pass(11 * second);
  expect(rig.sql.run("SELECT reported_version FROM session")).toEqual([{ reported_version: version }]);
});

describe("a version that a rolled-back write had counted", () => {
  it("[BUG-1] does not keep the end of the session from its registry after an eviction", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: null, timeout_seconds: 86_400 });
    await rig.pass(20 * second);
    rig.commitFails = true;
    for (let tries = 0; tries < 6; tries += 1)
      expect(await rig.commands.timeout(caller, "timeout", 3_600 + tries)).toMatchObject({ ok: false });
    rig.commitFails = false;
    await rig.pass(180 * second);
    expect(rig.sql.run("SELECT version FROM session")).toEqual([{ version: rig.commands.state.version }]);
    rig.reincarnate();
    await rig.commands.delete(caller, "requested");
    await rig.pass(300 * second);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    expect(rig.registry.receipts.receipt(rig.id, null)).toMatchObject({ phase: "closed" });
    await rig.pass(rig.policy.retentionMs + 3_600 * second);
    expect(rig.commands.state.mode.type).toBe("absent");
    expect(rig.indexed.at(-1)).toMatchObject({ erased: true });
  });

  it("[BUG-1] counts no job as ended whose end was rolled back", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: null });
    await rig.commands.createJob(caller, { command: "sleep 600" });
    await rig.pass(5 * second);
    // The job is settled in the write that closes its lease, and that write fails.
    rig.fault = ({ op }) => (op === "endJob" ? { type: "fail_before", effect: "unknown" } : { type: "none" });
    refuseEvents(rig.sql, "sandbox_gone");
    await rig.commands.delete(caller, "requested");
    await rig.pass(200 * second);
    rig.sql.run("DROP TRIGGER broken");
    await rig.pass(600 * second);
    expect(await rig.view()).toMatchObject({ status: "terminated" });
    expect(rig.indexed.at(-1)?.outcomes.jobsEnded).toBe(1);
  });
});

describe("a registry or an index that holds another version than the session's row", () => {
  it("[BUG-1] above it takes the next report all the same, and rows are erased by the answer to the erasure alone", async () => {
    const rig = new SessionRig({ retentionMs: 5 * second });
    await rig.running();
    await rig.pass(20 * second);
    // As older code left them: both receivers hold what was confirmed to it, the row is behind.
    rig.sql.run("UPDATE session SET version = 2");
    rig.reincarnate();
    await rig.commands.delete(caller, "requested");
    await rig.pass(60 * second);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    expect(rig.registry.sessions(null, 10)[0]?.erasedAt).not.toBeNull();
    expect(rig.commands.state.mode.type).toBe("absent");
  });

  it("[BUG-1] [BUG-13] a registry that lost its rows hears again of a session that changes nothing", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: null, timeout_seconds: 86_400 });
    await rig.pass(20 * second);
    rig.forgetRegistry();
    expect(rig.registry.ledger().used).toBe(0);
    await rig.pass(rig.policy.reportEveryMs + 2 * rig.policy.renewMs);
    expect(rig.registry.ledger().used).toBe(1);
    rig.forgetRegistry();
    await rig.commands.poke("maintenance");
    await rig.pass(second);
    expect(rig.registry.ledger().used).toBe(1);
  });
});
