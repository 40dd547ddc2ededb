/**
 * All that the fence needs of the platform: the container of this object, the calls of the SDK, storage, and a bucket.
 *
 * The real one is a thin shell over `Sandbox` (sdk/sandbox-container.ts), which cannot be constructed in a test. The
 * stand-in for tests (test/support/cloudflare) behaves as the platform was measured to behave. So no decision of the
 * fence may live in a platform.
 *
 * An implementation may do to its caller what the SDK does: hang for ever, settle long after it was given up, start the
 * container from any SDK call, reject with an error whose class was lost over RPC. The fence bounds every call and
 * looks again.
 */

/** Synchronous, and durable before any reply or outgoing call leaves (output gates). `sync` waits for the disk. */
export interface FenceStorage {
  get(key: string): unknown;
  put(key: string, value: object): void;
  sync(): Promise<void>;
  setAlarm(at: number): Promise<void>;
  /** Every row, table and alarm of this object. */
  wipe(): Promise<void>;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The port of the SDK's own server in the image, which runs as long as the container does. */
export const sdkPort = 3_000;

/** A row of the SDK's own list, which may be stale, and which forgets a process whose id was used again. */
export interface ListedProcess {
  readonly id: string;
  readonly pid: number | null;
  readonly running: boolean;
}

/** Which start of which instance this is. The container carries it as labels and environment. */
export interface StartOrder {
  readonly sessionId: string;
  readonly instanceId: string;
  readonly generation: number;
  /** Counts the starts of that instance. */
  readonly starts: number;
  /** The template to start from; absent: the default one. */
  readonly template?: string;
}

/**
 * The labels that a container was started with. `instanceId` null: the platform cannot tell, as after a restart of a
 * local engine's client.
 */
export interface Inspected {
  readonly instanceId: string | null;
}

/**
 * What the container API can do and the SDK's object cannot. Here our agent is PID 1, and no other server is in the
 * container. Every call may hang; the fence bounds it.
 */
export interface NativeCalls {
  /** null: the platform has no container. Also null for a frozen one, which still runs. */
  inspect(): Promise<Inspected | null>;
  /**
   * Gives the loader its bundle and this order. Resolves when the loader, or the agent that it started, has answered.
   */
  handOver(order: string, signal: AbortSignal): Promise<void>;
  /** Sends a signal to PID 1, which passes TERM on to the agent. Throws when the container does not run. */
  signal(number: number): void;
  /**
   * A program's output as a stream. `ended` rejects unless the program exits with 0 after the stream was read to its
   * end.
   */
  output(argv: readonly string[]): Promise<StreamedProcess>;
  /** Resolves when the program has read all of it and exited with 0. */
  input(argv: readonly string[], stream: ReadableStream<Uint8Array>): Promise<void>;
  /**
   * Builds this object anew, so that it asks the engine again whether its container runs. The call that is under way
   * fails.
   */
  startOver(): void;
}

export interface StreamedProcess {
  readonly stream: ReadableStream<Uint8Array>;
  readonly ended: Promise<void>;
  kill(): void;
}

export interface ContainerPlatform {
  /** null: this platform is the SDK's object. */
  readonly native: NativeCalls | null;
  /** The durable id of this object. An object of another deployment or class has another one. */
  readonly objectId: string;
  readonly storage: FenceStorage;
  /** null: this deployment has no bucket for snapshots. */
  readonly bucket: SnapshotBucket | null;
  /** Does not wake the container. It has been wrong both ways in the field. */
  running(): boolean;
  /** The SDK's start, its retries within `timeoutMs`. Asks the fence (`StartGate.refusal`) right before it starts anything. */
  start(timeoutMs: number, signal: AbortSignal, order: StartOrder): Promise<void>;
  /** The SDK's exec without a session. Starts a stopped container, unless the fence refuses. */
  exec(command: string, timeoutMs: number): Promise<CommandResult>;
  /** Does not fail for an id already used: it orphans what had it. */
  startProcess(command: string, processId: string, env: Readonly<Record<string, string>>): Promise<void>;
  listProcesses(): Promise<readonly ListedProcess[]>;
  writeFile(path: string, text: string): Promise<void>;
  /** Straight to a port of the container: neither starts it nor counts as activity. Rejects when nobody listens. */
  connect(port: number, path: string, init: RequestInit): Promise<Response>;
  /** Moves the platform's own end of an idle container to this instant (epoch ms). */
  renewActivity(until: number): void;
  /** The SDK's destroy. It joins a destroy that is in flight, which may hang. */
  sdkDestroy(): Promise<void>;
  /** The destroy of the container itself. */
  containerDestroy(): Promise<void>;
  /** SHA-256 of what is written to it. */
  digest(): Digest;
}

export interface Digest {
  update(chunk: Uint8Array): Promise<void>;
  /** The digest in hex. Call it once. */
  end(): Promise<string>;
}

/** The calls of an R2 bucket that snapshots need. */
export interface SnapshotBucket {
  head(key: string): Promise<{ readonly size: number } | null>;
  get(key: string): Promise<{ readonly body: ReadableStream<Uint8Array>; readonly size: number } | null>;
  put(key: string, value: string): Promise<unknown>;
  delete(keys: string[]): Promise<void>;
  createMultipartUpload(key: string): Promise<SnapshotUpload>;
}

/** All parts have one size, at least 5 MiB; only the last may be smaller. */
export interface SnapshotUpload {
  uploadPart(number: number, bytes: Uint8Array): Promise<UploadedPart>;
  complete(parts: UploadedPart[]): Promise<unknown>;
  abort(): Promise<void>;
}

export interface UploadedPart {
  readonly partNumber: number;
  readonly etag: string;
}

/** For an object class that was deployed, or is run locally, without its container. */
export function noContainer(className: string): Error {
  return new Error(
    `The class ${className} has no container here. It needs its [[containers]] in wrangler.toml, and wrangler has to run with containers enabled.`,
  );
}
