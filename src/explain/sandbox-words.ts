/** Words about each sandbox of a session that may still exist. */
import type { Policy } from "../domain/rules/policy.ts";
import type { OpenLease, Stopping } from "../domain/state/lease.ts";
import { lapsesAt } from "../domain/rules/lease-times.ts";
import { stopReasons } from "../domain/state/reasons.ts";
import type { Session } from "../domain/state/session.ts";
import type { ExplainedSandbox } from "./explanation.ts";
import { at, bracketed, capital } from "./phrases.ts";

export function sandboxOf(session: Session, lease: OpenLease, policy: Policy): ExplainedSandbox {
  const ghost = session.ghosts.some((other) => other.generation === lease.generation);
  const { generation, sandboxId, phase } = lease;
  const says = leaseWords(lease, ghost, policy);
  if (lease.phase !== "held") return { generation, sandboxId, phase, ghost, lease: null, says };
  const { acceptedSentAt: renewedAt, nextRenewalAt } = lease;
  const clock = { renewedAt, nextRenewalAt, lapsesAt: lapsesAt(lease, policy) };
  return { generation, sandboxId, phase, ghost, lease: clock, says };
}

function leaseWords(lease: OpenLease, ghost: boolean, policy: Policy): string {
  switch (lease.phase) {
    case "launching":
      return `It is starting: begun ${at(lease.openedAt)}, and given up ${at(lease.deadline)} unless it accepts its lease before.`;
    case "held": {
      const failing =
        lease.failures === 0
          ? ""
          : ` It did not answer the last ${lease.failures === 1 ? "renewal" : `${lease.failures} renewals`}.`;
      return `It holds its lease.${failing}`;
    }
    case "stopping":
      return stoppingWords(lease, ghost, policy);
  }
}

function stoppingWords(lease: Stopping, ghost: boolean, policy: Policy): string {
  const first = `${ghost ? "It was replaced before it was proven gone. " : ""}It is being stopped because ${stopReasons[lease.reason]}.`;
  const { step, assertion } = lease;
  switch (step.type) {
    case "acting":
      return `${first} Attempt ${lease.attempts.length} of ${policy.stopAttempts} is under way.`;
    case "waiting":
      return `${first} Attempt ${lease.attempts.length + 1} of ${policy.stopAttempts} begins ${at(step.nextAttemptAt)}.`;
    case "parked": {
      const looked = `Mooring looks again ${at(step.nextProbeAt)}`;
      return assertion === null
        ? `${first} All ${policy.stopAttempts} attempts are used up, and ${looked}.`
        : `${first} ${capital(assertion.by)} said that it is gone ${bracketed(assertion.reason)}. That is no proof, so ${looked}.`;
    }
  }
}
