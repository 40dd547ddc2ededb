import { defaultTemplate } from "../../domain/state/template.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { SnapshotView } from "../../protocol/resources/tenant/snapshots.ts";
import type { TenantSnapshot } from "./snapshot-rows.ts";

const statuses = { taking: "taking", kept: "ready", deleting: "deleting", gone: "deleted" } as const;

export function snapshotViewOf(snapshot: TenantSnapshot): SnapshotView {
  const { deletion } = snapshot;
  return {
    id: snapshot.id,
    name: snapshot.name,
    session_id: snapshot.sessionId,
    status: statuses[snapshot.phase],
    provider: snapshot.provider,
    template: snapshot.template ?? defaultTemplate,
    size_bytes: snapshot.bytes,
    created_at: rfc3339(snapshot.createdAt),
    failure: snapshot.failure,
    deletion: deletion && {
      requested_at: rfc3339(deletion.requestedAt),
      attempts: deletion.attempts,
      last_error: deletion.lastError,
      verified_absent_at: deletion.verifiedAbsentAt === null ? null : rfc3339(deletion.verifiedAbsentAt),
      evidence: deletion.evidence,
    },
  };
}
