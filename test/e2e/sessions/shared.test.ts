/** The short form of `npm run chaos -- --shared`: twenty sessions in two shared containers of the local host. One run, read four times. */
import { beforeAll, describe, expect, it } from "vitest";
import { runShared, type SharedOrder, type SharedResult } from "../../chaos/shared.ts";

const order: SharedOrder = { seed: 7, sessions: 20, containers: 2, stops: 10, perSecond: 5, patienceMs: 400_000 };

let result: SharedResult;
beforeAll(async () => {
  result = await runShared(order, () => {}, new AbortController().signal);
}, 1_300_000);

describe("twenty sessions in two shared containers, ten ended at random while the others work", () => {
  it("are members of exactly as many containers as they need", () => {
    expect(result).toMatchObject({ sessions: order.sessions, containers: order.containers, stopped: order.stops });
  });

  it("no process of another session is ever signalled, by pid, start time and environment [LEA-9] [PHY-18] [CAP-10]", () => {
    expect(result.followed).toBeGreaterThanOrEqual(4 * (order.sessions - order.stops));
    expect(result.walks).toBeGreaterThan(3);
    expect(result.foreignStruck).toEqual([]);
    expect(result.signalsCaught).toEqual([]);
  });

  it("of those that were ended nothing is left [PHY-6]", () => {
    expect(result.left).toEqual([]);
  });

  it("the last one to leave frees its container [CAP-10]", () => {
    expect(result.containersLeft).toBe(0);
  });
});
