/** What a tenant may ask about its webhooks. A secret leaves it twice only: when it is made and when it is rotated. */
import type { Problem, Reply } from "../../protocol/problem.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import { addressFault } from "../../protocol/resources/tenant/webhook-address.ts";
import {
  type ChangeWebhook,
  type CreateWebhook,
  type DeliveryView,
  webhookLimits,
  type WebhookView,
  type WebhookWithSecret,
} from "../../protocol/resources/tenant/webhooks.ts";
import type { SealCount } from "../../session/session-api.ts";
import type { DeliveryPage, DeliveryQuery } from "../tenant-api.ts";
import { sealContext, type WebhookPorts } from "./webhook-ports.ts";
import { type Delivery, deliveriesOf, enqueue, readDelivery, storeAgain } from "./delivery-rows.ts";
import { pendingCount, readWebhook, readWebhooks, removeWebhook, type Webhook, writeWebhook } from "./webhook-rows.ts";
import { webhookNotFound } from "../../protocol/not-found.ts";
import { fromHex, toBase64 } from "../../protocol/bytes.ts";

/** For receivers that learn the new secret some hours later. */
const overlapMs = 24 * 3_600_000;

type Refused = { readonly ok: false; readonly problem: Problem };
const refuse = (problem: Problem): Refused => ({ ok: false, problem });

const unknownWebhook = refuse(webhookNotFound);
const unknownDelivery = refuse({
  code: "not_found",
  detail:
    "There is no delivery with this id, or it ended more than a week ago. List them with GET /v1/webhooks/{id}/deliveries.",
});
const noKey = refuse({
  code: "secret_missing",
  detail:
    "This Mooring has no ENV_ENCRYPTION_KEY, so the secret of a webhook could not be kept safely and nothing was made. Its operator sets it with `wrangler secret put ENV_ENCRYPTION_KEY`.",
});

export class WebhookCommands {
  readonly #ports: WebhookPorts;

  constructor(ports: WebhookPorts) {
    this.#ports = ports;
  }

  async createWebhook(body: CreateWebhook): Promise<Reply<WebhookWithSecret>> {
    const { rows, clock, ids } = this.#ports;
    const fault = this.#addressFault(body.url);
    if (fault !== null) return fault;
    const id = `wh_${ids.id()}`;
    const secret = this.#mintSecret();
    const sealed = await this.#seal(id, secret);
    if (sealed === null) return noKey;
    const now = clock.now();
    return rows.write((sql): Reply<WebhookWithSecret> => {
      const used = readWebhooks(sql).length;
      if (used >= webhookLimits.perTenant) return refuse(tooMany(used));
      const webhook: Webhook = {
        id,
        url: body.url,
        events: body.events ?? ["*"],
        description: body.description ?? "",
        secret: sealed,
        previous: null,
        disabled: null,
        createdAt: now,
        updatedAt: now,
        failures: 0,
        failingSince: null,
        notBefore: 0,
      };
      writeWebhook(sql, webhook);
      return { ok: true, value: { ...view(webhook, 0), secret } };
    });
  }

  webhooks(): readonly WebhookView[] {
    return this.#ports.rows.read(
      (sql) => readWebhooks(sql).map((webhook) => view(webhook, pendingCount(sql, webhook.id))),
      [],
    );
  }

  webhook(id: string): Reply<WebhookView> {
    return this.#ports.rows.read((sql): Reply<WebhookView> => {
      const webhook = readWebhook(sql, id);
      return webhook === null ? unknownWebhook : { ok: true, value: view(webhook, pendingCount(sql, id)) };
    }, unknownWebhook);
  }

  change(id: string, body: ChangeWebhook): Reply<WebhookView> {
    const fault = body.url === undefined ? null : this.#addressFault(body.url);
    if (fault !== null) return fault;
    const now = this.#ports.clock.now();
    return this.#with(id, (sql, webhook) => {
      const stopped = { at: now, why: "Switched off by its tenant." };
      const changed: Webhook = {
        ...webhook,
        url: body.url ?? webhook.url,
        events: body.events ?? webhook.events,
        description: body.description ?? webhook.description,
        disabled: body.enabled === undefined ? webhook.disabled : body.enabled ? null : (webhook.disabled ?? stopped),
        updatedAt: now,
        // Another address, or somebody's word that it works again: what was counted against it does not count any more.
        ...(body.enabled === true || body.url !== undefined ? { failures: 0, failingSince: null, notBefore: 0 } : {}),
      };
      writeWebhook(sql, changed);
      return view(changed, pendingCount(sql, id));
    });
  }

  deleteWebhook(id: string): Reply<null> {
    return this.#with(id, (sql) => {
      removeWebhook(sql, id);
      return null;
    });
  }

  /** The old secret signs beside the new one for a day. */
  async rotateWebhook(id: string): Promise<Reply<WebhookWithSecret>> {
    const secret = this.#mintSecret();
    const sealed = await this.#seal(id, secret);
    if (sealed === null) return noKey;
    const now = this.#ports.clock.now();
    return this.#with(id, (sql, webhook) => {
      const previous = { secret: webhook.secret, until: now + overlapMs };
      const rotated: Webhook = { ...webhook, secret: sealed, previous, updatedAt: now };
      writeWebhook(sql, rotated);
      return { ...view(rotated, pendingCount(sql, id)), secret };
    });
  }

  webhookDeliveries(id: string, query: DeliveryQuery): Reply<DeliveryPage> {
    return this.#ports.rows.read((sql): Reply<DeliveryPage> => {
      if (readWebhook(sql, id) === null) return unknownWebhook;
      const found = deliveriesOf(sql, id, query.state, query.before, query.limit + 1);
      const page = found.slice(0, query.limit);
      const next = found.length > query.limit ? (page.at(-1)?.position ?? null) : null;
      return { ok: true, value: { deliveries: page.map(deliveryView), next } };
    }, unknownWebhook);
  }

  /** Queued like any other, so that it shows what an event would meet. */
  test(id: string): Reply<DeliveryView> {
    const { ids, clock } = this.#ports;
    const now = clock.now();
    return this.#with(id, (sql) => {
      const deliveryId = `dl_${ids.id()}`;
      const type = "webhook.test";
      const message = {
        type,
        timestamp: rfc3339(now),
        data: { webhook_id: id, message: "A test. Nothing happened to any session." },
      };
      enqueue(sql, {
        id: deliveryId,
        webhookId: id,
        sessionId: "",
        eventId: `evt_test_${ids.id()}`,
        type,
        message,
        now,
      });
      return deliveryView(written(readDelivery(sql, id, deliveryId)));
    });
  }

  /** Sends it again, whatever its last outcome, with as many tries as a new delivery. */
  redeliver(id: string, deliveryId: string): Reply<DeliveryView> {
    const now = this.#ports.clock.now();
    const reply = this.#with(id, (sql) => {
      const known = readDelivery(sql, id, deliveryId);
      if (known === null) return null;
      return deliveryView(storeAgain(sql, known, now));
    });
    if (!reply.ok) return reply;
    return reply.value === null ? unknownDelivery : { ok: true, value: reply.value };
  }

  /** Seals anew what an older key sealed. */
  async reseal(): Promise<SealCount> {
    const { rows, seals, tenant, logger } = this.#ports;
    const count = { current: 0, renewed: 0, unreadable: 0 };
    for (const { id } of rows.read(readWebhooks, [])) {
      for (const field of ["secret", "previous"] as const) {
        const stored = rows.read((sql) => storedSecret(readWebhook(sql, id), field), null);
        if (stored === null) continue;
        const outcome = await seals.renew(stored, sealContext(tenant(), id));
        count[outcome.type] += 1;
        if (outcome.type === "unreadable")
          logger.error("a webhook's secret cannot be read", { webhook: id, why: outcome.why });
        if (outcome.type !== "renewed") continue;
        rows.write((sql) => {
          const webhook = readWebhook(sql, id);
          // It may have been rotated or removed meanwhile.
          if (webhook === null || storedSecret(webhook, field) !== stored) return;
          const { sealed } = outcome;
          const previous = webhook.previous === null ? null : { ...webhook.previous, secret: sealed };
          writeWebhook(sql, field === "secret" ? { ...webhook, secret: sealed } : { ...webhook, previous });
        });
      }
    }
    return count;
  }

  #with<T>(id: string, body: (sql: Parameters<typeof readWebhook>[0], webhook: Webhook) => T): Reply<T> {
    // A tenant that never had one writes nothing by asking.
    if (this.#ports.rows.read((sql) => readWebhook(sql, id), null) === null) return unknownWebhook;
    return this.#ports.rows.write((sql): Reply<T> => {
      const webhook = readWebhook(sql, id);
      return webhook === null ? unknownWebhook : { ok: true, value: body(sql, webhook) };
    });
  }

  #addressFault(url: string): Refused | null {
    const fault = addressFault(url, this.#ports.terms.allowPrivate);
    if (fault === null) return null;
    const detail =
      "The address of the webhook was not accepted and nothing was changed. Correct /url (see errors) and send it again.";
    return refuse({ code: "validation_failed", detail, errors: [{ pointer: "/url", detail: fault }] });
  }

  #seal(id: string, secret: string): Promise<string | null> {
    return this.#ports.seals.seal(secret, sealContext(this.#ports.tenant(), id));
  }

  /** 32 random bytes, as Standard Webhooks spells them. */
  #mintSecret(): string {
    return `whsec_${toBase64(fromHex(this.#ports.ids.secret()))}`;
  }
}

function storedSecret(webhook: Webhook | null, field: "secret" | "previous"): string | null {
  return field === "secret" ? (webhook?.secret ?? null) : (webhook?.previous?.secret ?? null);
}

function tooMany(used: number): Problem {
  const limit = webhookLimits.perTenant;
  const detail = `A tenant may have ${limit} webhooks and has ${used}. Delete one, or let one of them serve more events.`;
  return { code: "quota_exhausted", detail, limit, used };
}

/** A row that was written in this same transaction, so it must be there. */
function written<T>(value: T | null): T {
  if (value === null) throw new Error("a row that was just written is not there");
  return value;
}

const at = (epochMs: number | null): string | null => (epochMs === null ? null : rfc3339(epochMs));

function view(webhook: Webhook, pending: number): WebhookView {
  const { disabled } = webhook;
  return {
    id: webhook.id,
    url: webhook.url,
    events: [...webhook.events],
    description: webhook.description,
    status: disabled === null ? "active" : "disabled",
    disabled: disabled === null ? null : { at: rfc3339(disabled.at), reason: disabled.why },
    created_at: rfc3339(webhook.createdAt),
    updated_at: rfc3339(webhook.updatedAt),
    failing_since: at(webhook.failingSince),
    pending,
    previous_secret_until: at(webhook.previous?.until ?? null),
  };
}

function deliveryView(delivery: Delivery): DeliveryView {
  return {
    id: delivery.id,
    webhook_id: delivery.webhookId,
    event_id: delivery.eventId,
    type: delivery.type,
    session_id: delivery.sessionId === "" ? null : delivery.sessionId,
    state: delivery.state,
    created_at: rfc3339(delivery.createdAt),
    ended_at: at(delivery.endedAt),
    next_attempt_at: delivery.state === "pending" ? rfc3339(delivery.nextAt) : null,
    attempt_count: delivery.logged,
    attempts: delivery.log.map(({ at: began, status, error, ms }) => ({
      at: rfc3339(began),
      status,
      error,
      duration_ms: ms,
    })),
  };
}
