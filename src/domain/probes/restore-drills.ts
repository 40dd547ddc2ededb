/** What is kept of restore drills, and what they say to alerts and figures. */
import type { SessionId } from "../state/ids.ts";

export interface RunningDrill {
  readonly startedAt: number;
  readonly tenant: string;
  /** The session whose files are restored. The drill changes nothing of it. */
  readonly sessionId: SessionId;
  readonly snapshotId: string;
  /** The session that they are restored into. */
  readonly throwaway: SessionId;
  /** The result; from here on only the throwaway session must be proven gone. null: not known yet. */
  readonly verdict: "proven" | "failed" | "inconclusive" | null;
}

/** A snapshot that could not be restored. It is tried again before any other. */
export interface FailingRestore {
  readonly sessionId: SessionId;
  readonly tenant: string;
  readonly snapshotId: string;
  readonly since: number;
  /** One failure may be the provider's bad minute: from the second on people are told. */
  readonly tries: number;
  readonly why: string;
}

export interface DrillState {
  readonly running: RunningDrill | null;
  readonly lastStartedAt: number | null;
  readonly lastProvenAt: number | null;
  readonly proven: number;
  readonly failed: number;
  /** No sandbox, no time, or the session went on meanwhile: nothing was learned. */
  readonly inconclusive: number;
  /** At most 20. */
  readonly failing: readonly FailingRestore[];
}

export const noDrills: DrillState = {
  running: null,
  lastStartedAt: null,
  lastProvenAt: null,
  proven: 0,
  failed: 0,
  inconclusive: 0,
  failing: [],
};

/** Reads the stored state; undefined: nothing is stored yet. */
export function parseDrills(body: string | undefined): DrillState {
  return body === undefined ? noDrills : (JSON.parse(body) as DrillState);
}

/** The failing restores that an operator must know of. */
export function certainlyFailing({ failing }: DrillState): readonly FailingRestore[] {
  return failing.filter(({ tries }) => tries > 1);
}
