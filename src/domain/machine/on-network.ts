/** Cells for what the sandbox may reach. The rules are stored first; a running sandbox confirms them afterwards. */
import type { EventOf } from "./events.ts";
import { ignored, moved, note, type Outcome } from "./outcome.ts";
import type { Session } from "../state/session.ts";

export function change(session: Session, event: EventOf<"networkChanged">): Outcome {
  const { mode, allow, inject } = event.network;
  const runs = session.newest?.phase === "held" || session.newest?.phase === "launching";
  const version = (session.network?.version ?? 0) + 1;
  return moved(
    // Without a sandbox there is nobody to tell: the next launch takes the rules along.
    { ...session, network: { ...event.network, version, state: runs ? "pending" : "applied" } },
    note("network_changed", "a client asked for it", session.newest?.generation ?? null, {
      mode,
      allowed_hosts: allow.length,
      injected_headers: inject.length,
    }),
  );
}

export function confirm(session: Session, event: EventOf<"networkApplied">): Outcome {
  const { network } = session;
  if (network === undefined || network.version !== event.version) return ignored("the rules changed meanwhile");
  const state = event.enforced === "all" ? "applied" : "partial";
  return network.state === state ? ignored("that is known") : moved({ ...session, network: { ...network, state } });
}

export const nothingRuns = (): Outcome => ignored("nothing runs that could follow rules");

/** Facts are named by host. */
export function denied(session: Session, event: EventOf<"hostsDenied">): Outcome {
  if (event.hosts.length === 0) return ignored("nothing was refused");
  const facts = Object.fromEntries(event.hosts.map(({ host, count }) => [host, count]));
  return moved(
    session,
    note("network_denied", "the sandbox asked for hosts that it may not reach", event.generation, facts),
  );
}
