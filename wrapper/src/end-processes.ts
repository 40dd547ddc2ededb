/**
 * Ends every process of a claim: TERM once, wait, then KILL until a look finds none. Resolves only then, however long
 * it takes: a process in an uninterruptible wait is not gone, and nobody here may say that it is.
 */
import { setTimeout as pause } from "node:timers/promises";
import { membersOf, type Claim } from "./membership.ts";
import { readEnvironment, readTable, signalProcess, type ProcessIdentity } from "./process-table.ts";
import type { SteadyClock } from "./steady-clock.ts";

/** Short at first, because most processes go at once; then slow, because the rest will take its time. */
const firstPauseMs = 10;
const longestPauseMs = 100;
const longestKillPauseMs = 1_000;

export interface Ending {
  readonly clock: SteadyClock;
  /** Asked anew for each look: a leader may be learned, or a process become ours, meanwhile. */
  readonly claim: () => Claim;
  /** When TERM turns into KILL, on the steady clock; may be moved forward meanwhile. */
  readonly killAt: () => number;
}

/** Resolves with how many were there at the first look. */
export async function endProcesses({ clock, claim, killAt }: Ending): Promise<number> {
  let members = look(claim());
  const found = members?.length ?? 0;
  if (clock.now() < killAt()) signalAll(members, "SIGTERM");
  let pauseMs = firstPauseMs;
  while (members?.length !== 0 && clock.now() < killAt()) {
    await pause(Math.min(pauseMs, Math.max(1, killAt() - clock.now())));
    pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    members = look(claim());
  }
  pauseMs = firstPauseMs;
  while (members?.length !== 0) {
    // Frozen first, so that none of them forks while the others are being killed.
    signalAll(members, "SIGSTOP");
    signalAll(look(claim()), "SIGKILL");
    await pause(pauseMs);
    pauseMs = Math.min(2 * pauseMs, longestKillPauseMs);
    members = look(claim());
  }
  return found;
}

/** null: it could not be told, which is not "none". */
function look(claim: Claim): readonly ProcessIdentity[] | null {
  try {
    return membersOf(claim, readTable(), readEnvironment);
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
