/**
 * A registry that lost rows: sessions that the index knows and their registry does not are told to look at themselves, and a
 * session that is told so reports. One that runs reports every few minutes anyway; a paused or ended one changes nothing for
 * days, and its registry would not hear of it again. Decides nothing and frees nothing.
 */
import type { SessionId, TenantId } from "../../domain/state/ids.ts";
import { inLanes } from "../../calls/in-lanes.ts";
import { outcomeWithin, type CallOutcome } from "../../calls/outcome-within.ts";
import type { FleetRow, ListPosition } from "../shard/shard-api.ts";
import type { TenantApi } from "../../tenant/tenant-api.ts";
import type { AuditPorts, AuditTerms } from "./audit-ports.ts";

const page = 500;
/** Sessions in these statuses report nothing by themselves for days. All others report every few minutes. */
const quiet = ["paused", "lost", "terminated", "failed"] as const;

/** Answers how many sessions were told. The next audit finds those for which there was no time. */
export async function remindMissing(ports: AuditPorts, terms: AuditTerms): Promise<number> {
  const startedAt = ports.clock.now();
  const byTenant = new Map<TenantId, SessionId[]>();
  for (const row of await indexed(ports, terms)) {
    // A session reports to its registry and to the index at once: one of the two may be a moment behind.
    if (startedAt - row.createdAt < terms.graceMs) continue;
    byTenant.set(row.tenant, [...(byTenant.get(row.tenant) ?? []), row.sessionId]);
  }
  const missing: SessionId[] = [];
  for (const [tenant, sessions] of byTenant) {
    const registered = await registeredOf(ports, terms, tenant);
    if (registered !== null) missing.push(...sessions.filter((each) => !registered.has(each)));
  }
  const told = await inLanes(missing, terms.concurrency, async (sessionId) => {
    if (ports.clock.now() - startedAt >= terms.runMs) return false;
    const answer = await outcomeWithin(ports.clock, terms.callMs, () => ports.session(sessionId).poke("maintenance"));
    const known = answer.type === "answered" && answer.value.known;
    ports.logger.warn("a registry does not know this session", { session: sessionId, told: known });
    return known;
  });
  return told.filter(Boolean).length;
}

/** The quiet sessions of every shard that answers. */
async function indexed(ports: AuditPorts, terms: AuditTerms): Promise<readonly FleetRow[]> {
  const rows: FleetRow[] = [];
  for (const { api } of ports.shards) {
    let after: { readonly after?: ListPosition } = {};
    for (;;) {
      const from = after;
      const answer: CallOutcome<readonly FleetRow[]> = await outcomeWithin(ports.clock, terms.callMs, () =>
        api.select({ statuses: quiet, order: "oldest", limit: page, ...from }),
      );
      if (answer.type !== "answered") break;
      rows.push(...answer.value);
      const last = answer.value.at(-1);
      if (last === undefined || answer.value.length < page) break;
      after = { after: { createdAt: last.createdAt, id: last.sessionId } };
    }
  }
  return rows;
}

/** The sessions of which the registry holds a report. null: the registry did not answer completely. */
async function registeredOf(
  ports: AuditPorts,
  terms: AuditTerms,
  tenant: TenantId,
): Promise<ReadonlySet<SessionId> | null> {
  const known = new Set<SessionId>();
  let after: SessionId | null = null;
  for (;;) {
    const from: SessionId | null = after;
    const answer: CallOutcome<Awaited<ReturnType<TenantApi["sessions"]>>> = await outcomeWithin(
      ports.clock,
      terms.callMs,
      () => ports.tenant(tenant).sessions(from, page),
    );
    if (answer.type !== "answered") return null;
    for (const each of answer.value) if (each.reportedAt !== null) known.add(each.sessionId);
    const last = answer.value.at(-1);
    if (last === undefined || answer.value.length < page) return known;
    after = last.sessionId;
  }
}
