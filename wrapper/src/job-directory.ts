/** Where a job starts: a directory inside the workspace, symbolic links followed before it is judged. */
import { realpath, stat } from "node:fs/promises";
import { isAbsolute, join, sep } from "node:path";

export type JobDirectory = { readonly ok: true; readonly path: string } | { readonly ok: false; readonly why: string };

export async function jobDirectory(workspace: string, cwd: string | undefined): Promise<JobDirectory> {
  // `link/..` means another place to us than to the kernel: refused as text, like the public API does.
  if (cwd !== undefined && (isAbsolute(cwd) || cwd.includes("\0") || cwd.split("/").includes(".."))) {
    return { ok: false, why: "cwd is a path relative to the workspace, without `..`" };
  }
  try {
    const root = await realpath(workspace);
    const path = await realpath(join(root, cwd ?? "."));
    if (path !== root && !path.startsWith(root + sep)) return { ok: false, why: "cwd leaves the workspace" };
    if (!(await stat(path)).isDirectory()) return { ok: false, why: "cwd is not a directory" };
    return { ok: true, path };
  } catch {
    return { ok: false, why: "cwd does not exist" };
  }
}
