/** What one tenant can show of teardowns. */
import type { Generation, SessionId } from "../../domain/state/ids.ts";
import type { ReceiptPage } from "../../protocol/resources/session/receipts.ts";
import type { TeardownView } from "../../protocol/resources/session/sessions.ts";
import { readReceipt } from "../apply-report.ts";
import type { TenantRows } from "../tenant-rows.ts";
import { chainPage, noChain, noReceipts, receiptsOf, type SessionReceiptRows } from "./chain-rows.ts";

export class TenantReceipts {
  readonly #rows: TenantRows;

  constructor(rows: TenantRows) {
    this.#rows = rows;
  }

  receipt(sessionId: SessionId, generation: Generation | null): TeardownView | null {
    return this.#rows.read((sql) => readReceipt(sql, sessionId, generation), null);
  }

  sessionReceipts(sessionId: SessionId): SessionReceiptRows {
    return this.#rows.read((sql) => receiptsOf(sql, sessionId), noReceipts);
  }

  receiptChain(after: number, limit: number): ReceiptPage {
    return this.#rows.read((sql) => chainPage(sql, after, limit), noChain);
  }
}
