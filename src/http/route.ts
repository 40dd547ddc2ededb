/** A route is data: its contract (src/protocol/contracts) and a handler from a checked request to a response. */
import type { SessionId } from "../domain/state/ids.ts";
import { entityTag } from "../protocol/entity-tag.ts";
import { sessionIdPattern } from "../protocol/primitives.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import type { Access, Contract } from "../protocol/contract.ts";
import type { Clock, Ids, Logger } from "../runtime/clock-ids-logger.ts";
import type { Caller, SessionApi, Tagged } from "../session/session-api.ts";
import type { Config, ConfigReading } from "../config/config.ts";
import type { TrafficGate } from "../traffic/traffic-gate.ts";
import { ask, type Backend } from "./backend.ts";
import { problemResponse, refused } from "./answer/problem.ts";
import type { RequestGate } from "./guard/request-gate.ts";
import type { BudgetName, SharedCounter } from "./guard/rate-limits.ts";
import { sessionNotFound } from "../protocol/not-found.ts";

export interface AppDependencies {
  readonly reading: ConfigReading;
  readonly backend: Backend;
  /** Straight to a sandbox: files, processes, terminals, ports. */
  readonly traffic: Pick<TrafficGate, "send">;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  /** The platform's counters, where they are bound. */
  readonly counters: Readonly<Record<BudgetName, SharedCounter | null>>;
}

/** What every handler gets. */
export interface RequestContext extends Omit<AppDependencies, "reading"> {
  readonly request: Request;
  readonly requestId: string;
  /** The decoded segments named in the path; "" for one that is not there. */
  readonly param: (name: string) => string;
}
export interface OpenContext extends RequestContext {
  readonly reading: ConfigReading;
  /** Whether the request carries the admin token. A failure counts against its address, as on any admin route. */
  readonly isOperator: () => Promise<boolean>;
  readonly gate: RequestGate;
}
export interface AdminContext extends RequestContext {
  readonly config: Config;
}
export interface TenantContext extends RequestContext {
  readonly config: Config;
  readonly caller: Caller;
}

export interface ContextOf {
  readonly open: OpenContext;
  readonly admin: AdminContext;
  readonly tenant: TenantContext;
  readonly sandbox: TenantContext;
}

/**
 * A contract and what serves it. The contract is what the OpenAPI document says of the route, and tests hold every answer
 * against it: a status, a field, a problem code or a header that it does not name fails them.
 */
export interface Served<A extends Access> extends Contract<A> {
  readonly handle: (context: ContextOf[A]) => Promise<Response>;
}
export type Route = Served<"open"> | Served<"admin"> | Served<"tenant"> | Served<"sandbox">;

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return jsonText(status, JSON.stringify(body), headers);
}

export function jsonText(status: number, text: string, headers: Record<string, string>): Response {
  return new Response(text, { status, headers: { "content-type": "application/json", ...headers } });
}

/** With the entity tag of that version. */
export async function taggedJson(
  status: number,
  { etag, body }: Tagged<unknown>,
  headers: Record<string, string> = {},
): Promise<Response> {
  const text = JSON.stringify(body);
  return jsonText(status, text, { etag: await entityTag(etag, text), ...headers });
}

export function problem(context: RequestContext, what: Problem): Response {
  return problemResponse(what, { requestId: context.requestId, now: context.clock.now(), url: context.request.url });
}

/** The id in the path. One that cannot be an id is not found: no object is ever made for it. */
function sessionIdOf(context: RequestContext): SessionId | null {
  const id = context.param("id");
  return sessionIdPattern.test(id) ? (id as SessionId) : null;
}

/** One call to the session that the path names. */
export async function askSession<T>(
  context: RequestContext,
  how: "read" | "write",
  call: (session: SessionApi) => Promise<Reply<T>>,
): Promise<Reply<T>> {
  const id = sessionIdOf(context);
  if (id === null) return refused(sessionNotFound);
  return await ask(how, context.log, () => call(context.backend.session(id)));
}
