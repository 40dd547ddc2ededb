/**
 * The environment of one process, as /proc shows it.
 *
 * An empty one is no answer by itself. A process in the middle of exec has its new memory and no environment in it yet: the
 * kernel shows none, and no command line either, until both are there. That lasts microseconds, or as long as the
 * processor is busy with others. So such a process is read again, and what stays unknown is called so.
 */
import { readdirSync, readFileSync } from "node:fs";
import { isForbidden, isGone } from "./errno.ts";

/** `NAME=value` entries with a NUL after each: "" where it has none or is gone. `unread`: it exists, and nobody here can say what it has. */
export type EnvironmentText = { readonly text: string } | { readonly unread: "forbidden" | "starting" };

/** Waits a little and says true; false when enough has been waited. One for a whole look: a thousand processes wait no longer than one. */
export type Patience = () => boolean;

const waitMs = 1;

/** Longer than any exec takes on a busy machine, and short beside what a look at a thousand processes takes. */
const lookMs = 10;

export const patienceOfOneLook = (): Patience => patienceOf(lookMs);

export function patienceOf(totalMs: number): Patience {
  const nobodyWakesIt = new Int32Array(new SharedArrayBuffer(4));
  let left = Math.floor(totalMs / waitMs);
  return () => {
    if (left <= 0) return false;
    left -= 1;
    Atomics.wait(nobodyWakesIt, 0, 0, waitMs);
    return true;
  };
}

/** `proc`: where the kernel shows its processes. */
export function readEnvironmentText(pid: number, patience: Patience, proc = "/proc"): EnvironmentText {
  const process_ = `${proc}/${pid}`;
  try {
    do {
      const text = readIfThere(`${process_}/environ`) || textOfThreads(process_, pid);
      if (text !== "" || !isStarting(pid, proc)) return { text };
    } while (patience());
    return { unread: "starting" };
  } catch (error) {
    if (isForbidden(error)) return { unread: "forbidden" };
    throw error;
  }
}

/** In the middle of exec: it has memory and no command line. A kernel thread and a process that has exited have neither. Anybody may read both. */
export function isStarting(pid: number, proc = "/proc"): boolean {
  return readIfThere(`${proc}/${pid}/cmdline`) === "" && /^[1-9]/.test(readIfThere(`${proc}/${pid}/statm`));
}

/** A first thread that has exited shows no environment; the other threads still do. */
function textOfThreads(process_: string, pid: number): string {
  for (const thread of threadsOf(process_)) {
    if (Number(thread) === pid) continue;
    const text = readIfThere(`${process_}/task/${thread}/environ`);
    if (text !== "") return text;
  }
  return "";
}

function threadsOf(process_: string): readonly string[] {
  try {
    return readdirSync(`${process_}/task`);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}
