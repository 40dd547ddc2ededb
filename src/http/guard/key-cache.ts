/**
 * Which API keys are revoked, as an isolate knows it: each tenant's list, kept for half a minute and then asked for what changed, so
 * that a revocation holds everywhere within a minute and a request costs no call of its own. The question tells which keys were used. A key that cannot be checked
 * is refused with 503: to let it in would make an outage of the registry a way around a revocation.
 */
import { bounded, timedOut } from "../../calls/bounded-call.ts";
import type { TenantId } from "../../domain/state/ids.ts";
import { readKeyId } from "../../protocol/api-keys.ts";
import type { Reply } from "../../protocol/problem.ts";
import type { Clock, Logger } from "../../runtime/clock-ids-logger.ts";
import { type Backend, briefly } from "../backend.ts";
import { refused } from "../answer/problem.ts";

const freshMs = 30_000;
/** While the registry does not answer an older list may stand in, up to the minute that is promised. */
const usableMs = 55_000;
const askMs = 3_000;
/** Some hundred bytes each; the oldest go first. */
const tenantsKept = 1_000;
/** Told in one question; a tenant that uses more has the rest told by other isolates, or later. */
const usesTold = 50;

interface Known {
  readonly at: number;
  readonly version: string;
  readonly revokedBefore: number;
  readonly keyIds: ReadonlySet<string>;
}

export class KeyCache {
  readonly #backend: Pick<Backend, "tenant">;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #known = new Map<TenantId, Known>();
  /** Key ids and when each was used last, since they were told. */
  readonly #used = new Map<TenantId, Map<string, number>>();

  constructor(backend: Pick<Backend, "tenant">, clock: Clock, log: Logger) {
    this.#backend = backend;
    this.#clock = clock;
    this.#log = log;
  }

  async isRevoked(tenant: TenantId, keyId: string): Promise<Reply<boolean>> {
    const known = this.#known.get(tenant);
    const now = this.#clock.now();
    this.#noteUse(tenant, keyId, now);
    const age = known === undefined ? Number.POSITIVE_INFINITY : now - known.at;
    if (known !== undefined && age >= 0 && age < freshMs) return { ok: true, value: isVoid(known, keyId) };
    const read = await this.#read(tenant);
    if (read !== null) return { ok: true, value: isVoid(read, keyId) };
    if (known !== undefined && age >= 0 && age < usableMs) return { ok: true, value: isVoid(known, keyId) };
    return refused({
      code: "unavailable",
      detail: "Whether this API key was revoked could not be checked, so nothing was done. Try again in a moment.",
    });
  }

  #noteUse(tenant: TenantId, keyId: string, now: number): void {
    const used = this.#used.get(tenant) ?? new Map<string, number>();
    if (used.has(keyId) || used.size < usesTold) this.#used.set(tenant, used.set(keyId, now));
  }

  async #read(tenant: TenantId): Promise<Known | null> {
    // As old as the question: what is revoked while it is answered may be missing from it.
    const at = this.#clock.now();
    try {
      const before = this.#known.get(tenant);
      const used = [...(this.#used.get(tenant) ?? [])].map(([keyId, usedAt]) => ({ keyId, at: usedAt }));
      // Also when no answer comes: a use that is not told is told by the next one.
      this.#used.delete(tenant);
      const question = { version: before?.version ?? null, used };
      const standing = await bounded(this.#clock, askMs, () => this.#backend.tenant(tenant).checkKeys(question));
      if (standing === timedOut) throw new Error(`the tenant did not say which keys hold within ${askMs} ms`);
      const { version, revokedBefore } = standing;
      const keyIds = standing.keyIds === null ? (before?.keyIds ?? new Set<string>()) : new Set(standing.keyIds);
      const known = { at, version, revokedBefore, keyIds };
      this.#known.delete(tenant);
      this.#known.set(tenant, known);
      const [oldest] = this.#known.keys();
      if (this.#known.size > tenantsKept && oldest !== undefined) this.#known.delete(oldest);
      return known;
    } catch (error) {
      this.#log.warn("revocations could not be read", { tenant, error: briefly(error) });
      return null;
    }
  }
}

function isVoid({ keyIds, revokedBefore }: Known, keyId: string): boolean {
  return keyIds.has(keyId) || readKeyId(keyId).issuedAt <= revokedBefore;
}
