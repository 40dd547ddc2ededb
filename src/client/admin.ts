/** What an operator does, with the admin token. Acts are logged by Mooring with who, why and how they ended. */
import { connect, type ConnectionOptions, type Credential } from "./connection.ts";
import { everyPage } from "./pages.ts";
import type { CallOptions, Transport } from "./transport.ts";
import type { AnswerOf, BodyFor, QueryFor } from "./types.ts";

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
    return this.#get("/v1/admin/stats", {}, options);
  }

  /** Sessions of all tenants, newest first, page after page. */
  sessions(
    query: Omit<QueryFor<"listAllSessions">, "cursor"> = {},
    options: CallOptions = {},
  ): AsyncGenerator<AnswerOf<"listAllSessions">["data"][number], void, void> {
    return everyPage(async (cursor) => {
      const page = await this.#get<AnswerOf<"listAllSessions">>("/v1/admin/sessions", { ...query, cursor }, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** A session of any tenant, readable or not. */
  async inspect(id: string, options: CallOptions = {}): Promise<Inspected> {
    const call = { method: "GET", path: sessionPath(id), repeatable: true } as const;
    const { body, headers } = await this.#transport.told<AnswerOf<"inspectSession">>(call, options);
    return { inspection: body, etag: headers.get("etag") ?? "*" };
  }

  /** Ends a session of any tenant with the reason `operator`. Safe to repeat. */
  endSession(id: string, options: CallOptions = {}): Promise<AnswerOf<"endSession">> {
    return this.#transport.json({ method: "DELETE", path: sessionPath(id), repeatable: true }, options);
  }

  /** The way out of a stuck teardown. `etag` is of what was decided on: what changed since is refused with `precondition_failed`. */
  resolve(
    id: string,
    body: BodyFor<"resolveSession">,
    etag: string,
    options: CallOptions = {},
  ): Promise<AnswerOf<"resolveSession">> {
    const path = `${sessionPath(id)}/resolve`;
    const headers = { "if-match": etag };
    return this.#transport.json({ method: "POST", path, json: body, headers, repeatable: false }, options);
  }

  /** Shared containers of all tenants, by tenant and id, page after page. */
  containers(
    query: Omit<QueryFor<"listContainers">, "cursor"> = {},
    options: CallOptions = {},
  ): AsyncGenerator<AnswerOf<"listContainers">["data"][number], void, void> {
    return everyPage(async (cursor) => {
      const page = await this.#get<AnswerOf<"listContainers">>("/v1/admin/containers", { ...query, cursor }, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** A shared container, with the ETag that `resolveContainer` needs. Without its `tenant` every registry is asked. */
  async inspectContainer(
    id: string,
    query: QueryFor<"inspectContainer"> = {},
    options: CallOptions = {},
  ): Promise<{ readonly container: AnswerOf<"inspectContainer">; readonly etag: string }> {
    const call = { method: "GET", path: containerPath(id), query, repeatable: true } as const;
    const { body, headers } = await this.#transport.told<AnswerOf<"inspectContainer">>(call, options);
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
    const path = `${containerPath(id)}/resolve`;
    const headers = { "if-match": etag };
    return this.#transport.json({ method: "POST", path, query, json: body, headers, repeatable: false }, options);
  }

  /** As a session's own `logs`, for any tenant's. */
  logs(
    id: string,
    options: CallOptions & { readonly tailBytes?: number } = {},
  ): Promise<AnswerOf<"getAnySessionLogs">> {
    return this.#get(`${sessionPath(id)}/logs`, { tail_bytes: options.tailBytes }, options);
  }

  /** As a session's own `explain`, for any tenant's. */
  explain(id: string, options: CallOptions = {}): Promise<AnswerOf<"explainAnySession">> {
    return this.#get(`${sessionPath(id)}/explain`, {}, options);
  }

  /** As a session's own `resources`, for any tenant's. */
  resources(id: string, options: CallOptions = {}): Promise<AnswerOf<"getAnySessionResources">> {
    return this.#get(`${sessionPath(id)}/resources`, {}, options);
  }

  /** Where every sandbox ever granted has gone, and whether the books balance. */
  ledger(query: QueryFor<"getLedger"> = {}, options: CallOptions = {}): Promise<AnswerOf<"getLedger">> {
    return this.#get("/v1/admin/ledger", query, options);
  }

  /** A tenant's seconds by status and provider. */
  usage(tenant: string, options: CallOptions = {}): Promise<AnswerOf<"getTenantUsage">> {
    return this.#get("/v1/admin/usage", { tenant }, options);
  }

  /** Who did what, newest first, page after page. */
  log(options: CallOptions = {}): AsyncGenerator<AnswerOf<"listAdminLog">["data"][number], void, void> {
    return everyPage(async (cursor) => {
      const page = await this.#get<AnswerOf<"listAdminLog">>("/v1/admin/log", { cursor, limit: 100 }, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** How every alert stands. */
  alerts(options: CallOptions = {}): Promise<AnswerOf<"listAlerts">> {
    return this.#get("/v1/admin/alerts", {}, options);
  }

  /** Builds the index anew from the registries. Answers before all of it is built: repeat until every shard is `built`. */
  rebuildIndex(body: BodyFor<"rebuildIndex">, options: CallOptions = {}): Promise<AnswerOf<"rebuildIndex">> {
    return this.#post("/v1/admin/shards/rebuild", body, options);
  }

  /** A tenant's revoked keys. */
  revokedKeys(tenant: string, options: CallOptions = {}): Promise<AnswerOf<"listRevokedKeys">> {
    return this.#get(`/v1/admin/keys/${encodeURIComponent(tenant)}`, {}, options);
  }

  /** Revokes an API key by its middle part, for ever. Safe to repeat. */
  revokeKey(
    tenant: string,
    keyId: string,
    body: BodyFor<"revokeKey"> = {},
    options: CallOptions = {},
  ): Promise<AnswerOf<"revokeKey">> {
    const path = `/v1/admin/keys/${encodeURIComponent(tenant)}/${encodeURIComponent(keyId)}`;
    return this.#transport.json({ method: "DELETE", path, json: body, repeatable: true }, options);
  }

  /** One page of sealing everything anew with the newest ENV_ENCRYPTION_KEY. Repeat with `next_cursor` until it is null. */
  resealSecrets(body: BodyFor<"resealSecrets"> = {}, options: CallOptions = {}): Promise<AnswerOf<"resealSecrets">> {
    return this.#post("/v1/admin/secrets/reseal", body, options);
  }

  /** Ends what is overdue, stuck or lost; with `dry_run` it only tells what it would end. */
  cleanUp(body: BodyFor<"cleanUp"> = {}, options: CallOptions = {}): Promise<AnswerOf<"cleanUp">> {
    return this.#post("/v1/admin/cleanup", body, options);
  }

  /** Ends everything that is not critical. Try it with `dry_run` first. */
  cleanUpEmergency(
    body: BodyFor<"cleanUpEmergency">,
    options: CallOptions = {},
  ): Promise<AnswerOf<"cleanUpEmergency">> {
    return this.#post("/v1/admin/cleanup/emergency", body, options);
  }

  /** How each cleanup layer stands, and one page of what they did. */
  cleanupRuns(
    query: QueryFor<"listCleanupRuns"> = {},
    options: CallOptions = {},
  ): Promise<AnswerOf<"listCleanupRuns">> {
    return this.#get("/v1/admin/cleanup/runs", query, options);
  }

  /** One run with what it noted. */
  cleanupRun(id: string, options: CallOptions = {}): Promise<AnswerOf<"getCleanupRun">> {
    return this.#get(`/v1/admin/cleanup/runs/${encodeURIComponent(id)}`, {}, options);
  }

  /** Stops taking new sessions, or takes them again. */
  drain(body: BodyFor<"drain">, options: CallOptions = {}): Promise<AnswerOf<"drain">> {
    return this.#post("/v1/admin/drain", body, options);
  }

  /** Compares records with sandboxes. Changes nothing: `applyAudit` does, with the plan's hash. */
  planAudit(options: CallOptions = {}): Promise<AnswerOf<"planAudit">> {
    return this.#post("/v1/admin/audits", undefined, options);
  }

  /** The newest plans. */
  audits(options: CallOptions = {}): Promise<AnswerOf<"listAudits">> {
    return this.#get("/v1/admin/audits", {}, options);
  }

  /** One plan, and what came of it. */
  audit(id: string, options: CallOptions = {}): Promise<AnswerOf<"getAudit">> {
    return this.#get(`/v1/admin/audits/${encodeURIComponent(id)}`, {}, options);
  }

  /** Applies exactly that plan; each finding is verified again. */
  applyAudit(id: string, body: BodyFor<"applyAudit">, options: CallOptions = {}): Promise<AnswerOf<"applyAudit">> {
    return this.#post(`/v1/admin/audits/${encodeURIComponent(id)}/apply`, body, options);
  }

  /** Prometheus text. */
  metrics(options: CallOptions = {}): Promise<string> {
    return this.#transport.text({ method: "GET", path: "/metrics", repeatable: true }, options);
  }

  #get<T>(path: string, query: object, options: CallOptions): Promise<T> {
    return this.#transport.json<T>({ method: "GET", path, query, repeatable: true }, options);
  }

  /** An act is never repeated unasked: it would be done, and logged, twice. */
  #post<T>(path: string, json: unknown, options: CallOptions): Promise<T> {
    return this.#transport.json<T>({ method: "POST", path, json, repeatable: false }, options);
  }
}

function containerPath(id: string): string {
  return `/v1/admin/containers/${encodeURIComponent(id)}`;
}

function sessionPath(id: string): string {
  return `/v1/admin/sessions/${encodeURIComponent(id)}`;
}
