/** A file as E2B's API shows it. Size, owner and times are the entry's own; the type and mode of a symbolic link are its target's. */
import { lstat } from "node:fs/promises";
import type { FileEntry } from "../../../../src/protocol/resources/sandbox/files.ts";
import { describe, type FileType } from "../files/entries.ts";
import type { FileMetadata, Metadata } from "../files/metadata.ts";
import type { FilePath } from "../files/paths.ts";
import type { E2bPaths } from "./e2b-paths.ts";
import { fileFailure } from "../service-failure.ts";

const types: Readonly<Record<FileType, string>> = {
  file: "FILE_TYPE_FILE",
  directory: "FILE_TYPE_DIRECTORY",
  symlink: "FILE_TYPE_SYMLINK",
  fifo: "FILE_TYPE_UNSPECIFIED",
  socket: "FILE_TYPE_UNSPECIFIED",
  device: "FILE_TYPE_UNSPECIFIED",
};

export class EntryInfos {
  readonly #metadata: FileMetadata;
  readonly #paths: E2bPaths;

  constructor(metadata: FileMetadata, paths: E2bPaths) {
    this.#metadata = metadata;
    this.#paths = paths;
  }

  /** The metadata of all are read at once. An entry that went meanwhile is left out. */
  async all(paths: readonly FilePath[]): Promise<readonly object[]> {
    const [metadata, found] = await Promise.all([this.#metadata.of(paths), Promise.all(paths.map(entryIfThere))]);
    return found.flatMap((entry, at) => (entry === null ? [] : [shown(entry, metadata[at] ?? {}, this.#paths)]));
  }

  /** Throws when there is none. */
  async one(path: FilePath): Promise<object> {
    try {
      const entry = await describe(path, await lstat(path.bytes, { bigint: true }));
      const [metadata = {}] = await this.#metadata.of([path]);
      return shown(entry, metadata, this.#paths);
    } catch (error) {
      throw fileFailure(error, path.text);
    }
  }
}

/** null: it went meanwhile. */
async function entryIfThere(path: FilePath): Promise<FileEntry | null> {
  const stats = await lstat(path.bytes, { bigint: true }).catch(() => null);
  return stats === null ? null : describe(path, stats);
}

function shown(entry: FileEntry, metadata: Metadata, paths: E2bPaths): object {
  const path = paths.shown(entry.path);
  const owner = paths.owner(entry.uid, entry.owner, process.getuid?.());
  const group = paths.owner(entry.gid, entry.group, process.getgid?.());
  const { name, size, mode, modified_at: modifiedTime, type, link } = entry;
  const target = link?.type ?? null;
  const isLink = type === "symlink";
  return {
    name,
    type: isLink ? (target === null ? "FILE_TYPE_UNSPECIFIED" : types[target]) : types[type],
    path,
    size: String(size),
    mode: (isLink ? (link?.mode ?? 0) : mode) & 0o777,
    permissions: permissionsOf(type, mode),
    ...{ owner, group, modifiedTime },
    ...(isLink ? { symlinkTarget: paths.shownTarget(link?.path ?? path) } : {}),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
  };
}

const letters: Readonly<Record<FileType, string>> = {
  file: "",
  directory: "d",
  symlink: "L",
  fifo: "p",
  socket: "S",
  device: "D",
};

/** As Go writes a mode. */
export function permissionsOf(type: FileType, mode: number): string {
  const special = [
    [0o4000, "u"],
    [0o2000, "g"],
    [0o1000, "t"],
  ] as const;
  const before = letters[type] + special.map(([bit, letter]) => ((mode & bit) === 0 ? "" : letter)).join("");
  const bits = Array.from("rwxrwxrwx", (letter, at) => ((mode & (1 << (8 - at))) === 0 ? "-" : letter)).join("");
  return (before === "" ? "-" : before) + bits;
}
