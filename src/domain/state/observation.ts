/** What one read-only look at a sandbox found. `unknown` is never `absent`. */
import type { Generation, InstanceId, SandboxId } from "./ids.ts";
import type { ProviderName } from "./provider-names.ts";

export type Answer = "present" | "absent" | "unknown";

/** Something of an instance that is still there. */
export interface Residue {
  readonly kind: "container" | "guardian" | "wrapper" | "job" | "legacy";
  /** null for a legacy wrapper (a session marker without an instance marker) and for a bare container. */
  readonly instanceId: InstanceId | null;
  readonly pid: number | null;
}

/**
 * What an absence is worth. `container`: nothing a process does escapes it. `cgroup`: nothing does but with root's rights.
 * `user`: its jobs ran as a user that nobody else had, and could become no other, so what hides is found by that.
 * `marker`: what hides from its group, its environment and its parents would not be seen.
 */
export type Containment = "container" | "cgroup" | "user" | "marker";

export interface Observation {
  readonly answer: Answer;
  readonly provider: ProviderName;
  /** Which host answered; null when nobody did. */
  readonly host: string | null;
  /** The boot of that host (a new one after a reboot, not after a restart of its process); null when nobody answered. */
  readonly boot: string | null;
  readonly sandboxId: SandboxId;
  readonly generation: Generation;
  /** Epoch ms on the controller's clock, taken before the question was sent. */
  readonly beganAt: number;
  /** What was found when `present`; empty when `absent`; what little is known when `unknown`. */
  readonly residue: readonly Residue[];
  /** For people: "no process carries the marker", "the call took longer than 10 s". */
  readonly detail: string;
  /** How far the answer reaches; absent: it was not said. */
  readonly containment?: Containment | undefined;
}
