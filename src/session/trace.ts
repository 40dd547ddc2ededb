/**
 * The trace (W3C Trace Context) that this object works for: that of the last request. Every call to a host or a wrapper
 * carries it, with a new span. Before the first request (an alarm after a load), the object has a trace of its own.
 */
import type { Ids } from "../runtime/clock-ids-logger.ts";

export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

/** Spans of the platform's own tracing. They end with the promise that `body` returns. */
export interface Spans {
  in<T>(name: string, body: (note: (facts: SpanFacts) => void) => Promise<T>): Promise<T>;
}

/** Where nobody collects spans. */
const noSpans: Spans = { in: (_name, body) => body(() => {}) };

const pattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

export class Trace {
  readonly #ids: Pick<Ids, "secret">;
  readonly #spans: Spans;
  #traceId: string;
  #flags = "00";

  constructor(ids: Pick<Ids, "secret">, spans: Spans = noSpans) {
    this.#ids = ids;
    this.#spans = spans;
    this.#traceId = ids.secret().slice(0, 32);
  }

  get traceId(): string {
    return this.#traceId;
  }

  /** `traceparent` of a request, validated where the request came in; undefined: it had none. */
  follow(traceparent: string | undefined): void {
    const [, traceId, , flags] = pattern.exec(traceparent ?? "") ?? [];
    if (traceId === undefined || flags === undefined) return;
    this.#traceId = traceId;
    this.#flags = flags;
  }

  /** A span around one thing that is done to a sandbox, with the trace that our own log lines carry. `note` adds how it came out. */
  span<T>(name: string, facts: SpanFacts, body: (note: (facts: SpanFacts) => void) => Promise<T>): Promise<T> {
    return this.#spans.in(name, (note) => {
      note({ ...facts, "mooring.trace_id": this.#traceId });
      return body(note);
    });
  }

  /** The header for one call to a host or a wrapper. */
  traceparent(): string {
    return `00-${this.#traceId}-${this.#ids.secret().slice(0, 16)}-${this.#flags}`;
  }
}
