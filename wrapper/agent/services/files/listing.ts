/**
 * `GET /files/list`: the entries of a directory, and of those below it down to a depth; sorted by the bytes of their names, a
 * directory before what is in it. A page ends after so many entries, and the next begins after the path that the cursor names:
 * what comes or goes meanwhile neither repeats nor hides anything else.
 */
import { opendir } from "node:fs/promises";
import type { FileEntry } from "../../../../src/protocol/resources/sandbox/files.ts";
import { answerJson, type Exchange } from "../exchange.ts";
import { fileFailure, ServiceFailure } from "../service-failure.ts";
import { entryOf } from "./entries.ts";
import type { FilePath, BaseDirectories } from "./paths.ts";
import { resolvePath } from "./paths.ts";
import { errnoOf } from "../../../proc/errno.ts";

const pageEntries = 1_000;
const maxPageEntries = 10_000;
const maxDepth = 64;

interface Found {
  readonly path: FilePath;
  /** Below the root, one character for each byte. */
  readonly relative: string;
}

export type Describe = (entry: FileEntry, path: FilePath) => Promise<FileEntry>;

export function listRoute(base: BaseDirectories, more: Describe): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    const { query } = exchange;
    const root = resolvePath(query.bytes("path") ?? Buffer.from(base.workspace), base);
    const depth = query.whole("depth", 1, maxDepth) ?? 1;
    const limit = query.whole("limit", 1, maxPageEntries) ?? pageEntries;
    const after = cursorFrom(query.text("cursor"));
    const withMetadata = query.flag("metadata");
    try {
      const data: FileEntry[] = [];
      let last = "";
      let isFull = false;
      for await (const { path, relative } of walk(root, "", depth, after, limit + 1)) {
        if (data.length === limit) {
          isFull = true;
          break;
        }
        const entry = await entryOf(path).catch((error: unknown) => {
          // It went while we looked.
          if (errnoOf(error) === "ENOENT") return null;
          throw error;
        });
        if (entry !== null) data.push(withMetadata ? await more(entry, path) : entry);
        last = relative;
      }
      answerJson(exchange, 200, {
        data,
        next_cursor: isFull ? Buffer.from(last, "latin1").toString("base64url") : null,
      });
    } catch (error) {
      throw fileFailure(error, root.text);
    }
  };
}

function cursorFrom(text: string | null): string | null {
  if (text === null) return null;
  if (/^[A-Za-z0-9_-]+$/.test(text)) return Buffer.from(text, "base64url").toString("latin1");
  throw new ServiceFailure("invalid", "cursor: `next_cursor` of the page before.");
}

async function* walk(
  directory: FilePath,
  prefix: string,
  depth: number,
  after: string | null,
  limit: number,
): AsyncGenerator<Found> {
  for (const { name, isDirectory } of await namesOf(directory, prefix, after, limit)) {
    const relative = prefix + name;
    const path = directory.child(name);
    if (after === null || isAfter(relative, after)) yield { path, relative };
    if (!isDirectory || depth <= 1) continue;
    const within = after !== null && (after === relative || after.startsWith(`${relative}/`)) ? after : null;
    try {
      yield* walk(path, `${relative}/`, depth - 1, within, limit);
    } catch (error) {
      // It is listed itself; that it is closed, or went meanwhile, does not hide the others.
      if (!["EACCES", "ENOENT", "ENOTDIR"].includes(errnoOf(error))) throw error;
    }
  }
}

interface Name {
  readonly name: string;
  readonly isDirectory: boolean;
}

/** The first `limit` names that are not wholly before the cursor, sorted. A directory of a million files takes no more memory than a page. */
async function namesOf(directory: FilePath, prefix: string, after: string | null, limit: number): Promise<Name[]> {
  const from = after === null ? null : (after.slice(prefix.length).split("/")[0] ?? "");
  let names: Name[] = [];
  const opened = await opendir(directory.bytes, {
    encoding: "buffer" as unknown as BufferEncoding,
    bufferSize: 512,
  });
  for await (const each of opened) {
    const name = Buffer.from(each.name).toString("latin1");
    if (from !== null && name < from) continue;
    names.push({ name, isDirectory: each.isDirectory() });
    if (names.length >= 4 * limit) names = sorted(names).slice(0, limit);
  }
  return sorted(names).slice(0, limit);
}

function sorted(names: readonly Name[]): Name[] {
  return names.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** In the order of the list: segment by segment. */
function isAfter(path: string, cursor: string): boolean {
  const [a, b] = [path.split("/"), cursor.split("/")];
  for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
    const [left = "", right = ""] = [a[index], b[index]];
    if (left !== right) return left > right;
  }
  return a.length > b.length;
}
