/** A client of the whole Worker inside workerd: the exported handler, the real objects, the memory provider. */
import { env, exports } from "cloudflare:workers";
import type { z } from "zod";
import { signApiKey } from "../../../src/protocol/api-keys.ts";
import { type ProblemBody, problemBody, type ProblemCode, problemStatus } from "../../../src/protocol/problem.ts";
import { expect } from "vitest";
import { holdToDocument } from "../documented.ts";

const bound = env as unknown as {
  readonly SESSIONS: DurableObjectNamespace;
  readonly TENANTS: DurableObjectNamespace;
  readonly SHARDS: DurableObjectNamespace;
  readonly KEY_SIGNING_SECRET: string;
  readonly ADMIN_TOKEN: string;
};
const handler = (exports as unknown as { readonly default: Fetcher }).default;

export const { ADMIN_TOKEN: adminToken, SESSIONS: sessions, TENANTS: tenants, SHARDS: shards } = bound;

export function keyOf(tenant: string): Promise<string> {
  const order = { tenant, scopes: [], issuedAt: Date.now(), nonce: "0123456789" } as const;
  return signApiKey(order, bound.KEY_SIGNING_SECRET);
}

/** The Worker itself, as a fetch for a client of it. */
export const workerFetch = (request: Request): Promise<Response> => handler.fetch(request);

export interface Call {
  /** A whole credential. */
  readonly key: string;
  readonly json?: unknown;
  readonly headers?: Record<string, string>;
}

/** Every answer is held against the OpenAPI document. */
export async function send(method: string, path: string, call: Call): Promise<Response> {
  const response = await handler.fetch(`https://mooring.test${path}`, {
    method,
    redirect: "manual",
    headers: {
      authorization: `Bearer ${call.key}`,
      ...(call.json === undefined ? {} : { "content-type": "application/json" }),
      ...call.headers,
    },
    ...(call.json === undefined ? {} : { body: JSON.stringify(call.json) }),
  });
  await holdToDocument(method, path, response);
  return response;
}

/** The reply's body in the shape that the API promises: an undeclared field fails as much as a missing one. */
export async function bodyOf<S extends z.ZodObject>(response: Response, shape: S): Promise<z.infer<S>> {
  return shape.strict().parse(await response.json()) as z.infer<S>;
}

export async function expectProblem(response: Response, code: ProblemCode): Promise<ProblemBody> {
  const body = problemBody.strict().parse(await response.json());
  expect(body.code).toBe(code);
  expect(response.status).toBe(problemStatus[code]);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return body;
}
