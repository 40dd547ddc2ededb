/** What a TenantObject answers over object RPC. Plain data in, plain data out. */
import type { Container } from "../domain/state/container.ts";
import type { ContainerResolution } from "../domain/rules/container-exits.ts";
import type { Rejection } from "../domain/machine/events.ts";
import type { ContainerId, Generation, SessionId } from "../domain/state/ids.ts";
import type { TeardownView } from "../protocol/resources/session/sessions.ts";
import type { TenantCounts } from "../fleet/shard/shard-api.ts";
import type { ReceiptPage } from "../protocol/resources/session/receipts.ts";
import type { Reply } from "../protocol/problem.ts";
import type { SnapshotView } from "../protocol/resources/tenant/snapshots.ts";
import type {
  ChangeWebhook,
  CreateWebhook,
  DeliveryView,
  WebhookView,
  WebhookWithSecret,
} from "../protocol/resources/tenant/webhooks.ts";
import type { MonthSpend, SessionReport, TenantPort } from "../session/reports/reports.ts";
import type { SealCount } from "../session/session-api.ts";
import type { Breaker } from "./quota/breaker.ts";
import type { ListedContainer } from "./containers/containers.ts";
import type { ForgottenRow } from "./forgotten.ts";
import type { Ledger } from "./ledger.ts";
import type { Reservation } from "./quota/reservations.ts";
import type { SessionReceiptRows } from "./receipts/chain-rows.ts";
import type { KeyQuestion, KeyStanding, Revocation, TenantKeys } from "./keys/keys.ts";
import type { RegisteredSession } from "./sessions.ts";
import type { SnapshotCounts, SnapshotQuery } from "./snapshots/snapshot-rows.ts";
import type { TenantUsage } from "./usage.ts";

/** A tenant that never reserved anything answers with nothing, and nothing is written for it. */
export interface TenantApi extends TenantPort {
  ledger(): Promise<Ledger>;
  /** Snapshots that operators took off sessions: their files may still be there. At most `limit`. */
  forgottenSnapshots(limit: number): Promise<readonly ForgottenRow[]>;
  /** Newest first, without those that are proven gone. */
  snapshots(query: SnapshotQuery): Promise<readonly SnapshotView[]>;
  /** Whose bytes may be at a provider: in the order of the id, at most `limit`. For the audit. */
  unreleasedSnapshots(after: string | null, limit: number): Promise<readonly { readonly id: string }[]>;
  /** Waits up to `waitMs` for the proof; null: there is none of that id or name. */
  deleteSnapshot(reference: string, waitMs: number): Promise<SnapshotView | null>;
  snapshotCounts(): Promise<SnapshotCounts>;
  /** Every sandbox id that is not proven gone, asserted ones included, in the order of (session, generation). */
  open(after: OpenCursor | null, limit: number): Promise<readonly Reservation[]>;
  /** In the order of the id. Erased ones are listed until their receipts are pruned. */
  sessions(after: SessionId | null, limit: number): Promise<readonly RegisteredSession[]>;
  /**
   * What the index is built from: the newest report of each session that is not erased, in the order of the id. A full page
   * may be followed by another.
   */
  reports(after: SessionId | null, limit: number): Promise<readonly SessionReport[]>;
  /** Shared containers with their members, in the order of the id; those that are gone too, while their receipts are kept. */
  containers(
    after: ContainerId | null,
    limit: number,
    phase?: Container["phase"] | null,
  ): Promise<readonly ListedContainer[]>;
  /** null: there is none of that id, or it went so long ago that it is forgotten. */
  container(id: ContainerId): Promise<ListedContainer | null>;
  /** `revision` null: whatever it is by now. Its next attempt, where one is due, begins beside the answer. */
  resolveContainer(id: ContainerId, order: ContainerResolution, revision: number | null): Promise<ContainerReply>;
  counts(): Promise<TenantCounts>;
  usage(): Promise<TenantUsage>;
  /** What it uses of what it may use. */
  standing(): Promise<TenantStanding>;
  /** Effective wherever the list is read again: within a minute (auth.ts). */
  revokeKey(keyId: string): Promise<Revocation>;
  /** Voids every existing key; answers the issue time up to which keys are void. */
  revokeAllKeys(): Promise<number>;
  /** What a front must know to judge keys, and which keys it saw. */
  checkKeys(question: KeyQuestion): Promise<KeyStanding>;
  keys(): Promise<TenantKeys>;
  breaker(): Promise<Breaker>;
  /** Problems of all of these: not_found; validation_failed for an address that is not public; secret_missing; quota_exhausted. */
  createWebhook(body: CreateWebhook): Promise<Reply<WebhookWithSecret>>;
  webhooks(): Promise<readonly WebhookView[]>;
  webhook(id: string): Promise<Reply<WebhookView>>;
  changeWebhook(id: string, body: ChangeWebhook): Promise<Reply<WebhookView>>;
  /** With everything that waits for it. */
  deleteWebhook(id: string): Promise<Reply<null>>;
  rotateWebhook(id: string): Promise<Reply<WebhookWithSecret>>;
  webhookDeliveries(id: string, query: DeliveryQuery): Promise<Reply<DeliveryPage>>;
  testWebhook(id: string): Promise<Reply<DeliveryView>>;
  redeliver(id: string, delivery: string): Promise<Reply<DeliveryView>>;
  /** Seals anew what an older key sealed. */
  reseal(): Promise<SealCount>;
  /** The evidence for one generation; `null` asks for the newest. Kept 30 days, longer than the session. */
  receipt(sessionId: SessionId, generation: Generation | null): Promise<TeardownView | null>;
  /** The signed receipts of one session, oldest first. */
  sessionReceipts(sessionId: SessionId): Promise<SessionReceiptRows>;
  /** The chain, strictly after that sequence. */
  receiptChain(after: number, limit: number): Promise<ReceiptPage>;
}

export interface TenantStanding {
  /** `used`: whatever may physically exist. */
  readonly sandboxes: { readonly used: number; readonly limit: number };
  readonly month: MonthSpend;
}

export interface DeliveryQuery {
  readonly state: DeliveryView["state"] | null;
  /** Strictly before this position; null: from the newest. */
  readonly before: number | null;
  readonly limit: number;
}

export interface DeliveryPage {
  /** Newest first. */
  readonly deliveries: readonly DeliveryView[];
  /** `before` of the next page; null: there is none. */
  readonly next: number | null;
}

export type ContainerReply =
  | { readonly type: "moved"; readonly container: ListedContainer }
  | { readonly type: "rejected"; readonly rejection: Rejection }
  /** It has changed since it was looked at. */
  | { readonly type: "changed" }
  | { readonly type: "unknown" };

export interface OpenCursor {
  readonly sessionId: SessionId;
  readonly generation: Generation;
}
