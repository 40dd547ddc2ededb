/**
 * Server-sent events that survive their connection: when it breaks, or falls silent, the stream is opened again after the
 * last event that arrived, so that nothing is lost or repeated.
 */
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { ConnectionError } from "../errors.ts";
import { pauseMs, type RetryTerms, sleep } from "./pacing.ts";

/** Mooring says something every 15 s at least: a connection that is silent for longer is a dead one. */
const silenceMs = 45_000;

export type Taken<Item, End> =
  | { readonly type: "item"; readonly item: Item; readonly position: number }
  /** It is over. */
  | { readonly type: "end"; readonly end: End }
  /** The server lost its own source: ask again from here. */
  | { readonly type: "broken" }
  | { readonly type: "nothing" };

export interface Following<Item, End> {
  /** For words in errors. */
  readonly what: string;
  readonly from: number;
  open(position: number): Promise<Response>;
  take(message: EventSourceMessage): Taken<Item, End>;
  readonly retry: RetryTerms;
  readonly signal?: AbortSignal | undefined;
}

/** The items as they come; returns how it ended. Gives up after as many failures in a row as `retry` allows. */
export async function* follow<Item, End>(order: Following<Item, End>): AsyncGenerator<Item, End, void> {
  let position = order.from;
  let failures = 0;
  for (;;) {
    const response = await order.open(position);
    try {
      // A heartbeat is a sign of a sound connection: a quiet job may be followed for days through a proxy that cuts it each hour.
      const alive = () => {
        failures = 0;
      };
      for await (const message of messages(response, order, alive)) {
        const taken = order.take(message);
        if (taken.type === "end") return taken.end;
        if (taken.type === "broken") break;
        if (taken.type === "nothing") continue;
        position = taken.position;
        failures = 0;
        yield taken.item;
      }
    } catch (error) {
      order.signal?.throwIfAborted();
      if (!(error instanceof ConnectionError)) throw error;
    }
    failures += 1;
    if (failures >= order.retry.attempts) {
      throw new ConnectionError(`${order.what} broke off ${failures} times in a row at ${position}.`, order.what);
    }
    await sleep(pauseMs(failures, order.retry), order.signal);
  }
}

async function* messages(
  response: Response,
  order: { readonly what: string; readonly signal?: AbortSignal | undefined },
  onComment: () => void,
): AsyncGenerator<EventSourceMessage, void, void> {
  const arrived: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => arrived.push(message), onComment });
  const decoder = new TextDecoder();
  for await (const bytes of chunks(response, order)) {
    parser.feed(decoder.decode(bytes, { stream: true }));
    yield* arrived.splice(0);
  }
}

/** Yields the body's bytes. When the reader stops, the connection is closed. A broken or silent connection throws a ConnectionError. */
export async function* chunks(
  response: Response,
  order: { readonly what: string; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Uint8Array, void, void> {
  if (response.body === null) return;
  const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
  try {
    for (;;) {
      const read = await inTime(reader.read(), order.signal).catch((error: unknown) => {
        order.signal?.throwIfAborted();
        throw new ConnectionError(`${order.what} broke off.`, order.what, { cause: error });
      });
      if (read.done) return;
      yield read.value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function inTime<T>(read: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const arrived = new AbortController();
  const limit = signal === undefined ? arrived.signal : AbortSignal.any([arrived.signal, signal]);
  const silence = sleep(silenceMs, limit).then((): never => {
    throw new Error("the connection went silent");
  });
  try {
    return await Promise.race([read, silence]);
  } finally {
    arrived.abort(new Error("it arrived"));
    silence.catch(() => {});
  }
}
