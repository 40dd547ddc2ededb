/**
 * Which API keys are revoked, as an isolate knows it: each tenant's list, read from its registry and kept for half a minute,
 * so that a revocation holds everywhere within a minute and a request costs no call of its own. A key that cannot be checked
 * is refused with 503: to let it in would make an outage of the registry a way around a revocation.
 */
import type { TenantId } from "../domain/ids.ts";
import type { Reply } from "../protocol/problem.ts";
import type { Clock, Logger } from "../session/ambient.ts";
import { type Backend, briefly } from "./backend.ts";
import { refused } from "./problem.ts";

const freshMs = 30_000;
/** While the registry does not answer an older list may stand in, up to the minute that is promised. */
const usableMs = 55_000;
const askMs = 3_000;
/** Some hundred bytes each; the oldest go first. */
const tenantsKept = 1_000;

interface Known {
  readonly at: number;
  readonly keyIds: ReadonlySet<string>;
}

export class RevocationCache {
  readonly #backend: Pick<Backend, "tenant">;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #known = new Map<TenantId, Known>();

  constructor(backend: Pick<Backend, "tenant">, clock: Clock, log: Logger) {
    this.#backend = backend;
    this.#clock = clock;
    this.#log = log;
  }

  async isRevoked(tenant: TenantId, keyId: string): Promise<Reply<boolean>> {
    const known = this.#known.get(tenant);
    const age = known === undefined ? Number.POSITIVE_INFINITY : this.#clock.now() - known.at;
    if (known !== undefined && age >= 0 && age < freshMs) return { ok: true, value: known.keyIds.has(keyId) };
    const read = await this.#read(tenant);
    if (read !== null) return { ok: true, value: read.keyIds.has(keyId) };
    if (known !== undefined && age >= 0 && age < usableMs) return { ok: true, value: known.keyIds.has(keyId) };
    return refused({
      code: "unavailable",
      detail: "Whether this API key was revoked could not be checked, so nothing was done. Try again in a moment.",
    });
  }

  async #read(tenant: TenantId): Promise<Known | null> {
    // As old as the question: what is revoked while it is answered may be missing from it.
    const at = this.#clock.now();
    const answered = new AbortController();
    try {
      const revocations = await Promise.race([
        this.#backend.tenant(tenant).revocations(),
        this.#clock.sleep(askMs, answered.signal).then((): never => {
          throw new Error("no answer in time");
        }),
      ]);
      const known = { at, keyIds: new Set(revocations.map((each) => each.keyId)) };
      this.#known.delete(tenant);
      this.#known.set(tenant, known);
      const [oldest] = this.#known.keys();
      if (this.#known.size > tenantsKept && oldest !== undefined) this.#known.delete(oldest);
      return known;
    } catch (error) {
      this.#log.warn("revocations could not be read", { tenant, error: briefly(error) });
      return null;
    } finally {
      answered.abort();
    }
  }
}
