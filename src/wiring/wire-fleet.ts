/** The cron's layers and the operator's orders, wired to the real objects. Both run in a Worker, never in an object. */
import type { Config } from "../config/config.ts";
import { controlStub, sessionStub, shardStub, tenantStub } from "./durable-backend.ts";
import type { Env } from "../config/env.ts";
import { auditTerms } from "../fleet/audits/audit-ports.ts";
import { askedCleanupTerms, cronCleanupTerms } from "../fleet/layers/cleanup.ts";
import { sweepTerms } from "../fleet/layers/sweep.ts";
import { runSweep } from "../fleet/layers/run-sweep.ts";
import { fleetOperations } from "../fleet/operations.ts";
import type { FleetOperations } from "../fleet/operations-api.ts";
import { layerEveryMs, runLayers, type LayerPorts } from "../fleet/layers/run-layers.ts";
import { runProbes } from "../fleet/probes/run-probes.ts";
import { sha256, toHex } from "../protocol/bytes.ts";
import { shardName, shardNames } from "../fleet/shard/shard-name.ts";
import type { ProviderRegistry } from "../sandbox/provider-registry.ts";
import { consoleLogger, systemClock, systemIds } from "./system.ts";

/** Somebody waits for an answer over HTTP: proxies give up after a minute or so. ms */
const askedAuditMs = 25_000;
const cronAuditMs = 120_000;

/** A fresh stub for each call, as everywhere: one that threw is broken for good. */
function freshStubs<T extends object>(make: () => T): T {
  return new Proxy({} as T, {
    get: (_none, method) => (method === "then" ? undefined : (...args: unknown[]) => callOn(make(), method, args)),
  });
}

function callOn(stub: object, method: string | symbol, args: readonly unknown[]): unknown {
  const member: unknown = Reflect.get(stub, method);
  if (typeof member !== "function") throw new Error(`no such call: ${String(method)}`);
  return Reflect.apply(member, stub, args) as unknown;
}

function schedulePorts(env: Env, config: Config, providers: ProviderRegistry): LayerPorts {
  const shards = shardNames(config.fleetShards).map((name) => ({ name, api: freshStubs(() => shardStub(env, name)) }));
  const runtime = { clock: systemClock, ids: systemIds, logger: consoleLogger };
  return {
    ...runtime,
    shards,
    providers,
    digest: async (text) => toHex(await sha256(text)),
    control: freshStubs(() => controlStub(env)),
    tenant: (tenant) => tenantStub(env, tenant),
    index: (tenant) => shardStub(env, shardName(tenant, config.fleetShards)),
    session: (id) => sessionStub(env, id),
    end: (id, order) => sessionStub(env, id).end(order),
    sweep: async () => {
      const poke = (id: Parameters<typeof sessionStub>[1]) => sessionStub(env, id).poke("maintenance");
      const ports = { ...runtime, shards, poke, random: () => systemIds.random() };
      const { sweep } = await runSweep(ports, { sweep: sweepTerms(config.policy) });
      if (!sweep.ok) throw new Error(sweep.error);
      return sweep.result;
    },
  };
}

export function wireOperations(env: Env, config: Config, providers: ProviderRegistry): FleetOperations {
  const { policy } = config;
  const terms = { cleanup: askedCleanupTerms(policy), audit: auditTerms(policy, askedAuditMs) };
  return fleetOperations(schedulePorts(env, config, providers), terms);
}

export async function runTick(env: Env, config: Config, providers: ProviderRegistry): Promise<void> {
  const { policy } = config;
  const terms = { policy, cleanup: cronCleanupTerms(policy), audit: auditTerms(policy, cronAuditMs) };
  const ports = schedulePorts(env, config, providers);
  await runLayers(ports, terms);
  const { provider, canary, restoreDrillMs } = config;
  await runProbes(
    { ...ports, control: freshStubs(() => controlStub(env)), session: (id) => sessionStub(env, id) },
    {
      canary: { on: canary, provider, audit: terms.audit, auditEveryMs: layerEveryMs.audit },
      drill: { everyMs: restoreDrillMs, provider, callMs: terms.audit.callMs },
    },
  );
}
