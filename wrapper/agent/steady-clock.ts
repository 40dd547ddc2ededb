/**
 * The clock of the fence: milliseconds since boot that never jump and that count a suspended machine.
 *
 * Node's hrtime is CLOCK_MONOTONIC, which stands still while the machine sleeps. A lease told on it would let jobs run
 * on after the controller has long replaced this sandbox. So the time slept (uptime − monotonic) is added. /proc/uptime
 * has steps of 10 ms; the offset is therefore only moved by a jump too large to be a rounding. The wall clock is never read:
 * an operator or NTP may set it. Guardian and wrapper run on one kernel, so their readings compare (within 10 ms).
 */
import { uptime } from "node:os";

export interface SteadyClock {
  /** ms; only differences, and comparisons between guardian and wrapper, mean anything. */
  now(): number;
}

/** Above any rounding of /proc/uptime, below any suspend that matters to a lease. */
const jumpMs = 500;

function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1e6;
}

function uptimeMs(): number | null {
  try {
    return uptime() * 1_000;
  } catch {
    // A jail without /proc/uptime: sleep goes uncounted, all else holds.
    return null;
  }
}

export function steadyClock(
  monotonic: () => number = monotonicMs,
  sinceBoot: () => number | null = uptimeMs,
): SteadyClock {
  let sleptMs = 0;
  let first = true;
  return {
    now() {
      const ticks = monotonic();
      const boot = sinceBoot();
      if (boot !== null && (first || boot - ticks > sleptMs + jumpMs)) sleptMs = boot - ticks;
      first = false;
      return ticks + sleptMs;
    },
  };
}
