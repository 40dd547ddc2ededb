/**
 * The user that jobs run as, when it is not the wrapper's own.
 *
 * The wrapper stays root, so that it can end them, and never needs another program's setuid bit: so it runs under
 * no_new_privs, which everything it starts inherits and nothing can lay down. A job thus cannot become anybody else, by
 * `sudo`, `su` or a file with capabilities, whatever the image holds.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { isStarting, patienceOf, readEnvironmentText } from "../../proc/environment.ts";
import { readEnvironmentsAs } from "../../proc/foreign-environments.ts";

export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

/** Of util-linux. By its place: a PATH may be anybody's. */
const setprivPaths = ["/usr/bin/setpriv", "/bin/setpriv"];

/** Starting a shell takes milliseconds; a sixteenth of a core makes that a tenth of a second. */
const probeMs = 5_000;
const probeMark = "MOORING_PROBE=1";

/** The command line in front of one that must never gain rights; null: this system has no `setpriv`. */
export function withoutNewPrivileges(): readonly string[] | null {
  const setpriv = setprivPaths.find((path) => existsSync(path));
  return setpriv === undefined ? null : [setpriv, "--no-new-privs", "--"];
}

/** In front of a command line: it becomes that user and lays down every capability, those it could gain with another program included. */
export function withoutCapabilities({ uid, gid }: RunAs): readonly string[] | null {
  const setpriv = setprivPaths.find((path) => existsSync(path));
  if (setpriv === undefined) return null;
  const user = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"];
  return [setpriv, ...user, "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--"];
}

export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** Whether this very process is under no_new_privs and is root: what a wrapper with a job user has to be. */
export function canKeepJobsApart(): boolean {
  return isRoot() && /^NoNewPrivs:\s+1$/m.test(readFileSync("/proc/self/status", "latin1"));
}

/**
 * Why no job can have a user of its own on this system, tried for real: a user namespace may not know the number, a security
 * policy may forbid the change. Or nobody can read the environment of that user's processes: then what a job leaves behind could not be
 * told from what another job started. null: one can.
 */
export function whyNoJobUser(user: RunAs): string | null {
  if (!isRoot()) return `only root can start jobs as user ${user.uid}`;
  if (withoutNewPrivileges() === null) return `setpriv of util-linux is not in ${setprivPaths.join(", ")}`;
  const probe = startProbe(user);
  if (probe === null) return `nothing can be started as user ${user.uid}`;
  // No pid then: told below.
  probe.on("error", () => {});
  try {
    // `spawn` comes back when the program is there, or cannot be.
    if (probe.pid === undefined) return `nothing can be started as user ${user.uid}`;
    const seen = environmentOf(probe.pid, user);
    return seen.includes(probeMark) ? null : `the environment of a process of user ${user.uid} shows nothing`;
  } catch (error) {
    return `the environment of a process of user ${user.uid} cannot be read: ${error instanceof Error ? error.message : "unknown"}`;
  } finally {
    probe.kill("SIGKILL");
  }
}

/** null: the kernel lets nobody here become that user. Node throws that error, unlike those of a missing program. */
function startProbe(user: RunAs): ChildProcess | null {
  const [mark = "", value] = probeMark.split("=");
  try {
    return spawn("/bin/sh", ["-c", "read _"], {
      ...user,
      cwd: "/",
      env: { [mark]: value },
      stdio: ["pipe", "ignore", "ignore"],
    });
  } catch {
    return null;
  }
}

/** Root reads it itself where it may, else a helper of that user does. Empty: it shows nothing in all the time that a probe has. */
function environmentOf(pid: number, user: RunAs): readonly string[] {
  const patience = patienceOf(probeMs);
  const own = readEnvironmentText(pid, patience);
  if ("text" in own) return own.text.split("\0");
  while (isStarting(pid) && patience());
  return readEnvironmentsAs(user, [pid]).get(pid) ?? [];
}

/** Why that user cannot work in a directory of its own: one above may be closed to it. null: it can. */
export function whyClosed({ uid, gid }: RunAs, directory: string): string | null {
  const look = ["-c", 'cd -- "$1" && test -w .', "sh", directory];
  const probe = spawnSync("/bin/sh", look, { uid, gid, cwd: "/", env: {}, timeout: probeMs, stdio: "ignore" });
  return probe.status === 0
    ? null
    : `user ${uid} cannot use ${directory}: it, or a directory above it, is closed to others`;
}
