/** Signs what entered the tenant's chain, in its order, beside the answers and from the alarm. */
import type { TenantId } from "../../domain/state/ids.ts";
import type { SignedReceiptView } from "../../protocol/resources/session/receipts.ts";
import type { Logger } from "../../runtime/clock-ids-logger.ts";
import type { Sql } from "../../storage/sql.ts";
import { firstUnsigned, keepSigned, unsignedCount } from "./chain-rows.ts";

export interface ChainSignerPorts {
  /** null: no signing key is configured. */
  sign(statement: SignedReceiptView["statement"]): Promise<SignedReceiptView | null>;
  /** The tenant's tables; of a tenant that never was: `empty`. */
  look<T>(body: (sql: Sql) => T, empty: T): T;
  /** One transaction, with the alarm for what it leaves to be done. */
  store<T>(body: (sql: Sql) => T): Promise<T>;
  tenant(): TenantId;
  readonly logger: Logger;
}

/** Some ms each. What is left follows with the next wake. */
const atOnce = 100;

export class ChainSigner {
  readonly #ports: ChainSignerPorts;
  #signing = false;
  /** A tenant without a key is not asked again and again: a deploy that brings one makes a new object. */
  #withoutKey = false;

  constructor(ports: ChainSignerPorts) {
    this.#ports = ports;
  }

  /** Something could be signed now. */
  get due(): boolean {
    return !this.#withoutKey && this.#ports.look((sql) => unsignedCount(sql) > 0, false);
  }

  /** Never rejects. One at a time: each statement names the hash of the one before it. */
  async sign(): Promise<void> {
    if (this.#signing) return;
    this.#signing = true;
    try {
      for (let count = 0; count < atOnce; count += 1) if (!(await this.#signNext())) return;
    } catch (error) {
      this.#ports.logger.warn("receipts were not signed", { tenant: this.#ports.tenant(), error: String(error) });
    } finally {
      this.#signing = false;
    }
  }

  /** false: nothing is left to sign, nothing to sign with, or the chain has moved on. */
  async #signNext(): Promise<boolean> {
    const next = this.#ports.look(firstUnsigned, null);
    if (next === null) return false;
    const { body, sequence, previous } = next;
    const tenant = this.#ports.tenant();
    const signed = await this.#ports.sign({ ...body, type: "mooring.receipt/1", tenant, sequence, previous });
    this.#withoutKey = signed === null;
    if (signed === null) return false;
    return await this.#ports.store((sql) => keepSigned(sql, signed));
  }
}
