/** Webhooks over the real network: wrangler's Worker sends, a Node server receives and verifies with the library. */
import { createServer, type Server } from "node:http";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { Api } from "../../../scripts/stack/api.ts";
import { freePort } from "../../../scripts/stack/ports.ts";
import { eventPage } from "../../../src/protocol/resources/session/events.ts";
import {
  deliveryPage,
  webhookMessage,
  webhookView,
  webhookWithSecret,
} from "../../../src/protocol/resources/tenant/webhooks.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

interface Received {
  readonly id: string;
  readonly type: string;
  readonly session: string | null;
  readonly sequence: number | null;
}

/** Takes what carries a valid signature, refuses the rest, and can be away. */
class Receiver {
  readonly received: Received[] = [];
  readonly refused: string[] = [];
  secret = "";
  /** The status to answer without checking the signature; null: check it. */
  answers: { status: number; headers?: Record<string, string> } | null = null;
  #server: Server | null = null;
  /** One that nobody takes while the receiver is away. */
  #port: number | null = null;

  get url(): string {
    return `http://127.0.0.1:${this.#port}/hook`;
  }

  async up(): Promise<void> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const said = this.#status(Buffer.concat(chunks).toString(), request.headers as Record<string, string>);
        response.writeHead(said.status, said.headers).end("x".repeat(100_000));
      });
    });
    this.#server = server;
    const port = (this.#port ??= (await freePort(0)) ?? 0);
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  }

  async down(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  #status(body: string, headers: Record<string, string>): { status: number; headers?: Record<string, string> } {
    if (this.answers !== null) return this.answers;
    try {
      const { type, data } = webhookMessage.parse(new Webhook(this.secret).verify(body, headers));
      const of =
        "sequence" in data ? { session: data.session_id, sequence: data.sequence } : { session: null, sequence: null };
      this.received.push({ id: headers["webhook-id"] ?? "", type, ...of });
      return { status: 204 };
    } catch (error) {
      this.refused.push(String(error));
      return { status: 400 };
    }
  }
}

const receiver = new Receiver();
let world: TemporaryStack;
let api: Api;
let key: string;

beforeAll(async () => {
  await receiver.up();
  world = await temporaryStack({ vars: { ...calmVars, WEBHOOK_ALLOW_PRIVATE: "true" } });
  key = await world.stack.apiKey("hooked");
  api = new Api(world.stack.url, key, new AbortController().signal);
});
afterAll(async () => {
  await receiver.down();
  await world.stop();
});

async function ask<T>(schema: z.ZodType<T>, method: string, path: string, json?: unknown): Promise<T> {
  const body = json === undefined ? {} : { body: JSON.stringify(json) };
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const response = await fetch(`${world.stack.url}${path}`, { method, headers, ...body });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return schema.parse(text === "" ? null : JSON.parse(text));
}

const of = (session: string) => receiver.received.filter((each) => each.session === session);

it(
  "a receiver that was away gets every event of a session later, in order, signed so that the library verifies it [API-7]",
  { timeout: 900_000 },
  async () => {
    const hook = await ask(webhookWithSecret, "POST", "/v1/webhooks", { url: receiver.url });
    receiver.secret = hook.secret;
    await ask(z.unknown(), "POST", `/v1/webhooks/${hook.id}/test`);
    await until("the test arrives", () => receiver.received.some((each) => each.type === "webhook.test"));

    await receiver.down();
    const { id } = await api.create({ idle_timeout_seconds: 300 });
    await until("it runs", async () => (await api.session(id)).status === "running");
    await until(
      "an attempt failed",
      async () => (await ask(webhookView, "GET", `/v1/webhooks/${hook.id}`)).failing_since,
    );
    await api.delete(id);
    await until("it is gone", async () => (await api.session(id)).status === "terminated");
    expect(of(id)).toEqual([]);
    await receiver.up();

    const history = await ask(eventPage, "GET", `/v1/sessions/${id}/events`);
    const sequences = history.data.map((event) => event.sequence);
    expect(sequences.length).toBeGreaterThan(3);
    // The later it is up again, the longer until the next attempt: after the fourth that is twelve minutes, which nobody waits for.
    await until("all of it arrived", () => of(id).length >= sequences.length, 300_000);
    // At least once: what is repeated carries the id it had.
    const told = [...new Map(of(id).map((each) => [each.id, each.sequence])).values()];
    expect(told).toEqual(sequences);
    expect(of(id).map((each) => each.type)).toContain("session.terminating");
    expect(receiver.refused).toEqual([]);

    const { data } = await ask(deliveryPage, "GET", `/v1/webhooks/${hook.id}/deliveries?limit=100`);
    const first = data.find((each) => each.session_id === id && each.attempts.length > 1);
    expect(first?.attempts[0]).toMatchObject({ status: null, error: "It could not be reached." });
    expect(data.every((each) => each.state === "delivered")).toBe(true);

    // A receiver that knows only the old secret still verifies for a day; one that knows the new one does, too.
    const rotated = await ask(webhookWithSecret, "POST", `/v1/webhooks/${hook.id}/rotate`);
    const delivery = data.find((each) => each.type === "webhook.test")?.id ?? "";
    for (const secret of [hook.secret, rotated.secret]) {
      receiver.secret = secret;
      const before = receiver.received.length;
      await ask(z.unknown(), "POST", `/v1/webhooks/${hook.id}/deliveries/${delivery}/redeliver`);
      await until("it arrives again", () => receiver.received.length > before);
    }
    expect(receiver.refused).toEqual([]);
    expect(JSON.stringify(await ask(z.unknown(), "GET", "/v1/webhooks"))).not.toContain("whsec_");
    await ask(z.unknown(), "DELETE", `/v1/webhooks/${hook.id}`);
  },
);

it("a redirect is not followed, and the log says what to do [API-7]", async () => {
  const hook = await ask(webhookWithSecret, "POST", "/v1/webhooks", { url: `${receiver.url}?moved` });
  receiver.secret = hook.secret;
  const before = receiver.received.length;
  receiver.answers = { status: 302, headers: { location: receiver.url } };
  await ask(z.unknown(), "POST", `/v1/webhooks/${hook.id}/test`);
  const attempt = await until("it was tried", async () => {
    const { data } = await ask(deliveryPage, "GET", `/v1/webhooks/${hook.id}/deliveries`);
    return data[0]?.attempts[0];
  });
  expect(attempt).toMatchObject({ status: 302, error: expect.stringContaining("not followed") as string });
  expect(receiver.received).toHaveLength(before);
  receiver.answers = null;
  await ask(z.unknown(), "DELETE", `/v1/webhooks/${hook.id}`);
});
