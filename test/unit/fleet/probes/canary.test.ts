/** The canary over the real audit, reaper, control and provider in memory: what finds it, and what is said when nothing does. */
import { describe, expect, it } from "vitest";
import { applyPlan } from "../../../../src/fleet/audits/apply-plan.ts";
import { makePlan } from "../../../../src/fleet/audits/make-plan.ts";
import { canaryIsMissed, type CanaryState, noCanary, parseCanary } from "../../../../src/domain/probes/canary.ts";
import { tendCanary } from "../../../../src/fleet/probes/canary.ts";
import { FleetRig } from "../../../support/fleet-rig.ts";

const minute = 60_000;
const hour = 60 * minute;

class CanaryRig extends FleetRig {
  tend(on = true): Promise<void> {
    const terms = { on, provider: "memory", audit: this.auditTerms, auditEveryMs: hour } as const;
    return this.done(tendCanary(this.ports, terms));
  }

  async audit(): Promise<void> {
    const plan = await this.done(makePlan(this.ports, this.auditTerms, "cron"));
    await this.done(applyPlan(this.ports, this.auditTerms, { planId: plan.id, hash: plan.hash, by: "cron" }));
  }

  async state(): Promise<CanaryState> {
    const kept = await this.control.document("probe", "canary");
    return kept === null ? noCanary : parseCanary(kept.body);
  }
}

describe("the canary", () => {
  it("is an orphan to everybody, is found by the hourly audit, and says how long it lived", async () => {
    const rig = new CanaryRig();
    await rig.tend();
    const { planted } = await rig.state();
    expect(planted).toMatchObject({ provider: "memory", by: "audit", host: "memory-host" });
    expect(rig.alive()).toEqual([planted?.sessionId]);
    expect(await rig.registry.ledger()).toMatchObject({ used: 0 });
    // Looked at with each tick, and not touched.
    await rig.time.run(hour);
    await rig.tend();
    expect(rig.alive()).toEqual([planted?.sessionId]);
    await rig.audit();
    expect(rig.alive()).toEqual([]);
    await rig.tend();
    const { last } = await rig.state();
    expect(last).toMatchObject({ by: "audit", plantedAt: planted?.plantedAt });
    expect((last?.endedAt ?? 0) - (last?.plantedAt ?? 0)).toBeGreaterThanOrEqual(hour);
    expect(canaryIsMissed(await rig.state(), rig.clock.now())).toBe(false);
    // One a day.
    await rig.tend();
    expect((await rig.state()).planted).toBeNull();
    await rig.time.run(24 * hour);
    await rig.tend();
    expect((await rig.state()).planted).not.toBeNull();
  });

  it("that no audit finds is missed once it is due, and is then ended from here, with proof", async () => {
    const rig = new CanaryRig();
    await rig.tend();
    const dueAt = (await rig.state()).planted?.dueAt ?? 0;
    await rig.time.run(dueAt - rig.clock.now() + minute);
    await rig.tend();
    expect(canaryIsMissed(await rig.state(), rig.clock.now())).toBe(true);
    expect(rig.alive()).toHaveLength(1);
    await rig.time.run(hour);
    await rig.tend();
    expect(rig.alive()).toEqual([]);
    expect(await rig.state()).toMatchObject({ planted: null, last: { by: "nobody" } });
    expect(rig.said("canary was not found in time")).toBe(true);
    // Until the next one was found in time.
    expect(canaryIsMissed(await rig.state(), rig.clock.now())).toBe(true);
  });

  it("ends itself where the provider cannot list what it has, and only its own fence can", async () => {
    const rig = new CanaryRig();
    rig.alter({ capabilities: { ...rig.sandbox.capabilities, enumerate: false } });
    await rig.tend();
    const { planted } = await rig.state();
    expect(planted?.by).toBe("itself");
    const { leaseTtlMs, launchCallMs, readyWaitMs, stopGraceMs } = rig.auditTerms.policy;
    await rig.time.run(leaseTtlMs + launchCallMs + readyWaitMs + stopGraceMs + minute);
    expect(rig.alive()).toEqual([]);
    await rig.tend();
    expect(await rig.state()).toMatchObject({ planted: null, last: { by: "itself" } });
    expect(canaryIsMissed(await rig.state(), rig.clock.now())).toBe(false);
  });

  it("is not planted where it is off, and not counted when its launch certainly came to nothing", async () => {
    const rig = new CanaryRig();
    await rig.tend(false);
    expect(await rig.state()).toEqual(noCanary);
    const failure = { code: "no_capacity", effect: "none", message: "full", detail: "" } as const;
    rig.alter({ launch: async () => ({ ok: false, failure }) });
    await rig.tend();
    expect(await rig.state()).toEqual(noCanary);
    expect(rig.said("canary not planted")).toBe(true);
  });

  it("whose launch was never answered is forgotten when its time is over: nobody is paged for what may never have been", async () => {
    const rig = new CanaryRig();
    rig.alter({ launch: async () => Promise.reject(new Error("the network is down")) });
    await rig.tend();
    const { planted } = await rig.state();
    expect(planted?.host).toBeNull();
    await rig.time.run((planted?.dueAt ?? 0) - rig.clock.now() + 2 * hour);
    await rig.tend();
    expect(await rig.state()).toEqual(noCanary);
  });
});
