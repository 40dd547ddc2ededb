/**
 * Reads /proc and signals what was read. A process is a pid and its start time: a pid alone may have been handed out
 * again, so it is never enough to signal (PHY-18). Zombies are not alive.
 */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot (field 22 of /proc/pid/stat). */
  readonly startTime: number;
}

export interface ProcessRow extends ProcessIdentity {
  readonly parent: number;
  readonly group: number;
  /** The kernel's session (setsid), not ours. */
  readonly session: number;
}

/**
 * null: no such process, or only its zombie. Throws when that cannot be told (no descriptor left, say): a look that
 * failed must never be read as "gone".
 */
export function readRow(pid: number): ProcessRow | null {
  const stat = readStat(pid);
  return stat === null || stat.zombie ? null : stat.row;
}

/** Of a child that may have exited already but was not reaped: its zombie still tells when it started. */
export function identityOfChild(pid: number): ProcessIdentity {
  const stat = readStat(pid);
  if (stat === null) throw new Error(`child ${pid} was reaped early`);
  return { pid, startTime: stat.row.startTime };
}

function readStat(pid: number): { readonly row: ProcessRow; readonly zombie: boolean } | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
  // The name may hold spaces and parentheses; what follows its last one is regular.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const number = (index: number): number => Number(fields[index]);
  // A leader thread that exited before its siblings looks like a zombie and is not: it still has threads.
  const zombie = (fields[0] === "Z" && number(17) <= 1) || fields[0] === "X";
  return { row: { pid, parent: number(1), group: number(2), session: number(3), startTime: number(19) }, zombie };
}

/** Every live process, in one look. */
export function readTable(): ProcessRow[] {
  const rows: ProcessRow[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const row = readRow(pid);
    if (row !== null) rows.push(row);
  }
  return rows;
}

/** `NAME=value` entries; empty when it cannot be read (another user's, or gone). */
export function readEnvironment(pid: number): readonly string[] {
  const read = (path: string): string => {
    try {
      return readFileSync(path, "latin1");
    } catch (error) {
      if (isGone(error) || isForbidden(error)) return "";
      throw error;
    }
  };
  const own = read(`/proc/${pid}/environ`);
  if (own !== "") return own.split("\0");
  // The exited leader of a process that still has threads has no environment of its own; its threads do.
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      if (Number(thread) === pid) continue;
      const text = read(`/proc/${pid}/task/${thread}/environ`);
      if (text !== "") return text.split("\0");
    }
  } catch (error) {
    if (!isGone(error) && !isForbidden(error)) throw error;
  }
  return [];
}

/** The real user of a process; null: it is gone. The owner of /proc/pid would not do: one that is not dumpable shows root there. */
export function readUser(pid: number): number | null {
  try {
    const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    return uid === undefined ? null : Number(uid);
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return readRow(identity.pid)?.startTime === identity.startTime;
}

function isGone(error: unknown): boolean {
  // ESRCH: it ended between open and read.
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH");
}

/** Another user's. Of a job that has a user of its own root may read it, where it has CAP_SYS_PTRACE; else its user tells whose it is. */
function isForbidden(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EACCES" || error.code === "EPERM");
}

/** false: that process is gone (whoever has its pid now was left alone). */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch {
    return false;
  }
}
