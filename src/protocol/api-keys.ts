/**
 * API keys: `mrg_<tenant>_<id>_<signature>`, verified from the key alone.
 *
 * - `<tenant>`: 1 to 32 of `a-z 0-9 -`.
 * - `<id>`: `<issued>.<scopes>.<nonce>`: the issue time in epoch seconds, base 36; one letter per scope in alphabetical
 *   order, or `0` for none; ten base 36 digits that make the key unique, so that one can be revoked alone.
 * - `<signature>`: HMAC-SHA-256 over `mrg_<tenant>_<id>` in 64 lower-case hex digits.
 *
 * No part but the separators holds an underscore, and every part has one spelling only: a key that reads back is the key
 * that was signed. Runs in the Worker and in Node (WebCrypto only).
 */
import { z } from "zod";
import { tenantName } from "./primitives.ts";

/** Scope → its letter in a key. A letter is never given to another scope: old keys would change their meaning. */
const scopeLetters = { critical: "c" } as const;
export const apiKeyScopes = Object.keys(scopeLetters) as [keyof typeof scopeLetters, ...(keyof typeof scopeLetters)[]];
export type ApiKeyScope = keyof typeof scopeLetters;
export const apiKeyScope = z.enum(apiKeyScopes);

export interface ApiKeyClaims {
  readonly tenant: string;
  /** The middle part: what a revocation names. */
  readonly keyId: string;
  /** Epoch ms, whole seconds. */
  readonly issuedAt: number;
  readonly scopes: readonly ApiKeyScope[];
}

const encoder = new TextEncoder();
const keyNonce = z.string().regex(/^[0-9a-z]{10}$/);
/** The middle part of a key. */
export const keyIdText = z
  .string()
  .regex(/^[0-9a-z]{1,9}\.(0|[a-z]{1,8})\.[0-9a-z]{10}$/, "The middle part of a key: `<issued>.<scopes>.<nonce>`.");
const keyPattern = /^(mrg_([a-z0-9-]{1,32})_(([0-9a-z]{1,9})\.(0|[a-z]{1,8})\.[0-9a-z]{10}))_([0-9a-f]{64})$/;

export interface ApiKeyOrder {
  readonly tenant: string;
  readonly scopes: readonly ApiKeyScope[];
  /** Epoch ms; cut to whole seconds. */
  readonly issuedAt: number;
  /** Ten base 36 digits, fresh for each key. */
  readonly nonce: string;
}

/** Makes a key. Throws on a tenant or a nonce that is none: a caller's bug (the command line checks first). */
export async function signApiKey(order: ApiKeyOrder, secret: string): Promise<string> {
  const tenant = tenantName.parse(order.tenant);
  const issued = Math.floor(order.issuedAt / 1_000).toString(36);
  const letters = [...new Set(order.scopes.map((scope) => scopeLetters[scope]))].sort().join("");
  const signed = `mrg_${tenant}_${issued}.${letters === "" ? "0" : letters}.${keyNonce.parse(order.nonce)}`;
  const signature = await crypto.subtle.sign("HMAC", await hmacKey(secret, "sign"), encoder.encode(signed));
  return `${signed}_${hex(new Uint8Array(signature))}`;
}

/** null: not a key, or signed with none of these secrets. The signature is compared in constant time by WebCrypto. */
export async function verifyApiKey(presented: string, secrets: readonly string[]): Promise<ApiKeyClaims | null> {
  const [, signed, tenant, keyId, issued, letters, signature] = keyPattern.exec(presented) ?? [];
  if (signed === undefined || tenant === undefined || keyId === undefined) return null;
  if (issued === undefined || letters === undefined || signature === undefined) return null;
  const bytes = encoder.encode(signed);
  for (const secret of secrets) {
    if (await crypto.subtle.verify("HMAC", await hmacKey(secret, "verify"), fromHex(signature), bytes)) {
      return { tenant, keyId, issuedAt: Number.parseInt(issued, 36) * 1_000, scopes: scopesOf(letters) };
    }
  }
  return null;
}

/** A letter of a later version is skipped: an unknown scope grants nothing. */
function scopesOf(letters: string): readonly ApiKeyScope[] {
  return apiKeyScopes.filter((scope) => letters.includes(scopeLetters[scope]));
}

/** At most the present secret and the one before it, for both uses. */
const importedKept = 4;
const imported = new Map<string, CryptoKey>();

/** Kept when it is made, not while it is: a promise of one request must not be awaited by another. */
async function hmacKey(secret: string, use: "sign" | "verify"): Promise<CryptoKey> {
  const name = `${use} ${secret}`;
  const known = imported.get(name);
  if (known !== undefined) return known;
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, [use]);
  if (imported.size >= importedKept) imported.clear();
  imported.set(name, key);
  return key;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: text.length / 2 }, (_, index) =>
    Number.parseInt(text.slice(2 * index, 2 * index + 2), 16),
  );
}
