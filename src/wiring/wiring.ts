/**
 * What the objects and the cron get handed in, built from the environment. The only place that knows every adapter.
 * With a config that is refused the objects go on with its fallback: a session that exists is looked after, on timers
 * that fit, while HTTP serves nothing new.
 */
import { type Config, type ConfigReading, readConfig } from "../config/config.ts";
import { controlStub, durableBackend, sessionStub, shardStub, tenantStub } from "./durable-backend.ts";
import type { Env } from "../config/env.ts";
import { outcomeWithin } from "../calls/outcome-within.ts";
import { shardName } from "../fleet/shard/shard-name.ts";
import type { ControlWiring } from "../fleet/control/control-object.ts";
import type { ShardWiring } from "../fleet/shard/shard-object.ts";
import { createApp, type HttpApp } from "../http/app.ts";
import { cloudflareSandbox } from "../sandbox/cloudflare/cloudflare-sandbox.ts";
import type { NetworkObjectApi, SandboxObjectApi } from "../sandbox/cloudflare/object-api.ts";
import type { AgentContainerWiring } from "../sandbox/cloudflare/native/agent-container.ts";
import type { ContainerWiring } from "../sandbox/cloudflare/sdk/sandbox-container.ts";
import { withMcp } from "../mcp/endpoint.ts";
import { localSandbox } from "../sandbox/local/local-sandbox.ts";
import { type ProviderFactories, type ProviderRegistry, providerRegistry } from "../sandbox/provider-registry.ts";
import { type ProviderName, providerNames } from "../domain/state/provider-names.ts";
import type { SignedReceiptView } from "../protocol/resources/session/receipts.ts";
import { type ReceiptSigner, receiptSigner } from "../receipts/signer.ts";
import type { LogFields, Logger } from "../runtime/clock-ids-logger.ts";
import type { SessionWiring } from "../session/session-object.ts";
import { Trace } from "../session/trace.ts";
import { webTrafficKeys } from "../protocol/sandbox/traffic.ts";
import { type Seals, webSeals } from "../storage/seals.ts";
import { consoleLogger, randomBytes, systemClock, systemIds } from "./system.ts";
import { quotaTerms } from "../tenant/quota/quota.ts";
import { TrafficGate } from "../traffic/traffic-gate.ts";
import type { TenantWiring } from "../tenant/tenant-wiring.ts";
import { runTick, wireOperations } from "./wire-fleet.ts";
import { platformSpans } from "./platform-spans.ts";
import { postWebhook } from "./webhook-post.ts";
import { runWatch } from "./wire-watch.ts";

/** What a build of the Worker adds to the common code. */
export interface Build {
  /** Adapters beside the product's own: the builds for tests and the bench bring the simulator, the deployed one brings none. */
  readonly providers: ProviderFactories;
}

/** A look at FleetControl takes some ms. A stop must not wait for it much longer. */
const controlPlaneMs = 2_000;

/** The product's own adapters. */
const ownProviders: readonly ProviderName[] = ["cloudflare", "sandbox-sdk", "local"];

export function httpApp(env: Env, build: Build): HttpApp {
  const reading = configOf(env, build);
  if (!reading.ok) reportMisfits(reading);
  const config = usable(reading);
  const backend = {
    ...durableBackend(env, config, systemClock),
    operations: () => wireOperations(env, config, providers(env, config, build)),
    receiptKeys: () => signerOf(config).publicKeys(),
  };
  const counters = {
    reads: env.RATE_READS ?? null,
    writes: env.RATE_WRITES ?? null,
    traffic: env.RATE_TRAFFIC ?? null,
    auth_failures: env.RATE_AUTH_FAILURES ?? null,
  };
  const surroundings = { clock: systemClock, ids: systemIds, log: consoleLogger };
  const adapters = providers(env, config, build);
  const traffic = new TrafficGate({
    session: (id) => sessionStub(env, id),
    provider: (name) => adapters.get(name),
    keys: webTrafficKeys,
    ...surroundings,
  });
  return withMcp(createApp({ reading, backend, counters, traffic, ...surroundings }));
}

export function wireSession(env: Env, build: Build): SessionWiring {
  const config = usable(configOf(env, build));
  const trace = new Trace(systemIds, platformSpans());
  return {
    policy: config.policy,
    defaultProvider: config.provider,
    providers: providers(env, config, build, trace),
    trace,
    seals: sealsOf(config),
    tenant: (tenant) => tenantStub(env, tenant),
    index: (tenant) => shardStub(env, shardName(tenant, config.fleetShards)),
    clock: systemClock,
    ids: systemIds,
    logger: traced(consoleLogger, trace),
    gitSchemes: config.gitSchemes,
    trafficKeys: webTrafficKeys,
    defaultNetwork: config.defaultNetwork,
  };
}

export function wireTenant(env: Env, build: Build): TenantWiring {
  const config = usable(configOf(env, build));
  const { policy, tenantMaxSandboxes, tenantPauses, tenantMonthlyNanos, sharedMaxMembers, fleetShards } = config;
  return {
    terms: quotaTerms(policy, tenantMaxSandboxes, sharedMaxMembers, tenantPauses, tenantMonthlyNanos),
    providers: providers(env, config, build),
    control: { allow: (order) => controlStub(env).allow(order) },
    index: (tenant) => shardStub(env, shardName(tenant, fleetShards)),
    clock: systemClock,
    ids: systemIds,
    logger: consoleLogger,
    poke: (id, gone) => sessionStub(env, id).poke("maintenance", gone),
    budgetSpent: (id) => sessionStub(env, id).tenantBudgetSpent(),
    // The signer gives back the statement that it was given.
    sign: async (statement) => (await signerOf(config).sign(statement)) as SignedReceiptView | null,
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

export function wireShard(env: Env, build: Build): ShardWiring {
  const { fleetShards } = usable(configOf(env, build));
  return {
    terms: { shards: fleetShards },
    control: { tenants: (after, limit) => controlStub(env).tenants(after, limit) },
    tenant: (tenant) => tenantStub(env, tenant),
    clock: systemClock,
    logger: consoleLogger,
  };
}

export function wireControl(env: Env, build: Build): ControlWiring {
  const config = usable(configOf(env, build));
  return {
    terms: { maxSandboxes: config.globalMaxSandboxes },
    clock: systemClock,
    ids: systemIds,
    logger: consoleLogger,
    watchEveryMs: config.watchMs,
    watch: (core) => runWatch(env, config, core),
  };
}

export function wireContainer(env: Env, build: Build): ContainerWiring {
  const { policy } = usable(configOf(env, build));
  const { SNAPSHOTS: bucket = null } = env;
  return { sleepAfterMs: policy.sleepAfterMs, bucket, clock: systemClock, ids: systemIds, logger: consoleLogger };
}

/** The platform's managed image: Debian with Node, which needs no Docker to deploy. */
const managedImage = "cloudflare/debian-trixie";
/** The longest hold that the platform documents. */
const longestHoldMs = 6 * 3_600_000;

export function wireAgentContainer(env: Env, build: Build): AgentContainerWiring {
  const config = usable(configOf(env, build));
  const { policy } = config;
  const { SNAPSHOTS: bucket = null, ASSETS: assets, CONTAINER_IMAGE: image } = env;
  const defaultImage = image === undefined || image === "" ? managedImage : String(image);
  return {
    sleepAfterMs: policy.sleepAfterMs,
    bucket,
    assets: assets ?? { fetch: async () => new Response(null, { status: 404 }) },
    terms: {
      templates: Object.fromEntries(
        Object.entries(config.templates).map(([name, { image: own, snapshot = null, instance = null }]) => [
          name,
          { image: snapshot === null ? (own ?? defaultImage) : null, snapshot, instance },
        ]),
      ),
      orderWithinSeconds: Math.ceil(policy.launchCallMs / 1_000),
      longestHoldMs,
    },
    seals: sealsOf(config),
    clock: systemClock,
    ids: systemIds,
    logger: consoleLogger,
  };
}

/** One cron tick. Never rejects: every layer keeps its own failures. */
export async function maintain(env: Env, build: Build): Promise<void> {
  const config = usable(configOf(env, build));
  await runTick(env, config, providers(env, config, build));
}

/** Every adapter of this build, whichever the config chooses for new sessions: a lease names its own. */
function providers(env: Env, config: Config, build: Build, trace: Trace | null = null): ProviderRegistry {
  const { url, token } = config.localHost;
  return providerRegistry({
    ...build.providers,
    ...onPlatform(env, config),
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
              controlPlane: () => controlPlaneOf(env),
            }),
        }),
  });
}

/**
 * Both adapters over Durable Objects. `cloudflare` was the SDK's name before the container API: a lease whose recorded host is an object of
 * the SDK's namespace stays with the SDK until it ends, and every new launch goes to the container API.
 */
function onPlatform(env: Env, { templates }: Config): ProviderFactories {
  const { CONTAINERS: agents, SANDBOXES: sdk, SNAPSHOTS: bucket = null } = env;
  const apiOf = (objects: DurableObjectNamespace, name: string): SandboxObjectApi =>
    objects.get(objects.idFromName(name)) as unknown as SandboxObjectApi;
  const isOfSdk = (name: string, host: string | null): boolean =>
    host !== null && sdk !== undefined && sdk.idFromName(name).toString() === host;
  // The SDK's server runs any command as root for every process in its container, so members cannot be kept apart there.
  const shared = { bucket, sharing: "only ending", clock: systemClock, ids: systemIds } as const;
  return {
    ...(agents === undefined
      ? {}
      : {
          cloudflare: () =>
            cloudflareSandbox({
              ...shared,
              name: "cloudflare",
              templates: Object.keys(templates),
              network: (name) => agents.get(agents.idFromName(name)) as unknown as NetworkObjectApi,
              object: (name, host) => apiOf(sdk !== undefined && isOfSdk(name, host) ? sdk : agents, name),
            }),
        }),
    ...(sdk === undefined
      ? {}
      : {
          "sandbox-sdk": () =>
            cloudflareSandbox({ ...shared, name: "sandbox-sdk", object: (name) => apiOf(sdk, name) }),
        }),
  };
}

/**
 * The id is kept for the isolate once it is known, as a value: a promise that one request began must not be awaited by
 * another. null: FleetControl did not answer in time.
 */
let controlPlane: string | null = null;
async function controlPlaneOf(env: Env): Promise<string | null> {
  if (controlPlane !== null) return controlPlane;
  const answer = await outcomeWithin(systemClock, controlPlaneMs, () => controlStub(env).identity());
  if (answer.type === "answered") controlPlane = answer.value;
  else consoleLogger.warn("FleetControl did not tell the id of this control plane", { outcome: answer.type });
  return controlPlane;
}

/** One for each isolate: its keys are derived once, and do not change under it. */
let seals: Seals | null = null;
function sealsOf(config: Config): Seals {
  return (seals ??= webSeals(config.secrets.envEncryption ?? [], randomBytes));
}

let signer: ReceiptSigner | null = null;
function signerOf(config: Config): ReceiptSigner {
  return (signer ??= receiptSigner(config.secrets.receiptSigning ?? []));
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

/** A provider that this build does not have is refused by name, not found missing at the first launch. */
function configOf(env: Env, { providers: extra }: Build): ConfigReading {
  return readConfig(
    env,
    providerNames.filter((name) => ownProviders.includes(name) || extra[name] !== undefined),
  );
}

function usable(reading: ConfigReading): Config {
  return reading.ok ? reading.config : reading.fallback;
}

function reportMisfits(reading: Extract<ConfigReading, { ok: false }>): void {
  for (const { name, message } of reading.misfits) consoleLogger.error("config refused", { name, rule: message });
}
