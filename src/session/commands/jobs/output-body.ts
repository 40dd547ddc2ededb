/** The bodies that a job's output is handed on in: passed through, begun later, or from bytes at hand. */
import { over } from "../../../calls/bounded-call.ts";

const chunkBytes = 128 * 1_024;

interface Reader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(reason: unknown): Promise<void>;
}

/** Passes bytes through one chunk at a time (backpressure reaches the source) and calls `ended` before it closes. */
export function passThrough(
  source: ReadableStream<Uint8Array>,
  on: { readonly ended: () => Promise<void>; readonly cancelled: () => void },
): ReadableStream<Uint8Array> {
  const reader = largeReads(source);
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (!done && value !== undefined) {
          controller.enqueue(value);
          return;
        }
      } catch {
        // It broke off: to the reader that is an end, whose reason is in the job's state.
      }
      await on.ended();
      close(controller);
    },
    async cancel(reason) {
      on.cancelled();
      await reader.cancel(reason);
    },
  });
}

/** A body whose source is looked for when it is read first. null: there is none, and the body ends. */
export function startedLater(
  begin: (cancelled: AbortSignal) => Promise<ReadableStream<Uint8Array> | null>,
): ReadableStream<Uint8Array> {
  const cancelled = new AbortController();
  let reader: Reader | null = null;
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      if (reader === null) {
        const source = await begin(cancelled.signal).catch(() => null);
        // Closed by the cancel already.
        if (cancelled.signal.aborted) {
          await source?.cancel(over);
          return;
        }
        if (source === null) return close(controller);
        reader = largeReads(source);
      }
      const { done, value } = await reader.read();
      if (done || value === undefined) close(controller);
      else controller.enqueue(value);
    },
    async cancel(reason) {
      cancelled.abort(over);
      await reader?.cancel(reason);
    },
  });
}

export function bytesOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: "bytes",
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes.slice());
      controller.close();
    },
  });
}

function close(controller: ReadableByteStreamController): void {
  controller.close();
  controller.byobRequest?.respond(0);
}

/** As much at once as there is, up to a chunk. A source of the platform's would otherwise hand out 4 kB at a time. */
function largeReads(source: ReadableStream<Uint8Array>): Reader {
  try {
    const reader = source.getReader({ mode: "byob" });
    return { read: () => reader.read(new Uint8Array(chunkBytes)), cancel: (reason) => reader.cancel(reason) };
  } catch {
    // Not a stream of bytes: it gives the chunks it has.
    const reader = source.getReader();
    return { read: () => reader.read(), cancel: (reason) => reader.cancel(reason) };
  }
}
