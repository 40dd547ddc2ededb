/** Makes a report: the whole present picture of a session, for its registry and the index. */
import { blockedBy, statusOf } from "../../domain/rules/status.ts";
import { expiresAt } from "../../domain/rules/clocks.ts";
import { nextDeadline } from "../../domain/rules/reconcile.ts";
import { stuckSince, teardownOverdueFrom } from "../../domain/rules/stuck.ts";
import { reservationKeptFor } from "../../domain/machine/stop/ending.ts";
import { isolatedSandboxId } from "../../domain/state/ids.ts";
import type { Closed, Lease } from "../../domain/state/lease.ts";
import type { Session } from "../../domain/state/session.ts";
import { savedBytes } from "../../domain/rules/saved-files.ts";
import { defaultTemplate } from "../../domain/state/template.ts";
import { teardownOf } from "../commands/view.ts";
import type { JobStore } from "../jobs/job-store.ts";
import type { OutcomeTally } from "../jobs/outcome-tally.ts";
import type { SessionPorts } from "../ports.ts";
import type { SessionStore } from "../records/store.ts";
import { receiptBody } from "./receipt-body.ts";
import type { LeaseReport, SessionReport } from "./reports.ts";

export interface ReportSources {
  readonly ports: SessionPorts;
  readonly store: SessionStore;
  readonly tally: OutcomeTally;
  readonly jobs: Pick<JobStore, "summary">;
  /** Its record cannot be read: the report is made of what can. */
  readonly unreadable: boolean;
  /** Somebody acts on it. Of one that nobody can act on only its own slow alarm is known. */
  readonly isActedOn: boolean;
}

/**
 * By when maintenance should have heard of it again. A held lease's renewals and a parked one's probes move its deadline
 * without a report, so those promise a heartbeat instead: a tick of the cron must touch no healthy session.
 */
function horizon(session: Session, { ports, isActedOn }: ReportSources): number | null {
  const { clock, policy } = ports;
  // Of one that nobody can act on only its own slow alarm is known.
  if (!isActedOn) return clock.now() + policy.unreadableRetryMs;
  const deadline = nextDeadline(session, policy);
  if (!sendsHeartbeats(session)) return deadline;
  return Math.max(
    deadline ?? 0,
    clock.now() + policy.reportEveryMs + policy.renewMs + policy.parkedProbeSlowMs * Number(parked(session)),
  );
}

/** The whole present picture. `erased`: it is the last one. */
export function sessionReport(
  session: Session,
  sources: ReportSources,
  version: number,
  erased: boolean,
): SessionReport {
  const { ports, store, tally, jobs, unreadable } = sources;
  const { policy, providers } = ports;
  const open: readonly Lease[] = session.newest === null ? session.ghosts : [...session.ghosts, session.newest];
  const closed = store.receipts().filter((receipt) => !open.some((lease) => lease.generation === receipt.generation));
  const now = ports.clock.now();
  return {
    version,
    asOf: now,
    sessionId: session.id,
    tenant: session.tenant,
    createdAt: session.createdAt,
    status: statusOf(session),
    blocked: unreadable ? "unreadable" : (blockedBy(session, adapterMissing(session, providers))?.code ?? null),
    terminateReason: session.desired.type === "terminated" ? session.desired.reason : null,
    provider: session.provider,
    endAt: session.endAt,
    expiresAt: unreadable ? null : expiresAt(session, policy),
    nextDeadline: horizon(session, sources),
    labels: session.profile.labels,
    agentType: session.profile.agentType,
    taskId: session.profile.taskId,
    critical: session.profile.critical,
    isolation: session.isolation,
    template: session.template ?? defaultTemplate,
    startedAt: session.startedAt,
    lastActivityAt: session.activity.lastAt,
    activeJobs: session.activity.activeJobs,
    stuckSince: stuckSince(session, now, policy),
    teardownOverdueFrom: teardownOverdueFrom(session, policy),
    usage: store.usage(session, now),
    outcomes: tally.counts,
    ...successorOf(session),
    ...(session.forgotten.length === 0 ? {} : { forgotten: session.forgotten }),
    savedBytes: savedBytes(session),
    leases: [...closed, ...open].map((lease) => leaseReport(session, lease, jobs, policy.prices.currency)),
    erased,
  };
}

function successorOf(session: Session): Pick<SessionReport, "successor"> {
  const generation = reservationKeptFor(session);
  return generation === null ? {} : { successor: { generation, sandboxId: isolatedSandboxId(session.id, generation) } };
}

function parked(session: Session): boolean {
  return [session.newest, ...session.ghosts].some(
    (lease) => lease?.phase === "stopping" && lease.step.type === "parked",
  );
}

export function sendsHeartbeats(session: Session): boolean {
  return session.newest?.phase === "held" || parked(session);
}

export function adapterMissing(session: Session, providers: SessionPorts["providers"]): boolean {
  const lease = session.newest;
  return lease !== null && lease.phase !== "closed" && providers.get(lease.provider) === null;
}

function leaseReport(
  session: Session,
  lease: Lease | Closed,
  jobs: Pick<JobStore, "summary">,
  currency: string,
): LeaseReport {
  const ghost = session.ghosts.some((other) => other.generation === lease.generation);
  const common = {
    generation: lease.generation,
    sandboxId: lease.sandboxId,
    phase: lease.phase,
    ghost,
    openedAt: lease.openedAt,
    ...(lease.host === null ? {} : { host: lease.host }),
    ...(lease.container === undefined ? {} : { container: lease.container }),
    ...chargeFacts(lease),
  };
  switch (lease.phase) {
    case "stopping":
      return {
        ...common,
        asserted: lease.assertion !== null,
        stopAttempts: lease.attempts.length + lease.earlierAttempts,
        lastError: lease.lastError,
        stopReason: lease.reason,
        receipt: null,
      };
    case "closed": {
      const statement = receiptBody(session, lease, jobs.summary(lease.generation), currency);
      return {
        ...common,
        asserted: false,
        stopAttempts: lease.receipt.attempts.length + lease.receipt.earlierAttempts,
        lastError: null,
        stopReason: lease.receipt.reason,
        receipt: teardownOf(session.id, lease),
        ...(statement === null ? {} : { statement }),
      };
    }
    case "launching":
    case "held":
      return { ...common, asserted: false, stopAttempts: 0, lastError: null, stopReason: null, receipt: null };
  }
}

function chargeFacts(lease: Lease | Closed): Pick<LeaseReport, "charge"> {
  if (lease.phase === "held") {
    const nanosPerSecond = lease.terms?.nanosPerSecond;
    return nanosPerSecond === undefined ? {} : { charge: { since: lease.heldAt, ms: null, nanosPerSecond } };
  }
  const charge =
    lease.phase === "stopping" ? lease.charge : lease.phase === "closed" ? lease.receipt.facts?.charge : null;
  const since =
    lease.phase === "stopping" ? lease.heldAt : lease.phase === "closed" ? lease.receipt.facts?.heldAt : null;
  if (charge == null || since == null) return {};
  return { charge: { since, ms: charge.ms, nanosPerSecond: charge.nanosPerSecond } };
}
