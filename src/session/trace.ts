/**
 * Which trace (W3C Trace Context) this object works for. A request's trace is followed from the moment it is heard until the
 * next one is; whatever the object then asks of a host or a wrapper carries it, with a span of its own. Work that nobody
 * asked for (an alarm in an object that heard no request yet) has a trace of its own.
 */
import type { Ids } from "./ambient.ts";

const pattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

export class Trace {
  readonly #ids: Pick<Ids, "secret">;
  #traceId: string;
  #flags = "00";

  constructor(ids: Pick<Ids, "secret">) {
    this.#ids = ids;
    this.#traceId = ids.secret().slice(0, 32);
  }

  get traceId(): string {
    return this.#traceId;
  }

  /** `traceparent` of a request, checked where it came in; undefined: it had none. */
  follow(traceparent: string | undefined): void {
    const [, traceId, , flags] = pattern.exec(traceparent ?? "") ?? [];
    if (traceId === undefined || flags === undefined) return;
    this.#traceId = traceId;
    this.#flags = flags;
  }

  /** For one call to somebody else. */
  traceparent(): string {
    return `00-${this.#traceId}-${this.#ids.secret().slice(0, 16)}-${this.#flags}`;
  }
}
