/** What the routes of a wrapper act on, and what most of them have in common. */
import type { WrapperBoot } from "../../../src/protocol/sandbox/wrapper.ts";
import type { Bootstrap } from "../bootstrap/bootstrap.ts";
import type { Fence } from "../fence.ts";
import type { Freezer } from "../freezer.ts";
import type { JobTable } from "../jobs/job-table.ts";
import type { SteadyClock } from "../steady-clock.ts";
import type { Traffic } from "../traffic/traffic.ts";

export interface RouteDependencies {
  readonly boot: WrapperBoot;
  readonly clock: SteadyClock;
  readonly fence: Fence;
  readonly jobs: JobTable;
  readonly bootstrap: Bootstrap;
  readonly traffic: Traffic;
  readonly freezer: Freezer;
  readonly startedAt: number;
  /** What could not be proven of its jobs; null: nobody looked. */
  readonly unproven: readonly string[] | null;
}

/** For most routes: a small body, and an answer only after the first renewal. */
export const served = { maxBodyBytes: 4_096, beforeRenewal: false } as const;
