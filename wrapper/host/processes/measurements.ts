/** Measures what processes use, and reads the end of a wrapper's log. A process that ends meanwhile counts as nothing. */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import type { hostLogs, hostResources } from "../../../src/protocol/sandbox/host.ts";
import type { SandboxPaths } from "../records/state-directory.ts";

/** USER_HZ, which is 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

export function measureProcesses(pids: readonly number[], diskUsedBytes: number): z.infer<typeof hostResources> {
  let processes = 0;
  let ticks = 0;
  let memory = 0;
  let operations: number | null = 0;
  for (const pid of pids) {
    const stat = read(pid, "stat");
    if (stat === null) continue;
    processes += 1;
    // utime, stime, and those of children that have ended and were waited for.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
    memory += memoryBytes(pid);
    const io = read(pid, "io");
    const counts = io === null ? null : [...io.matchAll(/^sysc[rw]: (\d+)$/gm)].map((match) => Number(match[1]));
    operations =
      operations === null || counts === null ? null : operations + counts.reduce((sum, count) => sum + count, 0);
  }
  return {
    processes,
    cpu_seconds: ticks / ticksPerSecond,
    memory_bytes: memory,
    disk_used_bytes: diskUsedBytes,
    read_write_syscalls: operations,
  };
}

/** The newest instance's log. */
export function readLog(paths: SandboxPaths, tailBytes: number, now: number): z.infer<typeof hostLogs> {
  const files = list(paths.instances).flatMap((instance) =>
    ["guardian.log", join("state", "wrapper.log")].map((name) => join(paths.instances, instance, name)),
  );
  return newestTail(files, tailBytes, now);
}

/** The end of the file that was written last. Empty and missing files do not count. */
export function newestTail(files: readonly string[], tailBytes: number, now: number): z.infer<typeof hostLogs> {
  const newest = files.flatMap(written).toSorted((a, b) => b.writtenAt - a.writtenAt)[0];
  if (newest === undefined) return { text: "", last_written_ago_ms: null };
  const length = Math.min(tailBytes, newest.bytes);
  const buffer = Buffer.alloc(length);
  const file = openSync(newest.path, "r");
  try {
    const got = readSync(file, buffer, 0, length, newest.bytes - length);
    // When the cut is in the middle of a character, begin after it.
    let start = 0;
    while (start < got && length < newest.bytes && ((buffer[start] ?? 0) & 0xc0) === 0x80) start += 1;
    return {
      text: buffer.subarray(start, got).toString("utf8"),
      last_written_ago_ms: Math.max(0, Math.round(now - newest.writtenAt)),
    };
  } finally {
    closeSync(file);
  }
}

function written(path: string): readonly { path: string; bytes: number; writtenAt: number }[] {
  try {
    const file = openSync(path, "r");
    try {
      const stats = fstatSync(file);
      return stats.size > 0 ? [{ path, bytes: stats.size, writtenAt: stats.mtimeMs }] : [];
    } finally {
      closeSync(file);
    }
  } catch {
    return [];
  }
}

function list(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Proportional: pages that guardian and wrapper share count once. */
function memoryBytes(pid: number): number {
  const kilobytes =
    /^Pss:\s+(\d+)/m.exec(read(pid, "smaps_rollup") ?? "") ?? /^VmRSS:\s+(\d+)/m.exec(read(pid, "status") ?? "");
  return Number(kilobytes?.[1] ?? 0) * 1024;
}

function read(pid: number, file: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return null;
  }
}
