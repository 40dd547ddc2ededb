/**
 * Applies a plan that somebody has read: only with its hash, each finding looked at again first, once, and with a report
 * of what was done, what was skipped and why. One that fails stops no other.
 *
 * What a session can still do it does itself: it is told to look. The reaper is for what nobody owns.
 */
import type { Generation, SandboxId, SessionId } from "../../domain/state/ids.ts";
import type { Reply } from "../../protocol/problem.ts";
import { inLanes } from "../../calls/in-lanes.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import { RunRecord, type RunFigures } from "../control/run-record.ts";
import type { AuditPorts, AuditTerms } from "./audit-ports.ts";
import { countedIds, type CountedRecord, type Inventory, takeInventory } from "./inventory.ts";
import { absentAtHost, observeEverywhere } from "./make-plan.ts";
import type { AppliedFinding, AuditPlan, AuditResult, CountedFinding, Finding, SandboxFinding } from "./plan.ts";
import { applyFile } from "./ownerless-files.ts";
import { reap, reaperReceiptId } from "./reaper.ts";
import { speakForLost } from "./speak-for-lost.ts";

type Verdict = Omit<AppliedFinding, "finding">;

export async function applyPlan(
  ports: AuditPorts,
  terms: AuditTerms,
  order: { readonly planId: string; readonly hash: string; readonly by: string },
): Promise<Reply<AuditResult>> {
  const kept = await ports.control.document("audit_plan", order.planId);
  if (kept === null)
    return refusal("not_found", "There is no audit plan with this id, or it was so long ago that it is gone.");
  const plan = JSON.parse(kept.body) as AuditPlan;
  if (plan.hash !== order.hash) {
    return refusal(
      "precondition_failed",
      "This is not the hash of that plan, so nothing was done. Read the plan, then send its own hash.",
    );
  }
  const before = await ports.control.document("audit_result", plan.id);
  // Asked again because the first answer was lost: the same result, and nothing twice.
  if (before !== null) return { ok: true, value: JSON.parse(before.body) as AuditResult };
  const startedAt = ports.clock.now();
  if (startedAt > plan.expiresAt) {
    return refusal(
      "conflict",
      "This plan is more than an hour old, so nothing was done. Make a new one and apply that.",
    );
  }
  const result = await applyAll(ports, terms, plan, order.by);
  await ports.control.putDocument({ kind: "audit_result", id: plan.id, body: JSON.stringify(result) });
  return { ok: true, value: result };
}

async function applyAll(ports: AuditPorts, terms: AuditTerms, plan: AuditPlan, by: string): Promise<AuditResult> {
  const { logger, clock } = ports;
  const record = await RunRecord.begin(ports, { layer: "audit", by, reason: `plan ${plan.id}` });
  const startedAt = clock.now();
  logger.info("Sandbox cleanup started", { layer: "audit", by, run: record.id, plan: plan.id });
  logger.info(`Found ${plan.findings.length} sandboxes to cleanup`, { layer: "audit", run: record.id });
  const needsAll = ["sandbox_without_record", "file_without_owner"];
  const inventory = plan.findings.some((each) => needsAll.includes(each.kind))
    ? await takeInventory(ports, terms)
    : null;
  const items: AppliedFinding[] = [];
  await inLanes(plan.findings, terms.concurrency, async (finding) => {
    const late = clock.now() - startedAt >= terms.runMs;
    const verdict: Verdict = late
      ? { outcome: "skipped", why: "There was no time left; the next audit finds it again." }
      : await applyOne(ports, terms, finding, by, inventory).catch((error: unknown) => ({
          outcome: "failed" as const,
          why: String(error).slice(0, 300),
        }));
    items.push({ finding, ...verdict });
    if (verdict.outcome === "done")
      logger.info(`Cleaned up ${finding.sessionId}`, {
        sandbox: finding.sandboxId,
        kind: finding.kind,
        why: verdict.why,
      });
    else
      logger.warn("finding not settled", {
        sandbox: finding.sandboxId,
        kind: finding.kind,
        outcome: verdict.outcome,
        why: verdict.why,
      });
    await record.progress(figuresOf(plan, items));
  });
  const figures = figuresOf(plan, items);
  const outcome =
    figures.failed > 0 && figures.done === 0 ? "failed" : figures.failed > 0 || !plan.complete ? "partial" : "ok";
  await record.end(outcome, figures);
  const { found, done, skipped, failed } = figures;
  logger.info("Cleanup completed", { layer: "audit", run: record.id, found, done, skipped, failed });
  return { planId: plan.id, appliedAt: startedAt, by, items };
}

async function applyOne(
  ports: AuditPorts,
  terms: AuditTerms,
  finding: Finding,
  by: string,
  now: Inventory | null,
): Promise<Verdict> {
  if (finding.kind === "file_without_owner") return await applyFile(ports, terms, finding, by, now);
  if (finding.kind === "sandbox_without_record") return await applyUnrecorded(ports, terms, finding, now);
  const record = await recordOf(ports, terms, finding.tenant, finding.sessionId, finding.generation);
  if (record === "silent") return { outcome: "failed", why: "Its registry did not answer." };
  if (record === null) return { outcome: "skipped", why: "Its registry does not count it any more." };
  if (record.state === "asserted") return { outcome: "skipped", why: "An operator has asserted it gone meanwhile." };
  const owner = await ownerOf(ports, terms, finding.sessionId);
  if (owner.type === "silent") return { outcome: "failed", why: "Its session did not answer." };
  if (owner.type === "none") return await reapCounted(ports, terms, finding, record);
  if (finding.kind === "record_without_session") return { outcome: "skipped", why: "Its session has a record now." };
  const target = { ...targetOf(finding), host: record.host, instanceId: null };
  const looks = await observeEverywhere(ports, terms, target, finding.provider);
  if (!absentAtHost(looks, record.host)) {
    const said = looks.map((look) => `${look.answer} (${look.detail})`).join("; ");
    const why = `A second look at its recorded host did not say absent: ${said === "" ? "nobody answered" : said}.`;
    return { outcome: "skipped", why };
  }
  const poked = await outcomeWithin(ports.clock, terms.callMs, () =>
    ports.session(finding.sessionId).poke("maintenance"),
  );
  if (poked.type !== "answered")
    return { outcome: "failed", why: "Its session did not answer when it was told to look." };
  return await provenBySession(ports, terms, finding);
}

/** How often, and how far apart, the registry is asked whether the session has closed the lease. Two looks take a second. */
const proofLooks = 4;
const proofLookGapMs = 1_500;

/** Done is only what is proven: its registry has the receipt. A session that could not prove it goes on by itself. */
async function provenBySession(ports: AuditPorts, terms: AuditTerms, finding: CountedFinding): Promise<Verdict> {
  for (let look = 1; look <= proofLooks; look += 1) {
    await ports.clock.sleep(proofLookGapMs);
    const still = await recordOf(ports, terms, finding.tenant, finding.sessionId, finding.generation);
    if (still === null)
      return { outcome: "done", why: "Its session looked again, proved the absence and closed the lease." };
  }
  return {
    outcome: "skipped",
    why: "Its session was told to look again and has not proven the absence yet. It goes on by itself; explain says what it waits for.",
  };
}

async function applyUnrecorded(
  ports: AuditPorts,
  terms: AuditTerms,
  finding: Extract<Finding, { kind: "sandbox_without_record" }>,
  now: Inventory | null,
): Promise<Verdict> {
  if (now === null || !now.recordsComplete) return { outcome: "failed", why: "Not every registry answered." };
  if (countedIds(now).has(finding.sandboxId)) return { outcome: "skipped", why: "A registry counts it now." };
  const there = now.listed.some(
    (each) => each.provider === finding.provider && each.host === finding.host && each.sandboxId === finding.sandboxId,
  );
  if (!there) return { outcome: "skipped", why: `${finding.provider} does not list it any more.` };
  const owner = await ownerOf(ports, terms, finding.sessionId);
  if (owner.type === "silent") return { outcome: "failed", why: "Its session did not answer." };
  if (owner.type === "found" && owner.owns(finding.sandboxId, finding.generation)) {
    return { outcome: "skipped", why: "Its session looks after it." };
  }
  const reaped = await reap(ports, terms, targetOf(finding), finding.provider);
  if (!reaped.proven) return { outcome: "failed", why: reaped.why };
  await keepReceipt(ports, finding, reaped.receipt);
  return { outcome: "done", why: `Reaped as orphaned: ${reaped.receipt.evidence ?? ""}.` };
}

/** A record whose session is lost: proven gone first, and only then given back. */
async function reapCounted(
  ports: AuditPorts,
  terms: AuditTerms,
  finding: CountedFinding,
  record: Omit<CountedRecord, "tenant">,
): Promise<Verdict> {
  if (record.state === "reserved" && !record.listed) {
    const why = "No lease was ever reported for it: its registry asks its session, and gives it back by itself.";
    return { outcome: "skipped", why };
  }
  // The registry's own word, not the plan's: a plan may be an hour old.
  const reaped = await reap(ports, terms, { ...targetOf(finding), host: record.host }, finding.provider);
  if (!reaped.proven) return { outcome: "failed", why: reaped.why };
  await keepReceipt(ports, finding, reaped.receipt);
  await speakForLost(ports, finding, reaped.receipt);
  return { outcome: "done", why: `Reaped as orphaned and given back: ${reaped.receipt.evidence ?? ""}.` };
}

async function keepReceipt(ports: AuditPorts, finding: SandboxFinding, receipt: object): Promise<void> {
  const id = reaperReceiptId(finding.sessionId, finding.sandboxId);
  await ports.control.putDocument({ kind: "reaper_receipt", id, body: JSON.stringify(receipt) });
}

function targetOf({ sessionId, sandboxId, container, generation, host }: SandboxFinding) {
  return { sessionId, sandboxId, generation, host, ...(container === undefined ? {} : { container }) };
}

async function recordOf(
  ports: AuditPorts,
  terms: AuditTerms,
  tenant: Parameters<AuditPorts["tenant"]>[0],
  sessionId: SessionId,
  generation: Generation,
) {
  // Strictly after the one before it: the first of the page is this one, or it is not counted.
  const before = { sessionId, generation: (generation - 1) as Generation };
  const answer = await outcomeWithin(ports.clock, terms.callMs, () => ports.tenant(tenant).open(before, 1));
  if (answer.type !== "answered") return "silent" as const;
  const first = answer.value[0];
  return first?.sessionId === sessionId && first.generation === generation ? first : null;
}

type Owner =
  | { readonly type: "none" }
  | { readonly type: "silent" }
  | { readonly type: "found"; owns(sandboxId: SandboxId, generation: Generation): boolean };

async function ownerOf(ports: AuditPorts, terms: AuditTerms, id: SessionId): Promise<Owner> {
  const answer = await outcomeWithin(ports.clock, terms.callMs, () => ports.session(id).inspect());
  if (answer.type !== "answered") return { type: "silent" };
  const reply = answer.value;
  if (!reply.ok) return reply.problem.code === "not_found" ? { type: "none" } : { type: "silent" };
  const { record, session, teardowns } = reply.value;
  return {
    type: "found",
    owns(sandboxId, generation) {
      // A record that cannot be read may own anything.
      if (record !== "readable" || session === null) return true;
      if (teardowns.some((each) => each.sandbox_id === sandboxId)) return true;
      const ended = session.status === "terminated" || session.status === "failed";
      return !ended && generation >= (session.generation ?? 0);
    },
  };
}

function figuresOf(plan: AuditPlan, items: readonly AppliedFinding[]): RunFigures {
  const count = (outcome: Verdict["outcome"]) => items.filter((each) => each.outcome === outcome).length;
  return {
    found: plan.findings.length,
    done: count("done"),
    skipped: count("skipped"),
    failed: count("failed"),
    detail: {
      plan: plan.id,
      notes: plan.notes,
      results: items.map(({ finding, outcome, why }) => ({
        id: finding.sessionId,
        sandbox: finding.sandboxId,
        kind: finding.kind,
        outcome,
        why,
      })),
    },
  };
}

function refusal(code: "not_found" | "precondition_failed" | "conflict", detail: string): Reply<never> {
  return { ok: false, problem: { code, detail } };
}
