/** Reports and orders as a session would make them, for tests of whoever receives them. */
import type { Generation, SessionId, TenantId } from "../../src/domain/state/ids.ts";
import { isolatedSandboxId } from "../../src/domain/state/ids.ts";
import type { TeardownView } from "../../src/protocol/resources/session/sessions.ts";
import { rfc3339 } from "../../src/protocol/primitives.ts";
import type { LeaseReport, ReserveOrder, SessionReport } from "../../src/session/reports/reports.ts";

export const born = Date.UTC(2026, 10, 1);

/** 20 characters, as every session id. */
export function sessionId(name: string): SessionId {
  return name.padEnd(20, "0") as SessionId;
}

export function generation(count: number): Generation {
  return (born + count) as Generation;
}

export function order(session: SessionId, count: number): ReserveOrder {
  return {
    sessionId: session,
    generation: generation(count),
    sandboxId: isolatedSandboxId(session, generation(count)),
    createdAt: born,
    purpose: "create",
  };
}

export function report(session: SessionId, version: number, changes: Partial<SessionReport> = {}): SessionReport {
  return {
    version,
    asOf: born,
    sessionId: session,
    tenant: "acme" as TenantId,
    createdAt: born,
    status: "running",
    blocked: null,
    terminateReason: null,
    provider: "memory",
    endAt: born + 3_600_000,
    expiresAt: born + 900_000,
    nextDeadline: born + 60_000,
    labels: {},
    agentType: null,
    taskId: null,
    isolation: "session",
    startedAt: null,
    lastActivityAt: 0,
    activeJobs: 0,
    stuckSince: null,
    teardownOverdueFrom: null,
    critical: false,
    usage: [],
    outcomes: {
      since: born,
      launches: 0,
      launched: 0,
      provisionFailures: 0,
      provisionTimeouts: 0,
      jobsEnded: 0,
      jobsTimedOut: 0,
      callsTimedOut: 0,
    },
    leases: [],
    erased: false,
    ...changes,
  };
}

export function lease(
  session: SessionId,
  count: number,
  phase: LeaseReport["phase"],
  changes: Partial<LeaseReport> = {},
): LeaseReport {
  return {
    generation: generation(count),
    sandboxId: isolatedSandboxId(session, generation(count)),
    phase,
    ghost: false,
    asserted: false,
    openedAt: born,
    stopAttempts: 0,
    lastError: null,
    stopReason: phase === "stopping" || phase === "closed" ? "terminated" : null,
    receipt: phase === "closed" ? receipt(session, count) : null,
    ...changes,
  };
}

/** Verified absent, unless `changes` say otherwise. */
export function receipt(session: SessionId, count: number, changes: Partial<TeardownView> = {}): TeardownView {
  return {
    session_id: session,
    generation: generation(count),
    sandbox_id: isolatedSandboxId(session, generation(count)),
    phase: "closed",
    reason: "requested",
    requested_at: rfc3339(born),
    attempts: [],
    observations: [],
    parked: false,
    next_attempt_at: null,
    verified_absent_at: rfc3339(born + 5_000),
    asserted_absent_at: null,
    evidence: "two looks found nothing",
    ...changes,
  };
}
