/**
 * A job's bytes as server-sent events. Holds at most one chunk of the source and reads the next only when the client has
 * taken the last (backpressure through `pull`), so a slow reader costs its own time, not our memory (FEN-8).
 *
 * Ids are byte offsets. A UTF-8 sequence cut by a chunk is held back until its rest arrives: text is never broken,
 * and the id before it is still exact. Bytes that are no UTF-8 become U+FFFD; the raw form of the route has them all.
 */
import type { z } from "zod";
import type { outputEnd } from "../protocol/jobs.ts";
import type { Clock } from "../session/ambient.ts";
import { heartbeat, heartbeatMs, sseEvent } from "./sse.ts";

export type OutputEnd = z.infer<typeof outputEnd>;

/** A larger event would make the client wait for all of it. */
const maxEventBytes = 32_768;

type Read =
  { readonly type: "chunk"; readonly bytes: Uint8Array } | { readonly type: "ended" } | { readonly type: "quiet" };

/** `describeEnd` is asked once, when the source has ended or broken off. Cancelling cancels the source, never the job. */
export function outputEvents(
  source: { readonly from: number; readonly body: ReadableStream<Uint8Array> },
  describeEnd: () => Promise<OutputEnd>,
  clock: Clock,
): ReadableStream<Uint8Array> {
  const reader: ReadableStreamDefaultReader<Uint8Array> = source.body.getReader();
  // Each event is decoded by itself: a byte order mark at its head is the job's text, not ours to drop.
  const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  let pending: Promise<Read> | null = null;
  let held: Uint8Array = new Uint8Array(0);
  let offset = source.from;
  let ended = false;

  const next = async (): Promise<Read> => {
    // A source that breaks off is not an error of this stream: the end event says that the client should resume.
    pending ??= reader.read().then(
      ({ done, value }): Read => (done ? { type: "ended" } : { type: "chunk", bytes: value }),
      (): Read => ({ type: "ended" }),
    );
    const waiting = new AbortController();
    const quiet = clock.sleep(heartbeatMs, waiting.signal).then((): Read => ({ type: "quiet" }));
    const read = await Promise.race([pending, quiet]);
    waiting.abort();
    if (read.type !== "quiet") pending = null;
    return read;
  };
  const takeText = (): Uint8Array | null => {
    const slice = held.subarray(0, maxEventBytes);
    const length = ended && slice.length === held.length ? slice.length : wholeSequences(slice);
    if (length === 0) return null;
    const event = sseEvent({
      name: "output",
      id: offset + length,
      data: { offset, text: decoder.decode(slice.subarray(0, length)) },
    });
    offset += length;
    held = held.subarray(length);
    return event;
  };

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (;;) {
          const event = takeText();
          if (event !== null) {
            controller.enqueue(event);
            return;
          }
          if (ended) {
            controller.enqueue(sseEvent({ name: "end", data: await describeEnd() }));
            controller.close();
            return;
          }
          const read = await next();
          if (read.type === "quiet") {
            controller.enqueue(heartbeat);
            return;
          }
          if (read.type === "ended") ended = true;
          else held = joined(held, read.bytes);
        }
      },
      async cancel(reason) {
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** How many of these bytes hold no UTF-8 sequence that is cut at the end. */
export function wholeSequences(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0b1100_0000) === 0b1000_0000) continue;
    const needed =
      byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xc0 && byte < 0xe0 ? 2 : 1;
    return needed > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
