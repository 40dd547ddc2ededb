/** What an audit needs of the rest. Composed in wiring.ts; in tests, over the real cores in Node. */
import type { SessionId, TenantId } from "../../domain/state/ids.ts";
import type { Policy } from "../../domain/rules/policy.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { AgentSandbox } from "../../sandbox/agent-sandbox.ts";
import type { IndexPort } from "../../session/reports/reports.ts";
import type { SessionApi } from "../../session/session-api.ts";
import type { TenantApi } from "../../tenant/tenant-api.ts";
import type { FleetControlApi } from "../control/control-api.ts";
import type { RunPorts } from "../control/run-record.ts";
import type { FleetShardApi } from "../shard/shard-api.ts";

export interface AuditPorts extends RunPorts {
  readonly control: Pick<FleetControlApi, "tenants" | "putDocument" | "document" | "putRun">;
  readonly shards: readonly { readonly name: string; readonly api: Pick<FleetShardApi, "select"> }[];
  tenant(
    tenant: TenantId,
  ): Pick<
    TenantApi,
    "open" | "reports" | "sessions" | "forgottenSnapshots" | "unreleasedSnapshots" | "report" | "cancelReservation"
  >;
  index(tenant: TenantId): Pick<IndexPort, "report">;
  session(id: SessionId): Pick<SessionApi, "inspect" | "poke">;
  /** SHA-256 of a text, in 64 hex digits. */
  digest(text: string): Promise<string>;
  readonly providers: { get(name: ProviderName): AgentSandbox | null; readonly wired: readonly ProviderName[] };
}

export interface AuditTerms {
  readonly policy: Policy;
  /** For one object to answer. */
  readonly callMs: number;
  readonly concurrency: number;
  /** No look begins later than this after the start. The plan names what was not looked at. */
  readonly runMs: number;
  /** Findings of one plan. The next one takes what is left. */
  readonly findings: number;
  /** Younger than this it may still be on its way: never a finding. ms */
  readonly graceMs: number;
}

export function auditTerms(policy: Policy, runMs: number): AuditTerms {
  return {
    policy,
    callMs: 10_000,
    concurrency: 6,
    runMs,
    findings: 1_000,
    // A launch, its first renewal, and an alarm that came late.
    graceMs: policy.launchCallMs + policy.readyWaitMs + policy.alarmSlipMs,
  };
}
