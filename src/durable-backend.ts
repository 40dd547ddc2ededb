/** The HTTP port over Durable Objects: a fresh stub for each call, and the looks that /readyz takes. */
import type { SessionId, TenantId } from "./domain/ids.ts";
import type { Config } from "./config.ts";
import type { Env } from "./env.ts";
import type { FleetShardApi } from "./fleet/shard-api.ts";
import type { FleetControlApi } from "./fleet/control-api.ts";
import { shardName, shardNames } from "./fleet/shard-name.ts";
import type { Backend } from "./http/backend.ts";
import { hostHealth } from "./protocol/host.ts";
import type { Clock } from "./session/ambient.ts";
import type { SessionApi } from "./session/session-api.ts";
import type { TenantApi } from "./tenant/tenant-api.ts";

/** A healthy look takes some ms; whoever polls /readyz should not wait longer than this for a no. */
const lookMs = 3_000;

/** The stubs are cast once, here: the platform's own stub types would tie every reader to the objects' classes. */
export function sessionStub(env: Env, id: SessionId): SessionApi {
  return env.SESSIONS.get(env.SESSIONS.idFromName(id)) as unknown as SessionApi;
}
export function tenantStub(env: Env, tenant: TenantId): TenantApi {
  return env.TENANTS.get(env.TENANTS.idFromName(tenant)) as unknown as TenantApi;
}
export function shardStub(env: Env, name: string): FleetShardApi {
  return env.SHARDS.get(env.SHARDS.idFromName(name)) as unknown as FleetShardApi;
}

/** There is one. */
export function controlStub(env: Env): FleetControlApi {
  return env.CONTROL.get(env.CONTROL.idFromName("control")) as unknown as FleetControlApi;
}

export function durableBackend(env: Env, config: Config, clock: Clock): Omit<Backend, "operations"> {
  const shardOf = (tenant: TenantId) => shardStub(env, shardName(tenant, config.fleetShards));
  return {
    session: (id) => sessionStub(env, id),
    tenant: (tenant) => tenantStub(env, tenant),
    shard: shardOf,
    shards: () => shardNames(config.fleetShards).map((name) => ({ name, api: shardStub(env, name) })),
    control: () => controlStub(env),
    asset: async (path) => {
      const response = await env.ASSETS?.fetch(`https://assets.invalid${path}`);
      return response?.ok === true ? response.body : null;
    },
    missing: async () => {
      const looks = [storageMissing(() => shardOf("readiness" as TenantId).ping(), clock)];
      if (config.provider === "local") looks.push(hostMissing(config.localHost, clock));
      if (config.provider === "cloudflare" && env.SANDBOXES === undefined) {
        looks.push(Promise.resolve("The binding SANDBOXES is not set, so no container can be started."));
      }
      return (await Promise.all(looks)).filter((each) => each !== null);
    },
  };
}

async function storageMissing(ping: () => Promise<true>, clock: Clock): Promise<string | null> {
  const answered = await within(clock, async () => await ping());
  return answered === true ? null : "The storage objects do not answer.";
}

/** null: the local host answers and has finished its scan. */
export async function hostMissing(host: Config["localHost"], clock: Clock): Promise<string | null> {
  // Without a token the secret is what is missing, and /readyz says so by itself.
  if (host.token === null) return null;
  const health = await within(clock, async (signal) => {
    const response = await fetch(`${host.url}/health`, {
      headers: { authorization: `Bearer ${host.token}` },
      redirect: "manual",
      signal,
    });
    if (response.status === 401) return "refused" as const;
    return hostHealth.parse(await response.json());
  });
  if (health === "refused") return `The local sandbox host at ${host.url} does not accept LOCAL_HOST_TOKEN.`;
  if (health === null) return `The local sandbox host at ${host.url} (LOCAL_HOST_URL) does not answer.`;
  return health.ready ? null : `The local sandbox host at ${host.url} has not finished looking for its sandboxes.`;
}

/** null: it failed, or took too long. */
async function within<T>(clock: Clock, look: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
  const late = new AbortController();
  const answered = new AbortController();
  const timeout = clock.sleep(lookMs, answered.signal).then(() => null);
  try {
    return await Promise.race([look(late.signal), timeout]);
  } catch {
    return null;
  } finally {
    answered.abort();
    late.abort();
  }
}
