/**
 * A tenant's webhooks over its real registry. Sessions and the network are a table of events and a receiver that a test
 * commands; time passes when a test says so.
 */
import type { SessionId, TenantId } from "../../src/domain/state/ids.ts";
import { defaultPolicy } from "../../src/domain/rules/policy.ts";
import type { EventView } from "../../src/protocol/resources/session/events.ts";
import { rfc3339 } from "../../src/protocol/primitives.ts";
import { type DeliveryView, webhookMessage } from "../../src/protocol/resources/tenant/webhooks.ts";
import { quotaTerms } from "../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import { WebhookDispatcher } from "../../src/tenant/webhooks/webhook-dispatcher.ts";
import { WebhookCommands } from "../../src/tenant/webhooks/webhook-commands.ts";
import type { PostOrder, PostOutcome, WebhookPorts } from "../../src/tenant/webhooks/webhook-ports.ts";
import { instantSeals } from "./instant-seals.ts";
import { nodeSql } from "./node-sql.ts";
import { report } from "./reports.ts";

const tenant = "acme" as TenantId;
export const start = Date.parse("2026-05-01T00:00:00Z");
export const taken: PostOutcome = { status: 200, error: null, retryAfterMs: null, ms: 3 };
export const down: PostOutcome = { status: 503, error: "It answered 503.", retryAfterMs: null, ms: 3 };
export const url = "https://example.com/hook";
const all = { limit: 100, before: null, state: null } as const;
export const minute = 60_000;
export const day = 24 * 60 * minute;

export class WebhookRig {
  now = start;
  readonly sql = nodeSql();
  readonly core = new TenantCore(this.sql, { now: () => this.now }, quotaTerms(defaultPolicy, 10));
  readonly posted: PostOrder[] = [];
  readonly events = new Map<string, EventView[]>();
  /** What the receiver answers. */
  receiver: (order: PostOrder) => PostOutcome | Promise<PostOutcome> = () => taken;
  /** Sessions that do not answer. */
  silent = false;
  seals = instantSeals();
  commands: WebhookCommands;
  dispatcher: WebhookDispatcher;
  readonly #versions = new Map<string, number>();
  #minted = 0;

  constructor() {
    [this.commands, this.dispatcher] = this.reincarnate();
  }

  /** A new life over the same rows. */
  reincarnate(): [WebhookCommands, WebhookDispatcher] {
    const id = () => `id${String((this.#minted += 1)).padStart(18, "0")}`;
    const ports: WebhookPorts = {
      rows: this.core.rows,
      store: async (body) => this.core.rows.write(body),
      tenant: () => tenant,
      clock: { now: () => this.now, sleep: () => new Promise(() => {}) },
      ids: { id, secret: () => String((this.#minted += 1)).padStart(64, "0"), random: () => 0 },
      logger: { info: () => {}, warn: () => {}, error: () => {} },
      seals: this.seals,
      terms: { allowPrivate: false, disableAfterMs: 2 * day },
      events: async (session, _tenant, after, limit) => {
        if (this.silent) throw new Error("no answer");
        const known = this.events.get(session);
        if (known === undefined) return { ok: false, problem: { code: "not_found", detail: "it is gone" } };
        return { ok: true, value: known.filter((event) => event.sequence > after).slice(0, limit) };
      },
      post: async (order) => {
        this.posted.push(order);
        return await this.receiver(order);
      },
    };
    [this.commands, this.dispatcher] = [new WebhookCommands(ports), new WebhookDispatcher(ports)];
    return [this.commands, this.dispatcher];
  }

  async webhook(events?: string[]): Promise<{ id: string; secret: string }> {
    const made = await this.commands.createWebhook({ url, ...(events === undefined ? {} : { events }) });
    if (!made.ok) throw new Error(made.problem.detail);
    return made.value;
  }

  /** Something happened to that session, and it reported so. */
  happened(session: SessionId, ...types: readonly string[]): void {
    const known = this.events.get(session) ?? [];
    for (const type of types) {
      const facts = { at: rfc3339(this.now), actor: "client", cause: "asked for", from: "a", to: "b" } as const;
      known.push({ sequence: known.length + 1, type, generation: 1, facts: {}, ...facts });
    }
    this.events.set(session, known);
    this.reported(session);
  }

  reported(session: SessionId): void {
    const version = (this.#versions.get(session) ?? 0) + 1;
    this.#versions.set(session, version);
    this.core.report(report(session, version, { createdAt: start }));
  }

  /** Lets time pass, working whenever something is due, as the alarm would. */
  async pass(ms: number): Promise<void> {
    const until = this.now + ms;
    for (let turns = 0; ; turns += 1) {
      if (turns > 10_000) throw new Error("it never comes to rest");
      await this.dispatcher.run();
      const next = this.dispatcher.nextLook();
      if (next === null || next > until) break;
      this.now = Math.max(this.now, next);
    }
    this.now = Math.max(this.now, until);
  }

  deliveries(id: string): readonly DeliveryView[] {
    const page = this.commands.webhookDeliveries(id, all);
    if (!page.ok) throw new Error(page.problem.detail);
    return page.value.deliveries;
  }

  view(id: string) {
    const read = this.commands.webhook(id);
    if (!read.ok) throw new Error(read.problem.detail);
    return read.value;
  }

  /** What was sent of one session, in the order it was sent. */
  told(session: SessionId): readonly number[] {
    return this.posted.map((order) => sequenceOf(order, session)).filter((sequence) => sequence !== null);
  }
}

export function sequenceOf(order: PostOrder, session: SessionId): number | null {
  const { data } = webhookMessage.parse(JSON.parse(order.body));
  return "sequence" in data && data.session_id === session ? data.sequence : null;
}
