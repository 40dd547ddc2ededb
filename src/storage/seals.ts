/**
 * Small secrets at rest: sealed with AES-256-GCM under a key derived from a Worker secret, so that rows, exports and
 * backups of them show nothing. The newest key seals; every key that is configured opens, so that one can be replaced.
 *
 * A sealed text says which key closed it and is bound to its place (`about`: the session, the job, the webhook), so that
 * one copied into another row does not open there. Opening never throws: a key that is gone, or bytes that were changed,
 * are an answer that the caller has to show, and the sealed text stays as it is for the day the key is back.
 */

export interface Seals {
  /** null: no key is configured, so nothing can be kept. */
  seal(text: string, about: string): Promise<string | null>;
  /** What was stored before there was sealing is taken as it stands. */
  open(stored: string, about: string): Promise<Opened>;
  /** What should stand there instead: sealed with the newest key. Needed for what is plain or sealed with an older one. */
  renew(stored: string, about: string): Promise<Renewal>;
}

export type Opened = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly why: string };

export type Renewal =
  | { readonly type: "current" }
  | { readonly type: "renewed"; readonly sealed: string }
  /** Left alone. */
  | { readonly type: "unreadable"; readonly why: string };

interface Key {
  /** Says which key it was, and nothing else about it. */
  readonly id: string;
  readonly aes: CryptoKey;
}

const mark = "sealed:1:";
const pattern = /^sealed:1:([0-9a-f]{8}):([A-Za-z0-9+/]+={0,2})$/;
/** Of GCM: random, never used twice under one key in any number of seals we could make. */
const nonceBytes = 12;
const encoder = new TextEncoder();

export function isSealed(stored: string): boolean {
  return stored.startsWith(mark);
}

/** `secrets`: the newest first; none: everything is refused but what stands there in plain. */
export function webSeals(secrets: readonly string[], random: (bytes: number) => Uint8Array<ArrayBuffer>): Seals {
  let derived: readonly Key[] | null = null;
  // The keys are kept, not the promise of them: it belongs to the request that began it, and the platform may drop that one before
  // it settles. Every other request would then wait for ever.
  const keys = async () => (derived ??= await Promise.all(secrets.map(deriveKey)));

  async function open(stored: string, about: string): Promise<Opened> {
    if (!isSealed(stored)) return { ok: true, text: stored };
    const [, id, body] = pattern.exec(stored) ?? [];
    if (id === undefined || body === undefined) return { ok: false, why: "what is stored is not a sealed text" };
    const key = (await keys()).find((each) => each.id === id);
    if (key === undefined) return { ok: false, why: `it was sealed with the key ${id}, which is not configured` };
    try {
      const bytes = fromBase64(body);
      const plain = await crypto.subtle.decrypt(
        { name: "AES-GCM", iv: bytes.slice(0, nonceBytes), additionalData: encoder.encode(about) },
        key.aes,
        bytes.slice(nonceBytes),
      );
      return { ok: true, text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(plain) };
    } catch {
      return { ok: false, why: `what is stored was changed, or belongs elsewhere: the key ${id} does not open it` };
    }
  }

  async function seal(text: string, about: string): Promise<string | null> {
    const [key] = await keys();
    if (key === undefined) return null;
    const nonce = random(nonceBytes);
    const algorithm = { name: "AES-GCM", iv: nonce, additionalData: encoder.encode(about) };
    const closed = new Uint8Array(await crypto.subtle.encrypt(algorithm, key.aes, encoder.encode(text)));
    const bytes = new Uint8Array(nonceBytes + closed.length);
    bytes.set(nonce);
    bytes.set(closed, nonceBytes);
    return `${mark}${key.id}:${toBase64(bytes)}`;
  }

  return {
    seal,
    open,
    async renew(stored, about) {
      const [newest] = await keys();
      if (newest === undefined) return { type: "unreadable", why: "no key is configured" };
      if (stored.startsWith(`${mark}${newest.id}:`)) return { type: "current" };
      const opened = await open(stored, about);
      if (!opened.ok) return { type: "unreadable", why: opened.why };
      const sealed = await seal(opened.text, about);
      return sealed === null ? { type: "unreadable", why: "no key is configured" } : { type: "renewed", sealed };
    },
  };
}

/** From a text of any length to a key and its id, neither of which tells of the other. */
async function deriveKey(secret: string): Promise<Key> {
  const material = await crypto.subtle.importKey("raw", encoder.encode(secret), "HKDF", false, [
    "deriveBits",
    "deriveKey",
  ]);
  const terms = (info: string) => ({
    name: "HKDF",
    hash: "SHA-256",
    salt: new Uint8Array(),
    info: encoder.encode(info),
  });
  const id = new Uint8Array(await crypto.subtle.deriveBits(terms("mooring/seal/1/id"), material, 32));
  const aes = await crypto.subtle.deriveKey(
    terms("mooring/seal/1/key"),
    material,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
  return { id: Array.from(id, (byte) => byte.toString(16).padStart(2, "0")).join(""), aes };
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  // In pieces: a call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return btoa(text);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
