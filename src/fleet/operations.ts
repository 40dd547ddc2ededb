/** The operator's orders over the same parts that the cron's layers use. */
import { assertLost } from "./audits/assert-lost.ts";
import { applyPlan } from "./audits/apply-plan.ts";
import type { AuditPorts, AuditTerms } from "./audits/audit-ports.ts";
import { makePlan } from "./audits/make-plan.ts";
import { agedBeyond, everythingNotCritical, troubled } from "./layers/choices.ts";
import { cleanup, type CleanupPorts, type CleanupTerms } from "./layers/cleanup.ts";
import type { FleetOperations } from "./operations-api.ts";

export interface OperationTerms {
  readonly cleanup: CleanupTerms;
  readonly audit: AuditTerms;
}

export function fleetOperations(ports: CleanupPorts & AuditPorts, terms: OperationTerms): FleetOperations {
  const { policy } = terms.cleanup;
  return {
    cleanup: ({ by, reason, maxAgeMs, statuses, dryRun }) => {
      const now = ports.clock.now();
      return cleanup(ports, terms.cleanup, {
        layer: "cleanup",
        by,
        ending: { actor: "operator", reason: "operator", words: reason },
        questions: maxAgeMs === null ? troubled(now, policy, statuses) : agedBeyond(now, maxAgeMs, statuses),
        dryRun,
      });
    },
    emergency: ({ by, reason, dryRun, includePaused }) =>
      cleanup(ports, terms.cleanup, {
        layer: "emergency",
        by,
        ending: { actor: "operator", reason: "emergency", words: reason },
        questions: everythingNotCritical(includePaused),
        dryRun,
      }),
    planAudit: (by) => makePlan(ports, terms.audit, by),
    applyAudit: (order) => applyPlan(ports, terms.audit, order),
    assertLost: (order) => assertLost(ports, terms.audit, order),
  };
}
