/** What is kept of the canary, and what it says to alerts and figures. */
import type { Generation, SandboxId, SessionId } from "../state/ids.ts";
import type { ProviderName } from "../state/provider-names.ts";

export interface PlantedCanary {
  readonly plantedAt: number;
  readonly provider: ProviderName;
  readonly sessionId: SessionId;
  readonly sandboxId: SandboxId;
  readonly generation: Generation;
  /** null: its launch was not answered. */
  readonly host: string | null;
  /** What must end it: the audit, or the wrapper's own fence where the provider cannot list. */
  readonly by: "audit" | "itself";
  /** Later than this is too late. */
  readonly dueAt: number;
}

export interface CanaryState {
  /** The one that is out now. */
  readonly planted: PlantedCanary | null;
  readonly last: {
    readonly plantedAt: number;
    readonly endedAt: number;
    /** `nobody`: it was not found in time, and ended from where it was planted. */
    readonly by: "audit" | "itself" | "nobody";
  } | null;
}

export const noCanary: CanaryState = { planted: null, last: null };

/** Reads the stored state; undefined: nothing is stored yet. */
export function parseCanary(body: string | undefined): CanaryState {
  return body === undefined ? noCanary : (JSON.parse(body) as CanaryState);
}

/** True when a canary that was certainly planted was not found in time, this one or the last. */
export function canaryIsMissed({ planted, last }: CanaryState, now: number): boolean {
  return last?.by === "nobody" || (planted !== null && planted.host !== null && now > planted.dueAt);
}
