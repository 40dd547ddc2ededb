/**
 * An operator's word about sandboxes that nobody can prove gone: the rows of their session are lost, and the recorded host is gone
 * for good. Without it their reservations would count for ever.
 *
 * It is never a proof: the registry counts them as `asserted`, beside the cap and beside what is proven. It is refused while a
 * session still has its record (the session's own resolution is the way then), and until whatever was in such a sandbox has
 * certainly fenced itself. The last report dates that: a session that holds a sandbox reports at least every `reportEveryMs`, so one
 * that is silent for longer renews nothing any more.
 */
import type { Generation, SessionId, TenantId } from "../../domain/state/ids.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { Problem, Reply } from "../../protocol/problem.ts";
import type { TeardownView } from "../../protocol/resources/session/sessions.ts";
import type { SessionReport } from "../../session/reports/reports.ts";
import type { Reservation } from "../../tenant/quota/reservations.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { AuditPorts, AuditTerms } from "./audit-ports.ts";
import { lastReport, lastWords } from "./speak-for-lost.ts";

export interface AssertLost {
  readonly tenant: TenantId;
  readonly sessionId: SessionId;
  readonly by: string;
  readonly reason: string;
}

export interface AssertedLost {
  readonly asserted: readonly { readonly generation: Generation; readonly sandboxId: string }[];
}

/** Something physical may exist, and it counts against the cap. A mere reservation is given back by itself. */
const held: ReadonlySet<string> = new Set(["launching", "held", "stopping"]);

/** A session has few open generations: the newest and at most three ghosts. */
const mostGenerations = 50;

export async function assertLost(
  ports: AuditPorts,
  terms: AuditTerms,
  order: AssertLost,
): Promise<Reply<AssertedLost>> {
  const { tenant, sessionId, by, reason } = order;
  const seen = await outcomeWithin(ports.clock, terms.callMs, () => ports.session(sessionId).inspect());
  if (seen.type !== "answered")
    return refuse({
      code: "unavailable",
      detail: "The session did not answer, so it may have its record. Send this again.",
    });
  if (seen.value.ok || seen.value.problem.code !== "not_found")
    return refuse({
      code: "conflict",
      detail: `Session ${sessionId} has a record of its own, so nothing was asserted. Resolve it there: POST /v1/admin/sessions/${sessionId}/resolve.`,
    });
  const registry = ports.tenant(tenant);
  const last = await lastReport(ports, tenant, sessionId);
  const counted = await registry.open({ sessionId, generation: 0 as Generation }, mostGenerations);
  const lost = counted.filter((each) => each.sessionId === sessionId && held.has(each.state));
  if (last === null || lost.length === 0)
    return refuse({
      code: "not_found",
      detail: `The registry of ${tenant} counts no sandbox of session ${sessionId}. GET /v1/admin/ledger shows what is counted; a mere reservation is given back by itself.`,
    });
  const { policy } = terms;
  const silentFrom = last.asOf + policy.reportEveryMs + policy.leaseTtlMs + policy.stopGraceMs + policy.alarmSlipMs;
  const now = ports.clock.now();
  if (now < silentFrom)
    return refuse({
      code: "lease_not_expired",
      detail: `It was heard of at ${rfc3339(last.asOf)}, so its sandbox may still act. Send this again when it has certainly fenced itself (retry_at).`,
      retryAt: silentFrom,
    });
  const words = wordsOf(last, lost, (each) => wordOf(each, by, reason, now), now);
  await registry.report(words);
  await ports.index(tenant).report(words);
  ports.logger.warn("asserted gone by an operator", { tenant, session: sessionId, by, reason, sandboxes: lost.length });
  return { ok: true, value: { asserted: lost.map(({ generation, sandboxId }) => ({ generation, sandboxId })) } };
}

/** One report for all of them: what else is open of it stays listed. */
function wordsOf(
  last: SessionReport,
  lost: readonly Reservation[],
  receipt: (of: Reservation) => TeardownView,
  now: number,
): SessionReport {
  const gone = new Set<number>(lost.map(({ generation }) => generation));
  const others = { ...last, leases: last.leases.filter(({ generation }) => !gone.has(generation)) };
  const closed = lost.map((each) =>
    lastWords(last, each, receipt(each), now).leases.filter(({ generation }) => generation === each.generation),
  );
  const [first] = lost;
  if (first === undefined) return last;
  const rest = lastWords(others, first, receipt(first), now);
  return { ...rest, leases: [...rest.leases.filter(({ generation }) => !gone.has(generation)), ...closed.flat()] };
}

/** Its receipt: what was said, and that nobody looked. */
function wordOf(
  { sessionId, generation, sandboxId }: Reservation,
  by: string,
  reason: string,
  now: number,
): TeardownView {
  return {
    session_id: sessionId,
    generation,
    sandbox_id: sandboxId,
    phase: "closed",
    reason: "orphaned",
    requested_at: rfc3339(now),
    attempts: [],
    observations: [],
    parked: false,
    next_attempt_at: null,
    verified_absent_at: null,
    asserted_absent_at: rfc3339(now),
    evidence: `none: ${by} asserted that it is gone (${reason}). Its session has no record, and no host was asked.`,
  };
}

function refuse(problem: Problem): Reply<never> {
  return { ok: false, problem };
}
