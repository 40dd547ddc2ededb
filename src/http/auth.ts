/**
 * Who asks. Two kinds of credential that are never taken for each other (SEC-2): a tenant's signed API key, and the
 * admin token. A route whose secret is unset refuses everyone: nothing is open by default (SEC-1).
 */
import type { TenantId } from "../domain/ids.ts";
import { verifyApiKey } from "../protocol/api-keys.ts";
import { verifyAccess } from "../protocol/e2b-access.ts";
import type { Reply } from "../protocol/problem.ts";
import type { Secrets } from "../config-secrets.ts";
import { bearer, headerCredential } from "./credential.ts";
import { refused } from "./problem.ts";
import type { Surface } from "./surface.ts";

export interface Tenant {
  readonly tenant: TenantId;
  readonly scopes: readonly string[];
}

/** `isRevoked` is asked last, with a key that is otherwise valid: nobody else learns which tenants there are. */
export async function authenticateTenant(
  request: Request,
  surface: Pick<Surface, "credential" | "sendAs">,
  secrets: Secrets,
  isRevoked: (tenant: TenantId, keyId: string) => Promise<Reply<boolean>>,
): Promise<Reply<Tenant>> {
  if (secrets.keySigning === null) return secretMissing("KEY_SIGNING_SECRET");
  const presented = surface.credential(request);
  const claims = presented === null ? null : await verifyApiKey(presented, secrets.keySigning);
  if (claims === null) return unauthorized("an API key", surface.sendAs);
  const tenant = claims.tenant as TenantId;
  const revoked = await isRevoked(tenant, claims.keyId);
  if (!revoked.ok) return revoked;
  if (revoked.value) return unauthorized("an API key that was not revoked", surface.sendAs);
  return { ok: true, value: { tenant, scopes: claims.scopes } };
}

/** By the token that an E2B client was given for one sandbox; it opens that one's health and nothing else. null: none was shown. */
export async function authenticateSandbox(request: Request, secrets: Secrets): Promise<Reply<Tenant> | null> {
  if (!request.headers.has(accessHeader)) return null;
  if (secrets.keySigning === null) return secretMissing("KEY_SIGNING_SECRET");
  const presented = headerCredential(request, accessHeader);
  const sandbox = request.headers.get("e2b-sandbox-id") ?? "";
  const tenant = presented === null ? null : await verifyAccess(presented, sandbox, secrets.keySigning);
  if (tenant === null) return unauthorized("the access token of this sandbox", "`X-Access-Token: …`");
  return { ok: true, value: { tenant, scopes: [] } };
}

const accessHeader = "x-access-token";

export async function authenticateAdmin(request: Request, secrets: Secrets): Promise<Reply<null>> {
  if (secrets.adminToken === null) return secretMissing("ADMIN_TOKEN");
  const presented = bearer(request);
  if (presented === null) return unauthorized("the admin token");
  for (const token of secrets.adminToken) if (await sameText(presented, token)) return { ok: true, value: null };
  return unauthorized("the admin token");
}

/** Constant time: the digests are compared to their end, so neither length nor a common beginning shows in the time. */
async function sameText(one: string, other: string): Promise<boolean> {
  const [first, second] = await Promise.all([digest(one), digest(other)]);
  let difference = 0;
  first.forEach((byte, index) => {
    difference |= byte ^ (second[index] ?? 0);
  });
  return difference === 0;
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function unauthorized(what: string, sendAs = "`Authorization: Bearer …`"): Reply<never> {
  return refused({
    code: "unauthorized",
    detail: `This route needs ${what}, and the request carried none that is valid here. Send it as ${sendAs}.`,
  });
}

function secretMissing(name: string): Reply<never> {
  return refused({
    code: "secret_missing",
    detail: `This Mooring has no ${name}, so the route is closed to everyone. Its operator sets it with \`wrangler secret put ${name}\`.`,
  });
}
