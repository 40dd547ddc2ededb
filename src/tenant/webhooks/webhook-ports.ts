/** What the webhooks of a tenant touch outside its rows. */
import type { TenantRows } from "../tenant-rows.ts";
import type { SessionId, TenantId } from "../../domain/state/ids.ts";
import type { EventView } from "../../protocol/resources/session/events.ts";
import type { Reply } from "../../protocol/problem.ts";
import type { Clock, Ids, Logger } from "../../runtime/clock-ids-logger.ts";
import type { Seals } from "../../storage/seals.ts";
import type { Sql } from "../../storage/sql.ts";

/** One attempt. The implementation signs and sends it, within a bound of its own. */
export interface PostOrder {
  readonly url: string;
  /** `whsec_…`, the newest first; each signs. */
  readonly secrets: readonly string[];
  readonly id: string;
  /** Of this attempt, epoch ms: receivers refuse an old one. */
  readonly at: number;
  readonly body: string;
}

export interface PostOutcome {
  /** null: no answer. */
  readonly status: number | null;
  /** null: it was taken. In words for the tenant: nothing of what the receiver answered. */
  readonly error: string | null;
  /** The receiver's `Retry-After`, ms. */
  readonly retryAfterMs: number | null;
  readonly ms: number;
}

export interface WebhookTerms {
  /** Development only: http and private addresses are allowed. */
  readonly allowPrivate: boolean;
  /** Failing for this long, a webhook is disabled. ms */
  readonly disableAfterMs: number;
}

export interface WebhookPorts {
  readonly rows: Pick<TenantRows, "read" | "write">;
  /** One transaction, with the alarm for what it leaves to be done. */
  readonly store: <T>(body: (sql: Sql) => T) => Promise<T>;
  readonly tenant: () => TenantId;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly seals: Seals;
  readonly terms: WebhookTerms;
  /** Strictly after that sequence, in order. May throw or hang. */
  readonly events: (
    session: SessionId,
    tenant: TenantId,
    after: number,
    limit: number,
  ) => Promise<Reply<readonly EventView[]>>;
  /** Never throws. */
  readonly post: (order: PostOrder) => Promise<PostOutcome>;
}

/** What the secret of a webhook is bound to. */
export function sealContext(tenant: TenantId, webhook: string): string {
  return `mooring/webhook/${tenant}/${webhook}`;
}
