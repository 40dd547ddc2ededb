/**
 * What the objects and the cron get handed in, built from the environment. The only place that knows every adapter.
 * With a config that is refused the objects go on with its fallback: a session that exists is looked after, on timers
 * that fit, while HTTP serves nothing new.
 */
import { type Config, type ConfigReading, readConfig } from "./config.ts";
import { controlStub, durableBackend, sessionStub, shardStub, tenantStub } from "./durable-backend.ts";
import type { Env } from "./env.ts";
import { shardName } from "./fleet/shard-name.ts";
import type { ControlWiring } from "./fleet/control-object.ts";
import type { ShardWiring } from "./fleet/shard-object.ts";
import { createApp, type HttpApp } from "./http/app.ts";
import { cloudflareSandbox } from "./sandbox/cloudflare/cloudflare-sandbox.ts";
import type { SandboxObjectApi } from "./sandbox/cloudflare/object-api.ts";
import type { ContainerWiring } from "./sandbox/cloudflare/sandbox-container.ts";
import { localSandbox } from "./sandbox/local/local-sandbox.ts";
import { memorySandbox } from "./sandbox/memory/memory-sandbox.ts";
import { MemoryWorld } from "./sandbox/memory/memory-world.ts";
import { type ProviderRegistry, providerRegistry } from "./sandbox/registry.ts";
import type { LogFields, Logger } from "./session/ambient.ts";
import type { SessionWiring } from "./session/session-object.ts";
import { Trace } from "./session/trace.ts";
import { type Seals, webSeals } from "./storage/seals.ts";
import { consoleLogger, randomBytes, systemClock, systemIds } from "./system.ts";
import { quotaTerms } from "./tenant/quota.ts";
import type { TenantWiring } from "./tenant/tenant-object.ts";
import { runTick, wireOperations } from "./wire-fleet.ts";
import { postWebhook } from "./webhook-post.ts";
import { runWatch } from "./wire-watch.ts";

/** One world for each isolate: its sandboxes are gone with it, which is all that a provider for tests promises. */
let memoryWorld: MemoryWorld | null = null;

export function httpApp(env: Env): HttpApp {
  const reading = readConfig(env);
  if (!reading.ok) reportMisfits(reading);
  const config = usable(reading);
  const backend = {
    ...durableBackend(env, config, systemClock),
    operations: () => wireOperations(env, config, providers(env, config)),
  };
  const counters = {
    reads: env.RATE_READS ?? null,
    writes: env.RATE_WRITES ?? null,
    auth_failures: env.RATE_AUTH_FAILURES ?? null,
  };
  return createApp({ reading, backend, counters, clock: systemClock, ids: systemIds, log: consoleLogger });
}

export function wireSession(env: Env): SessionWiring {
  const config = usable(readConfig(env));
  const trace = new Trace(systemIds);
  return {
    policy: config.policy,
    defaultProvider: config.provider,
    providers: providers(env, config, trace),
    trace,
    seals: sealsOf(config),
    tenant: (tenant) => tenantStub(env, tenant),
    index: (tenant) => shardStub(env, shardName(tenant, config.fleetShards)),
    clock: systemClock,
    ids: systemIds,
    logger: traced(consoleLogger, trace),
    gitSchemes: config.gitSchemes,
  };
}

export function wireTenant(env: Env): TenantWiring {
  const config = usable(readConfig(env));
  const { policy, tenantMaxSandboxes, sharedMaxMembers, fleetShards } = config;
  return {
    terms: quotaTerms(policy, tenantMaxSandboxes, sharedMaxMembers),
    providers: providers(env, config),
    control: { allow: (order) => controlStub(env).allow(order) },
    index: (tenant) => shardStub(env, shardName(tenant, fleetShards)),
    clock: systemClock,
    ids: systemIds,
    logger: consoleLogger,
    poke: (id) => sessionStub(env, id).poke("maintenance"),
    webhooks: {
      seals: sealsOf(config),
      ids: systemIds,
      terms: config.webhooks,
      events: (id, tenant, after, limit) =>
        sessionStub(env, id).events({ tenant, requestId: "webhooks", scopes: [] }, after, limit, 0),
      post: (order) => postWebhook(order, systemClock),
    },
  };
}

export function wireShard(env: Env): ShardWiring {
  const { fleetShards } = usable(readConfig(env));
  return {
    terms: { shards: fleetShards },
    control: { tenants: (after, limit) => controlStub(env).tenants(after, limit) },
    tenant: (tenant) => tenantStub(env, tenant),
    clock: systemClock,
    logger: consoleLogger,
  };
}

export function wireControl(env: Env): ControlWiring {
  const config = usable(readConfig(env));
  return {
    terms: { maxSandboxes: config.globalMaxSandboxes },
    clock: systemClock,
    logger: consoleLogger,
    watchEveryMs: config.watchMs,
    watch: (core) => runWatch(env, config, core),
  };
}

export function wireContainer(env: Env): ContainerWiring {
  const { policy } = usable(readConfig(env));
  const { SNAPSHOTS: bucket = null } = env;
  return { sleepAfterMs: policy.sleepAfterMs, bucket, clock: systemClock, ids: systemIds, logger: consoleLogger };
}

/** One cron tick. Never rejects: every layer keeps its own failures. */
export async function maintain(env: Env): Promise<void> {
  const config = usable(readConfig(env));
  await runTick(env, config, providers(env, config));
}

/** Every adapter of this build, whichever the config chooses for new sessions: a lease names its own. */
function providers(env: Env, config: Config, trace: Trace | null = null): ProviderRegistry {
  const { url, token } = config.localHost;
  const { SANDBOXES: containers, SNAPSHOTS: bucket = null } = env;
  return providerRegistry({
    ...(containers === undefined
      ? {}
      : {
          cloudflare: () =>
            cloudflareSandbox({
              object: (name) => containers.get(containers.idFromName(name)) as unknown as SandboxObjectApi,
              bucket,
              clock: systemClock,
              ids: systemIds,
            }),
        }),
    memory: () => memorySandbox((memoryWorld ??= new MemoryWorld({ clock: systemClock })), { clock: systemClock }),
    // Without a token no call could be made: its leases are blocked as `adapter_missing`, never taken for gone.
    ...(token === null
      ? {}
      : {
          local: () =>
            localSandbox({
              url,
              token,
              fetch: (url, init) => fetch(url, tracedInit(init, trace)),
              clock: systemClock,
              ids: systemIds,
            }),
        }),
  });
}

/** One for each isolate: its keys are derived once, and do not change under it. */
let seals: Seals | null = null;
function sealsOf(config: Config): Seals {
  return (seals ??= webSeals(config.secrets.envEncryption ?? [], randomBytes));
}

function tracedInit(init: RequestInit | undefined, trace: Trace | null): RequestInit {
  if (trace === null) return init ?? {};
  const headers = new Headers(init?.headers);
  headers.set("traceparent", trace.traceparent());
  return { ...init, headers };
}

/** Each line says for which trace it was written. */
function traced(logger: Logger, trace: Trace): Logger {
  const withTrace = (fields: LogFields | undefined) => ({ ...fields, trace_id: trace.traceId });
  return {
    info: (message, fields) => logger.info(message, withTrace(fields)),
    warn: (message, fields) => logger.warn(message, withTrace(fields)),
    error: (message, fields) => logger.error(message, withTrace(fields)),
  };
}

function usable(reading: ConfigReading): Config {
  return reading.ok ? reading.config : reading.fallback;
}

function reportMisfits(reading: Extract<ConfigReading, { ok: false }>): void {
  for (const { name, message } of reading.misfits) consoleLogger.error("config refused", { name, rule: message });
}
