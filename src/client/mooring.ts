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
import { connect, type ConnectionOptions, type Credential } from "./wire/connection.ts";
import { freshKey } from "./wire/fresh-key.ts";
import { everyPage } from "./wire/pages.ts";
import { type LaunchOptions, Session } from "./session/session.ts";
import type { CallOptions, Transport } from "./wire/transport.ts";
import { Snapshots } from "./snapshots.ts";
import type { AnswerOf, CreateSession, QueryFor, SessionListItem, SessionView, SignedReceipt } from "./types.ts";
import { Webhooks } from "./webhooks.ts";

export { MooringAdmin, type Inspected, type MooringAdminOptions } from "./admin.ts";
export type { ConnectionOptions, Credential } from "./wire/connection.ts";
export {
  computeProvider,
  type ComputeCreateOptions,
  type ComputeProvider,
  type ComputeResult,
  type ComputeRunOptions,
  type ComputeSandbox,
} from "./compute-sdk.ts";
export {
  ConnectionError,
  isProblem,
  MooringError,
  ProblemError,
  UnexpectedAnswerError,
  WaitTimeoutError,
} from "./errors.ts";
export type { RetryTerms } from "./wire/pacing.ts";
export { type FileContent, Files, type ReadOptions, type WriteOptions } from "./session/files.ts";
export { Job, type OutputOptions } from "./session/job.ts";
export { type Executed, Process, type ProcessChunk } from "./session/process.ts";
export { type LaunchOptions, Session } from "./session/session.ts";
export type { WaitOptions } from "./session/until.ts";
export {
  Terminal,
  type TerminalExit,
  type TerminalOptions,
  type TerminalSocket,
  type TerminalSockets,
} from "./session/terminal.ts";
export type { CallOptions } from "./wire/transport.ts";
export type * from "./types.ts";
export { Snapshots } from "./snapshots.ts";
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
  /** Files of sessions that are kept under a name. `session.snapshot()` takes one. */
  readonly snapshots: Snapshots;

  constructor(options: MooringOptions) {
    this.#transport = connect(options, options.key);
    this.webhooks = new Webhooks(this.#transport);
    this.snapshots = new Snapshots(this.#transport);
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
    const call = { operation: "createSession", json: order, headers, waitSeconds, repeatable: true } as const;
    return this.#transport.json(call, options);
  }

  /** A session by its id. Asks nothing. */
  session(id: string): Session {
    return new Session(this.#transport, id);
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
    return this.#transport.json({ operation: "listSessions", query, repeatable: true }, options);
  }

  /** Which of your sessions need somebody now: each with why and the call to make. */
  attention(options: CallOptions = {}): Promise<AnswerOf<"getAttention">> {
    return this.#transport.json({ operation: "getAttention", repeatable: true }, options);
  }

  /** What you use of what you may: sandboxes, what this month cost, seconds by status. */
  usage(options: CallOptions = {}): Promise<AnswerOf<"getOwnUsage">> {
    return this.#transport.json({ operation: "getOwnUsage", repeatable: true }, options);
  }

  /** Your signed receipts in the order of the chain, page after page; with `cursor` those after that sequence. */
  receipts(query: QueryFor<"listReceipts"> = {}, options: CallOptions = {}): AsyncGenerator<SignedReceipt, void, void> {
    const { cursor: first, ...rest } = query;
    return everyPage(async (cursor) => {
      const page = await this.receiptPage({ ...rest, cursor: cursor === undefined ? first : Number(cursor) }, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** One page of them, with the head of the chain. */
  receiptPage(query: QueryFor<"listReceipts"> = {}, options: CallOptions = {}): Promise<AnswerOf<"listReceipts">> {
    return this.#transport.json({ operation: "listReceipts", query, repeatable: true }, options);
  }

  /** The public keys that receipts are checked with. */
  receiptKeys(options: CallOptions = {}): Promise<AnswerOf<"getReceiptKeys">> {
    return this.#transport.json({ operation: "getReceiptKeys", repeatable: true }, options);
  }

  /** Whether a create could be served right now; what is missing comes as the problem `unavailable`. */
  ready(options: CallOptions = {}): Promise<AnswerOf<"getReadiness">> {
    return this.#transport.json({ operation: "getReadiness", repeatable: true }, options);
  }

  /** Whether the Worker runs at all. */
  health(options: CallOptions = {}): Promise<AnswerOf<"getHealth">> {
    return this.#transport.json({ operation: "getHealth", repeatable: true }, options);
  }

  /** The OpenAPI document. */
  openApi(options: CallOptions = {}): Promise<AnswerOf<"getOpenApi">> {
    return this.#transport.json({ operation: "getOpenApi", repeatable: true }, options);
  }
}
