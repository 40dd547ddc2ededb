/** Which API keys of one tenant are good, and when they were used last. */
import {
  type KeyQuestion,
  type KeyStanding,
  keyStanding,
  noKeys,
  noKeyStanding,
  noteKeyUses,
  readKeys,
  type Revocation,
  revokeAllKeys,
  revokeKey,
  type TenantKeys,
} from "./keys.ts";
import type { TenantRows } from "../tenant-rows.ts";

export class KeyRing {
  readonly #rows: TenantRows;

  constructor(rows: TenantRows) {
    this.#rows = rows;
  }

  revokeKey(keyId: string): Revocation {
    return this.#rows.write((sql, now) => revokeKey(sql, keyId, now));
  }

  revokeAllKeys(): number {
    return this.#rows.write(revokeAllKeys);
  }

  checkKeys({ version, used }: KeyQuestion): KeyStanding {
    if (used.length > 0) this.#rows.write((sql) => noteKeyUses(sql, used));
    return this.#rows.read((sql) => keyStanding(sql, version), noKeyStanding);
  }

  keys(): TenantKeys {
    return this.#rows.read(readKeys, noKeys);
  }
}
