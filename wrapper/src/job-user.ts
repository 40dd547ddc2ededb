/**
 * The user that jobs run as, when it is not the wrapper's own.
 *
 * The wrapper stays root, so that it can end them, and never needs another program's setuid bit: so it runs under
 * no_new_privs, which everything it starts inherits and nothing can lay down. A job thus cannot become anybody else, by
 * `sudo`, `su` or a file with capabilities, whatever the image holds.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

/** Of util-linux. By its place: a PATH may be anybody's. */
const setprivPlaces = ["/usr/bin/setpriv", "/bin/setpriv"];

/** Starting two programs takes milliseconds; a sixteenth of a core makes that a tenth of a second. */
const probeMs = 5_000;

/** The command line in front of one that must never gain rights; null: this system has no `setpriv`. */
export function withoutNewPrivileges(): readonly string[] | null {
  const setpriv = setprivPlaces.find((path) => existsSync(path));
  return setpriv === undefined ? null : [setpriv, "--no-new-privs", "--"];
}

export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** Whether this very process is under no_new_privs and is root: what a wrapper with a job user has to be. */
export function canKeepJobsApart(): boolean {
  return isRoot() && /^NoNewPrivs:\s+1$/m.test(readFileSync("/proc/self/status", "latin1"));
}

/**
 * What stands in the way of jobs that run as `user` in that directory, tried for real: a user namespace may not know the
 * number, a security policy may forbid the change, a directory above may be closed to them. null: nothing does.
 */
export function whyJobsCannotRunAs(user: RunAs, directory: string): string | null {
  const whom = `user ${user.uid}`;
  if (!isRoot()) return `only root can start jobs as ${whom}`;
  const prefix = withoutNewPrivileges();
  if (prefix === null)
    return `jobs as ${whom} need setpriv of util-linux, and it is not in ${setprivPlaces.join(", ")}`;
  const [file = "", ...flags] = prefix;
  const probe = spawnSync(file, [...flags, "/bin/sh", "-c", 'cd -- "$1" && test -w .', "sh", directory], {
    uid: user.uid,
    gid: user.gid,
    cwd: "/",
    env: {},
    timeout: probeMs,
    stdio: ["ignore", "ignore", "ignore"],
  });
  if (probe.error !== undefined) return `nothing can be started as ${whom}: ${probe.error.message}`;
  if (probe.status !== 0) return `${whom} cannot use ${directory}: it, or a directory above it, is closed to others`;
  return null;
}
