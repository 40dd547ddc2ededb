/** What a directory takes, and when anything in it was last changed. */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

/** Epoch ms. A clock that was set back leaves times ahead of now: those count as now, so the entry is young. */
export async function newestChange(path: string): Promise<number> {
  const stats = await lstat(path);
  // ctime too: unpacking and copying set mtime to whatever they like.
  let newest = Math.max(stats.mtimeMs, stats.ctimeMs);
  if (!stats.isDirectory()) return newest;
  for (const entry of await readdir(path)) newest = Math.max(newest, await newestChange(join(path, entry)));
  return newest;
}

/** What vanishes while it is counted counts nothing. */
export async function allocatedBytes(path: string): Promise<number> {
  let entries;
  let own = 0;
  try {
    const stats = await lstat(path);
    own = stats.blocks * 512;
    if (!stats.isDirectory()) return own;
    entries = await readdir(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return own;
    throw error;
  }
  for (const entry of entries) own += await allocatedBytes(join(path, entry));
  return own;
}
