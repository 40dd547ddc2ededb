/**
 * Ends that a caller was just told of, until the session's own report says them.
 *
 * A session that is being torn down waits up to two seconds with its report, to tell the outcome once. Whoever ended it and looks at
 * a list meanwhile would find it running. Kept in memory alone, so it costs no row; an object that is restarted shows the row as it is.
 */
import type { SessionId } from "../../domain/state/ids.ts";
import type { SessionListItem } from "../../protocol/resources/session/sessions.ts";

export interface RecentEnd {
  readonly sessionId: SessionId;
  readonly status: "terminating" | "terminated" | "failed";
}

/** Far longer than the report is held back, retries included. Nothing that was ended comes back, so longer would not be wrong. */
const keptMs = 60_000;
/** The oldest go first: a list then shows what the row says. */
const keptAtMost = 10_000;
const ending: ReadonlySet<SessionListItem["status"]> = new Set(["terminating", "terminated", "failed"]);

export class RecentEnds {
  readonly #ends = new Map<SessionId, { readonly status: RecentEnd["status"]; readonly until: number }>();

  add({ sessionId, status }: RecentEnd, now: number): void {
    this.#ends.delete(sessionId);
    this.#ends.set(sessionId, { status, until: now + keptMs });
    const [oldest] = this.#ends.keys();
    if (this.#ends.size > keptAtMost && oldest !== undefined) this.#ends.delete(oldest);
  }

  /** A report that was made before the end changes nothing. */
  reported({ sessionId, status }: { readonly sessionId: SessionId; readonly status: SessionListItem["status"] }): void {
    if (ending.has(status)) this.#ends.delete(sessionId);
  }

  at(now: number): ReadonlyMap<string, RecentEnd["status"]> {
    for (const [id, { until }] of this.#ends) {
      if (until > now) break;
      this.#ends.delete(id);
    }
    return new Map([...this.#ends].map(([id, { status }]) => [id, status]));
  }
}
