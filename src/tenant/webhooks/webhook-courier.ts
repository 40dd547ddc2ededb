/**
 * Carries events to webhooks: reads what is new from sessions that reported a change, and sends what is due. Everything it
 * knows is in rows: an attempt is counted and its successor dated before it is sent, so a crash in between sends once more
 * (at least once, with the same `webhook-id`) and never loses one. It never holds up the tenant's other business: nothing of
 * this is awaited by a reserve or a report.
 */
import type { TenantId } from "../../domain/ids.ts";
import { addressFault } from "../../protocol/webhook-address.ts";
import { nextAttemptIn, restAfter } from "./retry.ts";
import { type PostOutcome, secretPlace, type WebhookPorts } from "./webhook-ports.ts";
import {
  deliveriesDue,
  type Delivery,
  forgetHookedSession,
  keepEvents,
  nextWebhookWork,
  type PendingSession,
  pruneWebhooks,
  readDelivery,
  readSessionLater,
  readWebhook,
  sessionsToRead,
  type Webhook,
  writeDelivery,
  writeWebhook,
} from "./webhook-rows.ts";

/** Sessions read, and deliveries sent, at one time. A Worker may have six connections open. */
const atOnce = 4;
/** Of one session in one call. */
const eventsAtOnce = 100;
/** A healthy session answers in some ms. */
const readBoundMs = 10_000;
const readAgainMs = 10_000;
/** A crash while it is sent: by then it is certain that nobody waits for the answer any more. Longer than the bound of a post. */
const sendAgainMs = 60_000;
/** One turn, with the alarm behind it: what is left goes on in the next. */
const turnMs = 20_000;
const keptMs = 7 * 24 * 3_600_000;
const prunedAtOnce = 500;

export class WebhookCourier {
  readonly #ports: WebhookPorts;
  #turn: Promise<void> | null = null;

  constructor(ports: WebhookPorts) {
    this.#ports = ports;
  }

  /** When to look again; null: nothing waits. */
  nextLook(): number | null {
    return this.#ports.core.look(nextWebhookWork, null);
  }

  get due(): boolean {
    const next = this.nextLook();
    return next !== null && next <= this.#ports.clock.now();
  }

  /** Does what is due, for a while. One turn at a time; never rejects. */
  run(): Promise<void> {
    this.#turn ??= this.#work()
      .catch((error: unknown) => {
        this.#ports.logger.error("webhooks were not worked on", { tenant: this.#ports.tenant(), error: String(error) });
      })
      .finally(() => {
        this.#turn = null;
      });
    return this.#turn;
  }

  prune(): void {
    const { core, clock } = this.#ports;
    if (core.look((sql) => sql.run("SELECT 1 FROM webhook LIMIT 1").length > 0, false))
      core.change((sql) => pruneWebhooks(sql, clock.now() - keptMs, prunedAtOnce));
  }

  async #work(): Promise<void> {
    const { core, clock } = this.#ports;
    const until = clock.now() + turnMs;
    while (this.due && clock.now() < until) {
      const now = clock.now();
      const sessions = core.look((sql) => sessionsToRead(sql, now, atOnce), []);
      await Promise.all(sessions.map((session) => this.#read(session)));
      const deliveries = core.look((sql) => deliveriesDue(sql, clock.now(), atOnce), []);
      await Promise.all(deliveries.map((delivery) => this.#send(delivery)));
    }
  }

  /** Dated ahead before it is asked: one that never answers must not be asked without end. */
  async #read(session: PendingSession): Promise<void> {
    const { core, clock, events, ids, tenant, logger } = this.#ports;
    core.change((sql) => readSessionLater(sql, session, clock.now() + readAgainMs));
    const answered = new AbortController();
    const late = clock.sleep(readBoundMs, answered.signal).then((): never => {
      throw new Error("no answer in time");
    });
    try {
      const reply = await Promise.race([events(session.sessionId, tenant(), session.cursor, eventsAtOnce), late]);
      core.change((sql) => {
        if (reply.ok)
          keepEvents(sql, session, reply.value, reply.value.length < eventsAtOnce, () => `dl_${ids.id()}`, clock.now());
        else if (reply.problem.code === "not_found") forgetHookedSession(sql, session);
      });
    } catch (error) {
      logger.warn("a session's events could not be read", { session: session.sessionId, error: String(error) });
    } finally {
      answered.abort();
    }
  }

  async #send(due: Delivery): Promise<void> {
    const { core, clock, terms, tenant, post } = this.#ports;
    const beganAt = clock.now();
    const begun = core.change((sql) => {
      const webhook = readWebhook(sql, due.webhookId);
      const delivery = readDelivery(sql, due.webhookId, due.id);
      if (webhook === null || delivery?.state !== "pending" || delivery.attempts !== due.attempts) return null;
      const counted: Delivery = { ...delivery, attempts: delivery.attempts + 1, nextAt: beganAt + sendAgainMs };
      writeDelivery(sql, counted);
      return { webhook, delivery: counted };
    });
    if (begun === null) return;
    const { webhook, delivery } = begun;
    const fault = addressFault(webhook.url, terms.allowPrivate);
    const secrets = await this.#secretsOf(webhook, tenant());
    const outcome: PostOutcome =
      fault !== null
        ? unsent(`Not sent: ${fault}`)
        : secrets === null
          ? unsent("Not sent: its secret cannot be read just now. Tell the operator, or rotate it.")
          : await post({ url: webhook.url, secrets, id: delivery.eventId, at: beganAt, body: delivery.body });
    this.#record(delivery, outcome, beganAt);
  }

  async #secretsOf(webhook: Webhook, tenant: TenantId): Promise<readonly string[] | null> {
    const { seals, clock, logger } = this.#ports;
    const { previous } = webhook;
    const stored =
      previous === null || previous.until <= clock.now() ? [webhook.secret] : [webhook.secret, previous.secret];
    const opened = await Promise.all(stored.map((each) => seals.open(each, secretPlace(tenant, webhook.id))));
    const [newest] = opened;
    // The present secret must sign; the one before it is a courtesy.
    if (newest?.ok !== true) {
      logger.error("a webhook's secret cannot be read", { webhook: webhook.id, why: newest?.why ?? "there is none" });
      return null;
    }
    return opened.flatMap((each) => (each.ok ? [each.text] : []));
  }

  #record(sent: Delivery, outcome: PostOutcome, beganAt: number): void {
    const { core, clock, ids, terms, logger } = this.#ports;
    core.change((sql) => {
      const now = clock.now();
      const webhook = readWebhook(sql, sent.webhookId);
      const delivery = readDelivery(sql, sent.webhookId, sent.id);
      // Deleted meanwhile, or begun anew by a redelivery: this answer is not about what stands there now.
      if (webhook === null || delivery?.state !== "pending" || delivery.attempts !== sent.attempts) return;
      const { status, error, ms } = outcome;
      const log = [...delivery.log, { at: beganAt, status, error, ms }];
      const told = { ...delivery, log, logged: delivery.logged + 1 };
      if (error === null) {
        writeDelivery(sql, { ...told, state: "delivered", endedAt: now });
        if (webhook.failures > 0 || webhook.failingSince !== null)
          writeWebhook(sql, { ...webhook, failures: 0, failingSince: null, notBefore: 0 });
        return;
      }
      const wait = nextAttemptIn(delivery.attempts, outcome.retryAfterMs, ids.random());
      writeDelivery(sql, wait === null ? { ...told, state: "failed", endedAt: now } : { ...told, nextAt: now + wait });
      const failures = webhook.failures + 1;
      const failingSince = webhook.failingSince ?? beganAt;
      const why = whyDisabled(outcome, now - failingSince, terms.disableAfterMs);
      if (why !== null) logger.warn("a webhook was disabled", { webhook: webhook.id, why });
      writeWebhook(sql, {
        ...webhook,
        failures,
        failingSince,
        notBefore: now + restAfter(failures),
        ...(why === null ? {} : { disabled: { at: now, why }, updatedAt: now }),
      });
    });
  }
}

function unsent(error: string): PostOutcome {
  return { status: null, error, retryAfterMs: null, ms: 0 };
}

/** null: it goes on. */
function whyDisabled(outcome: PostOutcome, failingMs: number, disableAfterMs: number): string | null {
  // Standard Webhooks: the receiver's word that it wants no more.
  if (outcome.status === 410) return "It answered 410 Gone.";
  if (failingMs < disableAfterMs) return null;
  return `Every attempt of the last ${Math.floor(failingMs / 3_600_000)} hours failed. Enable it when it works again.`;
}
