/** The typed client inside workerd against the whole Worker: its main story, and connections that break in the middle. */
import { expect, it } from "vitest";
import { isProblem, Mooring, type OutputEnd, type SessionEvent } from "../../src/client/mooring.ts";
import { keyOf, workerFetch } from "../support/workers/mooring.ts";

const retry = { baseMs: 1, maxMs: 5 };

async function client(tenant: string, fetch = workerFetch): Promise<Mooring> {
  return new Mooring({ url: "https://mooring.test", key: await keyOf(tenant), fetch, retry });
}

/** Each stream breaks off after so many bytes; each third other answer is lost after the Worker has given it. */
function flaky(afterBytes: number) {
  const seen = { streams: 0, lost: 0, answers: 0 };
  const fetch = async (request: Request): Promise<Response> => {
    const streaming = request.url.includes("/output") || request.headers.get("accept") === "text/event-stream";
    const response = await workerFetch(request);
    if (!streaming) {
      seen.answers += 1;
      if (seen.answers % 3 !== 0) return response;
      seen.lost += 1;
      await response.body?.cancel();
      throw new TypeError("connection reset");
    }
    if (response.body === null || !response.ok) return response;
    seen.streams += 1;
    const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
    let left = afterBytes;
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) {
          controller.close();
          return;
        }
        controller.enqueue(value.subarray(0, left));
        left -= value.length;
        if (left > 0) return;
        controller.error(new Error("connection reset"));
        await reader.cancel();
      },
      cancel: () => reader.cancel(),
    });
    return new Response(body, response);
  };
  return { seen, fetch };
}

async function gathered<T, End>(items: AsyncGenerator<T, End, void>): Promise<{ items: T[]; end: End }> {
  const all: T[] = [];
  for (;;) {
    const next = await items.next();
    if (next.done === true) return { items: all, end: next.value };
    all.push(next.value);
  }
}

it("opens a session, runs a job, follows it, ends it and holds the receipt [API-10]", async () => {
  const mooring = await client("client-story");
  const session = await mooring.create({ labels: { kind: "story" } }, { waitSeconds: 20 });
  expect(await session.until("running")).toMatchObject({ status: "running", labels: { kind: "story" } });
  const job = await session.run("echo hello; exit 3");
  const { items, end } = await gathered(job.output());
  expect(items).toEqual([{ offset: 0, text: "hello\n" }]);
  expect(end).toEqual({ state: "failed", exit_code: 3, reason: "finished" } satisfies OutputEnd);
  expect(await job.done()).toMatchObject({ state: "failed", exit_code: 3 });
  expect((await gathered(session.jobs({ limit: 1 }))).items.map(({ id }) => id)).toEqual([job.id]);
  const receipt = await session.end();
  expect(receipt).toMatchObject({ phase: "closed" });
  expect(receipt?.verified_absent_at).not.toBeNull();
  const { items: events } = await gathered(session.history());
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
  await expect(session.run("true")).rejects.toSatisfy((error: unknown) => isProblem(error, "session_gone"));
});

it("output resumes at the exact byte after every broken connection, text and bytes [API-10] [FEN-8]", async () => {
  const { seen, fetch } = flaky(10_000);
  const mooring = await client("client-flaky", fetch);
  const session = await mooring.create({}, { waitSeconds: 20 });
  await session.until("running");
  // More than one event, and characters that a break may cut in two.
  const job = await session.run({ argv: ["echo", "é🦀".repeat(5_000)] });
  const whole = `${"é🦀".repeat(5_000)}\n`;
  await job.done();
  const bytes = await gathered(job.outputBytes());
  const total = bytes.items.reduce((sum, each) => sum + each.length, 0);
  expect(total).toBe(new TextEncoder().encode(whole).length);
  expect(await new Blob(bytes.items).text()).toBe(whole);
  expect(bytes.end).toMatchObject({ state: "succeeded", output_bytes: total });
  const text = await gathered(job.output());
  expect(text.items.map((each) => each.text).join("")).toBe(whole);
  expect(text.items.map(({ offset }) => offset)).toEqual(
    [...text.items.map(({ offset }) => offset)].toSorted((a, b) => a - b),
  );
  expect(text.end).toMatchObject({ state: "succeeded", reason: "finished" });
  expect(seen.streams).toBeGreaterThan(5);
  // What was lost on the way was asked for again, and nothing was made twice.
  expect(seen.lost).toBeGreaterThan(0);
  expect((await gathered(session.jobs())).items).toHaveLength(1);
  await session.end();
});

it("events are each told once and in order, however often the connection breaks [API-6] [API-10]", async () => {
  const { seen, fetch } = flaky(600);
  const quiet = await client("client-events");
  const session = await quiet.create({}, { waitSeconds: 20 });
  await session.until("running");
  const watched = (await client("client-events", fetch)).session(session.id);
  const told: SessionEvent[] = [];
  const watching = (async () => {
    for await (const event of watched.watch()) {
      told.push(event);
      if (event.to === "terminated") return;
    }
  })();
  await (await session.run("echo one")).done();
  await session.pause();
  await session.until("paused");
  await session.resume({}, { waitSeconds: 20 });
  await session.until("running");
  await session.end();
  await watching;
  expect(seen.streams).toBeGreaterThan(2);
  const { items: kept } = await gathered(session.history());
  expect(told).toEqual(kept.slice(0, told.length));
  expect(told.length).toBeGreaterThan(5);
});

it("a create whose answers are all lost but the last is one session [API-1] [API-10]", async () => {
  let asked = 0;
  const fetch = async (request: Request) => {
    const response = await workerFetch(request);
    asked += 1;
    if (asked < 4) {
      await response.body?.cancel();
      throw new TypeError("connection reset");
    }
    return response;
  };
  const mooring = await client("client-create", fetch);
  const session = await mooring.create();
  expect(asked).toBe(4);
  await expect.poll(async () => (await mooring.page()).data.map(({ id }) => id)).toEqual([session.id]);
  await session.end();
});
