/** How much of what ran or was begun met its time limit. Planned ends (a session's own clocks) never count. */

/** How far back the stats look, and the alert on timeouts unless it is told otherwise. */
export const recentMs = 900_000;

/** Launches, jobs and provider calls of the last minutes, and how many of them met their time limit. */
export interface TimedOutcomes {
  readonly launches: number;
  readonly provisionTimeouts: number;
  readonly jobsEnded: number;
  readonly jobsTimedOut: number;
  readonly callsTimedOut: number;
}

export interface TimeoutRate {
  /** Jobs that ended and launches that were begun. */
  readonly samples: number;
  /** Jobs, launches and provider calls that met their limit. */
  readonly late: number;
  /** `late` in percent of `samples`; 0 when there are none. */
  readonly percent: number;
}

export function timeoutRate(outcomes: TimedOutcomes): TimeoutRate {
  const late = outcomes.jobsTimedOut + outcomes.provisionTimeouts + outcomes.callsTimedOut;
  const samples = outcomes.jobsEnded + outcomes.launches;
  // Provider calls are no samples, so a dead provider can bring more late calls than samples: cap at 100 %.
  const percent = samples === 0 ? 0 : Math.min(100, (100 * late) / samples);
  return { samples, late, percent };
}
