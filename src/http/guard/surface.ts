/**
 * Which API a path belongs to: where its clients carry their key, and how it says no. A refusal that no route makes (no key,
 * a wrong method, a bug of ours) is in the shape of the surface that was asked, or its client could not read it.
 */
import type { Problem } from "../../protocol/problem.ts";
import { bearer, headerCredential } from "./credential.ts";
import { cubeRefusal } from "../compat/cube.ts";
import { dataRefusalOf } from "../compat/e2b/data-refusal.ts";
import { e2bNotServed, e2bRefusal } from "../compat/e2b/refusal.ts";
import { type ProblemContext, problemResponse } from "../answer/problem.ts";

export interface Surface {
  /** null: none, or nothing that could be one. */
  readonly credential: (request: Request) => string | null;
  /** For the words of a 401. */
  readonly sendAs: string;
  readonly refuse: (problem: Problem, context: ProblemContext, headers?: Record<string, string>) => Response;
  /** For a path of this surface that no route serves; null: an ordinary 404. */
  readonly notServed: ((request: Request) => Response) | null;
}

const native: Surface = {
  credential: bearer,
  sendAs: "`Authorization: Bearer …`",
  refuse: problemResponse,
  notServed: null,
};

/** The key's own header first: a client that has both means that one. */
const keyHeader = (request: Request): string | null =>
  request.headers.has("x-api-key") ? headerCredential(request, "x-api-key") : bearer(request);

const e2b: Surface = {
  credential: keyHeader,
  sendAs: "`X-API-KEY: …`",
  refuse: e2bRefusal,
  notServed: e2bNotServed,
};

const cube: Surface = { ...e2b, refuse: cubeRefusal, notServed: null };

/** The first segments of E2B's API, as its SDK calls them. Its data plane has refusals of its own. `/v1` is Mooring's. */
const e2bPath = /^\/((v[2-9]\/)?(sandboxes|templates|snapshots|volumes|secrets|teams)|health)(\/|$)/;

export function surfaceOf(path: string): Surface {
  if (path.startsWith("/cube/")) return cube;
  const refuse = dataRefusalOf(path);
  if (refuse !== null) return { ...e2b, refuse };
  return e2bPath.test(path) ? e2b : native;
}

/** What E2B's SDK asks of a sandbox itself, on a host name of its own. */
export function isDataPlane(path: string): boolean {
  return path === "/health" || dataRefusalOf(path) !== null;
}
