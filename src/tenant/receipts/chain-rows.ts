/**
 * The tenant's chain of signed receipts, in rows. A statement enters the chain in the transaction that first hears of the proof,
 * and takes the next sequence there; it is signed afterwards, because signing is asynchronous. So the order of the chain is the
 * order in which proofs were heard, whatever happens to the signing.
 */
import type { Generation, SessionId } from "../../domain/state/ids.ts";
import type { ReceiptBody, ReceiptPage, SignedReceiptView } from "../../protocol/resources/session/receipts.ts";
import type { Sql } from "../../storage/sql.ts";
import { readNamed, writeNamed } from "../named-values.ts";

export interface UnsignedStatement {
  readonly sequence: number;
  readonly body: ReceiptBody;
  /** The hash of the receipt before it; null: it is the first. */
  readonly previous: string | null;
}

export interface ChainHead {
  readonly sequence: number;
  readonly hash: string;
}

/** Every report repeats its receipts: the first that is heard is the one that is signed. */
export function enterStatement(
  sql: Sql,
  sessionId: SessionId,
  generation: Generation,
  body: ReceiptBody,
  now: number,
): void {
  if (sql.run("SELECT 1 FROM statement WHERE session_id = ? AND generation = ?", sessionId, generation).length > 0)
    return;
  sql.run(
    "INSERT INTO statement (sequence, session_id, generation, body, signed, stored_at) VALUES (?, ?, ?, ?, 0, ?)",
    ...[lastSequence(sql) + 1, sessionId, generation, JSON.stringify(body), now],
  );
}

/** Never given twice: only what is signed is pruned, and the head stays. A counter of its own would be one more row for each receipt. */
function lastSequence(sql: Sql): number {
  const last = sql.run("SELECT max(sequence) AS last FROM statement")[0]?.["last"];
  return Math.max(headSequence(sql), Number(last ?? 0));
}

function headSequence(sql: Sql): number {
  return readHead(sql)?.sequence ?? 0;
}

/** Signed in the order of the sequence, so what is not signed stands behind the head: no index is needed to find it. */
const unsigned = "sequence > ? AND signed = 0";

/** null: everything is signed. */
export function firstUnsigned(sql: Sql): UnsignedStatement | null {
  const head = readHead(sql);
  const statement = `SELECT sequence, body FROM statement WHERE ${unsigned} ORDER BY sequence LIMIT 1`;
  const row = sql.run(statement, head?.sequence ?? 0)[0];
  if (row === undefined) return null;
  const body = JSON.parse(row["body"] as string) as ReceiptBody;
  return { sequence: row["sequence"] as number, body, previous: head?.hash ?? null };
}

export function unsignedCount(sql: Sql): number {
  const statement = `SELECT count(*) AS unsigned FROM statement WHERE ${unsigned}`;
  return Number(sql.run(statement, headSequence(sql))[0]?.["unsigned"]);
}

/** Only in its turn: one that was signed meanwhile stays as it is. false: it was not its turn. */
export function keepSigned(sql: Sql, receipt: SignedReceiptView): boolean {
  const { sequence, previous } = receipt.statement;
  const head = readHead(sql);
  if ((head?.hash ?? null) !== previous || sequence !== (head?.sequence ?? 0) + 1) return false;
  const written = sql.run(
    "UPDATE statement SET body = ?, signed = 1 WHERE sequence = ? AND signed = 0 RETURNING sequence",
    ...[JSON.stringify(receipt), sequence],
  );
  if (written.length === 0) return false;
  writeNamed<ChainHead | null>(sql, "chain_head", head, { sequence, hash: receipt.hash });
  return true;
}

export function readHead(sql: Sql): ChainHead | null {
  return readNamed<ChainHead | null>(sql, "chain_head", null);
}

export interface SessionReceiptRows {
  readonly data: readonly SignedReceiptView[];
  readonly unsigned: number;
}

export const noReceipts: SessionReceiptRows = { data: [], unsigned: 0 };

export function receiptsOf(sql: Sql, sessionId: SessionId): SessionReceiptRows {
  const rows = sql.run("SELECT body, signed FROM statement WHERE session_id = ? ORDER BY sequence", sessionId);
  const signed = rows.filter((row) => row["signed"] === 1);
  return { data: signed.map(receiptIn), unsigned: rows.length - signed.length };
}

export const noChain: ReceiptPage = { data: [], next_cursor: null, head: null, unsigned: 0 };

/** Strictly after that sequence. */
export function chainPage(sql: Sql, after: number, limit: number): ReceiptPage {
  const rows = sql.run(
    "SELECT sequence, body FROM statement WHERE sequence > ? AND signed = 1 ORDER BY sequence LIMIT ?",
    ...[after, limit + 1],
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const next = rows.length > limit && last !== undefined ? String(last["sequence"]) : null;
  return { data: page.map(receiptIn), next_cursor: next, head: readHead(sql), unsigned: unsignedCount(sql) };
}

/**
 * From the oldest on and signed ones only, so that what is left is still one chain: it ends at the first that is not old enough.
 * The receipt of each goes with its statement, so neither needs an index of its age. true: there may be more.
 */
export function pruneChain(sql: Sql, before: number, limit: number): boolean {
  const oldest = sql.run("SELECT sequence, signed, stored_at FROM statement ORDER BY sequence LIMIT ?", limit);
  const kept = oldest.findIndex((row) => row["signed"] !== 1 || Number(row["stored_at"]) >= before);
  const gone = kept === -1 ? oldest : oldest.slice(0, kept);
  const last = gone.at(-1)?.["sequence"];
  if (last !== undefined) {
    sql.run(
      `DELETE FROM receipt WHERE (session_id, generation) IN
         (SELECT session_id, generation FROM statement WHERE sequence <= ?)`,
      last,
    );
    sql.run("DELETE FROM statement WHERE sequence <= ?", last);
  }
  return gone.length >= limit;
}

function receiptIn(row: Readonly<Record<string, unknown>>): SignedReceiptView {
  return JSON.parse(row["body"] as string) as SignedReceiptView;
}
