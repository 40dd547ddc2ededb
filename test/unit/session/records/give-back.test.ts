/** A reservation that no lease was opened for is owed to the registry until it has taken it back, through evictions and outages. */
import { expect, it } from "vitest";
import type { Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

it("is stored, so no eviction forgets it; how long it waits between two tries is not, and need not be [CAP-6]", async () => {
  const rig = new SessionRig();
  // Nobody says whether the sandbox id is free: a place is reserved, and no lease is opened.
  rig.fault = ({ op }): Fault => (op === "observe" ? { type: "fail_before", effect: "none" } : { type: "none" });
  await rig.running();
  let tries = 0;
  let reached = false;
  rig.registryFate = (call) => {
    if (call !== "cancelReservation") return Promise.resolve();
    tries += 1;
    return reached ? Promise.resolve() : Promise.reject(new Error("the network is down"));
  };
  await rig.commands.delete(caller, "requested");
  const owed = () => rig.sql.run("SELECT json_extract(record, '$.cancellations') AS owed FROM session")[0]?.["owed"];
  await rig.pass(hour);
  expect(owed()).not.toBe("[]");
  // The waits between the tries doubled up to five minutes.
  expect(tries).toBeGreaterThan(10);
  expect(tries).toBeLessThan(25);

  // An eviction forgets the wait only: each life tries once soon after its first wake, and then waits again.
  for (let life = 1; life <= 3; life += 1) {
    const before = tries;
    rig.reincarnate();
    await rig.pass(6 * minute);
    expect(tries - before).toBeGreaterThan(0);
    expect(tries - before).toBeLessThan(8);
  }
  // Not even its retention erases a session that owes something.
  await rig.pass(rig.policy.retentionMs + hour);
  expect(owed()).not.toBe("[]");

  reached = true;
  await rig.pass(10 * minute);

  expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [], counts: { cancelled: 1, reserved: 0 } });
  expect(rig.sql.run("SELECT name FROM sqlite_master WHERE name = 'session'")).toEqual([]);
});
