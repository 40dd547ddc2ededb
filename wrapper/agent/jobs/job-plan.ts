/** What a job is started from, and what it needs of the instance that it runs in. */
import type { ProcessIdentity } from "../../proc/process-table.ts";
import type { TakeLook } from "../../proc/shared-look.ts";
import type { SteadyClock } from "../steady-clock.ts";
import type { JobDirectory } from "./job-directory.ts";
import type { JobStdin } from "./job-stdio.ts";
import type { RunAs } from "../user/job-user.ts";

/** A verdict from outside the job; the first one counts. */
export type JobVerdict = "timed_out" | "cancelled" | "interrupted";

export interface JobPlan {
  readonly file: string;
  readonly args: readonly string[];
  /** Asked right before the start: an earlier job may have removed it. */
  readonly directory: () => Promise<JobDirectory>;
  readonly environment: Readonly<Record<string, string>>;
  /** Environment entries that mark this job's processes and no others. */
  readonly entries: readonly string[];
  readonly stdin: JobStdin;
  /** What the leader leaves when it exits by itself goes on. */
  readonly keep: boolean;
  readonly timeoutMs: number;
  /** null: as we do. */
  readonly user: RunAs | null;
  /** The command line that makes it that user without capabilities (job-proof.ts); absent: only its user is changed. */
  readonly apart?: readonly string[];
}

export interface JobDependencies {
  readonly clock: SteadyClock;
  readonly look: TakeLook;
  readonly jobGraceMs: number;
  /** Asked right before the spawn: the right to act may have gone while files were opened. */
  readonly mayAct: () => boolean;
  /** Something happened: a start, output, stdin, an end. */
  readonly active: () => void;
  readonly leaderStarted: (leader: ProcessIdentity) => void;
  /** Nothing of its group is left. */
  readonly leaderEnded: (leader: ProcessIdentity) => void;
  /** Its processes are gone, and nobody was told yet that it has ended. */
  readonly cleared: () => Promise<void>;
}
