/**
 * What an alert is: a pure judgement over a picture of the fleet, and a state that fires, holds and clears. What could not
 * be seen is `unknown` and moves no alert: silence neither raises nor clears one.
 */
import type { CapacityView, LayerSummary } from "../control/control-api.ts";
import type { BudgetNews, OutcomeTotals, OverdueContainer } from "../shard/shard-api.ts";
import type { CanaryState } from "../../domain/probes/canary.ts";
import type { DrillState } from "../../domain/probes/restore-drills.ts";
import type { AlertTerms } from "./alert-terms.ts";

export interface NamedSession {
  readonly sessionId: string;
  readonly tenant: string;
  readonly status: string;
  /** Since when it is so. Epoch ms. */
  readonly since: number;
}

/** The fleet at one moment. null: at least one shard did not answer, so the whole is not known. */
export interface FleetSnapshot {
  readonly at: number;
  /** When this fleet was first looked at: what never ran may not have had its turn yet. */
  readonly watchedSince: number;
  readonly shards: { readonly asked: number; readonly silent: readonly string[] };
  readonly counts: {
    readonly provisioning: number;
    readonly active: number;
    readonly terminating: number;
    readonly blocked: Readonly<Record<string, number>>;
  } | null;
  /** Over `outcomeWindowMs`. */
  readonly outcomes: OutcomeTotals | null;
  /** Stuck for longer than STUCK_AFTER_SECONDS, or past their deadline for as long: at most 20 of each shard. */
  readonly stuck: readonly NamedSession[] | null;
  /** Parked, or stopping for longer than their attempts may take: at most 20 of each shard. */
  readonly overdueTeardowns: readonly NamedSession[] | null;
  /** Shared containers whose end is past its bound: at most 20 of each shard. */
  readonly overdueContainers: readonly (OverdueContainer & { readonly tenant: string })[] | null;
  /** Near their budget for the month, or at it: at most 20 of each shard. */
  readonly tenantBudgets: readonly (BudgetNews & { readonly tenant: string })[] | null;
  readonly canary: CanaryState;
  readonly drills: DrillState;
  readonly capacity: CapacityView;
  /** Tenants at their own cap, at most 20. */
  readonly fullTenants: readonly string[];
  readonly layers: readonly LayerSummary[];
}

export type AlertContext = Readonly<Record<string, string | number>>;

export type Judgement =
  | { readonly type: "bad"; readonly context: AlertContext }
  /** Not bad enough to fire, not well enough to clear. */
  | { readonly type: "between"; readonly context: AlertContext }
  | { readonly type: "well" }
  | { readonly type: "unknown" };

export interface AlertRule {
  readonly name: string;
  readonly severity: "warning" | "critical";
  readonly summary: string;
  /** The first thing to run, for whoever has curl and nothing else. */
  readonly command: string;
  /** The same with Mooring's command line: what its console and command line show. */
  readonly cli: string;
  /** For how long it must be bad without a break before it fires. */
  fireAfterMs(terms: AlertTerms): number;
  judge(fleet: FleetSnapshot, terms: AlertTerms): Judgement;
}

export type AlertState =
  | { readonly phase: "clear"; readonly since: number }
  | { readonly phase: "pending"; readonly since: number; readonly context: AlertContext }
  | { readonly phase: "firing"; readonly since: number; readonly context: AlertContext };

/** `change`: what to tell. */
export interface AlertStep {
  readonly state: AlertState;
  readonly change: "fired" | "cleared" | null;
}

/** One look. Hysteresis: it fires on `bad`, holds through `between` and `unknown`, and clears on `well` alone. */
export function nextAlertState(state: AlertState, judgement: Judgement, fireAfterMs: number, now: number): AlertStep {
  if (judgement.type === "unknown") return { state, change: null };
  if (state.phase === "firing") {
    if (judgement.type === "well") return { state: { phase: "clear", since: now }, change: "cleared" };
    return { state: { ...state, context: judgement.context }, change: null };
  }
  if (judgement.type !== "bad") return { state: cleared(state, now), change: null };
  const since = state.phase === "pending" ? state.since : now;
  const { context } = judgement;
  if (now - since < fireAfterMs) return { state: { phase: "pending", since, context }, change: null };
  return { state: { phase: "firing", since: now, context }, change: "fired" };
}

function cleared(state: AlertState, now: number): AlertState {
  return state.phase === "clear" ? state : { phase: "clear", since: now };
}

const named = 5;

/** For a context: how many, and the first few by name. */
export function naming(sessions: readonly NamedSession[], at: number): AlertContext {
  const first = sessions.toSorted((a, b) => a.since - b.since).slice(0, named);
  const oldest = first[0];
  return {
    count: sessions.length,
    ...(oldest === undefined ? {} : { oldest_seconds: Math.round((at - oldest.since) / 1_000) }),
    sessions: first.map((one) => one.sessionId).join(" "),
    tenants: [...new Set(first.map((one) => one.tenant))].join(" "),
  };
}
