/** Stands in for `cloudflare:workers` where the SDK's real classes are loaded in Node: what they need of the platform's module. */
export class DurableObject {
  readonly ctx: unknown;
  readonly env: unknown;

  constructor(ctx: unknown, env: unknown) {
    this.ctx = ctx;
    this.env = env;
  }
}
export class WorkerEntrypoint extends DurableObject {}
export class RpcTarget {}
export class RpcStub {}
export const tracing = undefined;
export const env = {};
