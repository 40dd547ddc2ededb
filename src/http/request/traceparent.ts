/**
 * `traceparent` (W3C Trace Context): a client's trace goes on through Mooring; without one, or with one that is malformed,
 * a new trace begins, as the recommendation says. Only hex digits ever come out of it, so it can go into logs and headers.
 */
import type { Ids } from "../../runtime/clock-ids-logger.ts";

export interface TraceContext {
  readonly traceId: string;
  /** To be passed on: the same trace, our span, the client's flags. */
  readonly traceparent: string;
}

/** A later version may have more fields after these; version ff is none. */
const pattern = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x21-\x7e]{1,200})?$/;
const none = /^0+$/;

export function traceOf(request: Request, ids: Pick<Ids, "secret">): TraceContext {
  const ours = ids.secret();
  const span = ours.slice(32, 48);
  const [, version, traceId, parent, flags, more] = pattern.exec(request.headers.get("traceparent") ?? "") ?? [];
  const usable =
    traceId !== undefined &&
    parent !== undefined &&
    !none.test(traceId) &&
    !none.test(parent) &&
    !(version === "00" && more !== undefined);
  if (!usable) return { traceId: ours.slice(0, 32), traceparent: `00-${ours.slice(0, 32)}-${span}-00` };
  return { traceId, traceparent: `00-${traceId}-${span}-${flags ?? "00"}` };
}
