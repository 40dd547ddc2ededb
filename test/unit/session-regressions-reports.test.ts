/** What is told of a session to its tenant's registry and to the index. Each of these failed before its defect was mended. */
import { expect, it } from "vitest";
import { caller, SessionRig } from "../support/session-rig.ts";

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
  expect(rig.registry.receipt(rig.id, null)).toMatchObject({ phase: "closed", generation });
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
