import { describe, expect, it } from "vitest";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import type { LogFields, Logger } from "../../../src/runtime/clock-ids-logger.ts";
import { runSweep, type SweepRunPorts } from "../../../src/fleet/layers/run-sweep.ts";
import { sweepTerms, type SweepTerms } from "../../../src/fleet/layers/sweep.ts";
import type { FleetShardApi, OverdueSession } from "../../../src/fleet/shard/shard-api.ts";
import { ShardIndex } from "../../../src/fleet/shard/shard-index.ts";
import { nodeSql } from "../../support/node-sql.ts";
import { born, report, sessionId } from "../../support/reports.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { VirtualClock, VirtualTime } from "../../support/virtual-time.ts";

const terms: SweepTerms = { ...sweepTerms(defaultPolicy), concurrency: 2, runMs: 60_000 };

interface Line {
  readonly message: string;
  readonly fields: LogFields;
}

function fleet(shards: Record<string, FleetShardApi["overdue"]>, poke: (id: SessionId) => Promise<boolean>) {
  const time = new VirtualTime(new SeededRandom(1));
  const clock = new VirtualClock(time, born);
  const lines: Line[] = [];
  const poked: SessionId[] = [];
  const note = (message: string, fields: LogFields = {}) => void lines.push({ message, fields });
  const logger: Logger = { info: note, warn: note, error: note };
  const ports: SweepRunPorts = {
    shards: Object.entries(shards).map(([name, overdue]) => ({ name, api: { overdue } })),
    async poke(id) {
      poked.push(id);
      return { known: await poke(id), nextDeadline: null };
    },
    clock,
    random: () => 0.5,
    logger,
  };
  return { ports, lines, poked, tick: (changed = terms) => time.until(runSweep(ports, { sweep: changed })) };
}

const late = (...names: readonly string[]): readonly OverdueSession[] =>
  names.map((name) => ({ sessionId: sessionId(name), nextDeadline: born - 3_600_000 }));
const forever = () => new Promise<never>(() => {});
const outcomes = (result: Awaited<ReturnType<typeof runSweep>>) =>
  result.sweep.ok
    ? result.sweep.result.sessions.map((each) => [each.sessionId.replace(/0+$/, ""), each.outcome])
    : null;

describe("the sweep of a cron tick", () => {
  it("touches none of 10,000 healthy sessions, and exactly those overdue beyond the slip of an alarm [FLT-17]", async () => {
    const index = new ShardIndex(nodeSql(), { now: () => born });
    for (let i = 0; i < 10_000; i++) {
      // On time to the ms, up to the very edge of the slip.
      index.report(report(sessionId(`h${i}x`), 1, { nextDeadline: born - 60_000 + (i % 1_000) }));
    }
    index.report(report(sessionId("ended"), 1, { status: "terminated", nextDeadline: null }));
    index.report(report(sessionId("lost"), 1, { nextDeadline: born - 60_001 }));
    const { tick, poked } = fleet({ "shard-0": async (...asked) => index.overdue(...asked) }, async () => true);
    await tick();
    expect(poked).toEqual([sessionId("lost")]);
  });

  it("one session that fails and one that hangs delay no other [FLT-6] [FLT-17]", async () => {
    const poke = (id: SessionId) =>
      id.startsWith("bad")
        ? Promise.reject(new Error("reset"))
        : id.startsWith("hung")
          ? forever()
          : Promise.resolve(true);
    const { tick } = fleet({ "shard-0": async () => late("hung", "bad", "a", "b", "c") }, poke);
    const result = await tick();
    expect(outcomes(result)).toEqual([
      ["hung", "hung"],
      ["bad", "failed"],
      ["a", "looked"],
      ["b", "looked"],
      ["c", "looked"],
    ]);
    expect(result.tookMs).toBe(terms.callMs);
  });

  it("a shard that fails or hangs does not hide what the others know [FLT-6]", async () => {
    const shards = {
      "shard-0": forever,
      "shard-1": () => Promise.reject(new Error("overloaded")),
      "shard-2": async () => late("a"),
    };
    const { tick, lines } = fleet(shards, async () => true);
    const result = await tick();
    expect(outcomes(result)).toEqual([["a", "looked"]]);
    const silent = lines.filter((line) => line.message === "shard did not answer the sweep").map((line) => line.fields);
    expect(silent).toEqual([
      { shard: "shard-0", outcome: "hung" },
      { shard: "shard-1", outcome: "failed" },
    ]);
  });

  it("ends in time when everything hangs, and says what it did not reach", async () => {
    const names = Array.from({ length: 20 }, (_, i) => `s${i}x`);
    const { tick } = fleet({ "shard-0": async () => late(...names) }, forever);
    const result = await tick();
    expect(result.tookMs).toBeLessThanOrEqual(terms.runMs + terms.callMs);
    const reached = outcomes(result)?.filter(([, outcome]) => outcome === "hung");
    expect(reached).toHaveLength((terms.runMs / terms.callMs) * terms.concurrency);
    expect(outcomes(result)?.filter(([, outcome]) => outcome === "not_reached")).toHaveLength(8);
  });

  it("never has more calls under way than it may", async () => {
    let underWay = 0;
    let most = 0;
    const { tick, poked } = fleet({ "shard-0": async () => late("a", "b", "c", "d", "e") }, async () => {
      underWay += 1;
      most = Math.max(most, underWay);
      await Promise.resolve();
      underWay -= 1;
      return true;
    });
    await tick({ ...terms, concurrency: 3 });
    expect(poked).toHaveLength(5);
    expect(most).toBe(3);
  });

  it("takes turns by chance, so that those that always hang cannot keep the others out for ever", async () => {
    const draws = [0.9, 0.1, 0.5];
    const { ports, tick, poked } = fleet({ "shard-0": async () => late("a", "b", "c") }, async () => true);
    ports.random = () => draws.shift() ?? 0;
    await tick();
    expect(poked).toEqual(["b", "c", "a"].map(sessionId));
  });

  it("logs one line of counts for a run, quiet or not", async () => {
    const quiet = fleet({ "shard-0": async () => [] }, async () => true);
    await quiet.tick();
    expect(quiet.lines).toEqual([
      { message: "sweep finished", fields: expect.objectContaining({ shards: 1, overdue: 0 }) },
    ]);
    const busy = fleet({ "shard-0": async () => late("a", "gone") }, async (id) => id.startsWith("a"));
    await busy.tick();
    const counts = { overdue: 2, looked: 1, unknown: 1, failed: 0, hung: 0, not_reached: 0 };
    expect(busy.lines.at(-1)?.fields).toMatchObject(counts);
  });
});
