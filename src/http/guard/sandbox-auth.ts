/**
 * Who asks on E2B's data plane: a client with the token that create and connect gave for one sandbox, or whoever has an address of a
 * file that was signed with that token. The token is derived from the sandbox and its tenant, so nothing of it is stored.
 */
import type { Secrets } from "../../config/config-secrets.ts";
import type { SessionId, TenantId } from "../../domain/state/ids.ts";
import { signAccess, verifyAccess } from "../../protocol/compat/e2b-access.ts";
import { judgeSignature } from "../../protocol/compat/e2b-signature.ts";
import { sessionIdPattern } from "../../protocol/primitives.ts";
import type { Reply } from "../../protocol/problem.ts";
import { refused } from "../answer/problem.ts";
import { secretMissing, type Tenant } from "./auth.ts";
import { headerCredential } from "./credential.ts";

export interface NamedSandbox {
  readonly id: string;
  readonly port: number;
}

export const sandboxHeader = "e2b-sandbox-id";
const portHeader = "e2b-sandbox-port";
const accessHeader = "x-access-token";
/** Where E2B's own server listens in its sandboxes. No server of a sandbox listens there; the SDK names this API by that port. */
export const dataPlanePort = 49_983;
/** Where files go in and out by address. */
const filesPath = "/files";
const label = /^(\d{1,5})-([a-z0-9]{20})\./;

/** By the headers that the SDK sends, else by the host's first label; null: no sandbox is named. */
export function namedSandbox(request: Request): NamedSandbox | null {
  const header = request.headers.get(sandboxHeader);
  if (header !== null) return { id: header, port: Number(request.headers.get(portHeader) ?? dataPlanePort) };
  const [, port, id] = label.exec(new URL(request.url).host) ?? [];
  return id === undefined ? null : { id, port: Number(port) };
}

/** null: the request shows neither, so an API key decides. `ownerOf` is asked only about a signed address. */
export async function authenticateSandbox(
  request: Request,
  secrets: Secrets,
  now: number,
  ownerOf: (id: SessionId) => Promise<TenantId | null>,
): Promise<Reply<Tenant> | null> {
  const { pathname, searchParams: query } = new URL(request.url);
  const presented = request.headers.has(accessHeader) ? headerCredential(request, accessHeader) : undefined;
  // Signed is one file, to be read or written: no other call looks at a signature.
  const signature = pathname === filesPath ? query.get("signature") : null;
  if (presented === undefined && signature === null) return null;
  if (secrets.keySigning === null) return secretMissing("KEY_SIGNING_SECRET");
  const id = namedSandbox(request)?.id ?? "";
  if (presented !== undefined) {
    const tenant = presented === null ? null : await verifyAccess(presented, id, secrets.keySigning);
    return tenant === null ? unauthorized(wrongToken) : { ok: true, value: { tenant, scopes: [] } };
  }
  const tenant = sessionIdPattern.test(id) ? await ownerOf(id as SessionId) : null;
  if (tenant === null) return unauthorized(invalidSignature);
  const file = {
    path: query.get("path") ?? "",
    operation: request.method === "GET" || request.method === "HEAD" ? "read" : "write",
    user: query.get("username") ?? "",
    expiration: query.get("signature_expiration"),
  } as const;
  for (const secret of secrets.keySigning) {
    const token = await signAccess(tenant, id as SessionId, secret);
    const judged = await judgeSignature({ ...file, token }, signature ?? "", now);
    if (judged === "valid") return { ok: true, value: { tenant, scopes: [] } };
    if (judged === "expired") return unauthorized("signature is already expired");
  }
  return unauthorized(invalidSignature);
}

const wrongToken =
  "The token in `X-Access-Token` is not valid for the sandbox that `E2b-Sandbox-Id` names. Create and connect give it as `envdAccessToken`, for that one sandbox.";
const invalidSignature = "invalid signature";

function unauthorized(detail: string): Reply<never> {
  return refused({ code: "unauthorized", detail });
}
