/**
 * The whole Worker, put together from what one build brings. `src/index.ts` composes the deployed one; the tests and the
 * bench compose theirs with the simulator as one more provider, so that it never travels with a deploy.
 */
import type { Env } from "../config/env.ts";
import { fleetControl } from "../fleet/control/control-object.ts";
import { fleetShard } from "../fleet/shard/shard-object.ts";
import type { HttpApp } from "../http/app.ts";
import { agentContainer } from "../sandbox/cloudflare/native/agent-container.ts";
import { type DenialCounter, networkGate } from "../sandbox/cloudflare/network/network-gate.ts";
import { sandboxContainer } from "../sandbox/cloudflare/sdk/sandbox-container.ts";
import { sessionObject } from "../session/session-object.ts";
import { tenantObject } from "../tenant/tenant-object.ts";
import {
  type Build,
  httpApp,
  maintain,
  wireAgentContainer,
  wireContainer,
  wireControl,
  wireSession,
  wireShard,
  wireTenant,
} from "./wiring.ts";

export function compose(build: Build) {
  /** Built once for each isolate: the environment does not change under a running one. */
  let app: HttpApp | null = null;
  return {
    SessionObject: sessionObject<Env>((env) => wireSession(env, build)),
    TenantObject: tenantObject<Env>((env) => wireTenant(env, build)),
    FleetShard: fleetShard<Env>((env) => wireShard(env, build)),
    SandboxContainer: sandboxContainer<Env>((env) => wireContainer(env, build)),
    NetworkGate: networkGate<Env>(
      ({ CONTAINERS: agents }, objectId) =>
        (agents?.get(agents.idFromString(objectId)) ?? null) as unknown as DenialCounter | null,
    ),
    AgentContainer: agentContainer<Env>((env) => wireAgentContainer(env, build)),
    FleetControl: fleetControl<Env>((env) => wireControl(env, build)),
    handler: {
      fetch: (request, env) => (app ??= httpApp(env, build)).fetch(request),
      scheduled: (_event, env) => maintain(env, build),
    } satisfies ExportedHandler<Env>,
  };
}
