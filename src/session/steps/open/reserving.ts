/** Asking the tenant's registry for quota, and putting its refusals into words. */
import { bounded, timedOut } from "../../../calls/bounded-call.ts";
import type { OpeningFailure } from "../../../domain/machine/events.ts";
import { nanosPerUnit } from "../../../domain/rules/price.ts";
import type { SpaceRefusal } from "../../../domain/rules/cold-admission.ts";
import type { Candidate } from "../../../domain/state/lease.ts";
import type { Session } from "../../../domain/state/session.ts";
import type { SessionPorts } from "../../ports.ts";
import type { ReserveOrder, ReserveReply } from "../../reports/reports.ts";

type NotReserved = Exclude<ReserveReply, { granted: true } | { code: "stale_generation" }>;

/** Why there is no sandbox for this session now: a refused reservation, or no space for its workspace. */
export type Refusal = NotReserved | { readonly code: SpaceRefusal; readonly words: string };

export type Reserved =
  | Extract<ReserveReply, { granted: true }>
  | { readonly granted: false; readonly refused: NotReserved }
  /** The registry was not reached, or the generation was used before. */
  | { readonly granted: false; readonly failed: OpeningFailure };

export async function reserve(ports: SessionPorts, session: Session, candidate: Candidate): Promise<Reserved> {
  const { clock, policy, logger } = ports;
  const order = orderOf(ports, session, candidate);
  const noReply = (what: string): Reserved => ({
    granted: false,
    failed: { code: "unavailable", message: `The tenant's registry ${what}.` },
  });
  try {
    const reply = await bounded(clock, policy.observeMs, () => ports.tenant(session.tenant).reserve(order));
    if (reply === timedOut) return noReply("did not answer");
    if (reply.granted) return reply;
    if (reply.code !== "stale_generation") return { granted: false, refused: reply };
    const message = `The registry knows generation ${candidate.generation} already, so it reserves nothing for it. The next try takes one above ${reply.above}.`;
    return { granted: false, failed: { code: "stale_generation", message, above: reply.above } };
  } catch (error) {
    logger.warn("reserve failed", { error: String(error) });
    return noReply("could not be reached");
  }
}

function orderOf(ports: SessionPorts, session: Session, { generation, sandboxId, provider }: Candidate): ReserveOrder {
  const provision = session.desired.type === "running" ? session.desired.provision : null;
  const purpose = provision?.purpose ?? "create";
  const shared = provision?.unusable === undefined ? { provider } : { provider, unusable: provision.unusable };
  // One from a release whose provider gave places in shared containers gets a container of its own now: more than it asked for.
  const joins = session.isolation === "shared" && ports.providers.get(provider)?.capabilities.shared === true;
  return {
    ...{ sessionId: session.id, generation, sandboxId, createdAt: session.createdAt, purpose },
    ...(joins ? { shared } : {}),
  };
}

/** Each of these refusals passes, so the session waits and asks again. Only its own cap is in the tenant's hands. */
export function waitingFailure(refusal: NotReserved, now: number): OpeningFailure {
  const message = refusalWords(refusal);
  if (refusal.code === "quota_exhausted" || refusal.code === "budget_spent") return { code: refusal.code, message };
  if (refusal.code !== "spawn_breaker_open") return { code: "no_capacity", message };
  return { code: "no_capacity", message, retryAfterMs: Math.max(0, refusal.closesAt - now) };
}

export function refusalWords(refusal: Refusal): string {
  switch (refusal.code) {
    case "quota_exhausted":
      return `The tenant may have ${refusal.limit} sandboxes at once and has ${refusal.used}.`;
    case "budget_spent":
      return spentWords(refusal);
    case "capacity_exhausted":
      return `All tenants together may have ${refusal.limit} sandboxes at once and have ${refusal.used}.`;
    case "spawn_breaker_open":
      return "The tenant's last launches failed one after the other, so launches are paused.";
    case "insufficient_space":
    case "space_unmeasurable":
    case "filesystem_unusable":
      return refusal.words;
    case "draining":
      return "An operator is emptying this Mooring: what runs may finish, nothing new is started.";
  }
}

/** What was spent, what may be, and when that ends by itself. */
function spentWords({ month, currency }: Extract<Refusal, { code: "budget_spent" }>): string {
  if (month === undefined || month.maxNanos === null) return "The tenant has spent what it may in this month.";
  const amount = (nanos: number) => `${Number((nanos / nanosPerUnit).toPrecision(4))} ${currency ?? ""}`.trimEnd();
  return `The tenant has spent ${amount(month.nanos)} of the ${amount(month.maxNanos)} that it may in this month, which ends at ${new Date(month.until).toISOString()}.`;
}
