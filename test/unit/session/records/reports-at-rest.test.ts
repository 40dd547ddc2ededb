import { describe, expect, it } from "vitest";
import type { Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const second = 1_000;
const told = (rig: SessionRig) => rig.indexed.map(({ status }) => status);

describe("a report of a session that is between two states", () => {
  it("waits for what it comes to: a quick life is told twice", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: null });
    expect(told(rig)).toEqual(["running"]);
    await rig.commands.delete(caller, "requested");
    await rig.pass(5 * second);
    expect(told(rig)).toEqual(["running", "terminated"]);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
  });

  it("does not wait long: a slow launch and a slow stop are told of while they last", async () => {
    const rig = new SessionRig();
    rig.fault = ({ op }): Fault =>
      op === "launch" || op === "stop" ? { type: "slow", ms: 6 * second } : { type: "none" };
    void rig.commands.create(rig.id, caller, { idle_timeout_seconds: null }, null, 0);
    await rig.pass(3 * second);
    expect(told(rig)).toEqual(["provisioning"]);
    await rig.pass(10 * second);
    expect(told(rig)).toEqual(["provisioning", "running"]);
    await rig.commands.delete(caller, "requested");
    await rig.pass(3 * second);
    expect(told(rig)).toEqual(["provisioning", "running", "terminating"]);
  });

  it("is made up for by the alarm when the object is gone before it was sent", async () => {
    const rig = new SessionRig();
    rig.fault = ({ op }): Fault => (op === "stop" ? { type: "hang", deaf: true } : { type: "none" });
    await rig.running({ idle_timeout_seconds: null });
    await rig.commands.delete(caller, "requested");
    await rig.pass(second);
    rig.reincarnate();
    await rig.pass(15 * second);
    expect(told(rig)).toEqual(["running", "terminating"]);
  });
});
