/**
 * What an audit found, as data: one line for each thing that does not fit, and a hash over them, so that what is applied
 * is exactly what somebody read. Pure.
 */
import type { ContainerId, Generation, SandboxId, SessionId, TenantId } from "../../domain/state/ids.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { Reservation } from "../../tenant/quota/reservations.ts";

/**
 * - `running_absent`: counted as held, and its provider says that nothing of it is there.
 * - `record_without_sandbox`: counted in another phase, and nothing of it is there.
 * - `record_without_session`: counted, but its session has no record of itself: nobody would ever end it.
 * - `sandbox_without_record`: a provider lists it, and nobody counts it.
 * - `file_without_owner`: a workspace or snapshot on a provider's disk whose session has no record of itself.
 */
export type Finding =
  | {
      readonly kind: "running_absent" | "record_without_sandbox" | "record_without_session";
      readonly tenant: TenantId;
      /** null: nobody knows any more; every provider has to be asked. */
      readonly provider: ProviderName | null;
      readonly sessionId: SessionId;
      readonly sandboxId: SandboxId;
      /** The shared container that it is a place in; its siblings are no part of this. */
      readonly container?: ContainerId;
      readonly generation: Generation;
      /** The host that its registry recorded; null: none was ever reported, so nobody can prove it gone. */
      readonly host: string | null;
      readonly detail: string;
    }
  | {
      readonly kind: "sandbox_without_record";
      readonly provider: ProviderName;
      readonly sessionId: SessionId;
      readonly sandboxId: SandboxId;
      /** The shared container that it is a place in; its siblings are no part of this. */
      readonly container?: ContainerId;
      readonly generation: Generation;
      /** The host that lists it. */
      readonly host: string | null;
      readonly detail: string;
    }
  | FileFinding;

export interface FileFinding {
  readonly kind: "file_without_owner";
  readonly provider: ProviderName;
  readonly sessionId: SessionId;
  /** null: a snapshot is no sandbox. */
  readonly sandboxId: SandboxId | null;
  readonly container?: ContainerId;
  readonly generation: Generation | null;
  /** The host that has it. */
  readonly host: string;
  readonly file: { readonly kind: "workspace" | "snapshot"; readonly name: string };
  readonly detail: string;
}

export type SandboxFinding = Exclude<Finding, FileFinding>;
/** What a registry counts. */
export type CountedFinding = Exclude<SandboxFinding, { kind: "sandbox_without_record" }>;

export interface AuditPlan {
  readonly id: string;
  readonly createdAt: number;
  readonly by: string;
  /** Not applied any more past this: by then a new plan is cheaper than doubt. */
  readonly expiresAt: number;
  /** Of everything above and of the findings: names this plan and no other. */
  readonly hash: string;
  readonly findings: readonly Finding[];
  /** Everything that was to be looked at was. A provider that cannot list at all is no gap: it is a note. */
  readonly complete: boolean;
  /** What was not looked at, and why: a provider that cannot list, a registry that did not answer. */
  readonly notes: readonly string[];
  readonly looked: { readonly tenants: number; readonly records: number; readonly sandboxes: number };
}

export interface AppliedFinding {
  readonly finding: Finding;
  readonly outcome: "done" | "skipped" | "failed";
  readonly why: string;
}

export interface AuditResult {
  readonly planId: string;
  readonly appliedAt: number;
  readonly by: string;
  readonly items: readonly AppliedFinding[];
}

/** What the hash is taken over. */
export function planText({ id, createdAt, findings }: Omit<AuditPlan, "hash">): string {
  return JSON.stringify({ id, createdAt, findings: findings.map(lineOf) });
}

/** In one order of fields, whatever order an object happens to have. */
function lineOf(finding: Finding): readonly unknown[] {
  const { kind, provider, sessionId, sandboxId, generation, host } = finding;
  const file = finding.kind === "file_without_owner" ? [finding.file.kind, finding.file.name] : [];
  return [kind, provider, sessionId, sandboxId, generation, host, ...file];
}

/** Whether this record may be a finding at all: settled long enough, and not an operator's own assertion. */
export function isRipe(record: Reservation, now: number, graceMs: number, provisionMs: number): boolean {
  switch (record.state) {
    case "reserved":
    case "launching":
      return now - record.changedAt >= Math.max(graceMs, provisionMs);
    case "held":
    case "stopping":
      return now - record.changedAt >= graceMs;
    case "asserted":
    case "proven":
    case "cancelled":
      return false;
  }
}

/** A first generation is a creation time: what is younger than the grace may be on its way into a registry's page. */
export function isYoung(generation: Generation, now: number, graceMs: number): boolean {
  return now - generation < graceMs;
}
