/**
 * The log of guardian and wrapper, `state_dir/wrapper.log` and one older file. For events of the instance's life only:
 * never a command, never an environment, never a request. Failing to write it fails nothing.
 */
import { appendFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";

const maxBytes = 256 * 1_024;
export const logFile = "wrapper.log";

export type Log = (message: string, facts?: Readonly<Record<string, string | number | boolean | null>>) => void;

export function boundedLog(stateDir: string, role: string): Log {
  const path = join(stateDir, logFile);
  return (message, facts = {}) => {
    try {
      appendFileSync(
        path,
        `${JSON.stringify({ at: new Date().toISOString(), role, pid: process.pid, message, ...facts })}\n`,
      );
      // Wrapper and guardian may rotate at once; then one older file is lost, never more.
      if (statSync(path).size > maxBytes) renameSync(path, `${path}.1`);
    } catch {
      // A full disk must not end an instance.
    }
  };
}
