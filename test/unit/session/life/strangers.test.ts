/** Processes with a session's marks that Mooring did not launch: they neither hold up its end nor outlive it. */
import { expect, it } from "vitest";
import type { SandboxId } from "../../../../src/domain/state/ids.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

it("a legacy wrapper is left alone while the session lives, and stopped before the receipt [PHY-4]", async () => {
  const rig = new SessionRig();
  const view = await rig.running({ idle_timeout_seconds: null });
  const { world } = rig.rig;
  const legacy = world.mischief.addLegacy(rig.id, `${rig.id}-g${view.generation}` as SandboxId, null);
  await rig.pass(120_000);
  expect(await rig.view()).toMatchObject({ status: "running", generation: view.generation });
  expect(world.processes()).toContain(legacy);
  await rig.during(60_000, rig.commands.delete(caller, "requested"));
  expect(world.processes()).toEqual([]);
  const { status, teardown } = await rig.view();
  expect(status).toBe("terminated");
  // The first attempt aims at the lease's own instance alone, the second at all that carries the generation's marks.
  expect(teardown?.attempts.map((attempt) => attempt.outcome)).toEqual(["still_present", "verified_absent"]);
});
