/** Composition root: what the platform sees. The wiring itself is in wiring.ts. */
import { fleetControl } from "./fleet/control-object.ts";
import { fleetShard } from "./fleet/shard-object.ts";
import type { Env } from "./env.ts";
import type { HttpApp } from "./http/app.ts";
import { sandboxContainer } from "./sandbox/cloudflare/sandbox-container.ts";
import { sessionObject } from "./session/session-object.ts";
import { tenantObject } from "./tenant/tenant-object.ts";
import { httpApp, maintain, wireContainer, wireControl, wireSession, wireShard, wireTenant } from "./wiring.ts";

export class SessionObject extends sessionObject<Env>(wireSession) {}
export class TenantObject extends tenantObject<Env>(wireTenant) {}
export class FleetShard extends fleetShard<Env>(wireShard) {}
/** The SDK looks for it in the exports of the entry point as soon as an object wakes beside a running container. */
export { ContainerProxy } from "@cloudflare/sandbox";
export class SandboxContainer extends sandboxContainer<Env>(wireContainer) {}
export class FleetControl extends fleetControl<Env>(wireControl) {}

/** Built once for each isolate: the environment does not change under a running one. */
let app: HttpApp | null = null;

export default {
  fetch: (request, env) => (app ??= httpApp(env)).fetch(request),
  scheduled: (_event, env) => maintain(env),
} satisfies ExportedHandler<Env>;
