/**
 * Looks at /proc, shared by callers that ask at the same time: sixty jobs that end together cost one walk, not sixty.
 *
 * A look always begins after it was asked for. An older one could miss a process that was forked since, and "none" would
 * be wrong. null means that the look failed, for example for want of a descriptor; it does not mean "none" either.
 */
import { setTimeout as pause } from "node:timers/promises";
import { type ProcessOwner, readEnvironmentsAs, readOwner } from "./foreign-environments.ts";
import { patienceOfOneLook } from "./environment.ts";
import { readEnvironment, readTable, readUser, type ProcessRow } from "./process-table.ts";

export interface Look {
  readonly table: readonly ProcessRow[];
  /** Read once per process and look. Throws when it cannot be read. */
  readonly environment: (pid: number) => readonly string[];
  /** null: that process is gone. Throws when it cannot be read. */
  readonly user: (pid: number) => number | null;
}

export type TakeLook = () => Promise<Look | null>;

/** Walks are synchronous, so at most half of the time goes into them: the lease must be served meanwhile. */
export function sharedLook(): TakeLook {
  let next: Promise<Look | null> | null = null;
  let cooldownMs = 0;
  return () => {
    next ??= pause(cooldownMs).then(() => {
      // Callers that ask from here on get the next look.
      next = null;
      const began = performance.now();
      const look = take();
      cooldownMs = Math.ceil(performance.now() - began);
      return look;
    });
    return next;
  };
}

function take(): Look | null {
  try {
    const environments = new Map<number, readonly string[]>();
    const table = readTable();
    const patience = patienceOfOneLook();
    return {
      table,
      environment: (pid) => {
        const known = environments.get(pid);
        if (known !== undefined) return known;
        const read = readEnvironment(pid, patience);
        environments.set(pid, read);
        // Nothing to read, or nothing that we may read: then its own user may.
        if (read.length === 0) for (const [each, found] of ofItsUser(pid, table)) environments.set(each, found);
        return environments.get(pid) ?? read;
      },
      user: readUser,
    };
  } catch {
    return null;
  }
}

/** The environments of all processes that run as the same user as `pid`: one helper reads them all. */
function ofItsUser(pid: number, table: readonly ProcessRow[]): Iterable<[number, readonly string[]]> {
  const owner = process.geteuid?.() === 0 ? readOwner(pid) : null;
  if (owner === null || owner.uid === 0) return [];
  const isSame = (each: ProcessOwner | null): boolean => each?.uid === owner.uid && each.gid === owner.gid;
  const pids = table.map((row) => row.pid).filter((each) => isSame(readOwner(each)));
  return readEnvironmentsAs(owner, pids).entries();
}
