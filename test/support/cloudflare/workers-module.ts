/** Stands in for `cloudflare:workers` where objects of the Worker are loaded in Node: what they need of the platform's module, and of its globals. */
import { createHash } from "node:crypto";

/** As the runtime has it, and Node has not. */
class DigestStream extends WritableStream<Uint8Array> {
  readonly digest: Promise<ArrayBuffer>;

  constructor(_algorithm: "SHA-256") {
    const hash = createHash("sha256");
    let done = (_digest: ArrayBuffer): void => {};
    const digest = new Promise<ArrayBuffer>((resolve) => (done = resolve));
    super({
      write: (chunk) => void hash.update(chunk),
      close: () => done(new Uint8Array(hash.digest()).buffer),
    });
    this.digest = digest;
  }
}
/** Node wants to hear of a body that is a stream; the runtime does not ask. */
class StreamingRequest extends Request {
  constructor(input: RequestInfo | URL, init?: RequestInit) {
    super(input, init?.body instanceof ReadableStream ? ({ ...init, duplex: "half" } as RequestInit) : init);
  }
}
globalThis.Request = StreamingRequest as never;
if (!("DigestStream" in crypto)) Object.defineProperty(crypto, "DigestStream", { value: DigestStream });

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
