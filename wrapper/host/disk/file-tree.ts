/** How much room a directory takes, and when anything in it last changed. Mounts below it do not count. */
import { lstat } from "node:fs/promises";
import { TreeChanged, walkTree, type TreeVisitor } from "./tree-walk.ts";
import { hasErrno } from "../../proc/errno.ts";

/** Epoch ms. After a clock was set back, times may lie ahead of now. They count as now, so that the entry is young. */
export async function newestChange(path: string): Promise<number> {
  let newest = 0;
  const look = async (entry: string | Buffer): Promise<void> => {
    const { mtimeMs, ctimeMs } = await lstat(entry);
    // ctime as well, because unpacking and copying set mtime freely.
    newest = Math.max(newest, mtimeMs, ctimeMs);
  };
  await look(path);
  await walkIfDirectory(path, {
    entry: look,
    left: look,
    blocked: async (_path, why) => {
      // A directory that cannot be opened may hold something young.
      if (why.type === "unreadable") throw why.error;
      return "skip";
    },
  });
  return newest;
}

/** Entries that vanish or move during the count, or that this process may not read, count as nothing. */
export async function allocatedBytes(path: string): Promise<number> {
  let bytes = 0;
  const count = async (entry: string | Buffer): Promise<void> => {
    bytes += (await lstat(entry).catch(gone))?.blocks ?? 0;
  };
  await count(path);
  const visitor: TreeVisitor = { entry: count, left: count, blocked: () => Promise.resolve("skip") };
  await walkIfDirectory(path, visitor).catch((error: unknown) => {
    if (!(error instanceof TreeChanged)) gone(error);
  });
  return bytes * 512;
}

async function walkIfDirectory(path: string, visitor: TreeVisitor): Promise<void> {
  if ((await lstat(path)).isDirectory()) await walkTree(path, visitor);
}

function gone(error: unknown): null {
  if (hasErrno(error, "ENOENT")) return null;
  throw error;
}
