/**
 * Reads /proc: every live process with the marks it carries. Owns no memory of earlier looks and judges nothing.
 *
 * One look is synchronous, so nothing of ours runs between its reads. It still is not an instant: a process that forks
 * and exits while the directory is walked can hide its child, which is why absence takes two looks (residue.ts).
 * Zombies and dead entries are not alive. Marks are read from the environment, which exec replaces: they are never
 * cached, and an empty environment is read again, because it is also what a process in the middle of exec shows.
 */
import { readdirSync, readFileSync } from "node:fs";
import { markers } from "../../src/protocol/wrapper.ts";

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
  /** `hidden`: of our own user, and yet its environment may not be read. */
  readonly marks: Marks | "unmarked" | "hidden";
}

/** The entry of one pid, or null when it is not alive. */
export function readProcess(pid: number): LiveProcess | null {
  const stat = readStat(pid);
  if (stat === null) return null;
  let environment = readEnvironment(pid);
  // Empty is a kernel thread, `env -i`, or a process between two programs: only the last one changes when looked at again.
  for (let again = 0; environment === "" && stat.parent !== 2 && stat.pid !== 2 && again < 3; again += 1) {
    environment = readEnvironment(pid);
  }
  if (environment === null)
    return readStat(pid)?.startTime === stat.startTime ? { ...stat, marks: hiddenOrForeign(pid) } : null;
  return { ...stat, marks: parseMarks(environment) };
}

export function readProcesses(): readonly LiveProcess[] {
  const found: LiveProcess[] = [];
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const read = readProcess(pid);
    if (read !== null) found.push(read);
  }
  return found;
}

/** Clock ticks since boot of a live process; null when it is gone or a zombie. */
export function startTimeOf(pid: number): number | null {
  return readStat(pid)?.startTime ?? null;
}

/** Clock ticks since boot, now. The kernel reports process starts in 1/100 s on every Linux that Node runs on. */
export function ticksSinceBoot(): number {
  return Math.floor(Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 100);
}

export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

function readStat(pid: number): Omit<LiveProcess, "marks"> | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
  // The name is in parentheses and may itself hold spaces and parentheses.
  const close = text.lastIndexOf(")");
  const fields = text.slice(close + 2).split(" ");
  const state = fields[0];
  if (state === "X" || state === "x") return null;
  // A dead first thread with others alive is a live process.
  const threads = Number(fields[17]);
  if (state === "Z" && threads <= 1) return null;
  return {
    pid,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    terminal: Number(fields[3]),
    startTime: Number(fields[19]),
    name: text.slice(text.indexOf("(") + 1, close),
  };
}

/** null: there is one, and it may not be read. */
function readEnvironment(pid: number): string | null {
  try {
    const environment = readIfThere(`/proc/${pid}/environ`);
    return environment === "" ? environmentOfThreads(pid) : environment;
  } catch (error) {
    if (code(error) === "EACCES" || code(error) === "EPERM") return null;
    throw error;
  }
}

/** A dead first thread has lost its environment; the others show it. */
function environmentOfThreads(pid: number): string {
  for (const thread of threadsOf(pid)) {
    const environment = readIfThere(`/proc/${pid}/task/${thread}/environ`);
    if (environment !== "") return environment;
  }
  return "";
}

function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).filter((thread) => Number(thread) !== pid);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}

/** Another user's process cannot be one of ours: all that we start keeps our user, unless we are root, from whom nothing is hidden. The owner of /proc/pid would lie for a process that is not dumpable. */
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

function code(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

/** ESRCH: it ended between open and read. */
function isGone(error: unknown): boolean {
  return code(error) === "ENOENT" || code(error) === "ESRCH";
}
