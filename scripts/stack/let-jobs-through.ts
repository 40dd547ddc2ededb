/**
 * Jobs that run as other users pass through the state directory of a stack on their way to their workspaces. What lies beside the
 * host in it (the rows of the worker, logs) is closed to them: what there is, and what this process and its children will make.
 */
import { chmodSync, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

export function letJobsThrough(stateDirectory: string): void {
  process.umask(0o077);
  for (const name of readdirSync(stateDirectory)) {
    const path = join(stateDirectory, name);
    const stats = lstatSync(path);
    // The host's own it closes and opens itself.
    if (name !== "host" && (stats.isDirectory() || stats.isFile()))
      chmodSync(path, stats.isDirectory() ? 0o700 : 0o600);
  }
  chmodSync(stateDirectory, 0o711);
}
