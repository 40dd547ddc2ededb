/** The fleet's objects in Node: the real cores over real SQLite, behind the asynchronous faces that object RPC gives them. */
import type { TenantId } from "../../src/domain/state/ids.ts";
import { defaultPolicy } from "../../src/domain/rules/policy.ts";
import type { FleetControlApi } from "../../src/fleet/control/control-api.ts";
import { ControlCore } from "../../src/fleet/control/control-core.ts";
import type { Clock } from "../../src/runtime/clock-ids-logger.ts";
import { quotaTerms } from "../../src/tenant/quota/quota.ts";
import type { TenantApi } from "../../src/tenant/tenant-api.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import { WebhookDesk } from "../../src/tenant/webhooks/webhook-desk.ts";
import { instantSeals } from "./instant-seals.ts";
import { nodeSql } from "./node-sql.ts";
import { snapshotPort } from "./snapshot-port.ts";
import type { SnapshotQuery } from "../../src/tenant/snapshots/snapshot-rows.ts";
import { snapshotViewOf } from "../../src/tenant/snapshots/snapshot-view.ts";

/** Every method of `core` as a promise, but for those that the object's shell answers itself. */
function face(core: object, own: object = {}): unknown {
  return new Proxy(core, {
    get(target, name) {
      // A promise that resolves to this must not take it for one.
      if (name === "then") return undefined;
      if (name in own) return Reflect.get(own, name) as unknown;
      const method: unknown = Reflect.get(target, name, target);
      if (typeof method !== "function") return undefined;
      return async (...args: unknown[]) => Reflect.apply(method, target, args) as unknown;
    },
  });
}

export function controlFace(clock: Pick<Clock, "now">, maxSandboxes = 100): FleetControlApi {
  return face(new ControlCore(nodeSql(), clock, { maxSandboxes })) as FleetControlApi;
}

/** What the object's shell answers from the desk. Nothing is sent: that is the courier's, and there is none. */
function webhookFace(core: TenantCore, tenant: TenantId, clock: Pick<Clock, "now">): Partial<TenantApi> {
  let minted = 0;
  const id = () => `id${String((minted += 1)).padStart(18, "0")}`;
  const desk = new WebhookDesk({
    core,
    store: async (body) => core.change(body),
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
    createWebhook: (body) => desk.createWebhook(body),
    webhooks: async () => desk.webhooks(),
    webhook: async (name) => desk.webhook(name),
    changeWebhook: async (name, body) => desk.change(name, body),
    deleteWebhook: async (name) => desk.deleteWebhook(name),
    rotateWebhook: (name) => desk.rotateWebhook(name),
    webhookDeliveries: async (name, query) => desk.webhookDeliveries(name, query),
    testWebhook: async (name) => desk.test(name),
    redeliver: async (name, delivery) => desk.redeliver(name, delivery),
    reseal: () => desk.reseal(),
  };
}

export function tenantFace(tenant: TenantId, clock: Pick<Clock, "now">, maxSandboxes = 10): TenantApi {
  const core = new TenantCore(nodeSql(), clock, quotaTerms(defaultPolicy, maxSandboxes));
  return face(core, {
    counts: async () => ({ tenant, ...core.counts() }),
    ...snapshotPort(() => core),
    snapshots: async (query: SnapshotQuery) => core.snapshots(query).map(snapshotViewOf),
    deleteSnapshot: async (reference: string) => {
      const found = core.deleteSnapshot(reference);
      return found && snapshotViewOf(found);
    },
    ...webhookFace(core, tenant, clock),
  }) as TenantApi;
}
