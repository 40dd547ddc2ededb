/** What can go wrong between a caller and the memory world. One port, asked once for each call, so that a seed decides everything. */
import type { ContainerId, Generation, SandboxId, SessionId } from "../../src/domain/state/ids.ts";

export const providerOps = [
  "launch",
  "retire",
  "observe",
  "stop",
  "destroy",
  "enumerate",
  "readLogs",
  "readResources",
  "save",
  "restore",
  "remove",
  "inspectSnapshot",
  "inspectCapacity",
  "reclaim",
  "retireContainer",
  "observeContainer",
  "destroyContainer",
] as const;
export const wrapperOps = [
  "health",
  "renew",
  "prepare",
  "startJob",
  "job",
  "output",
  "endJob",
  "writeStdin",
  "drain",
  "freeze",
  "cutTraffic",
  "traffic",
] as const;
export type Op = (typeof providerOps)[number] | (typeof wrapperOps)[number];

export interface Call {
  readonly op: Op;
  /** null for a call about no sandbox in particular (`enumerate`). */
  readonly sessionId: SessionId | null;
  readonly sandboxId: SandboxId | null;
  readonly generation: Generation | null;
  readonly container?: ContainerId;
  /** The world's clock. */
  readonly now: number;
}

/**
 * A process list that is wrong. `absent` hides everything, `fewer` all but one, `stale` shows the list of `ageMs` ago,
 * `wrong_host` and `wrong_boot` are an honest "nothing here" from somewhere else, `malformed` is no list at all.
 * One plain lie is survivable because it takes two looks; a list that hides a live process at every look, as the recorded
 * host and boot, after the retirement, could be survived by no design. So after a hidden one the next delivered answer
 * about that sandbox is always true (`LyingList`).
 */
export type Lie =
  | { readonly type: "absent" }
  | { readonly type: "fewer" }
  | { readonly type: "stale"; readonly ageMs: number }
  | { readonly type: "wrong_host" }
  | { readonly type: "wrong_boot" }
  | { readonly type: "malformed" };

export type Fault =
  | { readonly type: "none" }
  /** An error and no effect; `effect` is what the error claims (a lost request looks like a lost reply). */
  | { readonly type: "fail_before"; readonly effect: "none" | "unknown" }
  /** The effect, then an error that does not know of it. */
  | { readonly type: "lost_reply" }
  /** The effect at once, the reply late. */
  | { readonly type: "slow"; readonly ms: number }
  /** The effect late. The caller hears an error at once, nothing at all, or (if it still listens) the result. */
  | { readonly type: "late_effect"; readonly ms: number; readonly reply: "error" | "silence" | "result" }
  /** The effect twice: now, and again after `afterMs`. */
  | { readonly type: "duplicate"; readonly afterMs: number }
  /** No effect and no reply. `deaf`: it keeps no bound either, and not even the caller's abort ends it. */
  | { readonly type: "hang"; readonly deaf: boolean }
  /** For `observe`; elsewhere as none. */
  | { readonly type: "stale_read"; readonly lie: Lie }
  /** The whole sandbox is gone when the call arrives. */
  | { readonly type: "disappear" }
  /** Its wrapper was killed; the guardian is still there. */
  | { readonly type: "kill_wrapper" }
  /** SIGSTOP, and SIGCONT after `ms`. */
  | { readonly type: "freeze"; readonly what: "wrapper" | "everything"; readonly ms: number }
  | { readonly type: "host_restart"; readonly scanMs: number }
  | { readonly type: "host_reboot"; readonly scanMs: number }
  /** Somebody else answers. No effect on the one that was meant. */
  | { readonly type: "foreign_instance" };
export type FaultType = Fault["type"];

export interface FaultPlan {
  decide(call: Call): Fault;
}

export const noFaults: FaultPlan = { decide: () => ({ type: "none" }) };
