/** What the platform sees: the handler and the Durable Objects of the deployed build. The wiring is in src/wiring. */
import { compose } from "./wiring/compose.ts";

const mooring = compose({ providers: {} });

export class SessionObject extends mooring.SessionObject {}
export class TenantObject extends mooring.TenantObject {}
export class FleetShard extends mooring.FleetShard {}
/** The SDK looks for it in the exports of the entry point as soon as an object wakes beside a running container. */
export { ContainerProxy } from "@cloudflare/sandbox";
export class SandboxContainer extends mooring.SandboxContainer {}
export class AgentContainer extends mooring.AgentContainer {}
/** Requests of containers with rules for the network go through it. The name is known to agent-container.ts. */
export class NetworkGate extends mooring.NetworkGate {}
export class FleetControl extends mooring.FleetControl {}

export default mooring.handler;
