/** What really happened in a memory world, in order: what tests and the simulation hold the claims of Mooring against. */
import type { ContainerId, Generation, InstanceId, SandboxId, SessionId } from "../../src/domain/state/ids.ts";
import type { Residue } from "../../src/domain/state/observation.ts";

export type Signal = "SIGTERM" | "SIGKILL" | "SIGSEGV";

/** A process as the world sees it; `pid` and `startTime` together are its identity, a pid alone may be used again. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: number;
}

export interface Process extends ProcessIdentity {
  readonly kind: Exclude<Residue["kind"], "container">;
  readonly sessionId: SessionId;
  /** null: a legacy wrapper whose sandbox nobody recorded. */
  readonly sandboxId: SandboxId | null;
  readonly instanceId: InstanceId | null;
  readonly generation: Generation | null;
  readonly host: string;
  readonly boot: string;
  /** Epoch ms on the world's clock, as is `diedAt`. */
  readonly bornAt: number;
  readonly diedAt: number | null;
  readonly frozen: boolean;
  /** When it last went on after it was frozen; null: never. */
  readonly thawedAt: number | null;
}

export type JournalEntry = { readonly at: number } & (
  | ({ readonly type: "launched" } & Named)
  | ({ readonly type: "launchRepeated" } & Named)
  /** Started past every check, by a test. */
  | ({ readonly type: "smuggled" } & Named)
  | ({ readonly type: "launchRefused"; readonly code: "refused_retired" | "refused_late" | "occupied" } & Named)
  | { readonly type: "retired"; readonly sandboxId: SandboxId; readonly generation: Generation }
  /** `aim` is what the caller of stop named; null when the instance's own wrapper or guardian, or the world, did it. */
  | { readonly type: "signalled"; readonly signal: Signal; readonly process: Process; readonly aim: StopAim | null }
  | ({ readonly type: "renewed"; readonly sequence: number; readonly retired: boolean } & Named)
  | ({ readonly type: "jobAccepted"; readonly jobId: string; readonly retired: boolean } & Named)
  | ({ readonly type: "served"; readonly path: string; readonly retired: boolean } & Named)
  | ({ readonly type: "ending"; readonly why: string } & Named)
  | ({ readonly type: "ended" } & Named)
  /** `jobs`: how many job processes were alive in it as its files were read. */
  | {
      readonly type: "saved";
      readonly sessionId: SessionId;
      readonly sandboxId: SandboxId;
      readonly snapshotId: string;
      readonly jobs: number;
    }
  | { readonly type: "snapshotRemoved"; readonly sessionId: SessionId; readonly snapshotId: string }
  | { readonly type: "reclaimed"; readonly sandboxId: SandboxId; readonly forSession: SessionId }
  | { readonly type: "containerRetired" | "containerDestroyed"; readonly container: ContainerId }
  | { readonly type: "hostRestarted" | "hostRebooted"; readonly host: string }
);

interface Named {
  readonly sessionId: SessionId;
  readonly sandboxId: SandboxId;
  readonly instanceId: InstanceId;
  readonly generation: Generation;
}

export interface StopAim {
  readonly sandboxId: SandboxId;
  readonly generation: Generation;
  readonly instanceId: InstanceId | null;
}

/** A world that serves for days must not grow without bound; a simulation is far shorter than this. */
const entriesKept = 50_000;

export class Journal {
  #entries: JournalEntry[] = [];
  #dropped = 0;

  add(entry: JournalEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length < 2 * entriesKept) return;
    this.#dropped += entriesKept;
    this.#entries = this.#entries.slice(entriesKept);
  }

  /** How many entries were ever written: a cursor for `since`. */
  get length(): number {
    return this.#dropped + this.#entries.length;
  }

  /** The entries from cursor `from` on, as far as they are kept. */
  since(from: number): readonly JournalEntry[] {
    return this.#entries.slice(Math.max(0, from - this.#dropped));
  }
}
