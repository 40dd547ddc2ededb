/**
 * Reads /proc: every live process with the marks it carries. Owns no memory of earlier looks and judges nothing.
 *
 * One look is synchronous but takes time: a process that forks and exits while /proc is walked can hide its child. So
 * absence takes two looks (host/processes/residue.ts). Zombies and dead entries are not alive. Marks stand in the
 * environment, which exec replaces, so they are never cached.
 */
import { readdirSync, readFileSync } from "node:fs";
import { markers } from "../../src/protocol/sandbox/wrapper.ts";
import { patienceOfOneLook, readEnvironmentText, type Patience } from "./environment.ts";
import { isGone } from "./errno.ts";
import { readRow } from "./process-table.ts";

export interface Marks {
  readonly session: string;
  /** null: a legacy wrapper. */
  readonly instance: string | null;
  /** null: not marked, or not a decimal integer. */
  readonly generation: number | null;
  readonly role: string | null;
}

export interface LiveProcess {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** The kernel's session id, not ours. */
  readonly terminal: number;
  /** Clock ticks since boot: with the pid, the identity of a process. */
  readonly startTime: number;
  readonly name: string;
  /** `hidden`: the process runs as this user, and yet its environment may not be read, or is not there yet. */
  readonly marks: Marks | "unmarked" | "hidden";
}

/** The entry of one pid, or null when it is not alive. */
export function readProcess(pid: number, patience: Patience = patienceOfOneLook()): LiveProcess | null {
  const stat = readStat(pid);
  if (stat === null) return null;
  const environment = readEnvironmentText(pid, patience);
  if ("text" in environment) return { ...stat, marks: parseMarks(environment.text) };
  return readStat(pid)?.startTime === stat.startTime ? { ...stat, marks: hiddenOrForeign(pid) } : null;
}

export function readProcesses(): readonly LiveProcess[] {
  const found: LiveProcess[] = [];
  const patience = patienceOfOneLook();
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const read = readProcess(pid, patience);
    if (read !== null) found.push(read);
  }
  return found;
}

/** Clock ticks since boot of a live process; null when it is gone or a zombie. */
export function startTimeOf(pid: number): number | null {
  return readStat(pid)?.startTime ?? null;
}

export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

function readStat(pid: number): Omit<LiveProcess, "marks"> | null {
  const stat = readRow(pid);
  if (stat === null) return null;
  const { session: terminal, ...rest } = stat;
  return { ...rest, terminal };
}

/**
 * A process of another user is not ours: what we start keeps our user, unless we are root, and nothing is hidden from
 * root. Reads `status`, because the owner of /proc/pid is root for a process that is not dumpable.
 */
function hiddenOrForeign(pid: number): "hidden" | "unmarked" {
  try {
    const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(uid) === process.getuid?.() ? "hidden" : "unmarked";
  } catch (error) {
    if (isGone(error)) return "unmarked";
    throw error;
  }
}

function parseMarks(environment: string): Marks | "unmarked" {
  if (!environment.includes("MOORING_")) return "unmarked";
  const found = new Map<string, string>();
  for (const pair of environment.split("\0")) {
    const equals = pair.indexOf("=");
    // The first of two equal names counts, as for getenv.
    if (equals > 0 && !found.has(pair.slice(0, equals))) found.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
  const session = found.get(markers.session);
  if (session === undefined || session === "") return "unmarked";
  const generation = found.get(markers.generation);
  return {
    session,
    instance: found.get(markers.instance) || null,
    generation: generation !== undefined && /^\d{1,16}$/.test(generation) ? Number(generation) : null,
    role: found.get(markers.role) ?? null,
  };
}
