/** The tenant's counts, told to its shard of the index as one whole picture; confirmed by the version that it then holds. */
import type { TenantId } from "../domain/ids.ts";
import type { CountsPort } from "../fleet/shard-api.ts";
import type { Clock } from "../session/ambient.ts";
import type { TenantCore } from "./tenant-core.ts";

export interface CountsPorts {
  readonly clock: Clock;
  /** The shard that indexes this tenant. */
  index(tenant: TenantId): CountsPort;
}

/** How long the index may take to confirm. */
const tellBoundMs = 10_000;

/** Rejects when it is not confirmed in time: the caller tells again. */
export async function tellCounts(ports: CountsPorts, tenant: TenantId, core: TenantCore): Promise<void> {
  const answered = new AbortController();
  const late = ports.clock.sleep(tellBoundMs, answered.signal).then((): never => {
    throw new Error("no answer in time");
  });
  try {
    const told = ports.index(tenant).counts({ tenant, ...core.counts() });
    core.countsConfirmed((await Promise.race([told, late])).version);
  } finally {
    answered.abort();
  }
}
