/**
 * Looks, and writes down what does not fit. Changes nothing. A look that gives no clear answer is no finding: `unknown` is
 * never `absent`, and what is young is left alone.
 */
import { isolatedSandboxId, type SandboxId } from "../../domain/state/ids.ts";
import type { Observation } from "../../domain/state/observation.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { Target } from "../../sandbox/agent-sandbox.ts";
import { inLanes } from "../../calls/in-lanes.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { AuditPorts, AuditTerms } from "./audit-ports.ts";
import { countedIds, type CountedRecord, type Inventory, takeInventory } from "./inventory.ts";
import { ownerlessFiles } from "./ownerless-files.ts";
import { hasNoRecord } from "./owners.ts";
import { type AuditPlan, type Finding, isRipe, isYoung, planText } from "./plan.ts";

/** How long a plan may be applied, ms. Its findings may change; an hour is enough to read it. */
const planLifeMs = 3_600_000;

export async function makePlan(ports: AuditPorts, terms: AuditTerms, by: string): Promise<AuditPlan> {
  const createdAt = ports.clock.now();
  const inventory = await takeInventory(ports, terms);
  const notes = [...inventory.notes];
  const listedIds = new Set(inventory.listed.map((each) => each.sandboxId));
  const ripe = inventory.records.filter((each) => isRipe(each, createdAt, terms.graceMs, terms.policy.provisionMs));
  let missed = 0;
  const looked = await inLanes(ripe, terms.concurrency, async (record) => {
    if (ports.clock.now() - createdAt < terms.runMs)
      return await lookAt(ports, terms, record, inventory, listedIds, notes);
    missed += 1;
    return null;
  });
  if (missed > 0) notes.push(`${missed} records were not looked at for lack of time: run another audit.`);
  const all = [
    ...looked.filter((each) => each !== null),
    ...withoutRecord(inventory, terms, createdAt, notes),
    ...(await ownerlessFiles(ports, terms, inventory, notes)),
  ];
  if (all.length > terms.findings)
    notes.push(`${all.length - terms.findings} more findings are left for the next audit.`);
  const plan = {
    id: ports.ids.id(),
    createdAt,
    by,
    expiresAt: createdAt + planLifeMs,
    findings: all.slice(0, terms.findings),
    complete: inventory.recordsComplete && inventory.listsComplete && missed === 0 && all.length <= terms.findings,
    notes,
    looked: { tenants: inventory.tenants, records: ripe.length - missed, sandboxes: inventory.listed.length },
  };
  const whole = { ...plan, hash: await ports.digest(planText(plan)) };
  await ports.control.putDocument({ kind: "audit_plan", id: whole.id, body: JSON.stringify(whole) });
  return whole;
}

async function lookAt(
  ports: AuditPorts,
  terms: AuditTerms,
  record: CountedRecord,
  inventory: Inventory,
  listed: ReadonlySet<SandboxId | null>,
  notes: string[],
): Promise<Finding | null> {
  const row = inventory.rows.get(record.sessionId);
  const fresh = row !== undefined && ports.clock.now() - row.asOf < 2 * terms.policy.reportEveryMs + terms.graceMs;
  const provider = (row?.provider as ProviderName | undefined) ?? null;
  const { tenant, sessionId, sandboxId, generation, host } = record;
  const place = record.container === null ? {} : { container: record.container };
  const about = { tenant, provider, sessionId, sandboxId, generation, host, ...place };
  // The usual case costs no call: heard of lately, and seen.
  if (fresh && listed.has(sandboxId)) return null;
  if (!fresh && (await hasNoRecord(ports, terms, sessionId))) {
    return {
      kind: "record_without_session",
      ...about,
      detail: `counted as ${record.state}; its session has no record`,
    };
  }
  const looks = await observeEverywhere(
    ports,
    terms,
    { sessionId, sandboxId, generation, instanceId: null, host, ...place },
    provider,
  );
  if (!absentAtHost(looks, host)) {
    // A mere reservation has no host yet. Its registry asks its session, and gives it back.
    const stranger = record.state === "reserved" ? null : strangerAmong(looks, host);
    if (stranger !== null) notes.push(`${sandboxId} of session ${sessionId} was not looked at: ${stranger}`);
    return null;
  }
  const kind = record.state === "held" ? "running_absent" : "record_without_sandbox";
  return { kind, ...about, detail: `counted as ${record.state}; ${looks.map((look) => look.detail).join("; ")}` };
}

/**
 * Whether these looks say that a sandbox is gone. Only the host that its registry recorded can say so: every other host
 * finds nothing, because it never had the sandbox.
 */
export function absentAtHost(looks: readonly Observation[], host: string | null): boolean {
  if (host === null || looks.some((look) => look.answer === "present")) return false;
  return looks.some((look) => look.answer === "absent" && look.host === host);
}

/** In words: why nothing was learned about a sandbox although somebody answered; null: no stranger answered. */
function strangerAmong(looks: readonly Observation[], host: string | null): string | null {
  const answered = looks.find((look) => look.host !== null && look.host !== host);
  if (answered === undefined) return null;
  return host === null
    ? "no host is recorded for it, so no host can prove anything about it."
    : `host ${answered.host} answered, and it is on host ${host}. If that host is gone for good, assert the sandbox absent.`;
}

/** At the provider that is known, else at every wired one. Empty: its adapter is not wired here, so nothing is known. */
export async function observeEverywhere(
  ports: Pick<AuditPorts, "clock" | "providers">,
  terms: AuditTerms,
  target: Target,
  provider: ProviderName | null,
): Promise<readonly Observation[]> {
  const looks: Observation[] = [];
  for (const name of provider === null ? ports.providers.wired : [provider]) {
    const adapter = ports.providers.get(name);
    if (adapter === null) return [];
    const beganAt = ports.clock.now();
    const answer = await outcomeWithin(ports.clock, terms.policy.observeMs, (bound) =>
      adapter.observe(target, beganAt, bound),
    );
    if (answer.type !== "answered") return [];
    looks.push(answer.value);
  }
  return looks;
}

function withoutRecord(inventory: Inventory, terms: AuditTerms, now: number, notes: string[]): readonly Finding[] {
  if (!inventory.recordsComplete) return [];
  const counted = countedIds(inventory);
  const found = new Map<SandboxId, Finding>();
  for (const { provider, sessionId, sandboxId, container, generation, host, residue } of inventory.listed) {
    if (sandboxId === null || generation === null) {
      notes.push(
        `Provider ${provider} lists a ${residue.kind} of session ${sessionId} without a generation (pid ${residue.pid ?? "?"}): it cannot be aimed at from here.`,
      );
      continue;
    }
    if (counted.has(sandboxId) || isYoung(generation, now, terms.graceMs)) continue;
    if (sandboxId !== isolatedSandboxId(sessionId, generation)) {
      notes.push(
        `Provider ${provider} lists ${sandboxId}, which may serve other sessions too: it is left to an operator.`,
      );
      continue;
    }
    const detail = `${provider} lists a ${residue.kind}${residue.pid === null ? "" : ` (pid ${residue.pid})`}, and no registry counts it`;
    const place = container === undefined ? {} : { container };
    found.set(sandboxId, {
      kind: "sandbox_without_record",
      provider,
      sessionId,
      sandboxId,
      generation,
      host,
      detail,
      ...place,
    });
  }
  return [...found.values()];
}
