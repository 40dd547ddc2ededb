/** The fleet's objects in Node: the real cores over real SQLite, behind the asynchronous faces that object RPC gives them. */
import type { TenantId } from "../../src/domain/ids.ts";
import { defaultPolicy } from "../../src/domain/policy.ts";
import type { FleetControlApi } from "../../src/fleet/control-api.ts";
import { ControlCore } from "../../src/fleet/control-core.ts";
import type { Clock } from "../../src/session/ambient.ts";
import { quotaTerms } from "../../src/tenant/quota.ts";
import type { TenantApi } from "../../src/tenant/tenant-api.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import { nodeSql } from "./node-sql.ts";

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

export function tenantFace(tenant: TenantId, clock: Pick<Clock, "now">, maxSandboxes = 10): TenantApi {
  const core = new TenantCore(nodeSql(), clock, quotaTerms(defaultPolicy, maxSandboxes));
  return face(core, { counts: async () => ({ tenant, ...core.counts() }) }) as TenantApi;
}
