/** What is known of a file, a directory or a link. Names of users come from /etc/passwd and /etc/group, read again when they change. */
import { readFileSync, statSync, type BigIntStats } from "node:fs";
import { lstat, readlink, realpath, stat } from "node:fs/promises";
import type { FileEntry, fileTypes } from "../../../../src/protocol/resources/sandbox/files.ts";
import type { FilePath } from "./paths.ts";

export type FileType = (typeof fileTypes)[number];

export async function entryOf(path: FilePath): Promise<FileEntry> {
  return describe(path, await lstat(path.bytes, { bigint: true }));
}

export async function describe(path: FilePath, stats: BigIntStats): Promise<FileEntry> {
  const raw = path.rawText;
  const type = typeOf(stats);
  return {
    name: Buffer.from(path.name, "latin1").toString("utf8"),
    path: path.text,
    ...(raw === undefined ? {} : { raw_path: raw }),
    type,
    size: Number(stats.size),
    mode: modeOf(stats),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    owner: nameOf("/etc/passwd", stats.uid),
    group: nameOf("/etc/group", stats.gid),
    modified_at: instant(stats.mtimeNs),
    changed_at: instant(stats.ctimeNs),
    ...(type === "file" ? { etag: etagOf(stats) } : {}),
    ...(type === "symlink" ? { link: await linkOf(path) } : {}),
  };
}

async function linkOf(path: FilePath): Promise<NonNullable<FileEntry["link"]>> {
  const target = await readlink(path.bytes, { encoding: "buffer" }).catch(() => Buffer.alloc(0));
  const [resolved, stats] = await Promise.all([
    realpath(path.bytes, { encoding: "buffer" }).catch(() => null),
    stat(path.bytes, { bigint: true }).catch(() => null),
  ]);
  return {
    target: target.toString("utf8"),
    path: resolved?.toString("utf8") ?? null,
    type: stats === null ? null : typeOf(stats),
    mode: stats === null ? null : modeOf(stats),
  };
}

export function typeOf(stats: BigIntStats): FileType {
  if (stats.isFile()) return "file";
  if (stats.isDirectory()) return "directory";
  if (stats.isSymbolicLink()) return "symlink";
  if (stats.isFIFO()) return "fifo";
  return stats.isSocket() ? "socket" : "device";
}

export function modeOf(stats: BigIntStats): number {
  return Number(stats.mode & 0o7777n);
}

/** Changes with the content: another file in its place has another inode, a write moves both times. */
export function etagOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `"${[ino, size, mtimeNs, ctimeNs].map((part) => part.toString(36)).join("-")}"`;
}

/** RFC 3339 with nanoseconds, as the file system has them. */
export function instant(ns: bigint): string {
  const second = ns / 1_000_000_000n - (ns % 1_000_000_000n < 0n ? 1n : 0n);
  const rest = ns - second * 1_000_000_000n;
  const date = new Date(Number(second) * 1_000);
  if (Number.isNaN(date.getTime())) return "1970-01-01T00:00:00.000000000Z";
  return `${date.toISOString().slice(0, 19)}.${rest.toString().padStart(9, "0")}Z`;
}

interface Names {
  /** Steady ms of the last look at the file's time. */
  readonly lookedAt: number;
  readonly changedAt: number;
  readonly byNumber: ReadonlyMap<string, string>;
}

const lookAgainMs = 1_000;
const names = new Map<string, Names>();

function nameOf(file: string, number: bigint): string {
  const known = names.get(file);
  const now = performance.now();
  // A list names users for each of its entries.
  if (known !== undefined && now - known.lookedAt < lookAgainMs)
    return known.byNumber.get(String(number)) ?? String(number);
  let changedAt = 0;
  try {
    changedAt = statSync(file).mtimeMs;
  } catch {
    // An image without it: numbers then.
  }
  const byNumber = known?.changedAt === changedAt ? known.byNumber : read(file);
  names.set(file, { lookedAt: now, changedAt, byNumber });
  return byNumber.get(String(number)) ?? String(number);
}

function read(file: string): ReadonlyMap<string, string> {
  try {
    const rows = readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.split(":"));
    return new Map(rows.map(([name = "", , number = ""]) => [number, name]));
  } catch {
    return new Map();
  }
}
