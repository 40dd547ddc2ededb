/**
 * Metadata of files: the extended attributes `user.e2b.*`. Node cannot read or write them, so a small program in Python does, which
 * answers each line with one line. Where there is no Python, or the file system has no attributes, they are kept in memory by the
 * file's place on the disk: then only what clients of this sandbox set is known, until it stops.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { lstat } from "node:fs/promises";
import type { FileEntry } from "../../../../src/protocol/resources/sandbox/files.ts";
import { boundedLines } from "../bounded-lines.ts";
import { ServiceFailure } from "../service-failure.ts";
import type { FilePath } from "./paths.ts";

export type Metadata = Readonly<Record<string, string>>;

const program = `
import json, os, sys
P = b"user.e2b."
def names(path):
    return [n for n in map(os.fsencode, os.listxattr(path)) if n.startswith(P)]
def read(path):
    return {n[len(P):].decode("utf8", "replace"): os.getxattr(path, n).decode("utf8", "replace") for n in names(path)}
def write(path, wanted):
    for n in names(path): os.removexattr(path, n)
    for k, v in wanted.items(): os.setxattr(path, P + k.encode(), v.encode())
    return {}
def act(order, path):
    try:
        return read(path) if order["set"] is None else write(path, order["set"])
    except OSError:
        return None
for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps([act(order, bytes.fromhex(path)) for path in order["paths"]]), flush=True)
`;
/** Python takes long to start, and a client that lists files asks again soon. */
const idleMs = 60_000;
/** Files of one question. */
const batch = 500;
const maxInMemory = 10_000;

/** One answer for each path; null: nothing can be kept with that file, or it is gone. */
type Answer = readonly (Metadata | null)[];

export class FileMetadata {
  /** null: there is no Python. */
  #helper: ChildProcess | null | undefined;
  #idle: NodeJS.Timeout | undefined;
  readonly #waiting: ((answer: Answer) => void)[] = [];
  /** By device and inode. */
  readonly #kept = new Map<string, Metadata>();

  readonly describe = async (entry: FileEntry, path: FilePath): Promise<FileEntry> => {
    const [metadata = {}] = await this.of([path]);
    return Object.keys(metadata).length === 0 ? entry : { ...entry, metadata };
  };

  /** In the order of the paths. A file that has none, or is gone, has an empty one. */
  async of(paths: readonly FilePath[]): Promise<readonly Metadata[]> {
    const found: Metadata[] = [];
    for (let at = 0; at < paths.length; at += batch) {
      const part = paths.slice(at, at + batch);
      const answer = await this.#ask(part, null);
      for (const [index, path] of part.entries()) {
        const read = answer[index] ?? {};
        found.push(Object.keys(read).length > 0 || this.#kept.size === 0 ? read : await this.#keptOf(path));
      }
    }
    return found;
  }

  /** Replaces all that the file has. */
  async set(path: FilePath, metadata: Metadata): Promise<void> {
    const [stored = null] = await this.#ask([path], metadata);
    const key = await keyOf(path);
    if (key === null) return;
    this.#kept.delete(key);
    if (stored !== null || Object.keys(metadata).length === 0) return;
    this.#kept.set(key, metadata);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > maxInMemory && oldest !== undefined) this.#kept.delete(oldest);
  }

  async #keptOf(path: FilePath): Promise<Metadata> {
    return this.#kept.get((await keyOf(path)) ?? "") ?? {};
  }

  async #ask(paths: readonly FilePath[], set: Metadata | null): Promise<Answer> {
    const helper = this.#started();
    if (helper === null) return [];
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#rest(), idleMs);
    this.#idle.unref();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      helper.stdin?.write(`${JSON.stringify({ paths: paths.map(({ bytes }) => bytes.toString("hex")), set })}\n`);
    });
  }

  #rest(): void {
    if (this.#waiting.length > 0) return;
    this.#helper?.stdin?.end();
    this.#helper = undefined;
  }

  #started(): ChildProcess | null {
    if (this.#helper !== undefined) return this.#helper;
    const helper = spawn("python3", ["-S", "-c", program], { stdio: ["pipe", "pipe", "ignore"] });
    this.#helper = helper;
    helper.stdin.on("error", () => {});
    const over = (next: null | undefined): void => {
      if (this.#helper !== helper) return;
      this.#helper = next;
      for (const resolve of this.#waiting.splice(0)) resolve([]);
    };
    helper.once("error", () => over(null));
    helper.once("exit", () => over(undefined));
    helper.stdout.setEncoding("utf8");
    helper.stdout.on(
      "data",
      boundedLines(
        (line) => this.#waiting.shift()?.(JSON.parse(line) as Answer),
        () => helper.kill("SIGKILL"),
        maxAnswerBytes,
      ),
    );
    return helper;
  }
}

/** Of one batch, each file with all that it may have, every byte as an escape of six. */
const maxAnswerBytes = 16 * 1_024 * 1_024;

async function keyOf(path: FilePath): Promise<string | null> {
  const stats = await lstat(path.bytes, { bigint: true }).catch(() => null);
  return stats === null ? null : `${stats.dev}:${stats.ino}`;
}

/** With the prefix, as the file system counts them. */
const maxBytes = 4_096;
const maxKeyBytes = 246;

/** Throws a `ServiceFailure` when a key or value cannot be stored as an extended attribute. */
export function checkMetadata(entries: readonly (readonly [string, unknown])[]): Metadata {
  const checked: Record<string, string> = {};
  let bytes = 0;
  for (const [key, value] of entries) {
    if (typeof value !== "string" || key === "" || key.length > maxKeyBytes || !/^[\x20-\x7e]*$/.test(key + value))
      throw wrong(`${JSON.stringify(key.slice(0, maxKeyBytes))} is not`);
    bytes += "user.e2b.".length + key.length + value.length;
    checked[key] = value;
  }
  if (bytes > maxBytes) throw wrong(`${bytes} bytes together are not`);
  return checked;
}

/** null: none were given. */
export function metadataFrom(text: string | null): Metadata | null {
  if (text === null) return null;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = null;
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw wrong("The text is not");
  return checkMetadata(Object.entries(json));
}

function wrong(what: string): ServiceFailure {
  return new ServiceFailure(
    "invalid",
    `metadata: ${what} metadata. It is a JSON object of texts of printable ASCII; a key has 1 to ${maxKeyBytes} characters, and all take at most ${maxBytes} bytes together, with a prefix of 9 for each.`,
  );
}
