/** The `failure` of a session: what went wrong with it last, in a sentence. */
import { statusOf } from "../domain/rules/status.ts";
import type { LaunchAttempt } from "../domain/state/lease.ts";
import type { Session } from "../domain/state/session.ts";

/** null: nothing went wrong, or a later try has succeeded. */
export function whatFailed(session: Session): string | null {
  const { desired, setback, newest } = session;
  if (desired.type === "terminated") return desired.failure ?? undeleted(session);
  if (desired.type !== "running" || desired.provision === null) return setback?.message ?? null;
  const launching = newest?.phase === "launching" ? lastFailure(newest.attempts) : null;
  return launching ?? desired.provision.lastError?.message ?? setback?.message ?? null;
}

function lastFailure(attempts: readonly LaunchAttempt[]): string | null {
  return attempts.at(-1)?.error ?? null;
}

function undeleted(session: Session): string | null {
  const failing = session.discarded.find(({ lastError }) => lastError !== null);
  if (failing === undefined || statusOf(session) !== "terminating") return null;
  return `A snapshot of it could not be deleted yet: ${failing.lastError}`;
}
