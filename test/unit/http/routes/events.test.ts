import { describe, expect, it } from "vitest";
import { type EventView, eventPage, eventView } from "../../../../src/protocol/resources/session/events.ts";
import type { Reply } from "../../../../src/protocol/problem.ts";
import { expectProblem, httpClient, refusal, testNow } from "../../../support/http-client.ts";
import { parseSse } from "../../../support/sse.ts";
import { sampleEvent, sampleId } from "../../../support/sample-views.ts";

const path = `/v1/sessions/${sampleId}/events`;
const live = { headers: { accept: "text/event-stream" } };
const erased = refusal({ code: "not_found", detail: "There is no session with this id any more." });

/** A history that answers like a session; after `batches` are used up it is erased. */
function history(batches: readonly (readonly EventView[])[]) {
  const asked: { readonly after: number; readonly waitMs: number }[] = [];
  const events = async (
    _caller: unknown,
    after: number,
    _limit: number,
    waitMs: number,
  ): Promise<Reply<readonly EventView[]>> => {
    const batch = batches[asked.length];
    asked.push({ after, waitMs });
    return batch === undefined ? erased : { ok: true, value: batch };
  };
  return { asked, events };
}

describe("events as pages", () => {
  it("a full page says where to go on, a short one does not [API-6]", async () => {
    const client = await httpClient();
    const full = eventPage.parse(await (await client.send("GET", `${path}?after=0&limit=2`)).json());
    expect(full.next_after).toBe(2);
    expect(eventPage.parse(await (await client.send("GET", path)).json()).next_after).toBeNull();
    expect(client.calls.map((call) => call.args.slice(1))).toEqual([
      [0, 2, 0],
      [0, 20, 0],
    ]);
  });

  it.each(["after=-1", "after=x", "limit=0", "limit=101", "offset=3"])("?%s is 422", async (query) => {
    const client = await httpClient();
    await expectProblem(await client.send("GET", `${path}?${query}`), "validation_failed");
    expect(client.calls).toEqual([]);
  });
});

describe("events as a stream", () => {
  it("sends each event once, in order, goes on after the last, and ends when the session is erased [API-6]", async () => {
    const { asked, events } = history([[sampleEvent(8), sampleEvent(9)], [sampleEvent(10)], [sampleEvent(11)]]);
    const client = await httpClient({ answers: { session: { events } } });
    const response = await client.send("GET", path, { headers: { ...live.headers, "last-event-id": "7" } });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const all = parseSse(await response.text());
    expect(all.map((each) => [each.event, each.id])).toEqual([
      ["message", "8"],
      ["message", "9"],
      ["message", "10"],
      ["message", "11"],
      ["end", undefined],
    ]);
    expect(eventView.parse(JSON.parse(all[0]?.data ?? ""))).toEqual(sampleEvent(8));
    expect(JSON.parse(all.at(-1)?.data ?? "")).toEqual({ reason: "erased" });
    expect(asked.map((each) => each.after)).toEqual([7, 9, 10, 11]);
    // The first look is at once: what is there is shown without waiting for news.
    expect(asked.map((each) => each.waitMs)).toEqual([0, 15_000, 15_000, 15_000]);
  });

  it("a session that may not be seen is a problem, not an empty stream [API-3]", async () => {
    const client = await httpClient({ answers: { session: { events: async () => erased } } });
    await expectProblem(await client.send("GET", path, live), "not_found");
  });

  it("an object that has no news is given a pause and the client a heartbeat", async () => {
    const slept: number[] = [];
    const clock = {
      now: () => testNow,
      sleep: async (ms: number) => {
        slept.push(ms);
      },
    };
    const { events } = history([[], [], [], [sampleEvent(1)]]);
    const client = await httpClient({ answers: { session: { events } }, clock });
    const text = await (await client.send("GET", path, live)).text();
    expect(text.match(/^: heartbeat$/gm)).toHaveLength(2);
    // The one before belongs to authentication, which bounds its own question.
    expect(slept.slice(-2)).toEqual([1_000, 1_000]);
    expect(slept).toHaveLength(3);
    expect(parseSse(text).map((each) => each.id)).toEqual(["1", undefined]);
  });

  it("an object that cannot be reached ends the stream so that the client comes back [API-5]", async () => {
    let calls = 0;
    const events = async (): Promise<Reply<readonly EventView[]>> => {
      if (++calls === 1) return { ok: true, value: [sampleEvent(1)] };
      throw new Error("Network connection lost.");
    };
    const client = await httpClient({ answers: { session: { events } } });
    const all = parseSse(await (await client.send("GET", path, live)).text());
    expect(JSON.parse(all.at(-1)?.data ?? "")).toEqual({ reason: "disconnected" });
  });

  it("a client that does not read costs no further calls", async () => {
    const { asked, events } = history(Array.from({ length: 100 }, (_, n) => [sampleEvent(n + 1)]));
    const client = await httpClient({ answers: { session: { events } } });
    const response = await client.send("GET", path, live);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (let read = 0; read < 3; read++) await reader.read();
    expect(asked).toHaveLength(3);
    await reader.cancel();
  });
});
