/**
 * One webhook on its way: signed by the library of Standard Webhooks, sent once, within a bound. Redirects are not followed
 * (they could lead anywhere the address check refused) and what the receiver says is not read: its status is the answer.
 */
import { Webhook } from "standardwebhooks";
import type { Clock } from "../runtime/clock-ids-logger.ts";
import type { PostOrder, PostOutcome } from "../tenant/webhooks/webhook-ports.ts";

/** Receivers are asked to answer first and work later. */
const boundMs = 15_000;

export async function postWebhook(order: PostOrder, clock: Pick<Clock, "now">): Promise<PostOutcome> {
  const beganAt = clock.now();
  const took = () => Math.max(0, clock.now() - beganAt);
  try {
    const at = new Date(order.at);
    const signature = order.secrets.map((secret) => new Webhook(secret).sign(order.id, at, order.body)).join(" ");
    const response = await fetch(order.url, {
      method: "POST",
      redirect: "manual",
      headers: {
        "content-type": "application/json",
        "user-agent": "Mooring-Webhooks/1",
        "webhook-id": order.id,
        "webhook-timestamp": String(Math.floor(order.at / 1_000)),
        "webhook-signature": signature,
      },
      body: order.body,
      signal: AbortSignal.timeout(boundMs),
    });
    await response.body?.cancel().catch(() => undefined);
    const { status } = response;
    const retryAfterMs = retryAfter(response.headers.get("retry-after"));
    if (response.ok) return { status, error: null, retryAfterMs: null, ms: took() };
    const error =
      status >= 300 && status < 400
        ? `It answered ${status}: redirects are not followed. Change the URL.`
        : `It answered ${status}.`;
    return { status, error, retryAfterMs, ms: took() };
  } catch (error) {
    const late = error instanceof Error && error.name === "TimeoutError";
    const words = late ? `No answer within ${boundMs / 1_000} s.` : "It could not be reached.";
    return { status: null, error: words, retryAfterMs: null, ms: took() };
  }
}

/** Seconds only: a date would be judged by two clocks. */
function retryAfter(header: string | null): number | null {
  return header !== null && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : null;
}
