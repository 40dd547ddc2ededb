/**
 * `ContainerPlatform` over a stand-in container, with what was measured of the SDK: no call has a deadline, each but `running` and
 * `connect` starts a stopped container, a used process id orphans what had it, `destroy` joins one that is in flight, and
 * errors are classes with getters.
 */
import { createHash } from "node:crypto";
import type {
  CommandResult,
  ContainerPlatform,
  Digest,
  FenceStorage,
  ListedProcess,
  SnapshotBucket,
} from "../../../src/sandbox/cloudflare/platform/container-platform.ts";
import type { StandInContainer } from "./stand-in-container.ts";

/** As the SDK's: the code is a getter of the class, and not there any more after RPC; `errorResponse` is a property. */
export class StandInSandboxError extends Error {
  readonly errorResponse: { readonly code: string; readonly message: string; readonly context: object };

  constructor(name: string, code: string, message: string, context: object = {}) {
    super(message);
    this.name = name;
    this.errorResponse = { code, message, context };
  }

  get code(): string {
    return this.errorResponse.code;
  }
}

export function interrupted(): Error {
  const context = { reason: "sandbox_lifetime_changed", admitted: "unknown", retryable: false };
  const message = "The sandbox was destroyed while the operation was pending.";
  return new StandInSandboxError("OperationInterruptedError", "OPERATION_INTERRUPTED", message, context);
}

export function noInstance(): Error {
  return new Error("there is no container instance that can be provided to this durable object");
}

export class StandInStorage implements FenceStorage {
  readonly #rows = new Map<string, unknown>();
  alarmAt: number | null = null;

  get size(): number {
    return this.#rows.size;
  }

  get(key: string): unknown {
    return structuredClone(this.#rows.get(key));
  }

  put(key: string, value: object): void {
    this.#rows.set(key, structuredClone(value));
  }

  async sync(): Promise<void> {}

  async setAlarm(at: number): Promise<void> {
    this.alarmAt = at;
  }

  async wipe(): Promise<void> {
    this.#rows.clear();
    this.alarmAt = null;
  }
}

export interface StandInWiring {
  readonly container: StandInContainer;
  readonly storage: StandInStorage;
  readonly bucket: SnapshotBucket | null;
  /** What the shell's overrides ask; throws when the container must not start. */
  readonly refuseToStart: () => void;
}

export class StandInPlatform implements ContainerPlatform {
  readonly native = null;
  readonly objectId: string;
  readonly storage: StandInStorage;
  readonly bucket: SnapshotBucket | null;
  /** What keeps the container awake in the eyes of the SDK: its own calls do, too. */
  activity = { renewals: 0, calls: 0 };
  readonly #wiring: StandInWiring;
  #destroying: Promise<void> | null = null;

  constructor(wiring: StandInWiring) {
    this.#wiring = wiring;
    this.objectId = `object-of-${wiring.container.id}`;
    this.storage = wiring.storage;
    this.bucket = wiring.bucket;
  }

  running(): boolean {
    return this.#wiring.container.running();
  }

  /** The signal is looked at by the SDK between its tries only: one that is under way lands when it lands. */
  async start(_timeoutMs: number, _signal: AbortSignal): Promise<void> {
    await this.#wake();
  }

  async exec(command: string, _timeoutMs: number): Promise<CommandResult> {
    await this.#call();
    const { container } = this.#wiring;
    return Promise.race([container.exec(command), container.hang()]);
  }

  async startProcess(command: string, processId: string, env: Readonly<Record<string, string>>): Promise<void> {
    await this.#call();
    await this.#wiring.container.start(command, processId, env);
  }

  async listProcesses(): Promise<readonly ListedProcess[]> {
    await this.#call();
    return [...this.#wiring.container.listed].map(([id, { pid, child }]) => ({
      id,
      pid,
      running: child.exitCode === null && child.signalCode === null,
    }));
  }

  async writeFile(path: string, text: string): Promise<void> {
    await this.#call();
    this.#wiring.container.write(path, text);
  }

  async connect(port: number, path: string, init: RequestInit): Promise<Response> {
    const { container } = this.#wiring;
    if (!container.runs) throw new Error("The container is not running, consider calling start()");
    if (container.mischief.frozen) return container.hang();
    return container.connect(port, path, init);
  }

  renewActivity(): void {
    this.activity.renewals += 1;
  }

  sdkDestroy(): Promise<void> {
    const { container } = this.#wiring;
    this.#destroying ??= (
      container.mischief.sdkDestroyHangs ? new Promise<never>(() => {}) : this.containerDestroy()
    ).finally(() => (this.#destroying = null));
    return this.#destroying;
  }

  async containerDestroy(): Promise<void> {
    const { container } = this.#wiring;
    if (container.mischief.indestructible) return container.hang();
    await container.destroy(interrupted());
  }

  digest(): Digest {
    const hash = createHash("sha256");
    return { update: async (chunk) => void hash.update(chunk), end: async () => hash.digest("hex") };
  }

  /** What every call of the SDK goes through. */
  async #call(): Promise<void> {
    const { container } = this.#wiring;
    if (!container.runs) await this.#wake();
    this.activity.calls += 1;
    if (container.mischief.frozen) await container.hang();
  }

  async #wake(): Promise<void> {
    const { container, refuseToStart } = this.#wiring;
    const { mischief } = container;
    if (container.runs) return;
    const start = (): void => {
      try {
        refuseToStart();
      } catch (error) {
        const said = error instanceof Error ? error.message : String(error);
        throw new StandInSandboxError("SandboxError", "INTERNAL_ERROR", `Container failed to start: ${said}`);
      }
    };
    start();
    if (mischief.startFails !== null) throw mischief.startFails;
    if (mischief.startTakesMs > 0) await new Promise((resolve) => setTimeout(resolve, mischief.startTakesMs));
    // The container itself asks again (the shell's guard).
    start();
    container.boot();
  }
}
