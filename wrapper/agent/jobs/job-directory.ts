/**
 * Where a job starts: a directory inside the workspace, symbolic links followed before it is judged.
 *
 * A job may remove the workspace itself, or put something else in its place. The next job then finds an empty one, made again
 * for the user that jobs run as: a session must not become useless by one `rm -rf`.
 */
import { lchown, lstat, mkdir, realpath, stat, unlink } from "node:fs/promises";
import { isAbsolute, join, sep } from "node:path";
import type { JobFailure } from "../../../src/protocol/job-failure.ts";
import type { WrapperBoot } from "../../../src/protocol/sandbox/wrapper.ts";
import { errnoOf } from "../../proc/errno.ts";

export type JobDirectory =
  { readonly ok: true; readonly path: string } | { readonly ok: false; readonly failure: JobFailure };

type BootPaths = Pick<WrapperBoot, "workspace_dir" | "job_user">;

/** `link/..` means another place to us than to the kernel: refused as text, like the public API does. */
export function isInsideAsText(cwd: string): boolean {
  return !isAbsolute(cwd) && !cwd.includes("\0") && !cwd.split("/").includes("..");
}

export async function jobDirectory(paths: BootPaths, cwd: string | undefined): Promise<JobDirectory> {
  const no = (code: JobFailure["code"], message: string): JobDirectory => ({ ok: false, failure: { code, message } });
  let root: string;
  try {
    await makeWorkspaceAgain(paths);
    root = await realpath(paths.workspace_dir);
  } catch (error) {
    return no("workspace_unavailable", `The workspace is gone and cannot be made again (${errnoOf(error)}).`);
  }
  if (cwd === undefined) return { ok: true, path: root };
  const named = JSON.stringify(cwd);
  if (!isInsideAsText(cwd)) return no("cwd_outside_workspace", `cwd ${named} is not inside the workspace.`);
  try {
    const path = await realpath(join(root, cwd));
    if (path !== root && !path.startsWith(root + sep))
      return no("cwd_outside_workspace", `cwd ${named} leads out of the workspace.`);
    if (!(await stat(path)).isDirectory()) return no("cwd_not_a_directory", `cwd ${named} is not a directory.`);
    return { ok: true, path };
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return no("cwd_not_found", `cwd ${named} does not exist in the workspace.`);
    if (errnoOf(error) === "ENOTDIR") return no("cwd_not_a_directory", `cwd ${named} is not a directory.`);
    return no("cwd_not_found", `cwd ${named} cannot be used (${errnoOf(error)}).`);
  }
}

/** Nothing happens when it is there. */
export async function makeWorkspaceAgain({ workspace_dir: workspace, job_user: user }: BootPaths): Promise<void> {
  const found = await lstat(workspace).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  });
  // A link is followed as before: an operator may have put the workspace elsewhere. One that leads nowhere is no workspace.
  const isThere = found !== null && (await stat(workspace).catch(() => null))?.isDirectory() === true;
  if (isThere) return;
  if (found !== null) await unlink(workspace);
  await mkdir(workspace, { recursive: true, mode: user === undefined ? 0o777 : 0o700 });
  if (user !== undefined) await lchown(workspace, user.uid, user.gid);
}
