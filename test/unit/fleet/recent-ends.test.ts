/** An end that a caller was told of stands in the lists before the session's own report. */
import { beforeEach, describe, expect, it } from "vitest";
import type { TenantId } from "../../../src/domain/state/ids.ts";
import type { SessionListItem } from "../../../src/protocol/resources/session/sessions.ts";
import { ShardIndex } from "../../../src/fleet/shard/shard-index.ts";
import { httpClient } from "../../support/http-client.ts";
import { nodeSql } from "../../support/node-sql.ts";
import { sampleId, sampleSession } from "../../support/sample-views.ts";
import { born, report, sessionId } from "../../support/reports.ts";

const acme = "acme" as TenantId;
const [kept, ended] = [sessionId("kept"), sessionId("ended")];

describe("an index that was told of an end", () => {
  let now: number;
  let index: ShardIndex;

  beforeEach(() => {
    now = born;
    index = new ShardIndex(nodeSql(), { now: () => now });
    index.report(report(kept, 1, { status: "running" }));
    index.report(report(ended, 1, { status: "running" }));
    index.toldEnd({ sessionId: ended, status: "terminating" });
  });

  const listed = (status: SessionListItem["status"] | null) =>
    index
      .list({
        tenant: acme,
        limit: 10,
        after: null,
        status,
        labels: {},
        template: null,
        blocked: null,
        createdAfter: null,
      })
      .map((each) => [each.id, each.status]);

  it("lists it as ending, and under no other status [API-8]", () => {
    expect(listed(null)).toEqual([
      [ended, "terminating"],
      [kept, "running"],
    ]);
    expect(listed("running")).toEqual([[kept, "running"]]);
    expect(listed("terminating")).toEqual([[ended, "terminating"]]);
    expect(listed("terminated")).toEqual([]);
    const select = (statuses: readonly SessionListItem["status"][]) =>
      index.select({ tenant: acme, limit: 10, order: "newest", statuses }).map((row) => row.sessionId);
    expect(select(["running", "paused"])).toEqual([kept]);
    expect(select(["running", "terminating"])).toEqual([ended, kept]);
  });

  it("a report from before the end changes nothing of that, and the one of the end takes its place", () => {
    index.report(report(ended, 2, { status: "running" }));
    expect(listed("running")).toEqual([[kept, "running"]]);
    index.report(report(ended, 3, { status: "terminated" }));
    expect(listed("terminating")).toEqual([]);
    expect(listed("terminated")).toEqual([[ended, "terminated"]]);
  });

  it("writes nothing, and is forgotten when no report comes for long", () => {
    const rows = new ShardIndex(nodeSql(), { now: () => now });
    rows.toldEnd({ sessionId: ended, status: "terminating" });
    expect(rows.untouched).toBe(true);
    now += 60_000;
    expect(listed("running")).toEqual([
      [ended, "running"],
      [kept, "running"],
    ]);
  });
});

describe("the answer to whoever ends a session", () => {
  const end = { sessionId: sampleId, status: "terminating" } as const;
  const ending = {
    ok: true,
    value: { session: sampleSession({ status: "terminating" }), done: false, changed: true },
  } as const;

  it.each([`/v1/sessions/${sampleId}`, `/sandboxes/${sampleId}`])("DELETE %s tells the index first", async (path) => {
    const client = await httpClient({ answers: { session: { delete: async () => ending } } });
    expect([202, 204]).toContain((await client.send("DELETE", path)).status);
    expect(client.calls.map(({ method, object, args }) => [method, object, ...args]).at(-1)).toEqual([
      "toldEnd",
      "acme",
      end,
    ]);
  });

  it("is the same when the index does not hear it", async () => {
    const deaf = { toldEnd: () => Promise.reject(new Error("gone")) };
    const client = await httpClient({ answers: { session: { delete: async () => ending }, shard: deaf } });
    expect((await client.send("DELETE", `/v1/sessions/${sampleId}`)).status).toBe(202);
    expect(client.log.map(({ message }) => message)).toContain("the index was not told of an end");
  });
});
