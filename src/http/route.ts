/** A route is data: method, path, who may call it, and a handler from a checked request to a response. */
import type { SessionId } from "../domain/ids.ts";
import { sessionIdPattern } from "../protocol/primitives.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import type { Clock, Ids, Logger } from "../session/ambient.ts";
import type { Caller, SessionApi } from "../session/session-api.ts";
import type { Config, ConfigReading } from "../config.ts";
import { ask, type Backend } from "./backend.ts";
import { problemResponse, refused, sessionNotFound } from "./problem.ts";

export interface Surroundings {
  readonly reading: ConfigReading;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
}

/** What every handler gets. */
export interface Ask extends Omit<Surroundings, "reading"> {
  readonly request: Request;
  readonly requestId: string;
  /** The decoded segments named in the path; "" for one that is not there. */
  readonly param: (name: string) => string;
}
export interface OpenAsk extends Ask {
  readonly reading: ConfigReading;
}
export interface AdminAsk extends Ask {
  readonly config: Config;
}
export interface TenantAsk extends Ask {
  readonly config: Config;
  readonly caller: Caller;
}

export type Route = { readonly method: "GET" | "POST" | "DELETE"; readonly path: string } & (
  | { readonly access: "open"; readonly handle: (ask: OpenAsk) => Promise<Response> }
  | { readonly access: "admin"; readonly handle: (ask: AdminAsk) => Promise<Response> }
  | { readonly access: "tenant"; readonly handle: (ask: TenantAsk) => Promise<Response> }
);

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
}

export function problem(from: Ask, what: Problem): Response {
  return problemResponse(what, { requestId: from.requestId, now: from.clock.now() });
}

/** The id in the path. One that cannot be an id is not found: no object is ever made for it. */
function sessionIdOf(from: Ask): SessionId | null {
  const id = from.param("id");
  return sessionIdPattern.test(id) ? (id as SessionId) : null;
}

/** One call to the session that the path names. */
export async function askSession<T>(
  from: Ask,
  how: "read" | "write",
  call: (session: SessionApi) => Promise<Reply<T>>,
): Promise<Reply<T>> {
  const id = sessionIdOf(from);
  if (id === null) return refused(sessionNotFound);
  return await ask(how, from.log, () => call(from.backend.session(id)));
}
