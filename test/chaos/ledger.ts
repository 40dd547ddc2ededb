/**
 * The tenants' books, read from the stopped worker's own storage with the code that will serve them: there is no route
 * for them yet. Balanced means that what was granted is accounted for and that nothing is used once everything has ended.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type Counts, readLedger } from "../../src/tenant/ledger.ts";
import { nodeSql } from "../support/node-sql.ts";

export interface Books {
  readonly counts: Counts;
  readonly used: number;
  /** Of sandboxes proven gone. */
  readonly receipts: number;
  readonly breaches: readonly string[];
}

/** `stateDirectory`: of the stack, whose worker is stopped. Null when no tenant was ever stored. */
export function readBooks(stateDirectory: string): Books | null {
  const folder = join(stateDirectory, "worker", "v3", "do", "mooring-TenantObject");
  const files = readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  const all = files.map((name) => readOne(join(folder, name))).filter((books) => books.counts.granted > 0);
  const [only] = all;
  if (only === undefined) return null;
  if (all.length > 1)
    return { ...only, breaches: [...only.breaches, `${all.length} tenants have books; one was used.`] };
  return only;
}

function readOne(file: string): Books {
  const sql = nodeSql(file);
  try {
    const ledger = readLedger(sql);
    const breaches = ledger.imbalances.map((imbalance) => `the ledger does not balance: ${JSON.stringify(imbalance)}`);
    const receipts = sql.run(
      `SELECT count(*) AS amount FROM receipt JOIN reservation USING (session_id, generation)
       WHERE state = 'proven' AND json_extract(body, '$.verified_absent_at') IS NOT NULL`,
    );
    return { counts: ledger.counts, used: ledger.used, receipts: Number(receipts[0]?.["amount"] ?? 0), breaches };
  } finally {
    sql.close();
  }
}
