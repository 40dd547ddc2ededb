/**
 * What one cron tick runs: every layer that is due, all at once, so that one that fails or hangs delays no other.
 * Each leaves a run in the history, a failed one too. It never throws: a tick that failed must not look to the
 * platform like one to be repeated at once.
 */
import type { Policy } from "../../domain/rules/policy.ts";
import { applyPlan } from "../audits/apply-plan.ts";
import type { AuditPorts, AuditTerms } from "../audits/audit-ports.ts";
import { remindMissing } from "../audits/missing-sessions.ts";
import { makePlan } from "../audits/make-plan.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { FleetControlApi, LayerSummary } from "../control/control-api.ts";
import { RunRecord } from "../control/run-record.ts";
import { backstop } from "./choices.ts";
import { cleanup, type CleanupTerms } from "./cleanup.ts";
import { shedding, type SheddingPorts } from "./shedding.ts";
import type { SweepResult } from "./sweep.ts";

const minute = 60_000;

export const layerNames = ["sweep", "shedding", "age", "audit"] as const;
export type LayerName = (typeof layerNames)[number];

/** How often each runs. The cron comes every five minutes; the alerts know from here how long silence may last. */
export const layerEveryMs: Readonly<Record<LayerName, number>> = {
  sweep: 5 * minute,
  shedding: 5 * minute,
  age: 15 * minute,
  audit: 60 * minute,
};
/** Two ticks are never exactly five minutes apart. */
const tickSlackMs = 2.5 * minute;
/** A layer bounds itself; this is for the one that does not keep to it. The platform ends a tick after 15 minutes. */
const layerBoundMs = 10 * minute;

export interface LayerPorts extends Omit<AuditPorts, "control" | "shards">, Omit<SheddingPorts, "control" | "shards"> {
  readonly control: AuditPorts["control"] & SheddingPorts["control"] & Pick<FleetControlApi, "layers">;
  readonly shards: SheddingPorts["shards"];
  /** Its log lines and its own bounds are those of run-sweep.ts. */
  sweep(): Promise<SweepResult>;
}

export interface LayerTerms {
  readonly policy: Policy;
  readonly cleanup: CleanupTerms;
  readonly audit: AuditTerms;
}

/**
 * Pure. Without history (control is silent, or nothing ever ran) the clock decides, so that no layer hangs on control:
 * a tick that is missed then costs one turn.
 */
export function dueLayers(now: number, history: readonly LayerSummary[] | null): readonly LayerName[] {
  return layerNames.filter((name) => {
    const every = layerEveryMs[name];
    const last = history?.find((each) => each.layer === name);
    if (last !== undefined) return now - last.lastStartedAt >= every - tickSlackMs;
    return history !== null || now % every < layerEveryMs.sweep;
  });
}

export interface LayerOutcome {
  readonly layer: LayerName;
  readonly outcome: "done" | "failed" | "hung";
}

export async function runLayers(ports: LayerPorts, terms: LayerTerms): Promise<readonly LayerOutcome[]> {
  const history = await outcomeWithin(ports.clock, terms.cleanup.callMs, () => ports.control.layers());
  const due = dueLayers(ports.clock.now(), history.type === "answered" ? history.value : null);
  return await Promise.all(due.map((layer) => runLayer(ports, terms, layer)));
}

async function runLayer(ports: LayerPorts, terms: LayerTerms, layer: LayerName): Promise<LayerOutcome> {
  const answer = await outcomeWithin(ports.clock, layerBoundMs, async () => await bodies[layer](ports, terms));
  if (answer.type === "answered") return { layer, outcome: "done" };
  const why = answer.type === "failed" ? answer.message : `no end within ${layerBoundMs} ms`;
  ports.logger.error("layer failed", { layer, error: why.slice(0, 300) });
  const record = await RunRecord.begin(ports, { layer, by: "cron", reason: "" });
  await record.end("failed", { found: 0, done: 0, skipped: 0, failed: 1, detail: { error: why.slice(0, 1_000) } });
  return { layer, outcome: answer.type };
}

type Body = (ports: LayerPorts, terms: LayerTerms) => Promise<unknown>;

const bodies: Readonly<Record<LayerName, Body>> = {
  sweep: sweepRecorded,
  shedding: (ports, terms) => shedding(ports, terms.cleanup),
  age: (ports, terms) =>
    cleanup(ports, terms.cleanup, {
      layer: "age",
      by: "cron",
      ending: { actor: "maintenance", reason: "failed", words: "the age backstop ended it" },
      questions: backstop(ports.clock.now(), terms.policy),
      dryRun: false,
    }),
  audit: async (ports, terms) => {
    await remindMissing(ports, terms.audit);
    const plan = await makePlan(ports, terms.audit, "cron");
    const applied = await applyPlan(ports, terms.audit, { planId: plan.id, hash: plan.hash, by: "cron" });
    if (!applied.ok) throw new Error(applied.problem.detail);
  },
};

async function sweepRecorded(ports: LayerPorts): Promise<void> {
  const record = await RunRecord.begin(ports, { layer: "sweep", by: "cron", reason: "" });
  const result = await ports.sweep().catch(async (error: unknown) => {
    await record.end("failed", {
      found: 0,
      done: 0,
      skipped: 0,
      failed: 1,
      detail: { error: String(error).slice(0, 1_000) },
    });
    return null;
  });
  if (result === null) return;
  const looked = result.sessions.filter((each) => each.outcome === "looked").length;
  const silent = result.shards.filter((each) => each.outcome !== "answered").map((each) => each.name);
  const failed = result.sessions.length - looked;
  const troubled = result.sessions.filter((each) => each.outcome !== "looked");
  await record.end(failed === 0 && silent.length === 0 ? "ok" : looked === 0 ? "failed" : "partial", {
    ...{ found: result.sessions.length, done: looked, skipped: 0, failed },
    detail: {
      silent_shards: silent,
      results: troubled.map((each) => ({ id: each.sessionId, outcome: each.outcome, why: each.detail })),
    },
  });
}
