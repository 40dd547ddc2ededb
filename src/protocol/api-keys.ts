/**
 * API keys: `mrg_<tenant>_<id>_<signature>`, verified from the key alone.
 *
 * - `<tenant>`: 1 to 32 of `a-z 0-9 -`.
 * - `<id>`: `<issued>.<scopes>.<nonce>` or `<issued>.<scopes>.<nonce>.<end>`: the issue time in epoch seconds, base 36; one letter
 *   per scope in alphabetical order, or `0` for none; ten base 36 digits that make the key unique, so that one can be revoked
 *   alone; the time it ends, as the issue time is written, or `0` for never. Every key that ends or is bound to some scopes has
 *   the fourth part: code that knows neither would read too much into it, and refuses such a key.
 * - `<signature>`: HMAC-SHA-256 over `mrg_<tenant>_<id>` in 64 lower-case hex digits.
 *
 * - Every key has a second form, `e2b_` and hex digits (`e2bFormOf`), for clients that accept no other.
 *
 * No part but the separators holds an underscore, and every part has one spelling only: a key that reads back is the key
 * that was signed. Runs in the Worker and in Node (WebCrypto only).
 */
import { z } from "zod";
import { fromHex, hmacHex, isHmac, toHex } from "./bytes.ts";
import { drillTenantName, tenantName } from "./primitives.ts";

/** Scope → its letter in a key. A letter is never given to another scope: old keys would change their meaning. */
const scopeLetters = { critical: "c", manage: "m", read: "r", run: "u" } as const;
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
  /** Epoch ms, whole seconds; null: it never ends. */
  readonly expiresAt: number | null;
}

/** What a route needs of a key. `run` and `manage` may read as well. */
export type KeyRight = "read" | "run" | "manage";
const rights: readonly string[] = ["read", "run", "manage"] satisfies KeyRight[];

/** A key that names no right has all of them, as every key had before there were rights. */
export function hasRight(scopes: readonly string[], right: KeyRight): boolean {
  const named = scopes.filter((scope) => rights.includes(scope));
  return named.length === 0 || right === "read" || named.includes(right);
}

const keyNonce = z.string().regex(/^[0-9a-z]{10}$/);
/** The middle part of a key. */
export const keyIdText = z
  .string()
  .regex(
    /^[0-9a-z]{1,9}\.(0|[a-z]{1,8})\.[0-9a-z]{10}(\.[0-9a-z]{1,9})?$/,
    "The middle part of a key: `<issued>.<scopes>.<nonce>`, and `.<end>` where it has one.",
  );
const keyPattern =
  /^(mrg_([a-z0-9-]{1,32})_([0-9a-z]{1,9}\.(?:0|[a-z]{1,8})\.[0-9a-z]{10}(?:\.[0-9a-z]{1,9})?))_([0-9a-f]{64})$/;

export interface ApiKeyOrder {
  readonly tenant: string;
  readonly scopes: readonly ApiKeyScope[];
  /** Epoch ms; cut to whole seconds. */
  readonly issuedAt: number;
  /** Epoch ms; cut to whole seconds. null, or left out: never. */
  readonly expiresAt?: number | null;
  /** Ten base 36 digits, fresh for each key. */
  readonly nonce: string;
}

/** Makes a key. Throws on a tenant or a nonce that is none: a caller's bug (the command line checks first). */
export async function signApiKey(order: ApiKeyOrder, secret: string): Promise<string> {
  const tenant = tenantName.parse(order.tenant);
  const issued = inSeconds(order.issuedAt);
  const letters = [...new Set(order.scopes.map((scope) => scopeLetters[scope]))].sort().join("");
  const bound = order.scopes.some((scope) => rights.includes(scope));
  const ends = order.expiresAt ?? null;
  const end = ends === null ? (bound ? ".0" : "") : `.${inSeconds(ends)}`;
  const signed = `mrg_${tenant}_${issued}.${letters === "" ? "0" : letters}.${keyNonce.parse(order.nonce)}${end}`;
  return `${signed}_${await hmacHex(secret, signed)}`;
}

function inSeconds(instant: number): string {
  return Math.floor(instant / 1_000).toString(36);
}

/** What the middle part of a key says. Only for a text that was recognised as a key. */
export function readKeyId(keyId: string): Pick<ApiKeyClaims, "issuedAt" | "scopes" | "expiresAt"> {
  const [issued = "0", letters = "", , end = "0"] = keyId.split(".");
  const seconds = Number.parseInt(end, 36);
  return {
    issuedAt: Number.parseInt(issued, 36) * 1_000,
    scopes: scopesOf(letters),
    expiresAt: seconds === 0 ? null : seconds * 1_000,
  };
}

export function keyHasEnded(keyId: string, now: number): boolean {
  const { expiresAt } = readKeyId(keyId);
  return expiresAt !== null && expiresAt <= now;
}

/**
 * The same key in the form that E2B's SDKs up to 2.45 and its Python SDK insist on: `e2b_` and hex digits. They are the ASCII of
 * `<tenant>_<id>`, two digits a character, and the 64 digits of the signature.
 */
export function e2bFormOf(key: string): string {
  const [, signed, , , signature] = keyPattern.exec(key) ?? [];
  if (signed === undefined || signature === undefined) throw new Error("not an API key");
  return `e2b_${toHex(new TextEncoder().encode(signed.slice("mrg_".length)))}${signature}`;
}

const e2bForm = /^e2b_((?:[0-9a-f]{2}){10,80})([0-9a-f]{64})$/;

/** Turns a key into its usual form. A text in neither form comes back unchanged. */
function usualForm(presented: string): string {
  const [, named, signature] = e2bForm.exec(presented) ?? [];
  return named === undefined || signature === undefined
    ? presented
    : `mrg_${String.fromCharCode(...fromHex(named))}_${signature}`;
}

/** Whether it is meant as a key, though it may be cut short: anything else is taken for the admin token. */
export function claimsApiKey(text: string): boolean {
  return /^(mrg|e2b)_/.test(text);
}

/** Whether it has the form of a key. Says nothing about its signature. */
export function looksLikeApiKey(presented: string): boolean {
  return keyPattern.test(usualForm(presented));
}

/** null: not a key, one that this version does not understand whole, of Mooring's own tenant, or signed with none of these secrets. The signature is compared in constant time by WebCrypto. */
export async function verifyApiKey(presented: string, secrets: readonly string[]): Promise<ApiKeyClaims | null> {
  const [, signed, tenant, keyId, signature] = keyPattern.exec(usualForm(presented)) ?? [];
  if (signed === undefined || tenant === undefined || keyId === undefined || signature === undefined) return null;
  if (tenant === drillTenantName || !isUnderstood(keyId) || !(await isHmac(signed, signature, secrets))) return null;
  return { tenant, keyId, ...readKeyId(keyId) };
}

/**
 * The letter of a later version may be the only right that a bound key has: read without it, the key would name none and so have all.
 * A key without the fourth part is bound to no right, so there an unknown letter only grants nothing.
 */
function isUnderstood(keyId: string): boolean {
  const [, letters = "", , end] = keyId.split(".");
  const known = new Set<string>(["0", ...Object.values(scopeLetters)]);
  return end === undefined || letters.split("").every((letter) => known.has(letter));
}

/** A letter of a later version is skipped: an unknown scope grants nothing. */
function scopesOf(letters: string): readonly ApiKeyScope[] {
  return apiKeyScopes.filter((scope) => letters.includes(scopeLetters[scope]));
}

const units = { h: 3_600_000, d: 86_400_000, y: 365 * 86_400_000 } as const;

/** `12h`, `30d`, `1y`, in ms, up to ten years; undefined: it is none of these. */
export function keyLifetimeMs(text: string): number | undefined {
  const [, count, unit] = /^([1-9]\d{0,4})([hdy])$/.exec(text) ?? [];
  const ms = Number(count) * units[unit as keyof typeof units];
  return count !== undefined && ms <= 10 * units.y ? ms : undefined;
}
