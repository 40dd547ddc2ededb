/** What an operator does, with the admin token. Acts are logged by Mooring with who, why and how they ended. */
import { connect, type ConnectionOptions, type Credential } from "./wire/connection.ts";
import { everyPage, numberOf } from "./wire/pages.ts";
import type { Call, CallOptions, Transport } from "./wire/transport.ts";
import type { AnswerOf, BodyFor, OperationId, QueryFor } from "./types.ts";

export interface MooringAdminOptions extends ConnectionOptions {
  readonly token: Credential;
}

/** An inspected session, with the ETag that `resolve` needs. */
export interface Inspected {
  readonly inspection: AnswerOf<"inspectSession">;
  readonly etag: string;
}

export class MooringAdmin {
  readonly #transport: Transport;

  constructor(options: MooringAdminOptions) {
    this.#transport = connect(options, options.token);
  }

  /** The fleet in figures. */
  stats(options: CallOptions = {}): Promise<AnswerOf<"getStats">> {
    return this.#get({ operation: "getStats" }, options);
  }

  /** What needs somebody now, worst first, each with why and the call that ends it. */
  attention(options: CallOptions = {}): Promise<AnswerOf<"getFleetAttention">> {
    return this.#get({ operation: "getFleetAttention" }, options);
  }

  /** Sessions of all tenants, newest first, page after page. */
  sessions(
    query: Omit<QueryFor<"listAllSessions">, "cursor"> = {},
    options: CallOptions = {},
  ): AsyncGenerator<AnswerOf<"listAllSessions">["data"][number], void, void> {
    return everyPage(async (cursor) => {
      const page = await this.#get({ operation: "listAllSessions", query: { ...query, cursor } }, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** A session of any tenant, readable or not. */
  async inspect(id: string, options: CallOptions = {}): Promise<Inspected> {
    const call = { operation: "inspectSession", parameters: { id }, repeatable: true } as const;
    const { body, headers } = await this.#transport.answer(call, options);
    return { inspection: body, etag: headers.get("etag") ?? "*" };
  }

  /** Ends a session of any tenant with the terminate reason `operator`. Your own reason is kept in the admin log. Safe to repeat. */
  endSession(id: string, body: BodyFor<"endSession"> = {}, options: CallOptions = {}): Promise<AnswerOf<"endSession">> {
    return this.#transport.json({ operation: "endSession", parameters: { id }, json: body, repeatable: true }, options);
  }

  /** The way out of a stuck teardown. `etag` is of what was decided on: what changed since is refused with `precondition_failed`. */
  resolve(
    id: string,
    body: BodyFor<"resolveSession">,
    etag: string,
    options: CallOptions = {},
  ): Promise<AnswerOf<"resolveSession">> {
    const headers = { "if-match": etag };
    return this.#act({ operation: "resolveSession", parameters: { id }, json: body, headers }, options);
  }

  /** An operator's word about the sandboxes of a session whose rows are lost and whose host is gone for good. */
  assertLost(
    id: string,
    body: BodyFor<"assertLostSession">,
    options: CallOptions = {},
  ): Promise<AnswerOf<"assertLostSession">> {
    return this.#act({ operation: "assertLostSession", parameters: { id }, json: body }, options);
  }

  /** Shared containers of all tenants, by tenant and id, page after page. */
  containers(
    query: Omit<QueryFor<"listContainers">, "cursor"> = {},
    options: CallOptions = {},
  ): AsyncGenerator<AnswerOf<"listContainers">["data"][number], void, void> {
    return everyPage(async (cursor) => {
      const page = await this.#get({ operation: "listContainers", query: { ...query, cursor } }, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** A shared container, with the ETag that `resolveContainer` needs. Without its `tenant` every registry is asked. */
  async inspectContainer(
    id: string,
    query: QueryFor<"inspectContainer"> = {},
    options: CallOptions = {},
  ): Promise<{ readonly container: AnswerOf<"inspectContainer">; readonly etag: string }> {
    const call = { operation: "inspectContainer", parameters: { id }, query, repeatable: true } as const;
    const { body, headers } = await this.#transport.answer(call, options);
    return { container: body, etag: headers.get("etag") ?? "*" };
  }

  /** The way out of a container whose end is not proven. `etag` is of what was decided on. */
  resolveContainer(
    id: string,
    body: BodyFor<"resolveContainer">,
    etag: string,
    query: QueryFor<"resolveContainer"> = {},
    options: CallOptions = {},
  ): Promise<AnswerOf<"resolveContainer">> {
    const headers = { "if-match": etag };
    return this.#act({ operation: "resolveContainer", parameters: { id }, query, json: body, headers }, options);
  }

  /** As a session's own `logs`, for any tenant's. */
  logs(
    id: string,
    options: CallOptions & { readonly tailBytes?: number } = {},
  ): Promise<AnswerOf<"getAnySessionLogs">> {
    return this.#get(
      { operation: "getAnySessionLogs", parameters: { id }, query: { tail_bytes: options.tailBytes } },
      options,
    );
  }

  /** As a session's own `history`, for any tenant's. */
  history(
    id: string,
    options: CallOptions & { readonly after?: number } = {},
  ): AsyncGenerator<AnswerOf<"listAnySessionEvents">["data"][number], void, void> {
    return everyPage(async (cursor) => {
      const query = { after: cursor ?? options.after?.toString(), limit: 100 };
      const page = await this.#get({ operation: "listAnySessionEvents", parameters: { id }, query }, options);
      return { data: page.data, next: page.next_after === null ? null : String(page.next_after) };
    });
  }

  /** As a session's own `jobs`, for any tenant's. */
  jobs(
    id: string,
    options: CallOptions = {},
  ): AsyncGenerator<AnswerOf<"listAnySessionJobs">["data"][number], void, void> {
    return everyPage(async (cursor) => {
      const query = { cursor, limit: 100 };
      const page = await this.#get({ operation: "listAnySessionJobs", parameters: { id }, query }, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** A job of any tenant's session. */
  job(id: string, job: string, options: CallOptions = {}): Promise<AnswerOf<"getAnySessionJob">> {
    return this.#get({ operation: "getAnySessionJob", parameters: { id, job } }, options);
  }

  /** What a job of any tenant's session has written so far, as text. */
  output(id: string, job: string, options: CallOptions = {}): Promise<string> {
    const headers = { accept: "application/octet-stream" };
    const call = { operation: "streamAnySessionOutput", parameters: { id, job }, headers, repeatable: true } as const;
    return this.#transport.text(call, options);
  }

  /** As a session's own `usage`, for any tenant's. */
  sessionUsage(id: string, options: CallOptions = {}): Promise<AnswerOf<"getAnySessionUsage">> {
    return this.#get({ operation: "getAnySessionUsage", parameters: { id } }, options);
  }

  /** As a session's own `explain`, for any tenant's. */
  explain(id: string, options: CallOptions = {}): Promise<AnswerOf<"explainAnySession">> {
    return this.#get({ operation: "explainAnySession", parameters: { id } }, options);
  }

  /** As a session's own `resources`, for any tenant's. */
  resources(id: string, options: CallOptions = {}): Promise<AnswerOf<"getAnySessionResources">> {
    return this.#get({ operation: "getAnySessionResources", parameters: { id } }, options);
  }

  /** Where every sandbox ever granted has gone, and whether the books balance. */
  ledger(query: QueryFor<"getLedger"> = {}, options: CallOptions = {}): Promise<AnswerOf<"getLedger">> {
    return this.#get({ operation: "getLedger", query }, options);
  }

  /** A tenant's seconds by status and provider. */
  usage(tenant: string, options: CallOptions = {}): Promise<AnswerOf<"getTenantUsage">> {
    return this.#get({ operation: "getTenantUsage", query: { tenant } }, options);
  }

  /** Who did what, newest first, page after page. */
  log(options: CallOptions = {}): AsyncGenerator<AnswerOf<"listAdminLog">["data"][number], void, void> {
    return everyPage(async (cursor) => {
      const page = await this.#get(
        { operation: "listAdminLog", query: { cursor: numberOf(cursor), limit: 100 } },
        options,
      );
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** How every alert stands. */
  alerts(options: CallOptions = {}): Promise<AnswerOf<"listAlerts">> {
    return this.#get({ operation: "listAlerts" }, options);
  }

  /** Builds the index anew from the registries. Answers before all of it is built: repeat until every shard is `built`. */
  rebuildIndex(body: BodyFor<"rebuildIndex">, options: CallOptions = {}): Promise<AnswerOf<"rebuildIndex">> {
    return this.#act({ operation: "rebuildIndex", json: body }, options);
  }

  /** A tenant's revoked keys. */
  keys(tenant: string, options: CallOptions = {}): Promise<AnswerOf<"listKeys">> {
    return this.#get({ operation: "listKeys", parameters: { tenant } }, options);
  }

  /** Revokes every key of the tenant that was made until now. */
  revokeAllKeys(
    tenant: string,
    body: BodyFor<"revokeAllKeys"> = {},
    options: CallOptions = {},
  ): Promise<AnswerOf<"revokeAllKeys">> {
    const call = { operation: "revokeAllKeys", parameters: { tenant }, json: body, repeatable: true } as const;
    return this.#transport.json(call, options);
  }

  /** Revokes an API key by its middle part, for ever. Safe to repeat. */
  revokeKey(
    tenant: string,
    keyId: string,
    body: BodyFor<"revokeKey"> = {},
    options: CallOptions = {},
  ): Promise<AnswerOf<"revokeKey">> {
    const parameters = { tenant, key: keyId };
    return this.#transport.json({ operation: "revokeKey", parameters, json: body, repeatable: true }, options);
  }

  /** One page of sealing everything anew with the newest ENV_ENCRYPTION_KEY. Repeat with `next_cursor` until it is null. */
  resealSecrets(body: BodyFor<"resealSecrets"> = {}, options: CallOptions = {}): Promise<AnswerOf<"resealSecrets">> {
    return this.#act({ operation: "resealSecrets", json: body }, options);
  }

  /** Ends what is overdue, stuck or lost; with `dry_run` it only tells what it would end. */
  cleanUp(body: BodyFor<"cleanUp"> = {}, options: CallOptions = {}): Promise<AnswerOf<"cleanUp">> {
    return this.#act({ operation: "cleanUp", json: body }, options);
  }

  /** Ends everything that is not critical. Try it with `dry_run` first. */
  cleanUpEmergency(
    body: BodyFor<"cleanUpEmergency">,
    options: CallOptions = {},
  ): Promise<AnswerOf<"cleanUpEmergency">> {
    return this.#act({ operation: "cleanUpEmergency", json: body }, options);
  }

  /** How each cleanup layer stands, and one page of what they did. */
  cleanupRuns(
    query: QueryFor<"listCleanupRuns"> = {},
    options: CallOptions = {},
  ): Promise<AnswerOf<"listCleanupRuns">> {
    return this.#get({ operation: "listCleanupRuns", query }, options);
  }

  /** One run with what it noted. */
  cleanupRun(id: string, options: CallOptions = {}): Promise<AnswerOf<"getCleanupRun">> {
    return this.#get({ operation: "getCleanupRun", parameters: { run: id } }, options);
  }

  /** Stops taking new sessions, or takes them again. */
  drain(body: BodyFor<"drain">, options: CallOptions = {}): Promise<AnswerOf<"drain">> {
    return this.#act({ operation: "drain", json: body }, options);
  }

  /** Compares records with sandboxes. Changes nothing: `applyAudit` does, with the plan's hash. */
  planAudit(options: CallOptions = {}): Promise<AnswerOf<"planAudit">> {
    return this.#act({ operation: "planAudit" }, options);
  }

  /** The newest plans. */
  audits(options: CallOptions = {}): Promise<AnswerOf<"listAudits">> {
    return this.#get({ operation: "listAudits" }, options);
  }

  /** One plan, and what came of it. */
  audit(id: string, options: CallOptions = {}): Promise<AnswerOf<"getAudit">> {
    return this.#get({ operation: "getAudit", parameters: { id } }, options);
  }

  /** Applies exactly that plan; each finding is verified again. */
  applyAudit(id: string, body: BodyFor<"applyAudit">, options: CallOptions = {}): Promise<AnswerOf<"applyAudit">> {
    return this.#act({ operation: "applyAudit", parameters: { id }, json: body }, options);
  }

  /** Prometheus text. */
  metrics(options: CallOptions = {}): Promise<string> {
    return this.#transport.text({ operation: "getMetrics", repeatable: true }, options);
  }

  #get<O extends OperationId>(call: Omit<Call<O>, "repeatable">, options: CallOptions): Promise<AnswerOf<O>> {
    return this.#transport.json<O>({ ...call, repeatable: true } as Call<O>, options);
  }

  /** An act is never repeated unasked: it would be done, and logged, twice. */
  #act<O extends OperationId>(call: Omit<Call<O>, "repeatable">, options: CallOptions): Promise<AnswerOf<O>> {
    return this.#transport.json<O>({ ...call, repeatable: false } as Call<O>, options);
  }
}
