/**
 * Who asks. Two kinds of credential that are never taken for each other: a tenant's signed API key, and the
 * admin token. A route whose secret is unset refuses everyone: nothing is open by default.
 */
import type { TenantId } from "../../domain/state/ids.ts";
import { hasRight, type KeyRight, looksLikeApiKey } from "../../protocol/api-keys.ts";
import { sameText } from "../../protocol/bytes.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { Problem, Reply } from "../../protocol/problem.ts";
import type { Secrets } from "../../config/config-secrets.ts";
import { type CookieClaims, readConsoleCookie } from "./console-cookie.ts";
import { bearer } from "./credential.ts";
import { refused } from "../answer/problem.ts";
import type { Surface } from "./surface.ts";
import type { VerifiedKeys } from "./verified-keys.ts";

export interface Tenant {
  readonly tenant: TenantId;
  readonly scopes: readonly string[];
  /** The id inside the API key, also of a console's cookie; absent: it was another credential. */
  readonly keyId?: string;
}

/**
 * `verified` null: there is no secret that signs keys. `isRevoked` is asked last, with a key that is otherwise valid: nobody else
 * learns which tenants there are.
 */
export async function authenticateTenant(
  request: Request,
  surface: Pick<Surface, "credential" | "sendAs">,
  verified: VerifiedKeys | null,
  now: number,
  isRevoked: (tenant: TenantId, keyId: string) => Promise<Reply<boolean>>,
): Promise<Reply<Tenant>> {
  if (verified === null) return secretMissing("KEY_SIGNING_SECRET");
  const presented = surface.credential(request);
  if (presented === null) return unauthorized(nothingUsable(request, surface.sendAs), apiKeysComeFrom);
  const claims = await verified.claimsOf(presented);
  if (claims === null) return unauthorized(looksLikeApiKey(presented) ? wrongKey : noKey, apiKeysComeFrom);
  const tenant = claims.tenant as TenantId;
  if (claims.expiresAt !== null && claims.expiresAt <= now)
    return unauthorized(`This API key ended at ${rfc3339(claims.expiresAt)}.`, apiKeysComeFrom);
  const revoked = await isRevoked(tenant, claims.keyId);
  if (!revoked.ok) return revoked;
  if (revoked.value) return unauthorized("This API key was revoked, so it opens nothing any more.", apiKeysComeFrom);
  return { ok: true, value: { tenant, scopes: claims.scopes, keyId: claims.keyId } };
}

/** By the console's cookie; null: the request carries none that counts. The key behind it may have been revoked since. */
export async function tenantOfCookie(
  request: Request,
  secrets: Secrets,
  now: number,
  isRevoked: (tenant: TenantId, keyId: string) => Promise<Reply<boolean>>,
): Promise<{ readonly reply: Reply<Tenant>; readonly claims: CookieClaims } | null> {
  if (secrets.keySigning === null || hasCredential(request)) return null;
  const claims = await readConsoleCookie(request, "tenant", secrets.keySigning, now);
  if (claims === null) return null;
  const tenant = claims.tenant as TenantId;
  const revoked = await isRevoked(tenant, claims.keyId);
  if (!revoked.ok) return { reply: revoked, claims };
  const gone = "The API key behind this sign-in was revoked or has ended, so it opens nothing any more.";
  const reply = revoked.value
    ? unauthorized(gone, "Sign in again at /console.")
    : ({ ok: true, value: { tenant, scopes: claims.scopes, keyId: claims.keyId } } as const);
  return { reply, claims };
}

/** null: the key may do that. */
export function lacksRight(scopes: readonly string[], right: KeyRight): Problem | null {
  if (hasRight(scopes, right)) return null;
  return {
    code: "forbidden",
    detail: `This needs an API key with the scope \`${right}\`, and this one has only ${scopes.join(" and ")}. Nothing was done. Use such a key: \`npm run keys -- create --tenant NAME --scope ${right}\`.`,
  };
}

/** null: the request carries no operator's cookie that counts. */
export async function operatorOfCookie(request: Request, secrets: Secrets, now: number): Promise<CookieClaims | null> {
  if (secrets.adminToken === null || hasCredential(request)) return null;
  return await readConsoleCookie(request, "operator", secrets.adminToken, now);
}

/** What a client says in a header counts before what its browser adds. */
function hasCredential(request: Request): boolean {
  return request.headers.has("authorization") || request.headers.has("x-api-key");
}

export async function authenticateAdmin(request: Request, secrets: Secrets): Promise<Reply<null>> {
  if (secrets.adminToken === null) return secretMissing("ADMIN_TOKEN");
  const presented = bearer(request);
  if (presented === null) return unauthorized(nothingUsable(request, sendAsBearer), adminTokenComesFrom);
  for (const token of secrets.adminToken) if (await sameText(presented, token)) return { ok: true, value: null };
  return unauthorized(
    looksLikeApiKey(presented)
      ? "This route needs the admin token, and the request carried an API key."
      : "The admin token in this request is not the one of this Mooring.",
    adminTokenComesFrom,
  );
}

const sendAsBearer = "`Authorization: Bearer …`";
const noKey = "The credential in this request is no API key: those begin with `mrg_` or `e2b_` and are much longer.";
/**
 * A wrong signature, and nothing more precise: which part of a key is wrong would help only someone who makes keys up.
 */
const wrongKey =
  "This API key is not valid here: it was cut short or changed, or it belongs to another Mooring, or the secret that signed it was replaced.";
const apiKeysComeFrom =
  "Your Mooring's operator makes API keys with `npm run keys -- create --tenant NAME`; in development `npm run dev` prints one.";
const adminTokenComesFrom = "It is the secret ADMIN_TOKEN of this Mooring; in development it is in .dev.vars.";

/** No header at all, or one that holds no credential that could be read. */
function nothingUsable(request: Request, sendAs: string): string {
  const header = request.headers.get("authorization");
  if (header === null && !request.headers.has("x-api-key"))
    return `The request carried no credential. Send it as ${sendAs}.`;
  if (header !== null && !/^Bearer /i.test(header))
    return `The \`Authorization\` header is not of the form that is read here. Send ${sendAs}.`;
  return `The credential could not be read: it is empty, holds a space or another character that no key has, or is too long, or stands in a header that this route does not read. Send it as ${sendAs}.`;
}

function unauthorized(cause: string, where: string): Reply<never> {
  return refused({ code: "unauthorized", detail: `${cause} ${where}` });
}

export function secretMissing(name: string): Reply<never> {
  return refused({
    code: "secret_missing",
    detail: `This Mooring has no ${name}, so the route is closed to everyone. Its operator sets it with \`wrangler secret put ${name}\`.`,
  });
}
