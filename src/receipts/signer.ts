/** Signs statements with Ed25519. The key pair follows from a Worker secret, so that rotating it is changing a secret. */
import {
  canonicalJson,
  fromBase64Url,
  keyIdOf,
  type PublicKey,
  sha256Hex,
  type SignedReceipt,
  signedBytes,
  toBase64Url,
  utf8,
} from "./verify.ts";

export interface ReceiptSigner {
  /** null: no secret is configured, so nothing can be signed. */
  sign(statement: SignedReceipt["statement"]): Promise<SignedReceipt | null>;
  /** Of every secret that is configured, the one that signs first. */
  publicKeys(): Promise<readonly PublicKey[]>;
}

interface KeyPair {
  readonly keyId: string;
  readonly publicKey: string;
  readonly privateKey: CryptoKey;
}

/** A private key of PKCS #8 (RFC 8410) is these bytes and the 32 of its seed. */
const pkcs8Head = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32]);

/** `secrets`: the newest first. Older ones sign nothing; their public keys stay listed as long as they are configured. */
export function receiptSigner(secrets: readonly string[]): ReceiptSigner {
  let made: readonly KeyPair[] | null = null;
  // The pairs are kept, not the promise of them: a promise that one request began must not be awaited by another.
  const pairs = async () => (made ??= await Promise.all(secrets.map(pairOf)));
  return {
    async sign(statement) {
      const [pair] = await pairs();
      if (pair === undefined) return null;
      const text = canonicalJson(statement);
      const signature = await crypto.subtle.sign({ name: "Ed25519" }, pair.privateKey, signedBytes(text));
      return {
        statement,
        hash: await sha256Hex(utf8(text)),
        key_id: pair.keyId,
        signature: toBase64Url(new Uint8Array(signature)),
      };
    },
    async publicKeys() {
      return (await pairs()).map(({ keyId, publicKey }) => ({ key_id: keyId, public_key: publicKey }));
    },
  };
}

/** The seed is a hash of the secret under a name of its own: any text serves, and the same text elsewhere gives away nothing. */
async function pairOf(secret: string): Promise<KeyPair> {
  const seed = new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(`mooring receipt signing\n${secret}`)));
  const document = new Uint8Array(pkcs8Head.length + seed.length);
  document.set(pkcs8Head);
  document.set(seed, pkcs8Head.length);
  const extractable = await crypto.subtle.importKey("pkcs8", document, { name: "Ed25519" }, true, ["sign"]);
  const { x: publicKey } = (await crypto.subtle.exportKey("jwk", extractable)) as { readonly x?: string };
  const raw = publicKey === undefined ? null : fromBase64Url(publicKey);
  if (publicKey === undefined || raw === null)
    throw new Error("the platform exported an Ed25519 key without its public part");
  const privateKey = await crypto.subtle.importKey("pkcs8", document, { name: "Ed25519" }, false, ["sign"]);
  return { keyId: await keyIdOf(raw), publicKey, privateKey };
}
