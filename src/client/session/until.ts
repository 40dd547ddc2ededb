/** Waiting for a session: looks begin close and become rarer, and a look that finds nothing new is a 304. */
import { WaitTimeoutError } from "../errors.ts";
import type { SessionView } from "../types.ts";
import { sleep } from "../wire/pacing.ts";
import type { CallOptions, Transport } from "../wire/transport.ts";

export interface WaitOptions extends CallOptions {
  /** How long to wait at most, ms; 10 minutes when left out. Then a WaitTimeoutError is thrown. */
  readonly withinMs?: number | undefined;
}

/** One status, several, or a function that knows it when it sees it. */
export type Wanted = SessionView["status"] | readonly SessionView["status"][] | ((session: SessionView) => boolean);

const usualWaitMs = 600_000;
/** A session changes its status in moments or in minutes. */
const firstLookMs = 200;
const lastLookMs = 3_000;

export async function waitUntil(
  transport: Transport,
  id: string,
  wanted: Wanted,
  options: WaitOptions,
): Promise<SessionView> {
  const { signal, withinMs = usualWaitMs } = options;
  const fits = typeof wanted === "function" ? wanted : ({ status }: SessionView) => [wanted].flat().includes(status);
  const words = typeof wanted === "function" ? "as wanted" : [wanted].flat().join(" or ");
  const until = Date.now() + withinMs;
  let etag: string | undefined;
  let last: SessionView | null = null;
  for (let lookMs = firstLookMs; ; lookMs = Math.min(lastLookMs, lookMs * 1.5)) {
    const headers = { "if-none-match": etag };
    const answer = await transport.answer(
      { operation: "getSession", parameters: { id }, headers, repeatable: true },
      { signal },
    );
    // 304: nothing changed, and what was there did not fit.
    if (answer.status !== 304) {
      last = answer.body;
      etag = answer.headers.get("etag") ?? undefined;
      if (fits(last)) return last;
      if (last.status === "terminated" || last.status === "failed") {
        throw new WaitTimeoutError(
          `Session ${id} is ${last.status} (${last.failure ?? last.terminate_reason ?? "no reason"}) and will never be ${words}.`,
          `until ${words}`,
        );
      }
    }
    if (Date.now() + lookMs > until) {
      throw new WaitTimeoutError(
        `Session ${id} is still ${last?.status} after ${withinMs} ms, not ${words}.`,
        `until ${words}`,
      );
    }
    await sleep(lookMs, signal);
  }
}
