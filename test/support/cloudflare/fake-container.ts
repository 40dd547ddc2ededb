/**
 * `ctx.container` as the deployed platform has it under `scheduling_policy = "durable_object"`. `local` gives it the ways of a
 * developer's machine, where the engine starts a failed main process again behind the back of the API.
 *
 * This file imitates the API. What runs in the container is a part of its own: our loader and agent in memory, as far as a launch needs
 * them, or real processes (boxed-processes.ts). Calls are counted, so that a test can say what was not called.
 */
import { createHash } from "node:crypto";
import { wrapperHeaders, wrapperProof } from "../../../src/protocol/sandbox/wrapper.ts";

export type PlatformMode = "deployed" | "local";

export interface FakeOptions {
  readonly local?: boolean;
  /** A start returns, and nothing comes up: the platform tells no reason. */
  readonly failsToStart?: boolean;
  /** True: the loader has the agent, which does not listen yet. */
  readonly isSlow?: () => boolean;
}

export interface StartOptions {
  readonly labels: Record<string, string>;
  readonly entrypoint: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly enableInternet: boolean;
  readonly image?: string;
  readonly instance?: unknown;
  readonly containerSnapshot?: { readonly id: string };
}

export interface ExecOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: ReadableStream<Uint8Array>;
  readonly stdout?: "pipe" | "ignore";
  readonly stderr?: "pipe" | "ignore";
}

export interface StartedProcess {
  readonly stdout: ReadableStream<Uint8Array> | null;
  readonly stderr: ReadableStream<Uint8Array> | null;
  readonly exitCode: Promise<number>;
  kill(signal?: number): void;
  output(): Promise<{ readonly exitCode: number; readonly stdout: ArrayBuffer; readonly stderr: ArrayBuffer }>;
}

export interface Inside {
  /** The exit code of its main process. */
  readonly ended: Promise<number>;
  /** Of a main process that an engine has started again after it failed: until it ends once more. */
  again(): Promise<void>;
  request(port: number, url: string, init: RequestInit): Promise<Response>;
  exec(argv: readonly string[], options: ExecOptions): Promise<StartedProcess>;
  /** To its main process. */
  signal(number: number): void;
  /** All of it, at once. */
  end(): Promise<void>;
}

export type MakeInside = (options: StartOptions, mode: PlatformMode) => Inside;

interface Started {
  readonly labels: Record<string, string>;
  readonly inside: Inside;
  /** By its object: no engine starts it again. */
  isDestroyed: boolean;
}

const notListening = (port: number): Error => new Error(`Container is not listening to port ${port}`);

export class FakeContainer {
  readonly calls = { start: 0, destroy: 0, monitor: 0, exec: 0, inspect: 0, connect: 0 };
  /** Each hold that was asked for, ms. */
  readonly holds: number[] = [];
  readonly options: FakeOptions;
  frozen = false;
  /** So many times the platform shows no container although it runs: right after its object was built anew. */
  unseen = 0;
  readonly #makeInside: MakeInside;
  #up: Started | null = null;
  /** The engine's own container, where it outlives what the API says. */
  #zombie: Started | null = null;

  constructor(options: FakeOptions = {}, makeInside: MakeInside = (started) => new LoaderInMemory(started)) {
    this.options = options;
    this.#makeInside = makeInside;
  }

  get running(): boolean {
    return this.#up !== null;
  }

  readonly images: Record<string, string> = { named: "registry/named@sha256:1" };

  /** Registered for this object's life alone: the platform forgets rules when the object is built anew. */
  readonly gates: { readonly kind: "http" | "https"; readonly host: string; readonly fetcher: unknown }[] = [];

  async interceptOutboundHttp(host: string, fetcher: unknown): Promise<void> {
    this.gates.push({ kind: "http", host, fetcher });
  }

  async interceptOutboundHttps(host: string, fetcher: unknown): Promise<void> {
    this.gates.push({ kind: "https", host, fetcher });
  }

  /** Of the newest start. */
  started: StartOptions | null = null;

  /** What runs in it, past the API. */
  get inside(): Inside | null {
    return (this.#up ?? this.#zombie)?.inside ?? null;
  }

  start(options: StartOptions): void {
    if (this.#up !== null) throw new Error("start() cannot be called on a container that is already running.");
    this.calls.start += 1;
    this.#zombie = null;
    this.started = options;
    const inside = this.#makeInside(options, this.options.local === true ? "local" : "deployed");
    const up: Started = { labels: options.labels, inside, isDestroyed: false };
    this.#up = up;
    void inside.ended.then((code) => {
      if (this.#up === up) this.#mainEnded(code);
    });
    if (this.options.failsToStart === true) setTimeout(() => (this.#up = null), 30);
  }

  /** Its main process ends with a failure. */
  crash(): void {
    this.#mainEnded(1);
  }

  /** Deployed the container is gone; a local engine starts one that failed again, unseen. */
  #mainEnded(code: number): void {
    const up = this.#up;
    this.#up = null;
    if (up === null || up.isDestroyed || code === 0 || this.options.local !== true) return;
    this.#zombie = up;
    void up.inside.again().then(() => {
      if (this.#zombie === up) this.#zombie = null;
    });
  }

  /** The object was built anew and has asked the engine. */
  seenAgain(): void {
    this.#up ??= this.#zombie;
    this.#zombie = null;
  }

  async destroy(): Promise<void> {
    this.calls.destroy += 1;
    // It asks `running` first: a container that the engine started again stays.
    const up = this.#up;
    this.frozen = false;
    if (up === null) return;
    up.isDestroyed = true;
    await up.inside.end();
    if (this.#up === up) this.#up = null;
  }

  signal(number: number): void {
    if (this.#up === null) throw new Error("signal() cannot be called on a container that is not running.");
    this.#up.inside.signal(number);
  }

  async setInactivityTimeout(ms: number): Promise<void> {
    this.holds.push(ms);
  }

  async monitor(): Promise<void> {
    this.calls.monitor += 1;
  }

  async inspect(): Promise<{ image: string; labels: Record<string, string> } | null> {
    this.calls.inspect += 1;
    const isUnseen = this.unseen > 0;
    if (isUnseen) this.unseen -= 1;
    const there = this.frozen || isUnseen ? null : (this.#up ?? this.#zombie);
    return there === null ? null : { image: "", labels: there.labels };
  }

  async exec(argv: readonly string[], options: ExecOptions = {}): Promise<StartedProcess> {
    this.calls.exec += 1;
    if (this.#up === null) throw new Error("exec() cannot be called on a container that is not running.");
    return this.#up.inside.exec(argv, options);
  }

  getTcpPort(port: number): { fetch: (url: string, init: RequestInit) => Promise<Response> } {
    return {
      fetch: async (url, init) => {
        this.calls.connect += 1;
        const { inside } = this;
        const isLate = init.method !== "PUT" && this.options.isSlow?.() === true;
        if (inside === null || isLate || this.options.failsToStart === true) throw notListening(port);
        if (!this.frozen) return inside.request(port, url, init);
        return new Promise<never>((_, reject) =>
          init.signal?.addEventListener("abort", () => reject(new Error("aborted"))),
        );
      },
    };
  }
}

/** Our loader and agent, as far as a launch needs them. */
class LoaderInMemory implements Inside {
  readonly ended: Promise<number>;
  readonly #digest: string;
  #secret: string | null = null;
  #end = (_code: number): void => {};

  constructor({ entrypoint }: StartOptions) {
    this.#digest = entrypoint[5] ?? "";
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  again(): Promise<void> {
    return new Promise(() => {});
  }

  async request(port: number, _url: string, init: RequestInit): Promise<Response> {
    if (init.method === "PUT") return this.#load(init);
    if (this.#secret === null) throw notListening(port);
    const nonce = new Headers(init.headers).get(wrapperHeaders.nonce) ?? "";
    return new Response("{}", { headers: { [wrapperHeaders.proof]: await wrapperProof(this.#secret, nonce) } });
  }

  async exec(): Promise<never> {
    throw new Error("exec() requires a running container.");
  }

  signal(number: number): void {
    if (number === 15 && this.#secret !== null) this.#end(0);
  }

  async end(): Promise<void> {
    this.#end(137);
  }

  #load(init: RequestInit): Response {
    const body = Buffer.from(init.body as Uint8Array);
    const cut = Number(new Headers(init.headers).get("mooring-order-bytes"));
    const digest = createHash("sha256").update(body.subarray(cut)).digest("hex");
    if (digest !== this.#digest) return new Response("refused", { status: 403 });
    this.#secret = (JSON.parse(body.subarray(0, cut).toString()) as { secret: string }).secret;
    return new Response("taken");
  }
}
