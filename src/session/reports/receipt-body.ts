/** What a closed lease's signed receipt says: the proof as the teardown view shows it, with who asked, the clocks and the jobs. */
import type { Closed } from "../../domain/state/lease.ts";
import type { Session } from "../../domain/state/session.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { ReceiptBody } from "../../protocol/resources/session/receipts.ts";
import type { JobSummary } from "../jobs/job-store.ts";
import { teardownOf } from "../commands/view.ts";

/** null: older code closed it and kept too little. */
export function receiptBody(session: Session, lease: Closed, jobs: JobSummary, currency: string): ReceiptBody | null {
  const { receipt } = lease;
  const { facts } = receipt;
  if (facts === undefined) return null;
  const { attempts, observations, evidence } = teardownOf(session.id, lease);
  const { profile } = session;
  const { limits, cause } = facts;
  return {
    session: {
      id: session.id,
      created_at: rfc3339(session.createdAt),
      isolation: session.isolation,
      labels: profile.labels,
      agent_type: profile.agentType,
      task_id: profile.taskId,
    },
    sandbox: {
      id: lease.sandboxId,
      generation: lease.generation,
      provider: lease.provider,
      host: lease.host,
      container_id: lease.container ?? null,
      opened_at: rfc3339(lease.openedAt),
      held_at: facts.heldAt === null ? null : rfc3339(facts.heldAt),
    },
    asked: {
      by: cause.by,
      at: rfc3339(receipt.requestedAt),
      stop_reason: receipt.reason,
      terminate_reason: cause.terminateReason,
    },
    clocks: {
      end_at: rfc3339(facts.endAt),
      timeout_seconds: Math.round(limits.timeoutMs / 1_000),
      idle_timeout_seconds: limits.idleTimeoutMs === null ? null : Math.round(limits.idleTimeoutMs / 1_000),
      max_lifetime_seconds: Math.round(limits.maxLifetimeMs / 1_000),
    },
    jobs: {
      count: jobs.count,
      last:
        jobs.last === null
          ? null
          : {
              id: jobs.last.id,
              state: jobs.last.state,
              exit_code: jobs.last.exitCode,
              signal: jobs.last.signal,
            },
    },
    snapshot: facts.snapshot,
    retired: { at: rfc3339(receipt.retired.at), host: receipt.retired.host, boot: receipt.retired.boot },
    attempts,
    earlier_attempts: receipt.earlierAttempts,
    observations,
    verified_absent_at: rfc3339(receipt.verifiedAbsentAt),
    asserted:
      receipt.assertion === null
        ? null
        : { at: rfc3339(receipt.assertion.at), by: receipt.assertion.by, reason: receipt.assertion.reason },
    evidence: evidence ?? "",
    charge:
      facts.charge === null
        ? null
        : {
            milliseconds: facts.charge.ms,
            currency,
            nanos_per_second: facts.charge.nanosPerSecond,
            nanos: facts.charge.nanos,
          },
  };
}
