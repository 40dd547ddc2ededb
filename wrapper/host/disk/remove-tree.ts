/**
 * Removes a tree that a job may have made hard to remove: deeper than the longest path, with names of any bytes, with
 * directories without write permission, and with mounted file systems. No process of the sandbox runs any more.
 *
 * A mount is detached and never entered, because it may be a bind mount of anything on this machine.
 */
import { chmod, lstat, rmdir, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { detachMountAt, detachMountOn, OpenDirectory } from "./open-directory.ts";
import { walkTree, type Blocked } from "./tree-walk.ts";
import { errnoOf } from "../../proc/errno.ts";

/** Something of the tree is left. The message names no path. */
export class NotRemoved extends Error {}

/** A missing tree is success. Goes on past entries that cannot be removed. */
export async function removeTree(root: string): Promise<void> {
  const reasons = new Set<string>();
  const noted = async (act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") reasons.add(reasonOf(error));
    }
  };
  try {
    const parent = await OpenDirectory.open(dirname(root));
    const { mount } = parent;
    await parent.close();
    if (!(await lstat(root)).isDirectory()) return await unlink(root);
    await detachAll(root, mount);
    await chmod(root, 0o700);
    await walkTree(
      root,
      {
        // Without write permission on the directory, only root could remove its entries.
        entering: (path) => chmod(path, 0o700),
        entry: (path) => noted(() => removeEntry(path)),
        left: (path) => noted(() => rmdir(path)),
        blocked: async (_path, why) => {
          const reason = unblock(why);
          if (reason === null) return "again";
          if (why.type === "mounted" || errnoOf(why.error) !== "ENOENT") reasons.add(reason);
          return "skip";
        },
      },
      mount,
    );
    await rmdir(root);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" && reasons.size === 0) return;
    if (reasons.size === 0) reasons.add(reasonOf(error));
  }
  if (reasons.size > 0) throw new NotRemoved([...reasons].slice(0, 3).join("; "));
}

/** Detaches file systems that are mounted on the directory itself. A mount that stays makes the removal fail and say so. */
export function detachMountsOn(path: string): void {
  for (let layer = 0; layer < 32 && detachMountAt(path); layer += 1);
}

async function removeEntry(path: Buffer): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errnoOf(error) !== "EBUSY") throw error;
    const why = await detachMountOn(path);
    if (why !== null) throw new NotRemoved(`a file system is mounted on a file and cannot be unmounted (${why})`);
    await unlink(path);
  }
}

/** null: it may be opened again. */
function unblock(why: Blocked): string | null {
  if (why.type === "unreadable") return reasonOf(why.error);
  const reason = why.directory.detachMount();
  return reason === null ? null : `a file system is mounted in it and cannot be unmounted (${reason})`;
}

/** Detaches what is mounted on the tree's own directory. */
async function detachAll(root: string, mount: string): Promise<void> {
  for (let layer = 0; layer < 32; layer += 1) {
    const directory = await OpenDirectory.open(root);
    try {
      if (directory.mount === mount) return;
      const why = directory.detachMount();
      if (why !== null) throw new NotRemoved(`a file system is mounted on it and cannot be unmounted (${why})`);
    } finally {
      await directory.close();
    }
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof NotRemoved) return error.message;
  const code = errnoOf(error);
  if (code === "unknown") return error instanceof Error ? error.message : "unknown";
  return `${code} in ${error instanceof Error && "syscall" in error ? String(error.syscall) : "a call"}`;
}
