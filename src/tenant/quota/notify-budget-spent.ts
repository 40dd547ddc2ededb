/** Tells the sessions that cost something that the tenant's budget for the month is used up. A session that does not answer is told again. */
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { Generation, SessionId } from "../../domain/state/ids.ts";
import type { Clock, Logger } from "../../runtime/clock-ids-logger.ts";
import type { TenantCore } from "../tenant-core.ts";

interface SpentPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** May throw or hang. */
  readonly budgetSpent: (sessionId: SessionId) => Promise<{ readonly known: boolean }>;
}

const boundMs = 10_000;
/** A session that did not answer is told again after this. One that newer code wrote does not answer for days. */
const againMs = 60_000;
/** Told at once in one alarm; the rest come in the next. */
const atOnce = 20;

export async function notifyBudgetSpent(ports: SpentPorts, core: TenantCore): Promise<void> {
  await Promise.all(core.budget.sessionsToNotify(atOnce).map((each) => notify(ports, core, each)));
}

async function notify(
  { clock, logger, budgetSpent }: SpentPorts,
  core: TenantCore,
  { sessionId, generation }: { readonly sessionId: SessionId; readonly generation: Generation },
): Promise<void> {
  const answer = await outcomeWithin(clock, boundMs, () => budgetSpent(sessionId));
  if (answer.type !== "answered") {
    logger.warn("a session was not told that the budget is used up", { session: sessionId });
    core.budget.notifyLater(sessionId, generation, clock.now() + againMs);
    return;
  }
  // Also when there is no session of that id: nothing of it is to be paused.
  core.budget.notified(sessionId, generation);
}
