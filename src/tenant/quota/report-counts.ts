/** The tenant's counts, told to its shard of the index as one whole picture; confirmed by the version that it then holds. */
import { bounded, timedOut } from "../../calls/bounded-call.ts";
import type { TenantId } from "../../domain/state/ids.ts";
import type { CountsPort } from "../../fleet/shard/shard-api.ts";
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import type { TenantCore } from "../tenant-core.ts";

export interface CountsPorts {
  readonly clock: Clock;
  /** The shard that indexes this tenant. */
  index(tenant: TenantId): CountsPort;
}

/** How long the index may take to confirm. */
const confirmWithinMs = 10_000;

/** Rejects when it is not confirmed in time: the caller tells again. */
export async function reportCounts(ports: CountsPorts, tenant: TenantId, core: TenantCore): Promise<void> {
  const counts = { tenant, ...core.counts() };
  const reply = await bounded(ports.clock, confirmWithinMs, () => ports.index(tenant).counts(counts));
  if (reply === timedOut) throw new Error(`the shard did not confirm the counts within ${confirmWithinMs} ms`);
  core.rows.countsConfirmed(reply.version);
}
