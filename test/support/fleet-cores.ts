/** The fleet's objects in Node: the real cores over real SQLite, behind the asynchronous faces that object RPC gives them. */
import type { TenantId } from "../../src/domain/state/ids.ts";
import { defaultPolicy } from "../../src/domain/rules/policy.ts";
import type { FleetControlApi } from "../../src/fleet/control/control-api.ts";
import { ControlCore } from "../../src/fleet/control/control-core.ts";
import type { Clock } from "../../src/runtime/clock-ids-logger.ts";
import { quotaTerms } from "../../src/tenant/quota/quota.ts";
import type { TenantApi } from "../../src/tenant/tenant-api.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import { WebhookCommands } from "../../src/tenant/webhooks/webhook-commands.ts";
import { instantSeals } from "./instant-seals.ts";
import { nodeSql } from "./node-sql.ts";
import { snapshotPort } from "./snapshot-port.ts";
import type { SnapshotQuery } from "../../src/tenant/snapshots/snapshot-rows.ts";
import { snapshotViewOf } from "../../src/tenant/snapshots/snapshot-view.ts";

/** Every method of the parts as a promise, but for those that the object's shell answers itself. */
function face(parts: readonly object[], own: object = {}): unknown {
  return new Proxy(own, {
    get(_own, name) {
      // A promise that resolves to this must not take it for one.
      if (name === "then") return undefined;
      if (name in own) return Reflect.get(own, name) as unknown;
      for (const part of parts) {
        const method: unknown = Reflect.get(part, name, part);
        if (typeof method === "function")
          return async (...args: unknown[]) => Reflect.apply(method, part, args) as unknown;
      }
      return undefined;
    },
  });
}

export function controlFace(clock: Pick<Clock, "now">, maxSandboxes = 100): FleetControlApi {
  return face([new ControlCore(nodeSql(), clock, { maxSandboxes })]) as FleetControlApi;
}

/** What the object's shell answers from the webhook commands. Nothing is sent: only a dispatcher sends, and there is none. */
function webhookFace(core: TenantCore, tenant: TenantId, clock: Pick<Clock, "now">): Partial<TenantApi> {
  let minted = 0;
  const id = () => `id${String((minted += 1)).padStart(18, "0")}`;
  const webhookCommands = new WebhookCommands({
    rows: core.rows,
    store: async (body) => core.rows.write(body),
    tenant: () => tenant,
    clock: { now: () => clock.now(), sleep: () => new Promise(() => {}) },
    ids: { id, secret: () => "5e".repeat(32), random: () => 0.5 },
    logger: { info: () => {}, warn: () => {}, error: () => {} },
    seals: instantSeals(),
    terms: { allowPrivate: false, disableAfterMs: 1_000 },
    events: () => Promise.reject(new Error("there are no sessions here")),
    post: () => Promise.reject(new Error("nothing is sent here")),
  });
  return {
    createWebhook: (body) => webhookCommands.createWebhook(body),
    webhooks: async () => webhookCommands.webhooks(),
    webhook: async (name) => webhookCommands.webhook(name),
    changeWebhook: async (name, body) => webhookCommands.change(name, body),
    deleteWebhook: async (name) => webhookCommands.deleteWebhook(name),
    rotateWebhook: (name) => webhookCommands.rotateWebhook(name),
    webhookDeliveries: async (name, query) => webhookCommands.webhookDeliveries(name, query),
    testWebhook: async (name) => webhookCommands.test(name),
    redeliver: async (name, delivery) => webhookCommands.redeliver(name, delivery),
    reseal: () => webhookCommands.reseal(),
  };
}

export function tenantFace(tenant: TenantId, clock: Pick<Clock, "now">, maxSandboxes = 10): TenantApi {
  const core = new TenantCore(nodeSql(), clock, quotaTerms(defaultPolicy, maxSandboxes));
  const { quota, budget, containers, receipts, keys } = core;
  return face([core, quota, budget, containers, receipts, keys], {
    cancelReservation: async (...of: Parameters<typeof quota.cancel>) => quota.cancel(...of),
    resolveContainer: async (...order: Parameters<typeof containers.resolve>) => containers.resolve(...order),
    unreleasedSnapshots: async (...page: Parameters<TenantApi["unreleasedSnapshots"]>) =>
      core.snapshots.unreleased(...page),
    snapshotCounts: async () => core.snapshots.snapshotCounts(),
    counts: async () => ({ tenant, ...core.counts() }),
    ...snapshotPort(() => core),
    snapshots: async (query: SnapshotQuery) => core.snapshots.list(query).map(snapshotViewOf),
    deleteSnapshot: async (reference: string) => {
      const found = core.snapshots.delete(reference);
      return found && snapshotViewOf(found);
    },
    ...webhookFace(core, tenant, clock),
  }) as TenantApi;
}
