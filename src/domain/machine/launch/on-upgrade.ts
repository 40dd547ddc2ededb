/**
 * Replacing a wrapper that is older than this code: its jobs are let finish, then its files are carried over into a sandbox
 * with today's wrapper, as a rebuild does. What cannot be carried over stays in the old sandbox until the session ends:
 * an old wrapper still works, an empty workspace would be a loss.
 */
import type { Held, WrapperVersion } from "../../state/lease.ts";
import { ignored, moved, note, type Context, type Outcome } from "../outcome.ts";
import type { Session } from "../../state/session.ts";
import { wrapperProtocol, wrapperStanding } from "../../state/wrapper-protocol.ts";

/** For a wrapper that was just launched. If it is old, its host has no newer one, and replacing it would never end. */
export function launchedVersion(protocol: number): WrapperVersion {
  return { protocol, launchedBy: wrapperProtocol, replacement: { type: "none" } };
}

/**
 * After a renewal. The date is spread over an hour, because a deploy makes the whole fleet's agents old at once. A date that
 * was set, or the word that the agent cannot be replaced, stays through renewals.
 */
export function renewedVersion(
  known: WrapperVersion,
  protocol: number,
  jitter: number,
  { now, policy }: Context,
): WrapperVersion {
  const outdated = wrapperStanding(protocol) === "older" && known.launchedBy < wrapperProtocol;
  const replacement: WrapperVersion["replacement"] = !outdated
    ? { type: "none" }
    : known.replacement.type === "none"
      ? { type: "due", at: now + Math.round(jitter * policy.upgradeSpreadMs) }
      : known.replacement;
  const same = known.protocol === protocol && known.replacement.type === replacement.type;
  return same ? known : { ...known, protocol, replacement };
}

/** When its replacement may begin; null: it is not to be replaced, or not while its jobs run. */
export function upgradeAt(session: Session): number | null {
  const { desired, newest, activity } = session;
  if (desired.type !== "running" || newest?.phase !== "held" || newest.gate.type !== "open") return null;
  const { replacement } = newest.wrapper;
  return replacement.type === "due" && activity.activeJobs === 0 ? replacement.at : null;
}

export function dueUpgrade(session: Session, context: Context): Outcome {
  const { now, policy } = context;
  const at = upgradeAt(session);
  if (at === null || now < at || session.newest?.phase !== "held") return ignored("no wrapper is to be replaced");
  const lease = session.newest;
  // Each save leaves a name to delete. While the store deletes none, an upgrade must not add to them.
  if (session.discarded.length >= policy.maxDiscarded)
    return moved({ ...session, newest: { ...lease, wrapper: upgradeLater(lease, false, context) } });
  return moved(
    {
      ...session,
      newest: { ...lease, gate: { type: "draining", for: "upgrade", deadline: now + policy.drainMs, attemptId: null } },
    },
    note("upgrading", "its wrapper is older than this deployment; its files are carried over", lease.generation, {
      protocol: lease.wrapper.protocol,
      current: wrapperProtocol,
    }),
  );
}

/** A replacement that came to nothing. `never`: the provider cannot carry files over at all. */
export function upgradeLater(lease: Held, never: boolean, { now, policy }: Context): WrapperVersion {
  const replacement = never
    ? ({ type: "impossible" } as const)
    : ({ type: "due", at: now + policy.upgradeRetryMs } as const);
  return { ...lease.wrapper, replacement };
}
