/** Files of a running sandbox, read and written as its tenant. */
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import { act, CallFailed, read, send } from "./call.ts";

export type FileEntry = AnswerOf<"statFile">;

export interface Listing {
  /** The directory that is listed. */
  readonly at: FileEntry;
  readonly entries: readonly FileEntry[];
  /** Where the next page begins; null: this is the last page. */
  readonly next: string | null;
}

/** The path as it goes into a query. A name that is not UTF-8 is kept as its bytes, encoded already. */
export function encodedPath({ path, raw_path }: FileEntry): string {
  return raw_path ?? encodeURIComponent(path);
}

/** The path as people read it. A name that is not UTF-8 stays encoded. */
export function shownPath(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

const pageSize = 1_000;

/** `path` is encoded for a query; "" is the workspace. */
export async function listDirectory(base: string, path: string, signal?: AbortSignal): Promise<Listing> {
  const at = path === "" ? "." : path;
  const [entry, page] = await Promise.all([
    read<"statFile">(`${base}/files/stat?path=${at}`, signal),
    read<"listFiles">(`${base}/files/list?path=${at}&limit=${pageSize}`, signal),
  ]);
  // Directories first, as file managers show them.
  const entries = page.data.toSorted((one, other) => Number(isDirectory(other)) - Number(isDirectory(one)));
  return { at: entry, entries, next: page.next_cursor };
}

/** True also for a link to a directory. */
export function isDirectory({ type, link }: FileEntry): boolean {
  return type === "directory" || link?.type === "directory";
}

export function isFile({ type, link }: FileEntry): boolean {
  return type === "file" || link?.type === "file";
}

/** How many bytes of a file the page shows. */
export const shownBytes = 256 * 1_024;

export interface Beginning {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The size of the whole file. */
  readonly size: number;
}

export async function readBeginning(base: string, path: string, signal: AbortSignal): Promise<Beginning> {
  const asked = { headers: { accept: "*/*", range: `bytes=0-${shownBytes - 1}` }, signal };
  const answer = await send("GET", `${base}/files?path=${path}`, asked).catch((error: unknown) => {
    // An empty file has no byte that a range could name.
    if (error instanceof CallFailed && error.problem.code === "offset_past_end") return null;
    throw error;
  });
  if (answer === null) return { bytes: new Uint8Array(), size: 0 };
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const [, total] = /\/(\d+)$/.exec(answer.headers.get("content-range") ?? "") ?? [];
  return { bytes, size: total === undefined ? bytes.length : Number(total) };
}

/** The browser holds the whole download in memory, so a larger file needs the command line. */
export const mostDownloaded = 1_024 * 1_024 * 1_024;

/** Downloads a file as it is, a directory as an archive. */
export async function download(base: string, entry: FileEntry): Promise<void> {
  const path = encodedPath(entry);
  const isTree = isDirectory(entry);
  const from = isTree ? `${base}/files/archive?path=${path}&compress=gzip` : `${base}/files?path=${path}`;
  const answer = await send("GET", from, { headers: { accept: "*/*" } });
  save(await answer.blob(), isTree ? `${entry.name}.tar.gz` : entry.name);
}

export function save(content: Blob, name: string): void {
  const address = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // Late enough: the browser has begun to read the address by then.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** `replace` false: refused when there is a file of this name. */
export async function upload(base: string, directory: FileEntry, file: File, replace: boolean): Promise<void> {
  const path = `${encodedPath(directory)}%2F${encodeURIComponent(file.name)}`;
  const headers = { "content-type": "application/octet-stream", ...(replace ? {} : { "if-none-match": "*" }) };
  await act<"writeFile">("PUT", `${base}/files?path=${path}`, { bytes: file, headers });
}

export function sizeOf(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let left = bytes;
  let unit = 0;
  while (left >= 1_000 && unit < units.length - 1) {
    left /= 1_024;
    unit += 1;
  }
  return `${unit === 0 || left >= 100 ? Math.round(left) : left.toFixed(1)} ${units[unit]}`;
}
