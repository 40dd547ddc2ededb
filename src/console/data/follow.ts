/**
 * Server-sent events over `fetch`, because an EventSource cannot send the header that says that the console asks. After
 * a break the stream resumes at the last event. While the page is hidden it waits.
 */
import { createParser } from "eventsource-parser";
import { CallFailed, send } from "./call.ts";
import { visible } from "./clock.ts";

export interface Followed {
  readonly event: string;
  readonly id: string;
  readonly data: string;
}

export interface FollowOrder {
  readonly path: string;
  /** The event id after which the first request begins; "": from the beginning. */
  readonly from: string;
  /** Answers false to stop following. */
  readonly take: (event: Followed) => boolean;
  /** Called when the stream connects, breaks or ends. */
  readonly onState?: (state: "live" | "waiting" | "over") => void;
}

const pauseMs = 2_000;

/** Answers a function that stops following. */
export function follow({ path, from, take, onState }: FollowOrder): () => void {
  let last = from;
  let asked: AbortController | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;

  async function open(): Promise<void> {
    const controller = new AbortController();
    asked = controller;
    const headers = { accept: "text/event-stream", ...(last === "" ? {} : { "last-event-id": last }) };
    try {
      const answer = await send("GET", path, { headers, signal: controller.signal });
      onState?.("live");
      const parser = createParser({
        onEvent: ({ event, id, data }) => {
          if (id !== undefined) last = id;
          if (!over && !take({ event: event ?? "message", id: last, data })) finish();
        },
      });
      for await (const text of (answer.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream()))
        parser.feed(text);
    } catch (error) {
      // A refusal for good is shown by the page's own reads. Any other failure is tried again.
      if (error instanceof CallFailed && !error.problem.retryable) finish();
    }
    if (over || controller.signal.aborted) return;
    onState?.("waiting");
    timer = setTimeout(() => void open(), pauseMs);
  }

  function finish(): void {
    over = true;
    clearTimeout(timer);
    asked?.abort();
    onState?.("over");
  }

  const stopWatching = visible.subscribe((seen) => {
    if (over) return;
    clearTimeout(timer);
    asked?.abort();
    asked = null;
    if (seen) void open();
  });
  return () => {
    stopWatching();
    over = true;
    clearTimeout(timer);
    asked?.abort();
  };
}
