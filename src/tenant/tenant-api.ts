/** What a TenantObject answers over object RPC. Plain data in, plain data out. */
import type { Generation, SessionId } from "../domain/ids.ts";
import type { TeardownView } from "../protocol/sessions.ts";
import type { TenantCounts } from "../fleet/shard-api.ts";
import type { SessionReport, TenantPort } from "../session/reports.ts";
import type { Breaker } from "./breaker.ts";
import type { Ledger } from "./ledger.ts";
import type { Reservation } from "./reservations.ts";
import type { Revocation } from "./revocations.ts";
import type { RegisteredSession } from "./sessions.ts";
import type { TenantUsage } from "./usage.ts";

/** A tenant that never reserved anything answers with nothing, and nothing is written for it (API-12). */
export interface TenantApi extends TenantPort {
  ledger(): Promise<Ledger>;
  /** Every sandbox id that is not proven gone, asserted ones included, in the order of (session, generation). */
  open(after: OpenCursor | null, limit: number): Promise<readonly Reservation[]>;
  /** In the order of the id. Erased ones are listed until their receipts are pruned. */
  sessions(after: SessionId | null, limit: number): Promise<readonly RegisteredSession[]>;
  /**
   * What the index is built from: the newest report of each session that is not erased, in the order of the id. A full page
   * may be followed by another.
   */
  reports(after: SessionId | null, limit: number): Promise<readonly SessionReport[]>;
  counts(): Promise<TenantCounts>;
  usage(): Promise<TenantUsage>;
  /** Effective wherever the list is read again: within a minute (auth.ts). */
  revokeKey(keyId: string): Promise<Revocation>;
  revocations(): Promise<readonly Revocation[]>;
  breaker(): Promise<Breaker>;
  /** The evidence for one generation; `null` asks for the newest. Kept 30 days, longer than the session. */
  receipt(sessionId: SessionId, generation: Generation | null): Promise<TeardownView | null>;
}

export interface OpenCursor {
  readonly sessionId: SessionId;
  readonly generation: Generation;
}
