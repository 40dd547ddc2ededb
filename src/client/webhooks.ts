/**
 * A tenant's webhooks. The secret is in the answers of `create` and `rotate` only; verify what arrives with a library of
 * Standard Webhooks, the secret and the raw body.
 */
import { everyPage, numberOf } from "./wire/pages.ts";
import type { CallOptions, Transport } from "./wire/transport.ts";
import type { AnswerOf, BodyFor, QueryFor } from "./types.ts";

export class Webhooks {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Events from now on are sent to that address. Never repeated unasked: after a ConnectionError look at the list. */
  create(order: BodyFor<"createWebhook">, options: CallOptions = {}): Promise<AnswerOf<"createWebhook">> {
    return this.#transport.json({ operation: "createWebhook", json: order, repeatable: false }, options);
  }

  /** All of them. */
  async list(options: CallOptions = {}): Promise<AnswerOf<"listWebhooks">["data"]> {
    const call = { operation: "listWebhooks", repeatable: true } as const;
    return (await this.#transport.json(call, options)).data;
  }

  /** One, and whether it works. */
  get(id: string, options: CallOptions = {}): Promise<AnswerOf<"getWebhook">> {
    return this.#transport.json({ operation: "getWebhook", parameters: { id }, repeatable: true }, options);
  }

  /** Its address, its events, its words; `enabled: true` sends again what had waited. */
  change(id: string, change: BodyFor<"changeWebhook">, options: CallOptions = {}): Promise<AnswerOf<"changeWebhook">> {
    return this.#transport.json(
      { operation: "changeWebhook", parameters: { id }, json: change, repeatable: true },
      options,
    );
  }

  /** With everything that waits for it. Safe to repeat, but the second answer is `not_found`. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.text({ operation: "deleteWebhook", parameters: { id }, repeatable: false }, options);
  }

  /** A new secret; the old one signs beside it for a day. */
  rotate(id: string, options: CallOptions = {}): Promise<AnswerOf<"rotateWebhookSecret">> {
    return this.#transport.json({ operation: "rotateWebhookSecret", parameters: { id }, repeatable: false }, options);
  }

  /** Sends a `webhook.test`; how it went is in the deliveries. */
  test(id: string, options: CallOptions = {}): Promise<AnswerOf<"testWebhook">> {
    return this.#transport.json({ operation: "testWebhook", parameters: { id }, repeatable: false }, options);
  }

  /** What was sent and how it went, newest first, page after page. */
  deliveries(
    id: string,
    query: Omit<QueryFor<"listDeliveries">, "cursor"> = {},
    options: CallOptions = {},
  ): AsyncGenerator<AnswerOf<"listDeliveries">["data"][number], void, void> {
    return everyPage(async (cursor) => {
      const call = {
        operation: "listDeliveries",
        parameters: { id },
        query: { ...query, cursor: numberOf(cursor) },
        repeatable: true,
      } as const;
      const page = await this.#transport.json(call, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** Sends one again, whatever became of it, with the id it had. */
  redeliver(id: string, delivery: string, options: CallOptions = {}): Promise<AnswerOf<"redeliver">> {
    const parameters = { id, delivery };
    return this.#transport.json({ operation: "redeliver", parameters, repeatable: false }, options);
  }
}
