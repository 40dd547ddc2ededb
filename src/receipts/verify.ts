/**
 * Checks teardown receipts without Mooring: this file imports nothing and asks nobody, so that an auditor can read all of it.
 *
 * A receipt is `{statement, hash, key_id, signature}`:
 * - `statement` says what was ended and how it was proven gone. Its canonical text is JSON as RFC 8785 writes it: no spaces,
 *   the members of each object in the order of their names' UTF-16 code units. Numbers are whole.
 * - `hash` is the SHA-256 of that text, in hex. `statement.previous` is the `hash` of the tenant's receipt before this one, and
 *   `statement.sequence` counts without a gap: a receipt that was left out, or two that were swapped, break the chain.
 * - `signature` is Ed25519 over `mooring-receipt-1`, a line feed and the canonical text, in base64url, by the key `key_id`.
 * - A key's `key_id` is the first 16 hex digits of the SHA-256 of the raw public key.
 *
 * Runs wherever WebCrypto knows Ed25519: Node 20 and later, Workers, browsers.
 */

export interface SignedReceipt {
  readonly statement: Readonly<Record<string, unknown>>;
  readonly hash: string;
  readonly key_id: string;
  readonly signature: string;
}

export interface PublicKey {
  readonly key_id: string;
  /** The 32 bytes of the Ed25519 public key in base64url. */
  readonly public_key: string;
}

/** One thing that is wrong. `receipt` is the position in the list that was given, from 0. */
export interface Fault {
  readonly receipt: number;
  readonly code:
    | "not_a_receipt"
    | "hash_differs"
    | "unknown_key"
    | "key_id_differs"
    | "signature_wrong"
    | "other_tenant"
    | "out_of_order"
    | "missing_before"
    | "chain_broken";
  readonly detail: string;
}

export interface Verdict {
  /** true: nothing is wrong. */
  readonly ok: boolean;
  readonly checked: number;
  readonly faults: readonly Fault[];
}

const domain = "mooring-receipt-1\n";

/**
 * Checks each receipt by itself and, when there are several, the chain between them. They must come in the order of
 * `sequence`. A list may begin anywhere in the chain. With `linked: false` they are taken for a selection, and gaps are allowed.
 */
export async function verifyReceipts(
  receipts: readonly unknown[],
  keys: readonly PublicKey[],
  options: { readonly linked?: boolean } = {},
): Promise<Verdict> {
  const faults: Fault[] = [];
  let before: SignedReceipt | null = null;
  for (const [index, given] of receipts.entries()) {
    const fault = (code: Fault["code"], detail: string) => faults.push({ receipt: index, code, detail });
    const receipt = asReceipt(given);
    if (receipt === null) {
      fault(
        "not_a_receipt",
        "It does not have exactly the members statement, hash, key_id and signature of a receipt.",
      );
      before = null;
      continue;
    }
    await checkAlone(receipt, keys, fault);
    if (before !== null) checkLink(before, receipt, options.linked ?? true, fault);
    before = receipt;
  }
  return { ok: faults.length === 0, checked: receipts.length, faults };
}

type Report = (code: Fault["code"], detail: string) => void;

async function checkAlone(receipt: SignedReceipt, keys: readonly PublicKey[], fault: Report): Promise<void> {
  const text = canonicalJson(receipt.statement);
  if ((await sha256Hex(utf8(text))) !== receipt.hash)
    fault("hash_differs", "`hash` is not the SHA-256 of the statement: the statement or the hash was changed.");
  const key = keys.find((each) => each.key_id === receipt.key_id);
  const raw = key === undefined ? null : fromBase64Url(key.public_key);
  if (key === undefined || raw === null) {
    fault("unknown_key", `None of the public keys that were given is ${receipt.key_id}.`);
    return;
  }
  if ((await keyIdOf(raw)) !== key.key_id) {
    fault(
      "key_id_differs",
      `The public key that was given as ${key.key_id} has another id: the list of keys was changed.`,
    );
    return;
  }
  const signature = fromBase64Url(receipt.signature);
  const signed = signature !== null && signature.length === 64 && (await isSignedBy(raw, signature, signedBytes(text)));
  if (!signed) fault("signature_wrong", `The signature is not one of the key ${receipt.key_id} over this statement.`);
}

function checkLink(before: SignedReceipt, receipt: SignedReceipt, linked: boolean, fault: Report): void {
  const [last, next] = [before.statement, receipt.statement];
  if (last["tenant"] !== next["tenant"]) {
    fault(
      "other_tenant",
      "It belongs to another tenant than the receipt before it: each tenant has a chain of its own.",
    );
    return;
  }
  const [one, two] = [Number(last["sequence"]), Number(next["sequence"])];
  if (two <= one)
    fault("out_of_order", `Its sequence ${two} does not follow ${one}: two receipts were swapped or repeated.`);
  else if (two > one + 1 && linked)
    fault("missing_before", `Between sequence ${one} and ${two} receipts are missing: they were left out or deleted.`);
  else if (two === one + 1 && next["previous"] !== before.hash)
    fault("chain_broken", "`previous` is not the hash of the receipt before it: one of the two was replaced.");
}

/** null: it is no receipt. Members that nobody defined could say anything without being signed, so they are refused. */
function asReceipt(given: unknown): SignedReceipt | null {
  if (!isRecord(given)) return null;
  if (Object.keys(given).sort().join() !== "hash,key_id,signature,statement") return null;
  const { statement, hash, key_id, signature } = given;
  if (!isRecord(statement) || statement["type"] !== "mooring.receipt/1") return null;
  if (!Number.isSafeInteger(statement["sequence"]) || typeof statement["tenant"] !== "string") return null;
  if (typeof hash !== "string" || typeof key_id !== "string" || typeof signature !== "string") return null;
  return isCanonical(statement) ? { statement, hash, key_id, signature } : null;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCanonical(value: unknown): boolean {
  if (typeof value === "number") return Number.isSafeInteger(value);
  if (Array.isArray(value)) return value.every(isCanonical);
  if (isRecord(value)) return Object.values(value).every(isCanonical);
  return value === null || typeof value === "string" || typeof value === "boolean";
}

/** JSON as RFC 8785 writes it, for values without fractions. Throws on anything else, because two texts could then mean the same. */
export function canonicalJson(value: unknown): string {
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new Error("only whole numbers have one text");
  if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!isRecord(value)) throw new Error(`a ${typeof value} has no place in a statement`);
  // The default order of `sort` is that of UTF-16 code units.
  const members = Object.keys(value)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${canonicalJson(value[name])}`);
  return `{${members.join(",")}}`;
}

/** What is signed for a statement with this canonical text. */
export function signedBytes(canonical: string): Uint8Array<ArrayBuffer> {
  return utf8(domain + canonical);
}

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(text));
}

async function isSignedBy(
  raw: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  try {
    const key = await crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);
    return await crypto.subtle.verify({ name: "Ed25519" }, key, signature, bytes);
  } catch {
    return false;
  }
}

export async function keyIdOf(rawPublicKey: Uint8Array<ArrayBuffer>): Promise<string> {
  return (await sha256Hex(rawPublicKey)).slice(0, 16);
}

export async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** null: not the one base64url text of these bytes. Spare bits at the end would let a changed text pass for the same signature. */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | null {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return null;
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
  return toBase64Url(bytes) === text ? bytes : null;
}
