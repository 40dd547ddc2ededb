/**
 * Carries events to webhooks: reads what is new from sessions that reported a change, and sends what is due. Everything it
 * knows is in rows: an attempt is counted and its successor dated before it is sent, so a crash in between sends once more
 * (at least once, with the same `webhook-id`) and never loses one. It never holds up the tenant's other business: nothing of
 * this is awaited by a reserve or a report.
 *
 * Every receiver has a lane of its own, and reading has one too. A call that ends starts what it made room for; nothing
 * waits for a batch. So a receiver that is slow or down delays itself only.
 */
import { bounded, timedOut } from "../../calls/bounded-call.ts";
import type { SessionId, TenantId } from "../../domain/state/ids.ts";
import { addressFault } from "../../protocol/resources/tenant/webhook-address.ts";
import type { Sql } from "../../storage/sql.ts";
import { type Delivery, firstHeadAt, headsDue, readDelivery, storeEnded, storePending } from "./delivery-rows.ts";
import { isSlow, nextAttemptIn, cooldownAfter, cooldownAfterSlow } from "./retry.ts";
import {
  firstReadAt,
  forgetWebhookSession,
  enqueueEvents,
  type PendingSession,
  readSessionLater,
  sessionsToRead,
} from "./webhook-sessions.ts";
import { type PostOutcome, sealContext, type WebhookPorts } from "./webhook-ports.ts";
import { readWebhook, readWebhooks, type Webhook, writeWebhook } from "./webhook-rows.ts";

/** Sessions read at one time. These are calls between objects, which do not count as connections. */
const readsAtOnce = 4;
/** Deliveries sent at one time. The platform opens six connections; what waits for one of them would time out unsent. */
const sendsAtOnce = 6;
/** To one receiver. */
const sendsToOne = 2;
/** Events read of one session in one call. */
const eventsAtOnce = 100;
/** A healthy session answers in some ms. */
const readBoundMs = 10_000;
const readAgainMs = 10_000;
/** A crash while it is sent: by then it is certain that nobody waits for the answer any more. Longer than the bound of a post. */
const sendAgainMs = 60_000;
/** How long the alarm waits for the sends that it started. Slower ones finish beside it. */
const turnMs = 20_000;

interface Lane {
  /** Deliveries that are being sent. */
  readonly underWay: Set<string>;
  /** Its last answer was slow: one at a time. */
  slow: boolean;
  /** When it last had its turn, counted over all lanes. */
  turn: number;
}

export class WebhookDispatcher {
  readonly #ports: WebhookPorts;
  /** By webhook. One for each that is active, or to which something is still under way. */
  readonly #lanes = new Map<string, Lane>();
  #turns = 0;
  readonly #reading = new Set<SessionId>();
  /** Every call under way. None of them rejects. */
  readonly #calls = new Set<Promise<void>>();

  constructor(ports: WebhookPorts) {
    this.#ports = ports;
  }

  /** When to look again; null: nothing waits. For what has no room now, when a call under way would have been lost. */
  nextLook(): number | null {
    return this.#ports.rows.read((sql) => {
      const now = this.#ports.clock.now();
      const times = [this.#reading.size < readsAtOnce ? firstReadAt(sql) : now + readAgainMs];
      for (const webhook of activeWebhooks(sql)) {
        const first = firstHeadAt(sql, webhook.id);
        if (first === null) continue;
        times.push(this.#roomFor(webhook.id) > 0 ? Math.max(first, webhook.notBefore) : now + sendAgainMs);
      }
      const known = times.filter((at) => at !== null);
      return known.length === 0 ? null : Math.min(...known);
    }, null);
  }

  get due(): boolean {
    const next = this.nextLook();
    return next !== null && next <= this.#ports.clock.now();
  }

  /** Starts what is due. Resolves when no call is under way any more, or after a while. Never rejects. */
  async run(): Promise<void> {
    this.#start();
    await bounded(this.#ports.clock, turnMs, () => this.#idle());
  }

  async #idle(): Promise<void> {
    while (this.#calls.size > 0) await Promise.all(this.#calls);
  }

  /** Never throws: rows that cannot be read now are looked at again by the alarm. */
  #start(): void {
    try {
      const { rows, clock } = this.#ports;
      const now = clock.now();
      for (const session of rows.read((sql) => sessionsToRead(sql, now, readsAtOnce), [])) {
        if (this.#reading.size >= readsAtOnce || this.#reading.has(session.sessionId)) continue;
        this.#reading.add(session.sessionId);
        this.#call(this.#read(session), () => this.#reading.delete(session.sessionId));
      }
      const active = rows.read(activeWebhooks, []);
      for (const [id, lane] of this.#lanes)
        if (lane.underWay.size === 0 && !active.some((webhook) => webhook.id === id)) this.#lanes.delete(id);
      // Webhooks that waited longest for a turn come first, one more send for each: a webhook never takes the connection of a receiver that
      // has none.
      const ready = active
        .filter((webhook) => webhook.notBefore <= now)
        .toSorted((a, b) => this.#laneOf(a.id).turn - this.#laneOf(b.id).turn);
      for (let count = 1; count <= sendsToOne; count += 1) for (const { id } of ready) this.#startSend(id, count, now);
    } catch (error) {
      this.#ports.logger.error("webhooks were not worked on", { tenant: this.#ports.tenant(), error: String(error) });
    }
  }

  /** Unless so many are under way to that receiver already. */
  #startSend(webhookId: string, atMost: number, now: number): void {
    const lane = this.#laneOf(webhookId);
    const { underWay } = lane;
    if (underWay.size >= atMost || this.#roomFor(webhookId) <= 0) return;
    const due = this.#ports.rows.read((sql) => headsDue(sql, webhookId, now, underWay.size + 1), []);
    const next = due.find((delivery) => !underWay.has(delivery.id));
    if (next === undefined) return;
    lane.turn = this.#turns += 1;
    underWay.add(next.id);
    this.#call(this.#send(next), () => underWay.delete(next.id));
  }

  /** Keeps the call until it ends, and then starts what it made room for. */
  #call(work: Promise<void>, ended: () => unknown): void {
    const call = work
      .catch((error: unknown) => {
        this.#ports.logger.error("a webhook call failed", { tenant: this.#ports.tenant(), error: String(error) });
        return "failed" as const;
      })
      .then((outcome) => {
        this.#calls.delete(call);
        ended();
        // What failed could not be stored: started again at once, it would fail again without end. The alarm tries it.
        if (outcome !== "failed") this.#start();
      });
    this.#calls.add(call);
  }

  #laneOf(webhookId: string): Lane {
    const known = this.#lanes.get(webhookId);
    if (known !== undefined) return known;
    const lane: Lane = { underWay: new Set(), slow: false, turn: 0 };
    this.#lanes.set(webhookId, lane);
    return lane;
  }

  #roomFor(webhookId: string): number {
    let all = 0;
    for (const { underWay } of this.#lanes.values()) all += underWay.size;
    const { slow, underWay } = this.#laneOf(webhookId);
    return Math.min((slow ? 1 : sendsToOne) - underWay.size, sendsAtOnce - all);
  }

  /** Dated ahead before it is asked: one that never answers must not be asked without end. */
  async #read(session: PendingSession): Promise<void> {
    const { store, clock, events, ids, tenant, logger } = this.#ports;
    await store((sql) => readSessionLater(sql, session, clock.now() + readAgainMs));
    try {
      const reply = await bounded(clock, readBoundMs, () =>
        events(session.sessionId, tenant(), session.cursor, eventsAtOnce),
      );
      if (reply === timedOut) throw new Error(`the session did not answer with its events within ${readBoundMs} ms`);
      await store((sql) => {
        if (reply.ok)
          enqueueEvents(
            sql,
            session,
            reply.value,
            reply.value.length < eventsAtOnce,
            () => `dl_${ids.id()}`,
            clock.now(),
          );
        else if (reply.problem.code === "not_found") forgetWebhookSession(sql, session);
      });
    } catch (error) {
      logger.warn("a session's events could not be read", { session: session.sessionId, error: String(error) });
    }
  }

  async #send(due: Delivery): Promise<void> {
    const { store, clock, terms, tenant, post } = this.#ports;
    const beganAt = clock.now();
    const begun = await store((sql) => {
      const webhook = readWebhook(sql, due.webhookId);
      const delivery = readDelivery(sql, due.webhookId, due.id);
      if (webhook === null || webhook.disabled !== null) return null;
      if (delivery?.state !== "pending" || delivery.attempts !== due.attempts) return null;
      const counted: Delivery = { ...delivery, attempts: delivery.attempts + 1, nextAt: beganAt + sendAgainMs };
      storePending(sql, counted);
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
    this.#laneOf(webhook.id).slow = isSlow(outcome.ms);
    await this.#record(delivery, outcome, beganAt);
  }

  async #secretsOf(webhook: Webhook, tenant: TenantId): Promise<readonly string[] | null> {
    const { seals, clock, logger } = this.#ports;
    const { previous } = webhook;
    const stored =
      previous === null || previous.until <= clock.now() ? [webhook.secret] : [webhook.secret, previous.secret];
    const opened = await Promise.all(stored.map((each) => seals.open(each, sealContext(tenant, webhook.id))));
    const [newest] = opened;
    // The present secret must sign; the one before it is a courtesy.
    if (newest?.ok !== true) {
      logger.error("a webhook's secret cannot be read", { webhook: webhook.id, why: newest?.why ?? "there is none" });
      return null;
    }
    return opened.flatMap((each) => (each.ok ? [each.text] : []));
  }

  async #record(sent: Delivery, outcome: PostOutcome, beganAt: number): Promise<void> {
    const { store, clock, ids, terms, logger } = this.#ports;
    await store((sql) => {
      const now = clock.now();
      const webhook = readWebhook(sql, sent.webhookId);
      const delivery = readDelivery(sql, sent.webhookId, sent.id);
      // Deleted meanwhile, or begun anew by a redelivery: this answer is not about what stands there now.
      if (webhook === null || delivery?.state !== "pending" || delivery.attempts !== sent.attempts) return;
      const { status, error, ms } = outcome;
      const log = [...delivery.log, { at: beganAt, status, error, ms }];
      const told = { ...delivery, log, logged: delivery.logged + 1 };
      if (error === null) {
        storeEnded(sql, told, "delivered", now);
        const notBefore = isSlow(ms) ? now + cooldownAfterSlow(ms) : 0;
        if (webhook.failures > 0 || webhook.failingSince !== null || webhook.notBefore !== notBefore)
          writeWebhook(sql, { ...webhook, failures: 0, failingSince: null, notBefore });
        return;
      }
      const wait = nextAttemptIn(delivery.attempts, outcome.retryAfterMs, ids.random());
      if (wait === null) storeEnded(sql, told, "failed", now);
      else storePending(sql, { ...told, nextAt: now + wait });
      const failures = webhook.failures + 1;
      const failingSince = webhook.failingSince ?? beganAt;
      const why = whyDisabled(outcome, now - failingSince, terms.disableAfterMs);
      if (why !== null) logger.warn("a webhook was disabled", { webhook: webhook.id, why });
      writeWebhook(sql, {
        ...webhook,
        failures,
        failingSince,
        notBefore: now + cooldownAfter(failures),
        ...(why === null ? {} : { disabled: { at: now, why }, updatedAt: now }),
      });
    });
  }
}

function activeWebhooks(sql: Sql): readonly Webhook[] {
  return readWebhooks(sql).filter((webhook) => webhook.disabled === null);
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
