/** Live processes that have to do with a directory: by environment, command line or working directory. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export function processesOf(directory: string): readonly string[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((pid) => {
      const state = attempt(() => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.[0]);
      if (state === null || state === "Z") return false;
      return (
        ["environ", "cmdline"].some((file) => read(`/proc/${pid}/${file}`).includes(directory)) ||
        cwd(pid).startsWith(directory)
      );
    })
    .map((pid) => `${pid} ${read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").slice(0, 120)}`);
}

const read = (file: string): string => attempt(() => readFileSync(file, "utf8")) ?? "";
const cwd = (pid: string): string => attempt(() => readlinkSync(`/proc/${pid}/cwd`)) ?? "";

function attempt<T>(what: () => T): T | null {
  try {
    return what();
  } catch {
    return null; // it ended while we looked
  }
}
