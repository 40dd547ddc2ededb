/**
 * The typed client of Mooring: `fetch` only, for browsers, Node and Workers.
 *
 *     const mooring = new Mooring({ url: "https://mooring.example.com", key: process.env.MOORING_KEY });
 *     const session = await mooring.create({ idle_timeout_seconds: 300 });
 *     const job = await session.run("make test");
 *     for await (const { text } of job.output()) process.stdout.write(text);
 *     const receipt = await session.end();
 *
 * Errors are ProblemError (Mooring said no: decide on `code`), ConnectionError, UnexpectedAnswerError and WaitTimeoutError.
 * Only requests that do no harm when they arrive twice are repeated; a create and a job get a key of their own for that.
 * Every method takes a `signal`.
 */
import { connect, type ConnectionOptions, type Credential } from "./connection.ts";
import { freshKey } from "./fresh-key.ts";
import { everyPage } from "./pages.ts";
import { type LaunchOptions, Session } from "./session.ts";
import type { CallOptions, Transport } from "./transport.ts";
import type { AnswerOf, CreateSession, QueryFor, SessionListItem, SessionView } from "./types.ts";
import { Webhooks } from "./webhooks.ts";

export { MooringAdmin, type Inspected, type MooringAdminOptions } from "./admin.ts";
export type { ConnectionOptions, Credential } from "./connection.ts";
export {
  ConnectionError,
  isProblem,
  MooringError,
  ProblemError,
  UnexpectedAnswerError,
  WaitTimeoutError,
} from "./errors.ts";
export type { RetryTerms } from "./pacing.ts";
export { Job, type OutputOptions } from "./job.ts";
export { type LaunchOptions, Session, type WaitOptions } from "./session.ts";
export type { CallOptions } from "./transport.ts";
export type * from "./types.ts";
export { Webhooks } from "./webhooks.ts";

export interface MooringOptions extends ConnectionOptions {
  /** The tenant's API key, or where to get it before each request. */
  readonly key: Credential;
}

export interface CreateOptions extends LaunchOptions {
  /** The same key with the same order is the same session, for as long as its record is kept. One is made when left out. */
  readonly idempotencyKey?: string | undefined;
}

/** What a tenant does. */
export class Mooring {
  readonly #transport: Transport;
  /** Being told of events instead of asking for them. */
  readonly webhooks: Webhooks;

  constructor(options: MooringOptions) {
    this.#transport = connect(options, options.key);
    this.webhooks = new Webhooks(this.#transport);
  }

  /**
   * Creates a session and answers as soon as it is stored; with `waitSeconds` (60 at most) when it runs. `until("running")`
   * waits for longer.
   */
  async create(order: CreateSession = {}, options: CreateOptions = {}): Promise<Session> {
    return this.session((await this.createView(order, options)).id);
  }

  /** As `create`, with the whole view of the new session. */
  createView(order: CreateSession = {}, options: CreateOptions = {}): Promise<SessionView> {
    const { waitSeconds, idempotencyKey = freshKey() } = options;
    const headers = { "idempotency-key": idempotencyKey };
    const call = { method: "POST", path: "/v1/sessions", json: order, headers, waitSeconds, repeatable: true } as const;
    return this.#transport.json(call, options);
  }

  /** A session by its id. Asks nothing. */
  session(id: string): Session {
    return new Session(this.#transport, encodeURIComponent(id));
  }

  /** Your sessions, newest first, page after page. From an index: `as_of` says how old a row is. */
  list(
    query: Omit<QueryFor<"listSessions">, "cursor"> = {},
    options: CallOptions = {},
  ): AsyncGenerator<SessionListItem, void, void> {
    return everyPage(async (cursor) => {
      const page = await this.page({ ...query, cursor }, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** One page of them. */
  page(query: QueryFor<"listSessions"> = {}, options: CallOptions = {}): Promise<AnswerOf<"listSessions">> {
    return this.#transport.json({ method: "GET", path: "/v1/sessions", query, repeatable: true }, options);
  }

  /** Whether a create could be served right now; what is missing comes as the problem `unavailable`. */
  ready(options: CallOptions = {}): Promise<AnswerOf<"getReadiness">> {
    return this.#transport.json({ method: "GET", path: "/readyz", repeatable: true }, options);
  }

  /** Whether the Worker runs at all. */
  health(options: CallOptions = {}): Promise<AnswerOf<"getHealth">> {
    return this.#transport.json({ method: "GET", path: "/healthz", repeatable: true }, options);
  }

  /** The OpenAPI document. */
  openApi(options: CallOptions = {}): Promise<AnswerOf<"getOpenApi">> {
    return this.#transport.json({ method: "GET", path: "/openapi.json", repeatable: true }, options);
  }
}
