/** Words about each sandbox of a session that may still exist. */
import type { Policy } from "../domain/rules/policy.ts";
import type { OpenLease, Stopping } from "../domain/state/lease.ts";
import { lapsesAt } from "../domain/rules/lease-times.ts";
import { stopReasons } from "../domain/state/reasons.ts";
import type { Session } from "../domain/state/session.ts";
import type { ExplainedSandbox } from "./explanation.ts";
import { at, times } from "./phrases.ts";

export function sandboxOf(session: Session, lease: OpenLease, now: number, policy: Policy): ExplainedSandbox {
  const ghost = session.ghosts.some((other) => other.generation === lease.generation);
  const { generation, sandboxId, phase } = lease;
  const says = leaseWords(lease, ghost, now, policy);
  if (lease.phase !== "held") return { generation, sandboxId, phase, ghost, lease: null, says };
  const { acceptedSentAt: renewedAt, nextRenewalAt } = lease;
  const clock = { renewedAt, nextRenewalAt, lapsesAt: lapsesAt(lease, policy) };
  return { generation, sandboxId, phase, ghost, lease: clock, says };
}

function leaseWords(lease: OpenLease, ghost: boolean, now: number, policy: Policy): string {
  switch (lease.phase) {
    case "launching":
      return `It is being launched since ${new Date(lease.openedAt).toISOString()}, and must accept its lease by ${new Date(lease.deadline).toISOString()}.`;
    case "held": {
      const failing = lease.failures === 0 ? "" : ` The last ${times(lease.failures)} it did not answer.`;
      return `It holds its lease; renewed ${Math.max(0, Math.round((now - lease.acceptedSentAt) / 1_000))} s ago.${failing}`;
    }
    case "stopping":
      return stoppingWords(lease, ghost, policy);
  }
}

function stoppingWords(lease: Stopping, ghost: boolean, policy: Policy): string {
  const first = `${ghost ? "It was replaced before it was proven gone. " : ""}It is being stopped because ${stopReasons[lease.reason]}`;
  const { step, assertion } = lease;
  switch (step.type) {
    case "acting":
      return `${first}; attempt ${lease.attempts.length} of ${policy.stopAttempts} is under way.`;
    case "waiting":
      return `${first}; attempt ${lease.attempts.length + 1} of ${policy.stopAttempts} begins ${at(step.nextAttemptAt)}.`;
    case "parked": {
      const looked = `it is looked at again ${at(step.nextProbeAt)}`;
      return assertion === null
        ? `${first}; all ${policy.stopAttempts} attempts are used up, and ${looked}.`
        : `${first}; ${assertion.by} said that it is gone (${assertion.reason}), which is no proof: ${looked}.`;
    }
  }
}
