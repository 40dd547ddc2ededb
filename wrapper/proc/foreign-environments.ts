/**
 * Environments and sockets of another user's processes, read by a helper of that very user. Root can read them only with CAP_SYS_PTRACE, which a
 * container has not by default; the user itself always can.
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { isGone } from "./errno.ts";

/** The kernel compares both before it lets a process read another one's environment. */
export interface ProcessOwner {
  readonly uid: number;
  readonly gid: number;
}

/** null: it is gone. */
export function readOwner(pid: number): ProcessOwner | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const uid = /^Uid:\s+(\d+)/m.exec(status)?.[1];
    const gid = /^Gid:\s+(\d+)/m.exec(status)?.[1];
    return uid === undefined || gid === undefined ? null : { uid: Number(uid), gid: Number(gid) };
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

/** The mark comes on standard input: nobody else sees it, so nothing that is read can contain it on purpose. */
const scriptThat = (reads: string): string =>
  `read -r mark; for pid do printf "\\n%s %s\\n" "$mark" "$pid"; ${reads} 2>/dev/null; done`;
const environment = scriptThat('cat "/proc/$pid/environ"');
const descriptors = scriptThat('readlink "/proc/$pid/fd/"*');
/** A shell that has to start on a sixteenth of a core. */
const readMs = 5_000;
const maxBytes = 64 * 1_024 * 1_024;

/** By pid; a process that is gone, or shows nothing, is left out. Throws when nothing could be read at all: that is no "none". */
export function readEnvironmentsAs(
  owner: ProcessOwner,
  pids: readonly number[],
): ReadonlyMap<number, readonly string[]> {
  return readAs(owner, pids, environment, (text) => text.split("\0"));
}

/** The inodes of their sockets, in the same way. */
export function readSocketsAs(owner: ProcessOwner, pids: readonly number[]): ReadonlyMap<number, readonly string[]> {
  return readAs(owner, pids, descriptors, (text) =>
    [...text.matchAll(/^socket:\[(\d+)\]$/gm)].map(([, inode = ""]) => inode),
  );
}

function readAs(
  owner: ProcessOwner,
  pids: readonly number[],
  script: string,
  read: (text: string) => readonly string[],
): ReadonlyMap<number, readonly string[]> {
  const found = new Map<number, readonly string[]>();
  if (pids.length === 0) return found;
  const mark = randomBytes(16).toString("hex");
  const ran = spawnSync("/bin/sh", ["-c", script, "sh", ...pids.map(String)], {
    ...owner,
    cwd: "/",
    env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
    input: `${mark}\n`,
    encoding: "latin1",
    timeout: readMs,
    maxBuffer: maxBytes,
  });
  // The last `cat` may have failed because its process is gone; a shell that did not come to its end is another matter.
  if (ran.error !== undefined || ran.status === null) {
    throw new Error(`Processes of user ${owner.uid} could not be read: ${ran.error?.message ?? ran.signal}`);
  }
  for (const part of ran.stdout.split(`\n${mark} `).slice(1)) {
    const cut = part.indexOf("\n");
    const text = part.slice(cut + 1);
    if (text !== "") found.set(Number(part.slice(0, cut)), read(text));
  }
  return found;
}
