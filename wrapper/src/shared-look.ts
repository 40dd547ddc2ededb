/**
 * Looks at /proc, shared by all who ask at the same time: sixty jobs that end together cost one walk, not sixty.
 *
 * A look is always begun after it was asked for; an older one could miss what was forked since, and "none" would be a
 * lie. null: it failed (no descriptor left, say), which is not "none" either.
 */
import { setTimeout as pause } from "node:timers/promises";
import { readEnvironment, readTable, readUser, type ProcessRow } from "./process-table.ts";

export interface Look {
  readonly table: readonly ProcessRow[];
  /** Read once per process and look. Throws when it cannot be read. */
  readonly environment: (pid: number) => readonly string[];
  /** null: that process is gone. Throws when it cannot be read. */
  readonly user: (pid: number) => number | null;
}

export type TakeLook = () => Promise<Look | null>;

/** Walks are synchronous: at most half of the time goes into them, so that the lease is served meanwhile. */
export function sharedLook(): TakeLook {
  let next: Promise<Look | null> | null = null;
  let restMs = 0;
  return () => {
    next ??= pause(restMs).then(() => {
      // From here on whoever asks gets the next one.
      next = null;
      const began = performance.now();
      const look = take();
      restMs = Math.ceil(performance.now() - began);
      return look;
    });
    return next;
  };
}

function take(): Look | null {
  try {
    const environments = new Map<number, readonly string[]>();
    return {
      table: readTable(),
      environment: (pid) => {
        const known = environments.get(pid) ?? readEnvironment(pid);
        environments.set(pid, known);
        return known;
      },
      user: readUser,
    };
  } catch {
    return null;
  }
}
