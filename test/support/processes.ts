/** The ground truth about processes for tests: reads /proc by itself, so that the host is not its own witness. */
import { readdirSync, readFileSync } from "node:fs";

/** Pids of live (not zombie) processes whose environment holds this exact entry, e.g. `MOORING_SESSION_ID=abc`. */
export function pidsWith(entry: string): readonly number[] {
  return allPids().filter((pid) => pid !== process.pid && isAlive(pid) && environmentOf(pid).includes(entry));
}

/** Whether they live or not. */
export function allPids(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The entries that the kernel keeps of it, `NAME=value` each; none of a process that has ended. */
export function environmentOf(pid: number): readonly string[] {
  return text(`/proc/${pid}/environ`).split("\0");
}

/** Pids of live processes with exactly this command line, words joined by spaces: whatever their environment says. */
export function pidsRunning(commandLine: string): readonly number[] {
  return allPids().filter(
    (pid) => isAlive(pid) && text(`/proc/${pid}/cmdline`).replace(/\0$/, "").replaceAll("\0", " ") === commandLine,
  );
}

/** Pids of live processes whose real user is one of these: from `first` up to, not including, `after`. */
export function pidsOfUsers(first: number, after: number): readonly number[] {
  return allPids().filter((pid) => {
    const user = Number(/^Uid:\s+(\d+)/m.exec(text(`/proc/${pid}/status`))?.[1] ?? -1);
    return user >= first && user < after && isAlive(pid);
  });
}

/** Whether the one process with exactly this command line runs, and the leader of its session, which it was started by, is gone. */
export function isOrphan(commandLine: string): boolean {
  const [pid, ...others] = pidsRunning(commandLine);
  if (pid === undefined || others.length > 0) return false;
  const stat = text(`/proc/${pid}/stat`);
  const [, , , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return session !== undefined && !isAlive(Number(session));
}

export function isAlive(pid: number): boolean {
  const stat = text(`/proc/${pid}/stat`);
  return stat !== "" && !/^[ZXx]/.test(stat.slice(stat.lastIndexOf(")") + 2));
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
