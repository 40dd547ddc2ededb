/**
 * The last words of a session that has no record of itself: after its sandbox was proven gone, the registry and the index
 * hear what the session would have told them, so that its reservation is released by the same rule as any other.
 */
import type { SessionId, TenantId } from "../../domain/state/ids.ts";
import type { TeardownView } from "../../protocol/resources/session/sessions.ts";
import type { LeaseReport, SessionReport } from "../../session/reports/reports.ts";
import type { AuditPorts } from "./audit-ports.ts";
import type { CountedFinding } from "./plan.ts";

export async function speakForLost(ports: AuditPorts, finding: CountedFinding, receipt: TeardownView): Promise<void> {
  const { tenant, sessionId, generation } = finding;
  const last = await lastReport(ports, tenant, sessionId);
  if (last === null) {
    // It never reported a lease: what is counted is a mere reservation.
    await ports.tenant(tenant).cancelReservation(sessionId, generation);
    return;
  }
  const words = lastWords(last, finding, receipt, ports.clock.now());
  await ports.tenant(tenant).report(words);
  await ports.index(tenant).report(words);
}

/** Pure. Other generations that are still open stay listed as they were: each needs its own proof. */
export function lastWords(
  last: SessionReport,
  finding: Pick<CountedFinding, "generation" | "sandboxId" | "host">,
  receipt: TeardownView,
  now: number,
): SessionReport {
  const others = last.leases.filter((lease) => lease.generation !== finding.generation && lease.phase !== "closed");
  const known = last.leases.find((lease) => lease.generation === finding.generation);
  const closed: LeaseReport = {
    generation: finding.generation,
    sandboxId: finding.sandboxId,
    ghost: known?.ghost ?? false,
    asserted: receipt.asserted_absent_at !== null,
    openedAt: known?.openedAt ?? last.createdAt,
    stopAttempts: (known?.stopAttempts ?? 0) + 1,
    lastError: null,
    stopReason: "orphaned",
    phase: "closed",
    ...(finding.host === null ? {} : { host: finding.host }),
    receipt,
  };
  return {
    ...last,
    version: last.version + 1,
    asOf: now,
    status: others.length === 0 ? "terminated" : "terminating",
    blocked: null,
    terminateReason: "orphaned",
    expiresAt: null,
    nextDeadline: null,
    activeJobs: 0,
    stuckSince: null,
    teardownOverdueFrom: null,
    leases: [...others, closed],
    erased: others.length === 0,
  };
}

export async function lastReport(
  ports: AuditPorts,
  tenant: TenantId,
  sessionId: SessionId,
): Promise<SessionReport | null> {
  const [report] = await ports.tenant(tenant).reports(justBefore(sessionId), 1);
  return report?.sessionId === sessionId ? report : null;
}

/** Ids are of one length, so nothing lies between this and the id itself. */
function justBefore(id: SessionId): SessionId {
  const last = id.length - 1;
  return `${id.slice(0, last)}${String.fromCharCode(id.charCodeAt(last) - 1)}` as SessionId;
}
