/** The alerts, over the real control, index and watch: what makes each fire, what holds it, what clears it. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { alertRules } from "../../../src/fleet/alerts/alert-rules.ts";
import { nextAlertState } from "../../../src/fleet/alerts/alert.ts";
import { layerNames } from "../../../src/fleet/layers/run-layers.ts";
import { noDrills } from "../../../src/domain/probes/restore-drills.ts";
import { blockedCodes, sessionStatuses } from "../../../src/protocol/resources/session/sessions.ts";
import type { OutcomeCounts } from "../../../src/session/reports/reports.ts";
import { born, sessionId } from "../../support/reports.ts";
import { counted, minute, WatchedFleet } from "../../support/watched-fleet.ts";

const everyRule = alertRules.map((rule) => rule.name).sort();
const others = everyRule.filter((name) => name !== "fleet_unobservable");

describe("the watch", () => {
  it("fires every alert in one bad hour, holds them while it is blind, and clears each when all is well [FLT-13] [FLT-7]", async () => {
    const fleet = new WatchedFleet();
    let jobs = 0;
    const probe = (id: string, body: object) =>
      void fleet.control.putDocument({ kind: "probe", id, body: JSON.stringify(body) });
    const lost = {
      sessionId: sessionId("lost"),
      tenant: "acme",
      snapshotId: "s",
      since: born,
      tries: 2,
      why: "damaged",
    };
    probe("canary", { planted: null, last: { plantedAt: born, endedAt: born + 1, by: "nobody" } });
    probe("restore_drill", { ...noDrills, failing: [lost] });
    const bad = () => {
      jobs += 10;
      const outcomes: OutcomeCounts = counted({
        jobsEnded: jobs,
        jobsTimedOut: jobs / 5,
        provisionFailures: jobs,
        launches: 5,
      });
      fleet.session("stuck", { status: "provisioning", stuckSince: born, outcomes });
      fleet.run("age", "failed");
    };
    const well = () => {
      jobs += 10;
      const outcomes = counted({ jobsEnded: jobs, launches: jobs, launched: jobs, since: born + minute });
      fleet.session("stuck", { outcomes });
      for (const layer of layerNames) fleet.run(layer, "ok");
    };
    for (const name of ["one", "two"]) fleet.session(name, { blocked: "unreadable" });
    fleet.session("parked", { status: "terminating", blocked: "parked", stuckSince: born, teardownOverdueFrom: born });
    fleet.budget = { level: "near", until: born + 600 * minute };
    fleet.active(95);
    expect(fleet.firing(await fleet.look())).not.toContain("sandbox_count_high");
    const worst = await fleet.pass(32, bad);
    expect([...fleet.firing(worst)].sort()).toEqual(others);

    // Blind: everything is mended meanwhile, and nobody can know.
    fleet.shardFails = true;
    for (const name of ["one", "two", "parked"]) fleet.session(name);
    fleet.budget = null;
    fleet.active(3);
    probe("canary", { planted: null, last: { plantedAt: born, endedAt: born + 1, by: "audit" } });
    probe("restore_drill", noDrills);
    const blind = await fleet.pass(3, well);
    // FleetControl's own: no shard is needed to see them.
    const seen = [
      ...["canary_missed", "capacity_high", "cleanup_failing", "cleanup_silent", "quota_exhausted", "restore_failed"],
    ];
    expect([...fleet.firing(blind)].sort()).toEqual(everyRule.filter((name) => !seen.includes(name)));

    fleet.shardFails = false;
    expect(fleet.firing(await fleet.pass(17, well))).toEqual([]);
    const changes = (change: string) =>
      fleet.told.filter((notice) => notice.change === change).map((notice) => notice.alert);
    expect(changes("fired").sort()).toEqual(everyRule);
    expect(changes("cleared").sort()).toEqual(everyRule);
    expect(fleet.logged.filter((line) => line.startsWith("alert fired"))).toHaveLength(everyRule.length);
  });

  it("warns of a tenant near its budget for the month or at it, by name, until the month is over [EVI-4]", async () => {
    const fleet = new WatchedFleet();
    fleet.budget = { level: "used_up", until: fleet.now + 5 * minute };
    fleet.active(1);
    const board = await fleet.look();
    expect(fleet.firing(board)).toContain("tenant_budget");
    expect(board.alerts.find(({ name }) => name === "tenant_budget")?.context).toMatchObject({
      ...{ count: 1, used_up: "acme", near: "" },
    });
    expect(fleet.firing(await fleet.pass(5))).not.toContain("tenant_budget");
  });

  it("pages for a parked ghost of a session that runs, from the moment it is overdue [FLT-13]", async () => {
    const fleet = new WatchedFleet();
    fleet.session("haunted", { teardownOverdueFrom: fleet.now + 2 * minute });
    expect(fleet.firing(await fleet.look())).toEqual([]);
    expect(fleet.firing(await fleet.pass(3))).toEqual(["teardown_overdue"]);
    fleet.session("haunted");
    expect(fleet.firing(await fleet.look())).toEqual([]);
  });

  it("pages for a shared container whose end is past its bound, by its name, until it is proven or asserted gone [FLT-13] [FLT-15]", async () => {
    const fleet = new WatchedFleet();
    fleet.containers({ "shared-early": fleet.now + 2 * minute, "shared-late": fleet.now + 60 * minute });
    expect(fleet.firing(await fleet.look())).toEqual([]);
    const board = await fleet.pass(3);
    expect(fleet.firing(board)).toEqual(["teardown_overdue"]);
    const overdue = board.alerts.find(({ name }) => name === "teardown_overdue");
    expect(overdue?.context).toEqual({
      ...{ count: 1, oldest_seconds: 60, sessions: "", containers: "shared-early", tenants: "acme" },
    });
    fleet.shardFails = true;
    fleet.containers({});
    expect(fleet.firing(await fleet.look())).toContain("teardown_overdue");
    fleet.shardFails = false;
    expect(fleet.firing(await fleet.look())).toEqual([]);
  });

  it("calls records of newer code by their name, not stuck [FLT-13] [LEA-19]", async () => {
    const fleet = new WatchedFleet();
    for (const name of ["one", "two"]) {
      fleet.session(name, { nextDeadline: fleet.now });
      const nextDeadline = fleet.now + 10 * minute;
      fleet.index.markBlocked({ sessionId: sessionId(name), blocked: "newer_record", nextDeadline });
    }
    expect(fleet.firing(await fleet.look())).toEqual(["records_unreadable"]);
    for (const name of ["one", "two"]) fleet.session(name);
    expect(fleet.firing(await fleet.look())).toEqual([]);
  });

  it("is stored, so that an alert goes on where it was after the object is gone [FLT-13]", async () => {
    const fleet = new WatchedFleet();
    fleet.active(25);
    await fleet.pass(3);
    const board = JSON.parse(fleet.control.document("alert_state", "board")?.body ?? "null") as typeof pending;
    const pending = await fleet.look();
    expect(board.alerts.find((alert) => alert.name === "sandbox_leak_detected")?.phase).toBe("pending");
    // The next look is by another incarnation: it has nothing but the rows, and takes the wait from there.
    expect(fleet.firing(await fleet.pass(3))).toEqual(["sandbox_leak_detected"]);
  });

  it("tells what changed until it is taken, and each change once [FLT-13]", async () => {
    const fleet = new WatchedFleet();
    fleet.session("stuck", { status: "provisioning", stuckSince: born });
    fleet.webhookFails = true;
    await fleet.pass(12);
    expect(fleet.told).toEqual([]);
    fleet.webhookFails = false;
    await fleet.pass(3);
    expect(fleet.told.filter((notice) => notice.alert === "session_stuck")).toHaveLength(1);
    const [notice] = fleet.told.filter((each) => each.alert === "session_stuck");
    expect(notice?.context).toMatchObject({ count: 1, sessions: "stuck000000000000000", tenants: "acme" });
  });
});

describe("the points for Analytics Engine", () => {
  it("are one for each look at the whole fleet, with one index, and none while a shard is silent [FLT-14]", async () => {
    const fleet = new WatchedFleet();
    fleet.active(7);
    await fleet.pass(2);
    fleet.shardFails = true;
    await fleet.pass(2);
    expect(fleet.points).toHaveLength(2);
    const [point] = fleet.points;
    expect(point?.indexes).toEqual(["fleet"]);
    expect(point?.doubles.slice(0, 5)).toEqual([0, 7, 0, 7, 100]);
    expect(point?.doubles.length).toBeLessThanOrEqual(20);
  });
});

describe("sandbox_timeout_high", () => {
  async function rate(timedOut: number, ended: number, fleet = new WatchedFleet()): Promise<boolean> {
    fleet.session("a", { outcomes: counted({ jobsEnded: ended, jobsTimedOut: timedOut, since: fleet.now }) });
    return fleet.firing(await fleet.look()).includes("sandbox_timeout_high");
  }

  it("fires above five per cent of at least twenty, and exactly there [FLT-13]", async () => {
    expect(await rate(5, 100)).toBe(false);
    expect(await rate(6, 100)).toBe(true);
    expect(await rate(19, 19)).toBe(false);
    expect(await rate(20, 20)).toBe(true);
  });

  it("holds at two per cent and clears below [FLT-13]", async () => {
    const fleet = new WatchedFleet();
    expect(await rate(6, 100, fleet)).toBe(true);
    fleet.session("b", { outcomes: counted({ jobsEnded: 200 }) });
    expect(fleet.firing(await fleet.look())).toContain("sandbox_timeout_high");
    fleet.session("c", { outcomes: counted({ jobsEnded: 1 }) });
    expect(fleet.firing(await fleet.look())).toEqual([]);
  });

  it("counts calls and provisions that ran out of time, in fifteen minutes and no longer [FLT-13]", async () => {
    const fleet = new WatchedFleet({ layerEveryMs: {} });
    fleet.session("a", { outcomes: counted({ launches: 30, launched: 30, provisionTimeouts: 1, callsTimedOut: 1 }) });
    expect(fleet.firing(await fleet.look())).toEqual(["sandbox_timeout_high"]);
    expect(fleet.firing(await fleet.pass(5))).toEqual(["sandbox_timeout_high"]);
    expect(fleet.firing(await fleet.pass(11))).toEqual([]);
  });

  it("hears of what happened once, however often it is told [FLT-2]", async () => {
    const fleet = new WatchedFleet();
    for (let told = 0; told < 30; told += 1)
      fleet.session("a", { outcomes: counted({ jobsEnded: 1, jobsTimedOut: 1 }) });
    expect(fleet.index.outcomes(null)).toMatchObject({ jobsEnded: 1, jobsTimedOut: 1 });
    // A new incarnation counts from nothing, and an old one's words come late.
    fleet.session("a", { outcomes: counted({ jobsEnded: 2, since: born + 5 }) });
    fleet.session("a", { outcomes: counted({ jobsEnded: 9, since: born }) });
    expect(fleet.index.outcomes(null)).toMatchObject({ jobsEnded: 3, jobsTimedOut: 1 });
  });
});

describe("sandbox_leak_detected", () => {
  it("fires over twenty only when it lasts, holds down to five, and clears below [FLT-13]", async () => {
    const fleet = new WatchedFleet({ layerEveryMs: {} });
    fleet.active(21);
    await fleet.pass(4);
    fleet.active(20);
    await fleet.pass(1);
    fleet.active(21);
    expect(fleet.firing(await fleet.pass(5))).toEqual([]);
    expect(fleet.firing(await fleet.pass(1))).toEqual(["sandbox_leak_detected"]);
    fleet.active(5);
    expect(fleet.firing(await fleet.pass(2))).toEqual(["sandbox_leak_detected"]);
    fleet.active(4);
    expect(fleet.firing(await fleet.pass(1))).toEqual([]);
  });
});

describe("the maintenance alerts", () => {
  it("one failed run is no alert, two are, and one that is well clears them [FLT-7] [FLT-13]", async () => {
    const fleet = new WatchedFleet();
    fleet.run("sweep", "failed");
    expect(fleet.firing(await fleet.pass(1))).toEqual([]);
    fleet.run("sweep", "failed");
    expect(fleet.firing(await fleet.pass(1))).toEqual(["cleanup_failing"]);
    fleet.run("sweep", "ok");
    expect(fleet.firing(await fleet.pass(1))).toEqual([]);
  });

  it("a layer that did not run for two intervals is missed, and not before [FLT-7]", async () => {
    const fleet = new WatchedFleet({ layerEveryMs: { sweep: 5 * minute } });
    await fleet.look();
    expect(fleet.firing(await fleet.pass(11))).toEqual([]);
    expect(fleet.firing(await fleet.pass(1))).toEqual(["cleanup_silent"]);
    fleet.run("sweep", "failed");
    expect(fleet.firing(await fleet.pass(1))).toEqual([]);
  });
});

describe("a session past its deadline", () => {
  it("is stuck even when it cannot say so itself [FLT-5] [FLT-13]", async () => {
    const fleet = new WatchedFleet({ layerEveryMs: {} });
    fleet.session("silent", { nextDeadline: born + minute });
    expect(fleet.firing(await fleet.pass(12))).toEqual([]);
    expect(fleet.firing(await fleet.pass(1))).toEqual(["session_stuck"]);
    fleet.session("silent");
    expect(fleet.firing(await fleet.pass(1))).toEqual([]);
  });
});

describe("every alert", () => {
  it("has a severity, words, a command and its own section in the operations page [FLT-13]", () => {
    const page = readFileSync("docs/operations.md", "utf8");
    for (const rule of alertRules) {
      expect(page).toContain(`\n### ${rule.name}\n`);
      expect(rule.summary.length).toBeGreaterThan(20);
      expect(rule.command).toMatch(/^curl /);
    }
    expect(new Set(everyRule).size).toBe(alertRules.length);
  });

  it("and every status and block that an operator can find has its row among the ways out", () => {
    const page = readFileSync("docs/operations.md", "utf8");
    const table = page.slice(page.indexOf("## Every state"), page.indexOf("## Alerts"));
    const rows = table.split("\n").filter((line) => line.startsWith("| ") && line.includes("`"));
    const first = rows.map((row) => row.split("|")[1] ?? "").join(" ");
    for (const word of [...sessionStatuses, ...blockedCodes]) expect(first).toContain(`\`${word}\``);
  });

  it("moves on nothing that was not seen [FLT-13]", () => {
    const firing = { phase: "firing", since: 1, context: {} } as const;
    const pending = { phase: "pending", since: 1, context: {} } as const;
    expect(nextAlertState(firing, { type: "unknown" }, 0, 9)).toEqual({ state: firing, change: null });
    expect(nextAlertState(pending, { type: "unknown" }, 5, 9)).toEqual({ state: pending, change: null });
  });
});
