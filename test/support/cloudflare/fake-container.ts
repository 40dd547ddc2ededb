/**
 * `ctx.container` as the deployed platform has it under `scheduling_policy = "durable_object"`, in memory. `local` gives it the ways of a
 * developer's machine, where the engine starts a failed main process again behind the back of the API.
 *
 * In it: our loader and agent, as far as a launch needs them. Calls are counted, so that a test can say what was not called.
 */
import { createHash } from "node:crypto";
import { wrapperHeaders, wrapperProof } from "../../../src/protocol/sandbox/wrapper.ts";

export interface FakeOptions {
  readonly local?: boolean;
  /** A start returns, and nothing comes up: the platform tells no reason. */
  readonly failsToStart?: boolean;
}

export interface StartOptions {
  readonly labels: Record<string, string>;
  readonly entrypoint: readonly string[];
  readonly enableInternet: boolean;
  readonly image?: string;
  readonly instance?: unknown;
  readonly containerSnapshot?: { readonly id: string };
}

interface Started {
  readonly labels: Record<string, string>;
  readonly digest: string;
}

const notListening = (port: number): Error => new Error(`Container is not listening to port ${port}`);

export class FakeContainer {
  readonly calls = { start: 0, destroy: 0, monitor: 0, exec: 0, inspect: 0, connect: 0 };
  /** Each hold that was asked for, ms. */
  readonly holds: number[] = [];
  readonly options: FakeOptions;
  frozen = false;
  #up: Started | null = null;
  /** The engine's own container, where it outlives what the API says. */
  #zombie: Started | null = null;
  #secret: string | null = null;

  constructor(options: FakeOptions = {}) {
    this.options = options;
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

  start(options: StartOptions): void {
    if (this.#up !== null) throw new Error("start() cannot be called on a container that is already running.");
    this.calls.start += 1;
    this.#zombie = null;
    this.#secret = null;
    this.started = options;
    this.#up = { labels: options.labels, digest: options.entrypoint[5] ?? "" };
    if (this.options.failsToStart === true) setTimeout(() => (this.#up = null), 30);
  }

  /** Its main process ends with a failure. Deployed the container is gone; a local engine starts it again, unseen. */
  crash(): void {
    if (this.options.local === true) this.#zombie = this.#up;
    this.#up = null;
  }

  /** The object was built anew and has asked the engine. */
  seenAgain(): void {
    this.#up = this.#zombie;
    this.#zombie = null;
  }

  async destroy(): Promise<void> {
    this.calls.destroy += 1;
    // It asks `running` first: a container that the engine started again stays.
    this.#up = null;
    this.frozen = false;
  }

  signal(number: number): void {
    if (this.#up === null) throw new Error("signal() cannot be called on a container that is not running.");
    if (number === 15 && this.#secret !== null) this.#up = null;
  }

  async setInactivityTimeout(ms: number): Promise<void> {
    this.holds.push(ms);
  }

  async monitor(): Promise<void> {
    this.calls.monitor += 1;
  }

  async inspect(): Promise<{ image: string; labels: Record<string, string> } | null> {
    this.calls.inspect += 1;
    const there = this.frozen ? null : (this.#up ?? this.#zombie);
    return there === null ? null : { image: "", labels: there.labels };
  }

  async exec(): Promise<never> {
    this.calls.exec += 1;
    throw new Error("exec() cannot be called on a container that is not running.");
  }

  getTcpPort(port: number): { fetch: (url: string, init: RequestInit) => Promise<Response> } {
    return {
      fetch: async (_url, init) => {
        this.calls.connect += 1;
        if ((this.#up ?? this.#zombie) === null || this.options.failsToStart === true) throw notListening(port);
        if (this.frozen)
          return new Promise<never>((_, reject) =>
            init.signal?.addEventListener("abort", () => reject(new Error("aborted"))),
          );
        return init.method === "PUT" ? this.#load(init) : this.#health(port, init);
      },
    };
  }

  #load(init: RequestInit): Response {
    const body = Buffer.from(init.body as Uint8Array);
    const cut = Number(new Headers(init.headers).get("mooring-order-bytes"));
    const digest = createHash("sha256").update(body.subarray(cut)).digest("hex");
    if (digest !== this.#up?.digest) return new Response("refused", { status: 403 });
    this.#secret = (JSON.parse(body.subarray(0, cut).toString()) as { secret: string }).secret;
    return new Response("taken");
  }

  async #health(port: number, init: RequestInit): Promise<Response> {
    if (this.#secret === null) throw notListening(port);
    const nonce = new Headers(init.headers).get(wrapperHeaders.nonce) ?? "";
    return new Response("{}", { headers: { [wrapperHeaders.proof]: await wrapperProof(this.#secret, nonce) } });
  }
}
