/** The HTTP port over Durable Objects: a fresh stub for each call, and the looks that /readyz takes. */
import { bounded, over, timedOut } from "../calls/bounded-call.ts";
import type { SessionId, TenantId } from "../domain/state/ids.ts";
import type { Config } from "../config/config.ts";
import type { Env } from "../config/env.ts";
import type { FleetShardApi } from "../fleet/shard/shard-api.ts";
import type { CapacityView, FleetControlApi } from "../fleet/control/control-api.ts";
import { shardName, shardNames } from "../fleet/shard/shard-name.ts";
import { type Backend, type Missing, plainly } from "../http/backend.ts";
import { hostHealth } from "../protocol/sandbox/host.ts";
import type { Clock } from "../runtime/clock-ids-logger.ts";
import type { SessionApi } from "../session/session-api.ts";
import type { TenantApi } from "../tenant/tenant-api.ts";

/** A healthy look takes some ms. A poll of /readyz should not wait longer than this for a no. */
const lookMs = 3_000;

/** A launch may land for a minute after it was sent (policy.ts); half of that leaves it room. */
const clockDriftMs = 30_000;

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

export function durableBackend(env: Env, config: Config, clock: Clock): Omit<Backend, "operations" | "receiptKeys"> {
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
      const looks = [
        storageMissing(() => shardOf("readiness" as TenantId).ping(), clock),
        draining(() => controlStub(env).capacity(), clock),
      ];
      if (config.provider === "local") looks.push(hostMissing(config.localHost, clock));
      const objects = { cloudflare: "CONTAINERS", "sandbox-sdk": "SANDBOXES", local: null, memory: null } as const;
      const binding = objects[config.provider];
      if (binding !== null && env[binding] === undefined) {
        looks.push(Promise.resolve(plainly(`The binding ${binding} is not set, so no container can be started.`)));
      }
      return (await Promise.all(looks)).filter((each) => each !== null);
    },
  };
}

async function storageMissing(ping: () => Promise<true>, clock: Clock): Promise<Missing | null> {
  const answered = await within(clock, async () => await ping());
  return answered === true ? null : plainly("The storage objects do not answer.");
}

/** A fleet that drains takes no new sessions, so a load balancer must not send it any. */
async function draining(
  capacity: () => Promise<Pick<CapacityView, "draining">>,
  clock: Clock,
): Promise<Missing | null> {
  const answered = await within(clock, async () => await capacity());
  if (answered === null) return plainly("The fleet's control object does not answer.");
  if (answered.draining === null) return null;
  const words = "It drains: an operator has stopped new sessions (POST /v1/admin/drain ends that).";
  return {
    public: words,
    detail: `${words} By ${answered.draining.by}: ${answered.draining.reason}`,
    code: "draining",
  };
}

/** null: the local host answers and has finished its scan. */
export async function hostMissing(host: Config["localHost"], clock: Clock): Promise<Missing | null> {
  // Without a token the secret is what is missing, and /readyz says so by itself.
  if (host.token === null) return null;
  const health = await within(clock, async (signal) => {
    const response = await fetch(`${host.url}/health`, {
      headers: { authorization: `Bearer ${host.token}` },
      redirect: "manual",
      signal,
    });
    if (response.status === 401) return "refused" as const;
    if (response.status === 409) return "foreign" as const;
    return hostHealth.parse(await response.json());
  });
  const said = (what: string): Missing => ({
    public: `The local sandbox host ${what}`,
    detail: `The local sandbox host at ${host.url} (LOCAL_HOST_URL) ${what}`,
  });
  if (health === "refused") return said("does not accept LOCAL_HOST_TOKEN.");
  if (health === "foreign") return said("serves another control plane; start a host of its own for this one.");
  if (health === null) return said("does not answer.");
  if (health.problem != null) return said(`is not usable: ${health.problem}`);
  const ahead = health.now === undefined ? 0 : health.now - clock.now();
  if (Math.abs(ahead) > clockDriftMs) {
    const [theirs, ours] = [clock.now() + ahead, clock.now()].map((at) => new Date(at).toISOString());
    return said(
      `has another clock: it says ${theirs} and this one says ${ours}, so launches would be refused as late or start too late. Set both by the same time server.`,
    );
  }
  return health.ready ? null : said("has not finished looking for its sandboxes.");
}

/** null: it failed, or took too long. */
async function within<T>(clock: Clock, look: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
  const done = new AbortController();
  try {
    const answer = await bounded(clock, lookMs, ({ signal }) => look(signal), done.signal);
    return answer === timedOut ? null : answer;
  } catch {
    return null;
  } finally {
    // Ends an answer whose body nobody reads.
    done.abort(over);
  }
}
