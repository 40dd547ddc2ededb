/**
 * Ends every process of a claim: TERM once, wait, then KILL until a look finds none. Resolves only then, however long
 * it takes: a process in an uninterruptible wait is not gone, and nobody here may say that it is.
 */
import { setTimeout as pause } from "node:timers/promises";
import { membersOf, type Claim } from "./membership.ts";
import { signalProcess, type ProcessIdentity } from "./process-table.ts";
import type { TakeLook } from "./shared-look.ts";
import type { SteadyClock } from "./steady-clock.ts";

/** Short at first, because most processes go at once; then slow, because the rest will take its time. */
const firstPauseMs = 10;
const longestPauseMs = 100;
const longestKillPauseMs = 1_000;

export interface Ending {
  readonly clock: SteadyClock;
  readonly look: TakeLook;
  /** Asked anew for each look: a leader may be learned, or a process become ours, meanwhile. */
  readonly claim: () => Claim;
  /** When TERM turns into KILL, on the steady clock; may be moved forward meanwhile. */
  readonly killAt: () => number;
}

/** Resolves with how many were there at the first look. */
export async function endProcesses(ending: Ending): Promise<number> {
  const { clock, killAt } = ending;
  let members = await membersNow(ending);
  const found = members?.length ?? 0;
  if (clock.now() < killAt()) signalAll(members, "SIGTERM");
  let pauseMs = firstPauseMs;
  while (members?.length !== 0 && clock.now() < killAt()) {
    await pause(Math.min(pauseMs, Math.max(1, killAt() - clock.now())));
    pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    members = await membersNow(ending);
  }
  pauseMs = firstPauseMs;
  while (members?.length !== 0) {
    // Frozen first, so that none of them forks while the others are being killed.
    signalAll(members, "SIGSTOP");
    signalAll(await membersNow(ending), "SIGKILL");
    await pause(pauseMs);
    pauseMs = Math.min(2 * pauseMs, longestKillPauseMs);
    members = await membersNow(ending);
  }
  return found;
}

/** null: it could not be told, which is not "none". */
async function membersNow({ look, claim }: Ending): Promise<readonly ProcessIdentity[] | null> {
  const seen = await look();
  if (seen === null) return null;
  try {
    return membersOf(claim(), seen);
  } catch {
    return null;
  }
}

function signalAll(members: readonly ProcessIdentity[] | null, signal: NodeJS.Signals): void {
  for (const member of members ?? []) {
    try {
      signalProcess(member, signal);
    } catch {
      // Not certain to be that process: left alone until the next look.
    }
  }
}
