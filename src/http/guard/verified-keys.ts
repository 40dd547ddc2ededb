/**
 * The keys whose signature an isolate has checked, so that the next request with one costs no HMAC. Only what never changes is
 * kept: whether a key was revoked or has ended is asked at every request.
 */
import { type ApiKeyClaims, verifyApiKey } from "../../protocol/api-keys.ts";

/** Some 200 bytes each; the oldest go first. */
const keysKept = 1_000;

export class VerifiedKeys {
  readonly #secrets: readonly string[];
  readonly #claims = new Map<string, ApiKeyClaims>();

  /** `secrets`: of the whole life of this isolate. */
  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
  }

  /** null: no key of this Mooring's. Those are not remembered: anybody can make up as many as he likes. */
  async claimsOf(presented: string): Promise<ApiKeyClaims | null> {
    const known = this.#claims.get(presented);
    if (known !== undefined) return known;
    const claims = await verifyApiKey(presented, this.#secrets);
    if (claims === null) return null;
    const [oldest] = this.#claims.keys();
    if (this.#claims.size >= keysKept && oldest !== undefined) this.#claims.delete(oldest);
    this.#claims.set(presented, claims);
    return claims;
  }
}
