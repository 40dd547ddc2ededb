/** What needs somebody is listed in seconds, however much of the fleet does not answer. */
import { expect, it } from "vitest";
import { ShardIndex } from "../../../../src/fleet/shard/shard-index.ts";
import { attentionView } from "../../../../src/protocol/resources/operator/attention.ts";
import { httpClient, testNow } from "../../../support/http-client.ts";
import { nodeSql } from "../../../support/node-sql.ts";
import { lease, report, sessionId } from "../../../support/reports.ts";
import { sampleExplanation } from "../../../support/sample-insight.ts";
import { SeededRandom } from "../../../support/seeded-random.ts";
import { VirtualClock, VirtualTime } from "../../../support/virtual-time.ts";

const never = () => new Promise<never>(() => {});

it("one deadline holds for all parts together: the silent ones are named, and the sessions are listed without their words", async () => {
  const time = new VirtualTime(new SeededRandom(1));
  const clock = new VirtualClock(time, testNow);
  const index = new ShardIndex(nodeSql(), { now: () => testNow });
  for (let count = 0; count < 20; count += 1)
    index.report(
      report(sessionId(`s${count}x`), 2, { status: "lost", leases: [lease(sessionId(`s${count}x`), 1, "closed")] }),
    );
  const answering = {
    select: async (query: Parameters<ShardIndex["select"]>[0]) => index.select(query),
    stats: async () => index.stats(),
    overdueContainers: async () => [],
  };
  const client = await httpClient({
    clock,
    answers: { shards: [{ ...answering, select: never }, answering], session: { explain: never } },
  });
  let answered = false;
  const asked = client.send("GET", "/v1/admin/attention").finally(() => (answered = true));
  // Keys are checked by real cryptography, so virtual time waits for nothing in particular.
  while (!answered) {
    await new Promise((resolve) => setImmediate(resolve));
    await time.step();
  }
  const view = attentionView.parse(await (await asked).json());
  expect(view.items.filter(({ kind }) => kind === "session")).toHaveLength(20);
  expect(view.items.filter(({ kind }) => kind === "index").map(({ subject }) => subject)).toEqual(["shard-0"]);
  expect(time.elapsed).toBe(6_000);
});

it("a lost session is listed with the moment since which it is lost", async () => {
  const index = new ShardIndex(nodeSql(), { now: () => testNow });
  index.report(report(sessionId("lost"), 2, { status: "lost", leases: [lease(sessionId("lost"), 1, "closed")] }));
  const lostSince = "2026-03-01T11:40:00.000Z";
  const told = { ...sampleExplanation(), status: "lost" as const, lost_since: lostSince };
  const client = await httpClient({
    answers: {
      shards: [
        {
          select: async (query: Parameters<ShardIndex["select"]>[0]) => index.select(query),
          stats: async () => index.stats(),
          overdueContainers: async () => [],
        },
      ],
      session: { explain: async () => ({ ok: true, value: told }) },
    },
  });
  const view = attentionView.parse(await (await client.send("GET", "/v1/admin/attention")).json());
  expect(view.items.find(({ kind }) => kind === "session")).toMatchObject({
    what: "Its sandbox is lost",
    since: lostSince,
  });
});
