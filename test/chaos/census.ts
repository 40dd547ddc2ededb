/**
 * The ground truth: one walk of /proc for every live process that carries a session's marker. Neither Mooring nor its
 * host is asked. A zombie is not alive; a process is its pid and its start time.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { markers } from "../../src/protocol/sandbox/markers.ts";

export interface Seen {
  readonly pid: number;
  readonly startTime: number;
  readonly session: string;
  readonly instance: string | null;
  readonly generation: number | null;
  readonly role: string | null;
  readonly stopped: boolean;
  /** Where it stands; tells a process of this run from one of another Mooring on this machine. */
  readonly cwd: string;
}

export function census(): readonly Seen[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => see(Number(name)) ?? []);
}

/** Whether it is still that very process, and alive. */
export function isAlive(seen: Pick<Seen, "pid" | "startTime">): boolean {
  const stat = statOf(seen.pid);
  return stat !== null && stat.startTime === seen.startTime;
}

/** Checked again right before the signal. False: it was gone already. */
export function strike(seen: Seen, signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): boolean {
  if (!isAlive(seen)) return false;
  try {
    process.kill(seen.pid, signal);
    return true;
  } catch {
    return false;
  }
}

export function words(seen: Seen): string {
  return `${seen.role ?? (seen.instance === null ? "legacy" : "unnamed")} ${seen.pid} of ${seen.session} g${seen.generation ?? "?"}${seen.stopped ? " (frozen)" : ""}`;
}

function see(pid: number): Seen | null {
  const stat = statOf(pid);
  if (stat === null) return null;
  const entries = new Map(
    (text(`/proc/${pid}/environ`) ?? "").split("\0").map((entry) => {
      const at = entry.indexOf("=");
      return [entry.slice(0, at), entry.slice(at + 1)] as const;
    }),
  );
  const session = entries.get(markers.session);
  if (session === undefined) return null;
  const generation = entries.get(markers.generation);
  return {
    pid,
    startTime: stat.startTime,
    session,
    instance: entries.get(markers.instance) ?? null,
    generation: generation === undefined ? null : Number(generation),
    role: entries.get(markers.role) ?? null,
    stopped: stat.state === "T",
    cwd: cwdOf(pid),
  };
}

function statOf(pid: number): { readonly state: string; readonly startTime: number } | null {
  const stat = text(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The name may hold anything, so read behind its closing parenthesis.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const state = fields[0] ?? "Z";
  return /^[ZXx]$/.test(state) ? null : { state, startTime: Number(fields[19]) };
}

function cwdOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

function text(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null; // it ended while we looked
  }
}
