/** I11 from the registry's side: the ledger's equation, and the cap. */
import type { Generation, SessionId } from "../../src/domain/ids.ts";
import type { QuotaTerms } from "../../src/tenant/quota.ts";
import type { Reservation } from "../../src/tenant/reservations.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import type { SimStorage } from "./sim-storage.ts";
import { reservationKey } from "./world-checks.ts";

const all = 10_000;

export class RegistryWatch {
  readonly #storage: SimStorage;
  readonly #core: TenantCore;
  readonly #cap: number;
  readonly #asserted: () => number;
  #seenWrites = -1;
  #reservations: ReadonlyMap<string, Reservation> = new Map();

  constructor(storage: SimStorage, terms: QuotaTerms, now: () => number, asserted: () => number) {
    this.#asserted = asserted;
    this.#storage = storage;
    // A reader of its own: it sees what is stored, whatever became of the object.
    this.#core = new TenantCore(storage, { now }, terms);
    this.#cap = terms.maxSandboxes;
  }

  /** Everything not released; by session and generation. */
  get reservations(): ReadonlyMap<string, Reservation> {
    return this.#reservations;
  }

  ledger(): ReturnType<TenantCore["ledger"]> {
    return this.#core.ledger();
  }

  receipt(session: SessionId, generation: Generation): ReturnType<TenantCore["receipt"]> {
    return this.#core.receipt(session, generation);
  }

  check(): readonly string[] {
    const writes = this.#storage.writesTo("reservation", "tally");
    if (writes === this.#seenWrites) return [];
    this.#seenWrites = writes;
    const rows = this.#core.open(null, all);
    this.#reservations = new Map(rows.map((row) => [reservationKey(row.sessionId, row.generation), row]));
    const { used, imbalances } = this.#core.ledger();
    const found = imbalances
      .filter((each) => each.type === "equation" || each.type === "tally")
      .map((each) => `I11: ${JSON.stringify(each)}`);
    // What was asserted gone and is seen alive is reserved again whatever the cap says.
    if (used > this.#cap + this.#asserted())
      found.push(`CAP-5: ${used} sandboxes are reserved, ${this.#cap} are allowed`);
    return found;
  }
}
