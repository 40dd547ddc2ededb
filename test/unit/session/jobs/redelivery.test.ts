/** A hand-over that is repeated: what the repeat did not do says nothing about what the first one did. */
import { expect, it } from "vitest";
import type { SandboxId } from "../../../../src/domain/state/ids.ts";
import type { Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

it("a job whose repeated hand-over certainly failed is not run again on a successor [FEN-6]", async () => {
  const rig = new SessionRig();
  const { generation } = await rig.running({ on_loss: "relaunch" });
  // It runs and nobody heard so. Then its sandbox is gone, and no repeat even leaves.
  let sends = 0;
  rig.fault = ({ op, generation: aimed }): Fault => {
    if (op !== "startJob" || aimed !== generation) return { type: "none" };
    sends += 1;
    return sends === 1 ? { type: "lost_reply" } : { type: "fail_before", effect: "none" };
  };
  await rig.commands.createJob(caller, { id: "once", command: "sleep 3000", timeout_seconds: 6_000 });
  await rig.pass(1_000);
  rig.rig.world.mischief.disappear(`${rig.id}-g${generation}` as SandboxId);
  await rig.pass(10 * 60_000);
  const view = await rig.view();
  expect(view.status).toBe("running");
  expect(view.generation).toBeGreaterThan(generation ?? 0);
  expect(sends).toBeGreaterThan(1);
  const accepted = rig.rig.world.journal.since(0).filter((entry) => entry.type === "jobAccepted");
  expect(accepted).toHaveLength(1);
  expect((await rig.job("once")).state).toBe("lost");
});

it("a job that comes back from its sending into a session that has ended meanwhile ends with it, and waits for nobody [FEN-2]", async () => {
  const rig = new SessionRig();
  await rig.running();
  rig.fault = ({ op }): Fault => {
    if (op !== "startJob") return { type: "none" };
    void rig.commands.delete(caller, "requested");
    return { type: "fail_before", effect: "none" };
  };
  await rig.commands.createJob(caller, { id: "late", command: "true" });
  await rig.pass(60_000);
  expect(rig.calls("startJob")).toBe(1);
  expect((await rig.view()).status).toBe("terminated");
  expect((await rig.job("late")).state).toBe("cancelled");
});
