/**
 * The short form of `npm run chaos`: a handful of faults at a real stack, then the whole control plane killed. One run;
 * each test reads one promise off it. What is alive is told by /proc alone.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { Journal } from "../../chaos/journal.ts";
import { type ChaosOrder, fencedMs } from "../../chaos/order.ts";
import { type ChaosResult, runChaos } from "../../chaos/run.ts";

const order: ChaosOrder = {
  seed: 20,
  rounds: 0,
  minutes: 0,
  sessions: 4,
  figures: false,
  slowFaults: false,
  // No session may be lost on a machine that stands still for a while, and the blackout waits for it.
  ttlMs: 24_000,
  script: [
    ["workerd SIGKILL", "launching"],
    ["same instance twice", "working"],
    ["wrapper SIGKILL", "working"],
    ["workerd SIGKILL", "stopping"],
    ["host stop: lost reply", "stopping"],
    ["host SIGKILL", "launching"],
  ],
};

let result: ChaosResult;
beforeAll(async () => {
  const journal = new Journal(false, false);
  result = await runChaos(order, journal, new AbortController().signal);
  // The story of a run that broke a promise is worth more than the sentence that it did.
  if (result.breaches.length > 0) process.stderr.write(`${journal.recent.join("\n")}\n`);
  // Three minutes when two cores are half busy with something else: the run keeps bounds of its own.
}, 900_000);

describe("a stack of real processes under faults", () => {
  it("breaks no promise to any session: status, receipt, jobs, list and ledger", () => {
    expect(result.breaches).toEqual([]);
    expect(result.rounds).toBe(order.script?.length);
    expect(result.sessions).toBeGreaterThan(5);
  });

  it("killed while launching and stopping, goes on from what it stored until everything has settled [LEA-7]", () => {
    expect(result.afterFaults.lastReceiptMs).not.toBeNull();
    expect(result.afterFaults.lastProcessMs).not.toBeNull();
  });

  it("killed whole, with a wrapper killed and one frozen, leaves no process after lease TTL and grace [PHY-11] [PHY-13]", () => {
    expect(result.blackout.processesBefore).toBeGreaterThan(9);
    expect(result.blackout.zeroAfterMs).not.toBeNull();
    expect(result.blackout.zeroAfterMs).toBeLessThanOrEqual(fencedMs(order.ttlMs));
  });

  it("back again, tells each loss as its session ordered, and a replacement as one [REB-5] [FEN-11]", () => {
    expect(result.fates).toEqual({ hold: "lost", relaunch: "running", terminate: "failed" });
    expect(result.judged.replaced).toBeGreaterThan(0);
  });

  it("has a receipt with two looks for every session that had a sandbox, and nothing is left [DEL-7]", () => {
    expect(result.afterAll.lastReceiptMs).not.toBeNull();
    expect(result.judged.receipts).toBeGreaterThan(3);
    expect(result.leftovers).toBe(0);
    expect(result.books).toMatchObject({ used: 0, breaches: [] });
  });
});
