/**
 * One request to Mooring: credential, deadline, abort, problems as typed errors, and repeating.
 *
 * Only what is marked `repeatable` is ever sent twice, because its effect is the same however often it arrives. Repeated
 * are lost connections and answers that say "later" of their own; a "no" is thrown at once.
 */
import type { ProblemBody } from "../protocol/problem.ts";
import { ConnectionError, type MooringError, ProblemError, UnexpectedAnswerError } from "./errors.ts";
import { pauseMs, type RetryTerms, sleep } from "./pacing.ts";

export interface TransportOptions {
  /** Where Mooring is, without a path: `https://mooring.example.com`. */
  readonly url: string;
  readonly credential: string | (() => string | Promise<string>);
  readonly fetch: (request: Request) => Promise<Response>;
  readonly retry: RetryTerms;
  /** For one try until its answer is there, ms, beyond what the call itself waits. */
  readonly timeoutMs: number;
}

export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: object | undefined;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly json?: unknown;
  readonly bytes?: Uint8Array | string;
  /** Sent again, it does no harm. */
  readonly repeatable: boolean;
  /** How long Mooring was asked to hold the answer, seconds. */
  readonly waitSeconds?: number | undefined;
}

export interface CallOptions {
  /** Ends the call, and every pause between its tries. */
  readonly signal?: AbortSignal | undefined;
}

/** The answer of a call whose body is JSON. */
export interface Told<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

export class Transport {
  readonly #options: TransportOptions;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  get retry(): RetryTerms {
    return this.#options.retry;
  }

  /** The body of a JSON answer. */
  async json<T>(call: Call, options: CallOptions = {}): Promise<T> {
    return (await this.told<T>(call, options)).body;
  }

  async told<T>(call: Call, options: CallOptions = {}): Promise<Told<T>> {
    return await this.#repeated(call, options, async (response) => {
      const text = await response.text();
      const body = text === "" ? undefined : (JSON.parse(text) as T);
      return { status: response.status, headers: response.headers, body: body as T };
    });
  }

  async text(call: Call, options: CallOptions = {}): Promise<string> {
    return await this.#repeated(call, options, (response) => response.text());
  }

  /** The answer with its body still to be read: only its beginning is under the deadline. */
  async stream(call: Call, options: CallOptions = {}): Promise<Response> {
    return await this.#repeated(call, options, async (response) => response);
  }

  async #repeated<T>(call: Call, { signal }: CallOptions, read: (response: Response) => Promise<T>): Promise<T> {
    const { retry } = this.#options;
    for (let tries = 1; ; tries += 1) {
      signal?.throwIfAborted();
      const tried = await this.#once(call, signal, read);
      if (tried.ok) return tried.value;
      const askedMs = askedToWait(tried.error);
      if (!call.repeatable || askedMs === null || askedMs > retry.maxMs || tries >= retry.attempts) throw tried.error;
      await sleep(pauseMs(tries, retry, askedMs), signal);
    }
  }

  async #once<T>(
    call: Call,
    signal: AbortSignal | undefined,
    read: (response: Response) => Promise<T>,
  ): Promise<{ readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: MooringError }> {
    const { method, path, waitSeconds = 0 } = call;
    const words = `${method} ${path}`;
    const deadline = new AbortController();
    const timer = setTimeout(
      () => deadline.abort(new DOMException("Mooring did not answer in time.", "TimeoutError")),
      this.#options.timeoutMs + waitSeconds * 1_000,
    );
    try {
      const either = signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]);
      const response = await this.#options.fetch(await this.#request(call, either));
      if (!response.ok && response.status !== 304) return { ok: false, error: await refusal(response, words) };
      return { ok: true, value: await read(response) };
    } catch (error) {
      // Whoever aborted wants to hear their own reason.
      signal?.throwIfAborted();
      const why = error instanceof Error ? error.message : String(error);
      return { ok: false, error: new ConnectionError(`Mooring could not be asked: ${why}`, words, { cause: error }) };
    } finally {
      clearTimeout(timer);
    }
  }

  async #request({ method, path, query, headers = {}, json, bytes, waitSeconds }: Call, signal: AbortSignal) {
    const { url, credential } = this.#options;
    const asked = new URL(path, url);
    for (const [name, value] of parameters(query)) asked.searchParams.set(name, value);
    const token = typeof credential === "string" ? credential : await credential();
    const sent = new Headers();
    if (token !== "") sent.set("authorization", `Bearer ${token}`);
    if (json !== undefined) sent.set("content-type", "application/json");
    else if (bytes !== undefined) sent.set("content-type", "application/octet-stream");
    if (waitSeconds !== undefined && waitSeconds > 0) sent.set("prefer", `wait=${Math.ceil(waitSeconds)}`);
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) sent.set(name, value);
    const body = json === undefined ? bytes : JSON.stringify(json);
    return new Request(asked, { method, headers: sent, signal, ...(body === undefined ? {} : { body }) });
  }
}

function* parameters(query: object = {}): Generator<readonly [string, string]> {
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    if (typeof value !== "object") yield [name, String(value as string | number | boolean)];
    else for (const [key, each] of Object.entries(value)) yield [`${name}[${key}]`, String(each)];
  }
}

async function refusal(response: Response, request: string): Promise<MooringError> {
  const text = await response.text();
  try {
    const problem = JSON.parse(text) as ProblemBody;
    if (typeof problem.code === "string" && typeof problem.detail === "string") {
      return new ProblemError(problem, request, retryAtOf(response, problem));
    }
  } catch {
    // Not ours: told as it is, below.
  }
  return new UnexpectedAnswerError(response.status, text, request);
}

function retryAtOf(response: Response, problem: ProblemBody): Date | null {
  if (problem.retry_at !== undefined) return new Date(problem.retry_at);
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) ? new Date(Date.now() + seconds * 1_000) : null;
}

/** ms to wait at least before the same request is sent again; null: it is a "no" for now, whoever sends it. */
function askedToWait(error: MooringError): number | null {
  if (error instanceof ConnectionError) return 0;
  if (error instanceof UnexpectedAnswerError) return [502, 503, 504].includes(error.status) ? 0 : null;
  if (!(error instanceof ProblemError) || !error.retryable) return null;
  const busy = error.status === 503 || error.code === "rate_limited" || error.code === "idempotency_in_flight";
  if (!busy) return null;
  return error.retryAt === null ? 0 : Math.max(0, error.retryAt.getTime() - Date.now());
}
