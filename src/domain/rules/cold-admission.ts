/**
 * Whether a workspace may be prepared where it would be: asked before the first byte of it is written, and
 * never of a session whose sandbox runs. Pure; the shell measures and reclaims.
 *
 * Three different noes, because three different people can mend them: too little space (end something, or wait), space that
 * cannot be told (look at the provider), a filesystem that refuses writes (replace it). Only the last one, which rests on a
 * refused write and on nothing else, ever allows a sandbox to be given up for it (docs/decisions/0012).
 */
import type { ProviderFailure, ProviderFailureCode } from "../state/failure.ts";

export type Measured =
  | { readonly type: "space"; readonly freeBytes: number; readonly totalBytes: number }
  | { readonly type: "failed"; readonly failure: ProviderFailure };

/** What reclaiming came to; null: it was not tried yet. */
export interface ReclaimOutcome {
  readonly removed: number;
  readonly freedBytes: number;
  /** Why it came to nothing, where it failed. */
  readonly failed: string | null;
}

export const spaceRefusals = ["insufficient_space", "space_unmeasurable", "filesystem_unusable"] as const;
export type SpaceRefusal = (typeof spaceRefusals)[number];

export type ColdStep =
  | { readonly type: "admit" }
  /** Too little: remove what is stale, then measure again. At most once. */
  | { readonly type: "reclaim" }
  | { readonly type: "refuse"; readonly code: SpaceRefusal; readonly words: string }
  /** The provider did not answer. That says nothing about space, so the call is repeated later like any other. */
  | { readonly type: "ask_later"; readonly words: string };

/** At exactly the threshold there is space. */
export function admitCold(measured: Measured, reclaimed: ReclaimOutcome | null, neededBytes: number): ColdStep {
  if (measured.type === "failed") return afterFailure(measured.failure);
  const { freeBytes, totalBytes } = measured;
  if (freeBytes >= neededBytes) return { type: "admit" };
  if (reclaimed === null) return { type: "reclaim" };
  const tried =
    reclaimed.failed === null
      ? `Removing ${reclaimed.removed} stale ${reclaimed.removed === 1 ? "workspace" : "workspaces"} freed ${reclaimed.freedBytes} bytes.`
      : `Nothing could be reclaimed: ${reclaimed.failed}`;
  const words = `${freeBytes} of ${totalBytes} bytes are free where the workspace would be; ${neededBytes} are needed. ${tried}`;
  return { type: "refuse", code: "insufficient_space", words };
}

function afterFailure({ code, message }: ProviderFailure): ColdStep {
  switch (code) {
    case "filesystem_unusable":
    case "insufficient_space":
      return { type: "refuse", code, words: message };
    // It answered, and its answer is no number.
    case "space_unmeasurable":
    case "malformed":
    case "unsupported":
    case "invalid":
    case "not_found":
    case "damaged":
      return { type: "refuse", code: "space_unmeasurable", words: message };
    case "timed_out":
    case "unavailable":
    case "restoring":
    case "no_capacity":
    case "refused_retired":
    case "refused_late":
    case "start_failed":
    case "foreign_instance":
    case "protocol_unsupported":
    case "not_ready":
    case "stdin_full":
    case "job_ended":
      return { type: "ask_later", words: message };
  }
}

export function isSpaceRefusal(code: string): code is SpaceRefusal {
  return spaceRefusals.some((refusal) => refusal === code);
}

/**
 * Whether this is evidence enough to stay away from the shared container it happened in, which then ends when its last
 * member has left. No other failure speaks against a container that somebody else works in.
 */
export function condemnsFilesystem(code: ProviderFailureCode | SpaceRefusal): boolean {
  return code === "filesystem_unusable";
}
