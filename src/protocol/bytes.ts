/** Bytes as text, digests and HMACs. Runs in the Worker, in Node and in a browser: WebCrypto only. */
const encoder = new TextEncoder();

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Lower-case, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  let digits = "";
  for (const byte of bytes) digits += hexOfByte[byte] ?? "";
  return digits;
}

/** The bytes of an even number of hex digits. What is no digit makes a byte of 0: check the form first. */
export function fromHex(digits: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: digits.length / 2 }, (_, at) =>
    Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16),
  );
}

/** For short values, such as keys and digests: each byte becomes an argument of one call. */
export function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** Throws when it is no base64. By a loop: `Uint8Array.from` walks the text by code points and takes milliseconds for a long one. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const chars = atob(text);
  const bytes = new Uint8Array(chars.length);
  for (let at = 0; at < chars.length; at += 1) bytes[at] = chars.charCodeAt(at);
  return bytes;
}

/** Base64 for URLs and cookies, without padding, of a text in Latin-1. */
export function toBase64Url(text: string): string {
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Throws when it is none. */
export function fromBase64Url(text: string): string {
  return atob(text.replaceAll("-", "+").replaceAll("_", "/"));
}

/** SHA-256 of bytes, or of a text in UTF-8. */
export async function sha256(content: string | Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = typeof content === "string" ? encoder.encode(content) : content;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** HMAC-SHA-256 of a text under a secret of any length, in hex. */
export async function hmacHex(secret: string, text: string): Promise<string> {
  const key = await hmacKey(secret, "sign");
  return toHex(new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(text))));
}

/** Whether `signature` is the HMAC of the text under one of these secrets. Compared in constant time by WebCrypto. */
export async function isHmac(text: string, signature: string, secrets: readonly string[]): Promise<boolean> {
  if (!/^[0-9a-f]{64}$/.test(signature)) return false;
  const [bytes, shown] = [encoder.encode(text), fromHex(signature)];
  for (const secret of secrets)
    if (await crypto.subtle.verify("HMAC", await hmacKey(secret, "verify"), shown, bytes)) return true;
  return false;
}

/** Constant time: the digests are compared to their end, so neither length nor a common beginning shows in the time. */
export async function sameText(one: string, other: string): Promise<boolean> {
  const [first, second] = await Promise.all([sha256(one), sha256(other)]);
  let difference = 0;
  first.forEach((byte, index) => {
    difference |= byte ^ (second[index] ?? 0);
  });
  return difference === 0;
}

/** A present secret and the one before it, for both uses and a few purposes. */
const importedKept = 16;
/** Workers and Node name it differently. */
type HmacKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;
const imported = new Map<string, HmacKey>();

/** Kept when it is made, not while it is: a promise of one request must not be awaited by another. */
async function hmacKey(secret: string, use: "sign" | "verify"): Promise<HmacKey> {
  const name = `${use} ${secret}`;
  const known = imported.get(name);
  if (known !== undefined) return known;
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, [use]);
  if (imported.size >= importedKept) imported.clear();
  imported.set(name, key);
  return key;
}
