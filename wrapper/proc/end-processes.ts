/**
 * Ends processes: SIGTERM once each, a grace, then SIGKILL until a look finds none.
 *
 * What a process starts after its SIGTERM is its clean-up, such as the `tar` of a shell's trap. It gets no SIGTERM of its own
 * while its parent lives: that would end the clean-up that the grace is for.
 *
 * The one mechanism for it. The caller says how to look and how to signal, because a job is found by its claim
 * (claimed-processes.ts) and a whole instance by its residue (host/processes/residue.ts). A process in an uninterruptible wait
 * outlives SIGKILL; then the caller learns what remains, or waits for ever when it gave no bound.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { ProcessIdentity } from "./process-table.ts";

/** Short at first, because most processes end at once; then longer, because the rest takes its time. */
const firstPauseMs = 10;
const longestPauseMs = 100;
const longestKillPauseMs = 1_000;

export interface Relative extends ProcessIdentity {
  readonly parent: number;
}

export interface Ending<Process extends Relative> {
  readonly clock: { now(): number };
  /** Who is left. null: the look failed, which does not mean "none". */
  readonly look: () => Promise<readonly Process[] | null>;
  /** False: that process is gone, or it is not certain that the pid is still that process. */
  readonly signal: (process_: Process, signal: "SIGTERM" | "SIGSTOP" | "SIGKILL") => boolean;
  /** Of those that are left, who gets SIGTERM now. The others are ended by a process that is left. */
  readonly terminates: (left: readonly Process[]) => readonly Process[];
  /** Of those that are left, who is stopped before SIGKILL, so that it cannot fork while others are being killed. */
  readonly freezes: (process_: Process) => boolean;
  /** When the grace is over, on the clock; may come closer while this runs. */
  readonly killAt: () => number;
  /** How long SIGKILL is tried. Infinity: until nothing is left. */
  readonly killForMs: number;
  /** Clock ticks since boot, on which start times are told. */
  readonly ticks: () => number;
}

export interface Ended<Process> {
  /** What the first look found. */
  readonly found: readonly Process[];
  /** What was signalled and is gone. */
  readonly ended: readonly Process[];
  readonly remaining: readonly Process[];
}

export async function endProcesses<Process extends Relative>(ending: Ending<Process>): Promise<Ended<Process>> {
  const { clock, look, killAt, ticks } = ending;
  const signalled = new Map<string, Process>();
  const askedAt = new Map<string, number>();
  let left = await look();
  const found = left ?? [];

  for (let pauseMs = firstPauseMs; left?.length !== 0 && clock.now() < killAt();) {
    const byPid = new Map((left ?? []).map((one) => [one.pid, one]));
    const asked = ending
      .terminates(left ?? [])
      .filter((one) => !askedAt.has(keyOf(one)) && !cleansUp(one, byPid, askedAt));
    for (const one of asked) {
      const at = ticks();
      // What could not be asked is asked by the next look.
      if (!ending.signal(one, "SIGTERM")) continue;
      askedAt.set(keyOf(one), at);
      signalled.set(keyOf(one), one);
    }
    await pause(Math.min(pauseMs, Math.max(1, killAt() - clock.now())));
    pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    left = await look();
  }

  const until = clock.now() + ending.killForMs;
  for (let pauseMs = firstPauseMs; left?.length !== 0;) {
    const frozen = (left ?? []).filter((one) => ending.freezes(one) && ending.signal(one, "SIGSTOP"));
    if (frozen.length > 0) left = await look();
    for (const one of left ?? []) if (ending.signal(one, "SIGKILL")) signalled.set(keyOf(one), one);
    if (clock.now() >= until) break;
    await pause(Math.min(pauseMs, Math.max(1, until - clock.now())));
    pauseMs = Math.min(2 * pauseMs, longestKillPauseMs);
    left = await look();
  }

  const remaining = left ?? [];
  for (const one of remaining) signalled.delete(keyOf(one));
  return { found, ended: [...signalled.values()], remaining };
}

/**
 * Whether this process was started by one that had got its SIGTERM before and still lives, or by such a clean-up. A process that was
 * forked before that SIGTERM, and is only found after it, is none.
 */
function cleansUp(one: Relative, byPid: ReadonlyMap<number, Relative>, askedAt: ReadonlyMap<string, number>): boolean {
  const parent = byPid.get(one.parent);
  if (parent === undefined) return false;
  const at = askedAt.get(keyOf(parent));
  return at === undefined ? cleansUp(parent, byPid, askedAt) : one.startTime >= at;
}

/** A pid alone may have been handed out again. */
function keyOf({ pid, startTime }: ProcessIdentity): string {
  return `${pid}.${startTime}`;
}
