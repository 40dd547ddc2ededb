/** Asks the sessions of reservations that should long have become a lease what became of them; what none knows is given back. */
import { outcomeWithin } from "../calls/outcome-within.ts";
import type { SessionId } from "../domain/state/ids.ts";
import type { Clock, Logger } from "../runtime/clock-ids-logger.ts";
import type { Reservation } from "./quota/reservations.ts";
import type { TenantCore } from "./tenant-core.ts";

export interface OverduePorts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** `known` false: it has no record. May throw or hang. */
  poke(sessionId: SessionId): Promise<{ readonly known: boolean }>;
}

/** How long one session may take to answer: a healthy one needs some ms. */
const pokeBoundMs = 10_000;
/** Asked at once in one alarm; the rest come in the next. */
const pokesAtOnce = 6;

export async function askOverdue(ports: OverduePorts, core: TenantCore): Promise<void> {
  await Promise.all(core.quota.takeOverdue(pokesAtOnce).map((each) => ask(ports, core, each)));
}

async function ask(ports: OverduePorts, core: TenantCore, reservation: Reservation): Promise<void> {
  const { clock, logger } = ports;
  const { sessionId, generation, sandboxId } = reservation;
  const answer = await outcomeWithin(clock, pokeBoundMs, () => ports.poke(sessionId));
  const reply = answer.type === "answered" ? answer.value : null;
  if (reply?.known === false) core.quota.sessionVanished(reservation);
  const said = reply === null ? "no answer" : reply.known ? "known" : "no such session";
  logger.warn("reservation without a lease", { session: sessionId, generation, sandbox: sandboxId, said });
}
