/** The Worker under test: the real one, and one more session object and registry whose provider, clock and timers a test can disturb. */
export * from "./composed.ts";
export { handler as default } from "./composed.ts";
export { RiggedSession } from "./rigged-session.ts";
export { RiggedTenant } from "./rigged-tenant.ts";
