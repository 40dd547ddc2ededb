/**
 * One instance per state directory, ever.
 *
 * Lock files are numbered and never removed: `lock.N+1` may be created (exclusively) only by who has seen that the
 * holder of `lock.N` is dead. Removing a stale lock instead would let two starters remove each other's. A directory
 * whose instance was once ready is never started again: its life is over, and a retried launch must not revive it.
 */
import { existsSync, linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, readRow } from "../../proc/process-table.ts";
import { hasErrno } from "../../proc/errno.ts";

const readyFile = "ready.json";
/** Launches that failed before they were ready; one that fails this often will not succeed. */
const maxStarts = 100;

export type LockAnswer = { readonly held: true } | { readonly held: false; readonly why: string };

export function takeStartLock(stateDir: string): LockAnswer {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const own = JSON.stringify({ pid: process.pid, start_time: readRow(process.pid)?.startTime, boot });
  const draft = join(stateDir, `lock-draft.${process.pid}`);
  // Written first and linked then, so that a lock is never seen empty.
  writeFileSync(draft, own);
  try {
    for (let number = latestLock(stateDir); number < maxStarts; number += 1) {
      if (number > 0 && isHolderAlive(join(stateDir, `lock.${number}`), boot)) return { held: false, why: "it runs" };
      if (existsSync(join(stateDir, readyFile))) return { held: false, why: "it ran already" };
      if (linkExclusively(draft, join(stateDir, `lock.${number + 1}`))) {
        // The holder before us may have become ready and died between the two lines above.
        return existsSync(join(stateDir, readyFile)) ? { held: false, why: "it ran already" } : { held: true };
      }
    }
    return { held: false, why: `${maxStarts} starts failed` };
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Atomic: a reader sees all of the file or none. Once it exists, every later start is refused. */
export function writeReady(stateDir: string, line: string): void {
  const draft = join(stateDir, `${readyFile}.draft`);
  writeFileSync(draft, line);
  renameSync(draft, join(stateDir, readyFile));
}

function latestLock(stateDir: string): number {
  const numbers = readdirSync(stateDir).map((name) => /^lock\.(\d+)$/.exec(name)?.[1]);
  return Math.max(0, ...numbers.map((text) => Number(text ?? 0)));
}

function linkExclusively(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (hasErrno(error, "EEXIST")) return false;
    throw error;
  }
}

function isHolderAlive(path: string, boot: string): boolean {
  const holder = JSON.parse(readFileSync(path, "utf8")) as { pid: number; start_time: number; boot: string };
  return holder.boot === boot && isAlive({ pid: holder.pid, startTime: holder.start_time });
}
