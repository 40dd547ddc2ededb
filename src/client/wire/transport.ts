/**
 * One request to Mooring: credential, deadline, abort, problems as typed errors, and repeating.
 *
 * Only what is marked `repeatable` is ever sent twice, because its effect is the same however often it arrives. Repeated
 * are lost connections and answers that say "later" of their own; a "no" is thrown at once.
 */
import type { ProblemBody } from "../../protocol/problem.ts";
import type {
  AnswerOf,
  BodyFor,
  OperationId,
  ParametersOf,
  QueryFor,
} from "../../protocol/contracts/contract-types.ts";
import { ConnectionError, type MooringError, ProblemError, UnexpectedAnswerError } from "../errors.ts";
import { placeOf } from "./operations.ts";
import { pauseMs, type RetryTerms, sleep } from "./pacing.ts";

export interface TransportOptions {
  /** Where Mooring is, without a slash at the end: `https://mooring.example.com`, `https://example.com/mooring`. */
  readonly url: string;
  readonly credential: string | (() => string | Promise<string>);
  readonly fetch: (request: Request) => Promise<Response>;
  readonly retry: RetryTerms;
  /** For one try until its answer is there, ms, beyond what the call itself waits. */
  readonly timeoutMs: number;
}

/** One call of an operation, in the types of its contract. */
export type Call<O extends OperationId> = Terms<O> &
  ([keyof ParametersOf<O>] extends [never] ? unknown : { readonly parameters: ParametersOf<O> });

interface Terms<O extends OperationId> {
  readonly operation: O;
  readonly query?: QueryFor<O> | undefined;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly json?: BodyFor<O> | undefined;
  readonly bytes?: Uint8Array | string | Blob | ReadableStream<Uint8Array>;
  /** The body may take as long as it takes: only `signal` ends the call. */
  readonly unbounded?: true;
  /** Sent again, it does no harm. */
  readonly repeatable: boolean;
  /** How long Mooring was asked to hold the answer, seconds. */
  readonly waitSeconds?: number | undefined;
  /** How long Mooring holds the answer of its own accord, seconds. */
  readonly heldSeconds?: number | undefined;
}

export interface CallOptions {
  /** Ends the call, and every pause between its tries. */
  readonly signal?: AbortSignal | undefined;
}

/** A call of any operation: what the types of one in particular come down to. */
interface AnyCall extends Omit<Terms<OperationId>, "query" | "json"> {
  readonly parameters?: Partial<Record<string, string>>;
  readonly query?: object | undefined;
  readonly json?: unknown;
}

/** The answer of a call whose body is JSON. */
export interface JsonAnswer<T> {
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
  async json<O extends OperationId>(call: Call<O>, options: CallOptions = {}): Promise<AnswerOf<O>> {
    return (await this.answer(call, options)).body;
  }

  async answer<O extends OperationId>(call: Call<O>, options: CallOptions = {}): Promise<JsonAnswer<AnswerOf<O>>> {
    return await this.#repeated(call, options, async (response) => {
      const text = await response.text();
      const body = text === "" ? undefined : (JSON.parse(text) as AnswerOf<O>);
      return { status: response.status, headers: response.headers, body: body as AnswerOf<O> };
    });
  }

  async text<O extends OperationId>(call: Call<O>, options: CallOptions = {}): Promise<string> {
    return await this.#repeated(call, options, (response) => response.text());
  }

  /** The answer with its body still to be read: only its beginning is under the deadline. */
  async stream<O extends OperationId>(call: Call<O>, options: CallOptions = {}): Promise<Response> {
    return await this.#repeated(call, options, async (response) => response);
  }

  async #repeated<T>(call: AnyCall, { signal }: CallOptions, read: (response: Response) => Promise<T>): Promise<T> {
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
    call: AnyCall,
    signal: AbortSignal | undefined,
    read: (response: Response) => Promise<T>,
  ): Promise<{ readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: MooringError }> {
    const { waitSeconds = 0, heldSeconds = 0 } = call;
    // Outside of the try: what is wrong with the request itself is a mistake of its caller, and no repeat mends it.
    const { asked, words, ...init } = await this.#request(call);
    const deadline = new AbortController();
    const late = () => deadline.abort(new DOMException("Mooring did not answer in time.", "TimeoutError"));
    const timer =
      call.unbounded === true ? null : setTimeout(late, this.#options.timeoutMs + (waitSeconds + heldSeconds) * 1_000);
    try {
      const either = signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]);
      const response = await this.#options.fetch(new Request(asked, { ...init, signal: either }));
      if (!response.ok && response.status !== 304) return { ok: false, error: await refusal(response, words) };
      return { ok: true, value: await read(response) };
    } catch (error) {
      // The caller aborted, so it gets its own reason back.
      signal?.throwIfAborted();
      const what = `Mooring at ${this.#options.url} could not be asked: ${reasonOf(error)}`;
      return { ok: false, error: new ConnectionError(what, words, { cause: error }) };
    } finally {
      if (timer !== null) clearTimeout(timer);
    }
  }

  async #request({ operation, parameters, query, headers = {}, json, bytes, waitSeconds }: AnyCall) {
    const { url } = this.#options;
    const { method, path } = placeOf(operation, parameters);
    const asked = new URL(`${url}${path}`);
    for (const [name, value] of queryPairs(query)) asked.searchParams.set(name, value);
    const sent = new Headers({ authorization: await this.#authorization() });
    if (json !== undefined) sent.set("content-type", "application/json");
    else if (bytes !== undefined) sent.set("content-type", "application/octet-stream");
    if (waitSeconds !== undefined && waitSeconds > 0) sent.set("prefer", `wait=${Math.ceil(waitSeconds)}`);
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) sent.set(name, value);
    const body = json === undefined ? bytes : JSON.stringify(json);
    // What fetch wants to hear of a body that it cannot know the end of.
    const streamed = body instanceof ReadableStream ? { duplex: "half" } : {};
    return {
      asked,
      words: `${method} ${path}`,
      method,
      headers: sent,
      ...(body === undefined ? {} : { body, ...streamed }),
    };
  }

  /** For a WebSocket, which `fetch` does not open. */
  async address(
    path: string,
    query: object,
  ): Promise<{ readonly url: string; readonly headers: { readonly authorization: string } }> {
    const asked = new URL(`${this.#options.url}${path}`);
    for (const [name, value] of queryPairs(query)) asked.searchParams.set(name, value);
    return { url: asked.href, headers: { authorization: await this.#authorization() } };
  }

  async #authorization(): Promise<string> {
    const { credential } = this.#options;
    // Not a function: also undefined, which is what an environment variable that is not set gives.
    const token: unknown = typeof credential === "function" ? await credential() : credential;
    if (typeof token !== "string" || token === "")
      throw new TypeError("The key is missing. Mooring's operator makes one: `npm run keys -- create --tenant NAME`.");
    if (!/^[\x21-\x7e]+$/.test(token))
      throw new TypeError(
        "The key holds a space, a line break or another character that no key has (it is not shown).",
      );
    return `Bearer ${token}`;
  }
}

/** A failed fetch says only that it failed; what happened to the connection is in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause: unknown = error.cause;
  if (!(cause instanceof Error)) return error.message;
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  return [error.message, cause.message || code].filter((each) => each !== "").join(": ");
}

function* queryPairs(query: object = {}): Generator<readonly [string, string]> {
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
