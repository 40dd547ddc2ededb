/** What an explanation is made from, and what it says. */
import type { ClockName } from "../domain/rules/clocks.ts";
import type { Policy } from "../domain/rules/policy.ts";
import type { Blocked, Status } from "../domain/rules/status.ts";
import type { Generation, SandboxId } from "../domain/state/ids.ts";
import type { OpenLease } from "../domain/state/lease.ts";
import type { CallHint } from "../domain/state/next-calls.ts";

export interface ExplainContext {
  readonly now: number;
  readonly policy: Policy;
  readonly adapterMissing: boolean;
  /** Its provider can save a sandbox: it may pause. */
  readonly canSave: boolean;
  /** Jobs that were not handed over yet. */
  readonly queuedJobs: number;
  /** The ETag that an operator's call must carry. */
  readonly etag: string;
}

export interface ExplainedClock {
  readonly name: ClockName;
  /** Epoch ms; null: it does not run now, and `says` tells why. */
  readonly dueAt: number | null;
  readonly does: string;
  readonly movedBy: string;
  readonly says: string;
}

export interface ExplainedSandbox {
  readonly generation: Generation;
  readonly sandboxId: SandboxId;
  readonly phase: OpenLease["phase"];
  readonly ghost: boolean;
  /** null unless the sandbox holds a lease. Epoch ms: the last accepted renewal, the next one, and when it counts as lost if no more is accepted. */
  readonly lease: { readonly renewedAt: number; readonly nextRenewalAt: number; readonly lapsesAt: number } | null;
  readonly says: string;
}

/** A call with everything filled in: it can be sent as it is. */
export interface NextCall {
  readonly method: CallHint["method"];
  readonly path: string;
  readonly body: CallHint["body"];
  readonly headers: Readonly<Record<string, string>>;
  readonly access: CallHint["access"];
  /** Epoch ms: before that it would be refused; null: now. */
  readonly notBefore: number | null;
  /** A sentence: what for. */
  readonly why: string;
}

export interface Advice {
  /** The one to make; null: none is needed, or there is nothing left to do. */
  readonly next: NextCall | null;
  /** What else works. */
  readonly others: readonly NextCall[];
}

export interface Explanation extends Advice {
  readonly status: Status;
  /** The whole of it in two or three sentences. */
  readonly summary: string;
  /** Why it is still there; or why it is not. */
  readonly alive: string;
  readonly clocks: readonly ExplainedClock[];
  /** The one that fires first; null: none runs. */
  readonly nextClock: ExplainedClock | null;
  /** When Mooring itself looks again, whatever for; null: there is nothing left to do. */
  readonly nextLookAt: number | null;
  /** Epoch ms; null: its sandbox is not lost. */
  readonly lostSince: number | null;
  readonly blocked: (Blocked & { readonly says: string }) | null;
  /** What physically may exist of it, oldest first. */
  readonly sandboxes: readonly ExplainedSandbox[];
}
