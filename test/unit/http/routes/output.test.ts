import { describe, expect, it } from "vitest";
import { outputEvents, wholeSequences } from "../../../../src/http/answer/output-stream.ts";
import { outputEnd, outputEvent } from "../../../../src/protocol/resources/session/jobs.ts";
import { expectProblem, httpClient, refusal, stillClock } from "../../../support/http-client.ts";
import { parseSse, type SseMessage } from "../../../support/sse.ts";
import { sampleId, sampleJob, sampleSession } from "../../../support/sample-views.ts";

const path = `/v1/sessions/${sampleId}/jobs/job-1/output`;
const bytesOf = (text: string) => new TextEncoder().encode(text);

/** A body that hands out these chunks and counts how many were taken. */
function chunked(chunks: readonly Uint8Array[]) {
  const state = { taken: 0, cancelled: false };
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = chunks[state.taken];
        if (chunk === undefined) {
          controller.close();
          return;
        }
        state.taken++;
        controller.enqueue(chunk);
      },
      cancel() {
        state.cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { body, state };
}

const finished = async () => ({ state: "succeeded", exit_code: 0, reason: "finished" }) as const;

async function messages(stream: ReadableStream<Uint8Array>): Promise<readonly SseMessage[]> {
  return parseSse(await new Response(stream).text());
}

function textOf(all: readonly SseMessage[]): string {
  return all
    .filter((each) => each.event === "output")
    .map((each) => outputEvent.parse(JSON.parse(each.data)).text)
    .join("");
}

describe("output as events", () => {
  const text = "plain, é, €, 🦀, end\n";

  it("text survives being cut at every byte, and every id is the exact byte offset [FEN-8]", async () => {
    const bytes = bytesOf(text);
    for (let cut = 0; cut <= bytes.length; cut++) {
      for (const second of [cut + 1, bytes.length]) {
        const chunks = [bytes.slice(0, cut), bytes.slice(cut, second), bytes.slice(second)].filter(
          (part) => part.length > 0,
        );
        const all = await messages(outputEvents({ from: 100, body: chunked(chunks).body }, finished, stillClock));
        expect(textOf(all)).toBe(text);
        let at = 100;
        for (const each of all.filter((message) => message.event === "output")) {
          const { offset, text: part } = outputEvent.parse(JSON.parse(each.data));
          expect(offset).toBe(at);
          at += bytesOf(part).length;
          expect(each.id).toBe(String(at));
        }
        expect(at).toBe(100 + bytes.length);
      }
    }
  });

  it("resuming at any id that was given repeats nothing and loses nothing [FEN-8]", async () => {
    const bytes = bytesOf(text.repeat(3));
    const chunks = Array.from({ length: bytes.length }, (_, at) => bytes.slice(at, at + 1));
    const all = await messages(outputEvents({ from: 0, body: chunked(chunks).body }, finished, stillClock));
    const outputs = all.filter((each) => each.event === "output");
    for (const [index, each] of outputs.entries()) {
      const rest = bytes.slice(Number(each.id));
      const resumed = await messages(
        outputEvents({ from: Number(each.id), body: chunked([rest]).body }, finished, stillClock),
      );
      expect(textOf(outputs.slice(0, index + 1)) + textOf(resumed)).toBe(text.repeat(3));
    }
  });

  it("bytes that are no UTF-8 are replaced, hold nothing back and keep the offsets [FEN-8]", async () => {
    const bytes = new Uint8Array([0x61, 0xff, 0x80, 0x62, 0xf0, 0x9f]);
    const all = await messages(outputEvents({ from: 0, body: chunked([bytes]).body }, finished, stillClock));
    expect(textOf(all)).toBe("a\ufffd\ufffdb\ufffd");
    expect(all.filter((each) => each.event === "output").at(-1)?.id).toBe("6");
  });

  it("a byte order mark is a character like any other", async () => {
    const bytes = bytesOf("\ufeffx");
    const all = await messages(outputEvents({ from: 0, body: chunked([bytes]).body }, finished, stillClock));
    expect(textOf(all)).toBe("\ufeffx");
  });

  it("a chunk of 10 MB without a line break comes in small events [FEN-9]", async () => {
    const bytes = new Uint8Array(10_000_000).fill(0x78);
    const all = await messages(outputEvents({ from: 0, body: chunked([bytes]).body }, finished, stillClock));
    expect(Math.max(...all.map((each) => each.data.length))).toBeLessThan(40_000);
    expect(textOf(all).length).toBe(bytes.length);
  });

  it("a client that does not read makes the source wait [FEN-8]", async () => {
    const chunks = Array.from({ length: 1_000 }, () => bytesOf("x".repeat(1_000)));
    const { body, state } = chunked(chunks);
    const reader = outputEvents({ from: 0, body }, finished, stillClock).getReader();
    for (let read = 0; read < 5; read++) await reader.read();
    // The first event is the heartbeat.
    expect(state.taken).toBe(4);
    await reader.cancel();
  });

  it("a client that goes away ends the reading, and nothing asks how the job ended [FEN-10]", async () => {
    let asked = 0;
    const describeEnd = () => {
      asked++;
      return finished();
    };
    const { body, state } = chunked([bytesOf("a"), bytesOf("b")]);
    const reader = outputEvents({ from: 0, body }, describeEnd, stillClock).getReader();
    // The heartbeat, then the first byte.
    await reader.read();
    await reader.read();
    await reader.cancel();
    expect(state).toEqual({ taken: 1, cancelled: true });
    expect(asked).toBe(0);
  });

  it("[BUG-37] a client is told at once that it is connected, although the job says nothing", async () => {
    const silent = new ReadableStream<Uint8Array>();
    const reader = outputEvents({ from: 0, body: silent }, finished, stillClock).getReader();
    const first = await reader.read();
    expect(new TextDecoder().decode(first.value)).toBe(": heartbeat\n\n");
    await reader.cancel();
  });

  it("[BUG-30] a follower is told which bytes were dropped, at the beginning and in the middle, and reads on behind them", async () => {
    const asked: number[] = [];
    const parts = [{ from: 500, body: chunked([bytesOf("tail")]).body }];
    const next = async (offset: number) => {
      asked.push(offset);
      return parts.shift() ?? (await finished());
    };
    const stream = outputEvents({ from: 100, body: chunked([bytesOf("head é")]).body }, next, stillClock, 20);
    const all = await messages(stream);
    const [end, ...rest] = all.toReversed();
    expect(end?.event).toBe("end");
    expect(rest.toReversed().map(({ event, id, data }) => [event, id, JSON.parse(data) as unknown])).toEqual([
      ["gap", "100", { from: 20, to: 100 }],
      ["output", "107", { offset: 100, text: "head é" }],
      ["gap", "500", { from: 107, to: 500 }],
      ["output", "504", { offset: 500, text: "tail" }],
    ]);
    expect(asked).toEqual([107, 504]);
  });

  it("a quiet source gets heartbeats, and the byte that then comes is not lost", async () => {
    let give: (chunk: Uint8Array) => void = () => undefined;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        give = (chunk) => {
          controller.enqueue(chunk);
          controller.close();
        };
      },
    });
    let beats = 0;
    const clock = {
      now: () => 0,
      sleep: async () => {
        // The source speaks at the third silence.
        if (++beats === 3) give(bytesOf("late"));
      },
    };
    const text = await new Response(outputEvents({ from: 0, body }, finished, clock)).text();
    expect(text.match(/^: heartbeat$/gm)?.length).toBeGreaterThanOrEqual(2);
    expect(textOf(parseSse(text))).toBe("late");
  });

  it("a source that breaks off ends with the reason, not with a broken stream [API-13]", async () => {
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (pulls++ === 0) controller.enqueue(bytesOf("half"));
        else controller.error(new Error("connection lost"));
      },
    });
    const describeEnd = async () => ({ state: "running", exit_code: null, reason: "disconnected" }) as const;
    const all = await messages(outputEvents({ from: 0, body }, describeEnd, stillClock));
    expect(textOf(all)).toBe("half");
    expect(JSON.parse(all.at(-1)?.data ?? "")).toEqual({ state: "running", exit_code: null, reason: "disconnected" });
  });

  it("wholeSequences cuts only before a sequence that could still be completed", () => {
    const cases: readonly (readonly [readonly number[], number])[] = [
      [[], 0],
      [[0x61], 1],
      [[0x61, 0xc3], 1],
      [[0x61, 0xe2, 0x82], 1],
      [[0x61, 0xf0, 0x9f, 0xa6], 1],
      [[0xf0, 0x9f, 0xa6, 0x80], 4],
      [[0x80, 0x80, 0x80, 0x80], 4],
      [[0x61, 0xff], 2],
    ];
    for (const [bytes, whole] of cases) expect(wholeSequences(new Uint8Array(bytes))).toBe(whole);
  });
});

describe("GET …/output", () => {
  const jobOutput = async () => ({ ok: true, value: { from: 3, body: new Blob(["done\n"]).stream() } }) as const;

  it("is server-sent events by default, and ends with the job's end [API-11]", async () => {
    const client = await httpClient();
    for (const accept of [undefined, "*/*", "text/event-stream", "text/*"]) {
      const response = await client.send("GET", path, accept === undefined ? {} : { headers: { accept } });
      expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
      const all = parseSse(await response.text());
      expect(all.map((each) => [each.event, each.id])).toEqual([
        ["output", "5"],
        ["end", undefined],
      ]);
      expect(outputEnd.parse(JSON.parse(all[1]?.data ?? ""))).toEqual({
        state: "succeeded",
        exit_code: 0,
        reason: "finished",
      });
    }
  });

  it("is the bare bytes on request, and says where they begin [FEN-8]", async () => {
    const client = await httpClient({ answers: { session: { jobOutput } } });
    const response = await client.send("GET", path, { headers: { accept: "application/octet-stream" } });
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(response.headers.get("mooring-offset")).toBe("3");
    expect(await response.text()).toBe("done\n");
  });

  it("another type is 406", async () => {
    const client = await httpClient();
    await expectProblem(await client.send("GET", path, { headers: { accept: "application/json" } }), "not_acceptable");
    expect(client.calls).toEqual([]);
  });

  it.each([
    ["?offset=42", {}, 42],
    ["", { "last-event-id": "43" }, 43],
    ["?offset=42", { "last-event-id": "43" }, 43],
    ["", {}, 0],
  ])("%s with %o resumes at %i [FEN-8]", async (query, headers, offset) => {
    const client = await httpClient();
    const response = await client.send("GET", `${path}${query}`, { headers });
    await response.text();
    expect(client.calls[0]).toMatchObject({ method: "jobOutput", args: [expect.anything(), "job-1", offset] });
  });

  it.each([
    ["?offset=-1", {}, "query.offset"],
    ["?offset=1.5", {}, "query.offset"],
    ["?offset=99999999999999999999", {}, "query.offset"],
    ["", { "last-event-id": "x" }, "header.Last-Event-ID"],
    ["?from=1", {}, "query.from"],
  ])("%s with %o is 422", async (query, headers, pointer) => {
    const client = await httpClient();
    const problem = await expectProblem(await client.send("GET", `${path}${query}`, { headers }), "validation_failed");
    expect(problem.errors?.map((error) => error.pointer)).toEqual([pointer]);
    expect(client.calls).toEqual([]);
  });

  it("a HEAD reads nothing and leaves no stream open", async () => {
    const source = chunked([bytesOf("a")]);
    const client = await httpClient({
      answers: { session: { jobOutput: async () => ({ ok: true, value: { from: 0, body: source.body } }) } },
    });
    expect((await client.send("HEAD", path)).status).toBe(200);
    expect(source.state).toEqual({ taken: 0, cancelled: true });
  });

  it.each([
    ["the session ended", { state: "lost" }, { status: "terminating" }, "session_ended"],
    ["its sandbox was replaced", { state: "lost" }, { status: "running" }, "sandbox_replaced"],
    ["a newer generation runs", { state: "running", generation: 5 }, { generation: 6 }, "sandbox_replaced"],
    ["only the line broke", { state: "running", generation: 6 }, { generation: 6 }, "disconnected"],
    ["the job was cancelled", { state: "cancelled" }, {}, "finished"],
    ["the job ran out of time", { state: "timed_out" }, {}, "finished"],
  ] as const)("when %s, the end says so [API-13]", async (_what, job, session, reason) => {
    const answers = {
      session: {
        job: async () => ({ ok: true, value: sampleJob(job) }) as const,
        get: async () => ({ ok: true, value: { etag: "1", body: sampleSession(session) } }) as const,
      },
    };
    const client = await httpClient({ answers });
    const all = parseSse(await (await client.send("GET", path)).text());
    expect(outputEnd.parse(JSON.parse(all.at(-1)?.data ?? "")).reason).toBe(reason);
  });

  it("an erased session ends the stream as ended", async () => {
    const detail = "There is no session with this id any more.";
    const client = await httpClient({
      answers: { session: { job: async () => refusal({ code: "not_found", detail }) } },
    });
    const all = parseSse(await (await client.send("GET", path)).text());
    expect(outputEnd.parse(JSON.parse(all.at(-1)?.data ?? "")).reason).toBe("session_ended");
  });
});
