/**
 * Mooring as a provider of ComputeSDK (npm: `computesdk`, 2.x to 4.x), which asks many sandbox services in one way:
 *
 *     import { compute } from "computesdk";
 *     import { computeProvider, Mooring } from "mooring";
 *
 *     compute.setConfig({ provider: computeProvider(new Mooring({ url, key })) });
 *     const sandbox = await compute.sandbox.create({ timeout: 600_000 });
 *     const { stdout } = await sandbox.runCommand("node -v");
 *     await sandbox.destroy();
 *
 * The shapes below are ComputeSDK's own, written down here: the client depends on nothing of it. Times are ms, as there.
 */
import { isProblem } from "./errors.ts";
import type { Mooring } from "./mooring.ts";
import { executed, type Executed, type ProcessChunk } from "./session/process.ts";
import type { Session } from "./session/session.ts";
import type { CreateSession, FileEntry, ProcessExit, SessionView, Snapshot, StartProcess } from "./types.ts";

/** The options of ComputeSDK that Mooring follows. ComputeSDK passes others too, such as sizes and images; those are ignored. */
export interface ComputeCreateOptions {
  /** From the creation until its end, ms; rounded up to whole seconds. */
  readonly timeout?: number | undefined;
  readonly templateId?: string | undefined;
  readonly snapshotId?: string | undefined;
  readonly envs?: Readonly<Record<string, string>> | undefined;
  /** Become labels of the session, as does `name`. A value that is no text is written as JSON. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  readonly name?: string | undefined;
  /** Aborted before it runs: what was created is deleted. */
  readonly signal?: AbortSignal | undefined;
}

export interface ComputeRunOptions {
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** ms, then it is killed with all that it started, and its exit code is 124. */
  readonly timeout?: number | undefined;
  /** Answers as soon as it was started. */
  readonly background?: boolean | undefined;
  readonly onStdout?: ((data: string) => void) | undefined;
  readonly onStderr?: ((data: string) => void) | undefined;
}

export interface ComputeResult {
  readonly stdout: string;
  readonly stderr: string;
  /** 128 plus the signal's number when one ended it, as a shell says it; 124: its time ran out. */
  readonly exitCode: number;
  readonly durationMs: number;
}

interface ComputeFile {
  readonly name: string;
  readonly type: "file" | "directory";
  readonly size: number;
  readonly modified: Date;
}

interface ComputeSnapshot {
  readonly id: string;
  readonly provider: string;
  readonly createdAt: Date;
  readonly metadata: Record<string, string>;
}

const provider = "mooring";
/** The longest that Mooring holds the answer to a create. */
const heldSeconds = 60;

export type ComputeProvider = ReturnType<typeof computeProvider>;
export type ComputeSandbox = ReturnType<typeof sandboxOf>;

/** `defaults`: what every create orders beside its own options, such as `idle_timeout_seconds` or `network`. */
export function computeProvider(mooring: Mooring, defaults: CreateSession = {}) {
  return {
    name: provider,
    sandbox: {
      /** Resolves when it runs. One that does not come to run is deleted before this throws. */
      create: async (options: ComputeCreateOptions = {}) => {
        const { signal } = options;
        const order = orderOf(options, defaults);
        const view = await mooring.createView(order, { waitSeconds: heldSeconds, signal });
        const session = mooring.session(view.id);
        if (view.status !== "running") await running(session, signal);
        return sandboxOf(session);
      },
      /** null: there is none, or it has ended. */
      getById: async (sandboxId: string) => {
        const session = mooring.session(sandboxId);
        const view = await unlessNotFound(session.read());
        return view === null || hasEnded(view) ? null : sandboxOf(session);
      },
      /** Those that run. */
      list: async () => {
        const sandboxes: ComputeSandbox[] = [];
        for await (const { id } of mooring.list({ status: "running" })) sandboxes.push(sandboxOf(mooring.session(id)));
        return sandboxes;
      },
      destroy: (sandboxId: string) => destroyed(mooring.session(sandboxId)),
    },
    snapshot: {
      create: async (sandboxId: string, options: { readonly name?: string | undefined } = {}) =>
        snapshotOf(await mooring.session(sandboxId).snapshot(options.name)),
      list: async () => {
        const snapshots: ComputeSnapshot[] = [];
        for await (const snapshot of mooring.snapshots.list()) snapshots.push(snapshotOf(snapshot));
        return snapshots;
      },
      delete: async (snapshotId: string) => void (await mooring.snapshots.delete(snapshotId)),
    },
  };
}

function orderOf(
  { timeout, templateId, snapshotId, envs, metadata, name }: ComputeCreateOptions,
  defaults: CreateSession,
) {
  const texts = Object.entries(metadata ?? {}).map(([key, value]) => [key, textOf(value)] as const);
  const labels = { ...defaults.labels, ...Object.fromEntries(texts), ...(name === undefined ? {} : { name }) };
  return {
    ...defaults,
    ...(timeout === undefined ? {} : { timeout_seconds: Math.ceil(timeout / 1_000) }),
    ...(templateId === undefined ? {} : { template: templateId }),
    ...(snapshotId === undefined ? {} : { snapshot: snapshotId }),
    ...(envs === undefined ? {} : { env: { ...defaults.env, ...envs } }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
  } satisfies CreateSession;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

async function running(session: Session, signal: AbortSignal | undefined): Promise<void> {
  try {
    await session.until("running", { signal });
  } catch (error) {
    // The caller gets no id, so nobody else would end it. Not with the caller's signal: it may be what was aborted.
    await session.delete().catch(() => {});
    throw error;
  }
}

function sandboxOf(session: Session) {
  const { files } = session;
  return {
    sandboxId: session.id,
    provider,
    /** By `sh -c`. */
    runCommand: (command: string, options: ComputeRunOptions = {}) => commandRun(session, command, options),
    getInfo: async () => {
      const view = await session.read();
      return {
        id: session.id,
        provider,
        status: statusOf(view),
        createdAt: new Date(view.created_at),
        timeout: view.timeout_seconds * 1_000,
        metadata: view.labels,
      };
    },
    /** The address carries a token, and an end of its own. Another one each time. */
    getUrl: async ({ port, protocol }: { readonly port: number; readonly protocol?: string | undefined }) => {
      const { url } = await session.sharePort(port);
      return protocol === undefined ? url : `${protocol}${url.slice(url.indexOf("://"))}`;
    },
    /** Resolves when it is proven gone. Safe to repeat. */
    destroy: () => destroyed(session),
    getInstance: () => session,
    filesystem: {
      readFile: (path: string) => files.readText(path),
      writeFile: async (path: string, content: string) => void (await files.write(path, content)),
      readdir: async (path: string) => {
        const entries: ComputeFile[] = [];
        for await (const entry of files.list(path)) entries.push(fileOf(entry));
        return entries;
      },
      mkdir: async (path: string) => void (await files.mkdir(path)),
      exists: async (path: string) => (await unlessNotFound(files.stat(path))) !== null,
      /** A directory with all that is in it. */
      remove: (path: string) => files.remove(path, { recursive: true }),
    },
  };
}

async function destroyed(session: Session): Promise<void> {
  await unlessNotFound(session.end());
}

async function commandRun(session: Session, command: string, options: ComputeRunOptions): Promise<ComputeResult> {
  const { cwd, env, timeout, background, onStdout, onStderr } = options;
  const began = Date.now();
  const order = {
    command,
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(timeout === undefined ? {} : { timeout_seconds: timeout / 1_000 }),
  } satisfies StartProcess;
  if (background === true) {
    await session.start(order);
    return { stdout: "", stderr: "", exitCode: 0, durationMs: Date.now() - began };
  }
  const { command: line, ...how } = order;
  const followed = onStdout !== undefined || onStderr !== undefined;
  const ended = followed ? await followedRun(session, order, options) : await session.exec(line, how);
  const { stdout, stderr } = ended;
  return { stdout, stderr, exitCode: exitCodeOf(ended), durationMs: Date.now() - began };
}

async function followedRun(session: Session, order: StartProcess, options: ComputeRunOptions): Promise<Executed> {
  const started = await session.start(order);
  return executed(started.pid, withCallbacks(started.output(), options));
}

/** Hands each chunk to the callbacks as text on its way. */
async function* withCallbacks(
  output: AsyncGenerator<ProcessChunk, ProcessExit, void>,
  { onStdout, onStderr }: ComputeRunOptions,
): AsyncGenerator<ProcessChunk, ProcessExit, void> {
  const hear = { stdout: onStdout, stderr: onStderr, terminal: onStdout };
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder(), terminal: new TextDecoder() };
  for (;;) {
    const next = await output.next();
    if (next.done === true) return next.value;
    const { value } = next;
    if (value.stream !== "gap") {
      const text = decoders[value.stream].decode(value.bytes, { stream: true });
      if (text !== "") hear[value.stream]?.(text);
    }
    yield value;
  }
}

const timedOutCode = 124;
const signalCodes: Readonly<Record<string, number>> = {
  ...{ SIGHUP: 129, SIGINT: 130, SIGQUIT: 131, SIGILL: 132, SIGTRAP: 133, SIGABRT: 134, SIGBUS: 135, SIGFPE: 136 },
  ...{ SIGKILL: 137, SIGUSR1: 138, SIGSEGV: 139, SIGUSR2: 140, SIGPIPE: 141, SIGALRM: 142, SIGTERM: 143 },
};

function exitCodeOf({ exitCode, signal, timedOut }: Executed): number {
  if (timedOut) return timedOutCode;
  return exitCode ?? signalCodes[signal ?? ""] ?? 128;
}

/** ComputeSDK knows three. What is on its way to run counts as running: nobody has to do anything for it. */
function statusOf({ status }: SessionView): "running" | "stopped" | "error" {
  switch (status) {
    case "provisioning":
    case "running":
    case "recovering":
      return "running";
    case "pausing":
    case "paused":
    case "terminating":
    case "terminated":
      return "stopped";
    case "lost":
    case "failed":
      return "error";
  }
}

function hasEnded({ status }: SessionView): boolean {
  return status === "terminating" || status === "terminated" || status === "failed";
}

function fileOf({ name, type, size, modified_at, link }: FileEntry): ComputeFile {
  const isDirectory = (link?.type ?? type) === "directory";
  return { name, type: isDirectory ? "directory" : "file", size, modified: new Date(modified_at) };
}

function snapshotOf({ id, name, created_at }: Snapshot): ComputeSnapshot {
  return { id, provider, createdAt: new Date(created_at), metadata: name === null ? {} : { name } };
}

async function unlessNotFound<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if (isProblem(error, "not_found", "file_not_found")) return null;
    throw error;
  }
}
