/** What a TenantObject answers over object RPC. Plain data in, plain data out. */
import type { Generation, SessionId } from "../domain/ids.ts";
import type { TeardownView } from "../protocol/sessions.ts";
import type { TenantPort } from "../session/reports.ts";
import type { Ledger } from "./ledger.ts";
import type { Reservation } from "./reservations.ts";
import type { RegisteredSession } from "./sessions.ts";

/** A tenant that never reserved anything answers with nothing, and nothing is written for it (API-12). */
export interface TenantApi extends TenantPort {
  ledger(): Promise<Ledger>;
  /** Every sandbox id that is not proven gone, asserted ones included, in the order of (session, generation). */
  open(after: OpenCursor | null, limit: number): Promise<readonly Reservation[]>;
  /** In the order of the id. Erased ones are listed until their receipts are pruned. */
  sessions(after: SessionId | null, limit: number): Promise<readonly RegisteredSession[]>;
  /** The evidence for one generation; `null` asks for the newest. Kept 30 days, longer than the session. */
  receipt(sessionId: SessionId, generation: Generation | null): Promise<TeardownView | null>;
}

export interface OpenCursor {
  readonly sessionId: SessionId;
  readonly generation: Generation;
}
