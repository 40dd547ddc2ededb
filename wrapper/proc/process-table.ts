/**
 * Reads /proc and signals what was read. A process is a pid and its start time: a pid alone may have been handed out
 * again, so it is never enough to signal. Zombies are not alive.
 */
import { readdirSync, readFileSync } from "node:fs";
import { patienceOfOneLook, readEnvironmentText, type Patience } from "./environment.ts";
import { isGone } from "./errno.ts";

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
  /** The program's name, 15 bytes at most; a process may change its own. */
  readonly name: string;
}

/** null: no such process, only its zombie, or a thread of the kernel's own. Throws when it cannot be read: a look that failed must never mean "gone". */
export function readRow(pid: number): ProcessRow | null {
  const stat = readStat(pid);
  return stat === null || stat.zombie || stat.kernel ? null : stat.row;
}

/** Clock ticks since boot, now. The kernel reports process starts in 1/100 s on every Linux that Node runs on. */
export function ticksSinceBoot(): number {
  return Math.floor(Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 100);
}

/** A zombie still has it. null: no such process. */
export function identityOf(pid: number): ProcessIdentity | null {
  const stat = readStat(pid);
  return stat === null ? null : { pid, startTime: stat.row.startTime };
}

/** For a child of Node's own: Node reaps it in a later turn, so it is there now, if only as a zombie. */
export function identityOfChild(pid: number): ProcessIdentity {
  const identity = identityOf(pid);
  if (identity === null) throw new Error(`child ${pid} was reaped early`);
  return identity;
}

/** PF_KTHREAD. Nobody starts such a thread from outside the kernel, and its environment takes four times as long to find empty. */
const kernelThread = 0x20_0000;

interface Stat {
  readonly row: ProcessRow;
  readonly zombie: boolean;
  readonly kernel: boolean;
}

function readStat(pid: number): Stat | null {
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
  const zombie = (fields[0] === "Z" && number(17) <= 1) || fields[0] === "X" || fields[0] === "x";
  const name = text.slice(text.indexOf("(") + 1, text.lastIndexOf(")"));
  const row = { pid, parent: number(1), group: number(2), session: number(3), startTime: number(19), name };
  return { row, zombie, kernel: (number(6) & kernelThread) !== 0 };
}

/** Every live process, in one look. Threads of the kernel are none. */
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
export function readEnvironment(pid: number, patience: Patience = patienceOfOneLook()): readonly string[] {
  const read = readEnvironmentText(pid, patience);
  return "text" in read && read.text !== "" ? read.text.split("\0") : [];
}

/** The real user of a process; null: it is gone. Not the owner of /proc/pid, which is root for a process that is not dumpable. */
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

/** false: that process is gone, and nothing was signalled, even when another process has its pid now. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch {
    return false;
  }
}
