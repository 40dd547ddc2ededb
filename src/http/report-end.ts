/** Tells the index that a caller has just ended a session, so that their next list shows it as ending. The outcome comes later, in the session's own report. */
import type { SessionId } from "../domain/state/ids.ts";
import type { SessionView } from "../protocol/resources/session/sessions.ts";
import { bounded } from "../calls/bounded-call.ts";
import type { TenantContext } from "./route.ts";

/** Longer than one hop takes. The end itself is stored: an index that does not answer hears of it from the session. */
const waitMs = 1_000;

/** Nothing of a session that does not end. Never throws. */
export async function reportEnd(
  context: TenantContext,
  { id, status }: Pick<SessionView, "id" | "status">,
): Promise<void> {
  if (status !== "terminating" && status !== "terminated" && status !== "failed") return;
  const end = { sessionId: id as SessionId, status };
  try {
    await bounded(context.clock, waitMs, () => context.backend.shard(context.caller.tenant).toldEnd(end));
  } catch (error) {
    context.log.warn("the index was not told of an end", { error: String(error) });
  }
}
