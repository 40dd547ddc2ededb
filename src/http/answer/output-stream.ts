/**
 * A job's bytes as server-sent events. Holds at most one chunk of the source and reads the next only when the client has
 * taken the last (backpressure through `pull`), so a slow reader costs its own time, not our memory.
 *
 * Ids are byte offsets. A UTF-8 sequence cut by a chunk is held back until its rest arrives: text is never broken,
 * and the id before it is still exact. Bytes that are no UTF-8 become U+FFFD; the raw form of the route has them all.
 */
import { bounded, timedOut } from "../../calls/bounded-call.ts";
import type { z } from "zod";
import type { outputEnd } from "../../protocol/resources/session/jobs.ts";
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import { heartbeat, heartbeatMs, sseEvent } from "./sse.ts";

export type OutputEnd = z.infer<typeof outputEnd>;

/** A larger event would make the client wait for all of it. */
const maxEventBytes = 32_768;

type Read =
  { readonly type: "chunk"; readonly bytes: Uint8Array } | { readonly type: "ended" } | { readonly type: "quiet" };

/** A part of the output without a gap in it. */
export interface OutputSource {
  /** Offset of its first byte. */
  readonly from: number;
  readonly body: ReadableStream<Uint8Array>;
}

/**
 * `next` is asked when the source has ended or broken off, with the offset that comes next: the part that follows, or how the
 * output ended. `asked` is the offset that the client asked for. A heartbeat comes at once, so that the client knows it is
 * connected, however long the job is silent. Cancelling cancels the source, never the job.
 */
export function outputEvents(
  source: OutputSource,
  next: (offset: number) => Promise<OutputEnd | OutputSource>,
  clock: Clock,
  asked = source.from,
): ReadableStream<Uint8Array> {
  let reader: ReadableStreamDefaultReader<Uint8Array> = source.body.getReader();
  // Each event is decoded by itself: a byte order mark at its head is the job's text, not ours to drop.
  const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  let pending: Promise<Read> | null = null;
  let held: Uint8Array = new Uint8Array(0);
  let offset = asked;
  let ended = false;
  let begun = false;

  /** Bytes that were dropped, when there are any before `from`. */
  const skipTo = (controller: ReadableStreamDefaultController<Uint8Array>, from: number): boolean => {
    const gap = { from: offset, to: from };
    offset = from;
    if (gap.from >= gap.to) return false;
    controller.enqueue(sseEvent({ name: "gap", id: gap.to, data: gap }));
    return true;
  };
  const read = async (): Promise<Read> => {
    // A source that breaks off is not an error of this stream: the end event says that the client should resume.
    const coming = (pending ??= reader.read().then(
      ({ done, value }): Read => (done ? { type: "ended" } : { type: "chunk", bytes: value }),
      (): Read => ({ type: "ended" }),
    ));
    const taken = await bounded(clock, heartbeatMs, () => coming);
    if (taken === timedOut) return { type: "quiet" };
    pending = null;
    return taken;
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
        if (!begun) {
          begun = true;
          controller.enqueue(heartbeat);
          skipTo(controller, source.from);
          return;
        }
        for (;;) {
          const event = takeText();
          if (event !== null) {
            controller.enqueue(event);
            return;
          }
          if (ended) {
            const following = await next(offset);
            if (!("body" in following)) {
              controller.enqueue(sseEvent({ name: "end", data: following }));
              controller.close();
              return;
            }
            reader = following.body.getReader();
            ended = false;
            if (skipTo(controller, following.from)) return;
            continue;
          }
          const taken = await read();
          if (taken.type === "quiet") {
            controller.enqueue(heartbeat);
            return;
          }
          if (taken.type === "ended") ended = true;
          else held = joined(held, taken.bytes);
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
