/**
 * Who asks. Two kinds of credential that are never taken for each other (SEC-2): a tenant's signed API key, and the
 * admin token. A route whose secret is unset refuses everyone: nothing is open by default (SEC-1).
 */
import type { TenantId } from "../domain/ids.ts";
import { verifyApiKey } from "../protocol/api-keys.ts";
import type { Reply } from "../protocol/problem.ts";
import type { Secrets } from "../config.ts";
import { refused } from "./problem.ts";

export interface Tenant {
  readonly tenant: TenantId;
  readonly scopes: readonly string[];
}

/** Longer than any key or token of ours: what exceeds it is not hashed at all. */
const maxCredential = 512;

/** `isRevoked` is asked last, with a key that is otherwise valid: nobody else learns which tenants there are. */
export async function authenticateTenant(
  request: Request,
  secrets: Secrets,
  isRevoked: (tenant: TenantId, keyId: string) => Promise<Reply<boolean>>,
): Promise<Reply<Tenant>> {
  if (secrets.keySigning === null) return secretMissing("KEY_SIGNING_SECRET");
  const presented = bearer(request);
  const claims = presented === null ? null : await verifyApiKey(presented, secrets.keySigning);
  if (claims === null) return unauthorized("an API key");
  const tenant = claims.tenant as TenantId;
  const revoked = await isRevoked(tenant, claims.keyId);
  if (!revoked.ok) return revoked;
  if (revoked.value) return unauthorized("an API key that was not revoked");
  return { ok: true, value: { tenant, scopes: claims.scopes } };
}

export async function authenticateAdmin(request: Request, secrets: Secrets): Promise<Reply<null>> {
  if (secrets.adminToken === null) return secretMissing("ADMIN_TOKEN");
  const presented = bearer(request);
  if (presented === null) return unauthorized("the admin token");
  for (const token of secrets.adminToken) if (await sameText(presented, token)) return { ok: true, value: null };
  return unauthorized("the admin token");
}

function bearer(request: Request): string | null {
  const header = request.headers.get("authorization") ?? "";
  const [, credential] = /^Bearer ([\x21-\x7e]+)$/i.exec(header) ?? [];
  return credential === undefined || credential.length > maxCredential ? null : credential;
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

function unauthorized(what: string): Reply<never> {
  return refused({
    code: "unauthorized",
    detail: `This route needs ${what}, and the request carried none that is valid here. Send it as \`Authorization: Bearer …\`.`,
  });
}

function secretMissing(name: string): Reply<never> {
  return refused({
    code: "secret_missing",
    detail: `This Mooring has no ${name}, so the route is closed to everyone. Its operator sets it with \`wrangler secret put ${name}\`.`,
  });
}
