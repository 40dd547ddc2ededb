/**
 * `ContainerPlatform` over the container of this object and the SDK's calls. Calls are passed through: no bound, no
 * retry, no judgement, because those are the fence's, where tests with the stand-in reach them.
 */
import type { Sandbox } from "@cloudflare/sandbox";
import { durableFenceStorage } from "../platform/durable-fence-storage.ts";
import { digestStream } from "../platform/digest-stream.ts";
import {
  type CommandResult,
  type ContainerPlatform,
  type Digest,
  type FenceStorage,
  type ListedProcess,
  noContainer,
  sdkPort,
  type SnapshotBucket,
} from "../platform/container-platform.ts";

/** The SDK's methods without our overrides. */
export interface SdkCalls {
  start(options: {
    ports: number;
    cancellationOptions: { abort: AbortSignal; instanceGetTimeoutMS: number; portReadyTimeoutMS: number };
  }): Promise<void>;
  destroy(): Promise<void>;
  fetch(request: Request): Promise<Response>;
}

/**
 * Methods of the class that its types leave out, and the fields through which it starts its container and reaches its
 * server.
 */
interface Internals {
  execWithSessionToken(command: string, session: string, options: { timeout: number }): Promise<CommandResult>;
  container: Container;
  readonly client: { readonly connOptions?: { stub: object } };
}

/** Tells the SDK that a call belongs to no session (`enableDefaultSession: false` does the same in its client). */
const noSession = "__DISABLE_SESSION__";

export class SandboxPlatform implements ContainerPlatform {
  readonly native = null;
  readonly objectId: string;
  readonly storage: FenceStorage;
  readonly bucket: SnapshotBucket | null;
  readonly #container: Container;
  readonly #sandbox: Sandbox;
  readonly #internals: Internals;
  readonly #calls: SdkCalls;

  constructor(ctx: DurableObjectState, sandbox: object, calls: SdkCalls, bucket: SnapshotBucket | null) {
    if (ctx.container === undefined) throw noContainer("SandboxContainer");
    this.objectId = ctx.id.toString();
    this.storage = durableFenceStorage(ctx.storage);
    this.bucket = bucket;
    this.#container = ctx.container;
    this.#sandbox = sandbox as Sandbox;
    this.#internals = sandbox as Internals;
    this.#calls = calls;
  }

  /**
   * The last check before the container starts: the SDK checks `running` and starts with awaits in between, and retries
   * on its own. The SDK's field is private, so this fails loudly if a new version has no such field.
   */
  guard(refuseToStart: () => void): void {
    const container = this.#container;
    if (this.#internals.container !== container)
      throw new Error(
        "This version of @cloudflare/sandbox keeps its container in another field, so its starts could not be guarded. Use the version in package.json.",
      );
    this.#internals.container = new Proxy(container, {
      get: (_, name) => {
        if (name === "start") {
          return (options?: ContainerStartupOptions): void => {
            refuseToStart();
            container.start(options);
          };
        }
        const member: unknown = Reflect.get(container, name, container);
        // A method of the runtime works only on its own object, so bind it.
        return typeof member === "function" ? (member.bind(container) as unknown) : member;
      },
    });
  }

  /**
   * The SDK's client reaches the server in the container through the `fetch` of its object. Our `fetch` takes only
   * traffic with a pass, so the client is given the SDK's own. Also fails loudly if the field is missing.
   */
  connectClient(): void {
    const { connOptions } = this.#internals.client;
    if (connOptions?.stub !== this.#sandbox)
      throw new Error(
        "This version of @cloudflare/sandbox reaches its server in another way than Mooring knows. Use the version in package.json.",
      );
    connOptions.stub = { fetch: (request: Request) => this.#calls.fetch(request) };
  }

  running(): boolean {
    return this.#container.running;
  }

  start(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const half = Math.floor(timeoutMs / 2);
    return this.#calls.start({
      ports: sdkPort,
      cancellationOptions: { abort: signal, instanceGetTimeoutMS: half, portReadyTimeoutMS: half },
    });
  }

  async exec(command: string, timeoutMs: number): Promise<CommandResult> {
    const { exitCode, stdout, stderr } = await this.#internals.execWithSessionToken(command, noSession, {
      timeout: timeoutMs,
    });
    return { exitCode, stdout, stderr };
  }

  async startProcess(command: string, processId: string, env: Readonly<Record<string, string>>): Promise<void> {
    await this.#sandbox.startProcess(command, { processId, env: { ...env } }, noSession);
  }

  async listProcesses(): Promise<readonly ListedProcess[]> {
    const listed = await this.#sandbox.listProcesses(noSession);
    return listed.map(({ id, pid, status }) => ({
      id,
      pid: pid ?? null,
      running: status === "running" || status === "starting",
    }));
  }

  async writeFile(path: string, text: string): Promise<void> {
    await this.#sandbox.writeFile(path, text, { sessionId: noSession });
  }

  connect(port: number, path: string, init: RequestInit): Promise<Response> {
    return this.#container.getTcpPort(port).fetch(`http://container${path}`, init);
  }

  renewActivity(): void {
    this.#sandbox.renewActivityTimeout();
  }

  sdkDestroy(): Promise<void> {
    return this.#calls.destroy();
  }

  containerDestroy(): Promise<void> {
    return this.#container.destroy();
  }

  digest(): Digest {
    return digestStream();
  }
}
