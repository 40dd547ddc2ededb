/** Notices a full disk, which ends the host and workerd with errors that name everything but the disk. */
import { existsSync, statfsSync } from "node:fs";
import { dirname } from "node:path";

/** The host refuses launches below this, because a job could not write its output. */
const leastFreeBytes = 16 * 1024 * 1024;
/** Seldom enough to cost nothing, often enough to come before the questions. */
const watchMs = 5_000;

/** Says that the disk under a directory is full, and what to do; null: it has room. */
export function fullDisk(directory: string): string | null {
  if (!existsSync(directory)) return fullDisk(dirname(directory));
  const { bavail, bsize } = statfsSync(directory);
  const free = bavail * bsize;
  if (free >= leastFreeBytes) return null;
  return `The disk is full: ${directory} has ${free} bytes free and Mooring needs ${leastFreeBytes}. Free some space there.`;
}

/** Tells each time that the disk has become full. Answers how to stop watching. */
export function watchDisk(directory: string, tell: (words: string) => void): () => void {
  let wasFull = false;
  const timer = setInterval(() => {
    const full = fullDisk(directory);
    if (full !== null && !wasFull) tell(full);
    wasFull = full !== null;
  }, watchMs);
  return () => clearInterval(timer);
}
