/** Asks the tenant's registry for a place among its paused sessions, and puts a refusal into words. */
import type { Session } from "../../../domain/state/session.ts";
import { bounded, timedOut } from "../../../calls/bounded-call.ts";
import type { SessionPorts } from "../../ports.ts";
import type { PauseReply } from "../../reports/reports.ts";

export interface PauseRefusal {
  /** In sessions, or in MiB. */
  readonly limit: number;
  readonly used: number;
  readonly words: string;
}

/** null: it may pause. A registry that does not answer refuses nothing: keeping files matters more than a cap. */
export async function askToPause(ports: SessionPorts, session: Session): Promise<PauseRefusal | null> {
  const { clock, policy, logger } = ports;
  const order = { sessionId: session.id, createdAt: session.createdAt };
  try {
    const reply = await bounded(clock, policy.observeMs, () => ports.tenant(session.tenant).admitPause(order));
    if (reply !== timedOut) return reply.admitted ? null : refusalOf(reply);
    logger.warn("the registry did not answer whether a session may pause", { session: session.id });
  } catch (error) {
    logger.warn("could not ask whether a session may pause", { session: session.id, error: String(error) });
  }
  return null;
}

function refusalOf({ of, limit, used }: Extract<PauseReply, { admitted: false }>): PauseRefusal {
  if (of === "paused_sessions")
    return { limit, used, words: `The tenant may have ${limit} paused sessions and has ${used} (TENANT_MAX_PAUSED).` };
  const [most, taken] = [Math.floor(limit / 2 ** 20), Math.ceil(used / 2 ** 20)];
  const words = `The snapshots of the tenant may take ${most} MiB together and take ${taken} MiB (TENANT_MAX_SNAPSHOT_MIB).`;
  return { limit: most, used: taken, words };
}
