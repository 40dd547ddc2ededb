/** Sessions that the index knows and their registry does not, as after a registry was put back from an old backup. */
import { describe, expect, it } from "vitest";
import { remindMissing } from "../../../src/fleet/audits/missing-sessions.ts";
import { runLayers } from "../../../src/fleet/layers/run-layers.ts";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import { FleetRig, hung } from "../../support/fleet-rig.ts";
import { report, sessionId } from "../../support/reports.ts";

const [a, b, c] = [sessionId("a"), sessionId("b"), sessionId("c")];

/** Reported to the index alone, a day after its creation. */
function lost(rig: FleetRig, id: typeof a, status: "paused" | "terminated"): void {
  rig.index.report(report(id, 7, { status, leases: [] }));
}

describe("a registry that lost rows", () => {
  it("[BUG-13] hears again of paused and ended sessions: an audit tells them to look, and no other", async () => {
    const rig = new FleetRig();
    lost(rig, a, "paused");
    lost(rig, b, "terminated");
    await rig.known(c, { status: "paused", leases: [] });
    rig.pokes = (id) => void rig.registry.report(report(id, 8, { status: "paused", leases: [] }));
    expect(await rig.done(remindMissing(rig.ports, rig.auditTerms))).toBe(2);
    expect(rig.poked.toSorted()).toEqual([a, b].toSorted());
    expect((await rig.registry.sessions(null, 10)).map((each) => each.sessionId).toSorted()).toEqual(
      [a, b, c].toSorted(),
    );
    expect(await rig.done(remindMissing(rig.ports, rig.auditTerms))).toBe(0);
  });

  it("[BUG-13] is reminded by the audit of the cron", async () => {
    const rig = new FleetRig();
    lost(rig, a, "paused");
    await rig.done(runLayers(rig.ports, { policy: defaultPolicy, cleanup: rig.cleanupTerms, audit: rig.auditTerms }));
    expect(rig.poked).toEqual([a]);
  });

  it("[BUG-13] that does not answer has lost nothing, as far as anybody knows: nobody is told", async () => {
    const rig = new FleetRig();
    lost(rig, a, "paused");
    rig.ports.tenant = () => ({ ...rig.registry, sessions: hung });
    expect(await rig.done(remindMissing(rig.ports, rig.auditTerms))).toBe(0);
    expect(rig.poked).toEqual([]);
  });
});
