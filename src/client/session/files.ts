/** The files of a session's sandbox. Paths are absolute, relative to its workspace, or begin with `~/`. */
import { follow } from "../wire/event-stream.ts";
import { everyPage } from "../wire/pages.ts";
import type { CallOptions, Transport } from "../wire/transport.ts";
import type { FileChange, FileEntry } from "../types.ts";

/** A text, bytes, or a stream of bytes: that one is sent as it comes, and never held whole. */
export type FileContent = string | Uint8Array | Blob | ReadableStream<Uint8Array>;

export interface ReadOptions extends CallOptions {
  /** The bytes from `from` on, up to `to` (with it). */
  readonly range?: { readonly from: number; readonly to?: number } | undefined;
}

export interface WriteOptions extends CallOptions {
  /** Permission bits, such as 0o755. Left out: those of the file that is replaced, else 0o644. */
  readonly mode?: number | undefined;
  /** Only when the file is as this `etag` says; `null`: only when there is none. */
  readonly ifMatch?: string | null | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

export class Files {
  readonly #transport: Transport;
  readonly #session: string;

  constructor(transport: Transport, session: string) {
    this.#transport = transport;
    this.#session = session;
  }

  /** The whole file as text. */
  async readText(path: string, options: ReadOptions = {}): Promise<string> {
    return (await this.open(path, options)).text();
  }

  /** The whole file in memory. */
  async read(path: string, options: ReadOptions = {}): Promise<Uint8Array> {
    return new Uint8Array(await (await this.open(path, options)).arrayBuffer());
  }

  /** Its bytes as they come, in `body` of the answer, with its size and `etag` in the headers. */
  open(path: string, options: ReadOptions = {}): Promise<Response> {
    const { range } = options;
    const headers = range === undefined ? {} : { range: `bytes=${range.from}-${range.to ?? ""}` };
    const parameters = { id: this.#session };
    return this.#transport.stream(
      { operation: "readFile", parameters, query: { path }, headers, repeatable: true },
      options,
    );
  }

  /** Makes the directories above it. An older file stays until all has come. Never sent twice. */
  write(path: string, content: FileContent, options: WriteOptions = {}): Promise<FileEntry> {
    const { mode, ifMatch, metadata } = options;
    const query = {
      path,
      mode: mode?.toString(8).padStart(3, "0"),
      metadata: metadata === undefined ? undefined : JSON.stringify(metadata),
    };
    const headers = ifMatch === undefined ? {} : ifMatch === null ? { "if-none-match": "*" } : { "if-match": ifMatch };
    const parameters = { id: this.#session };
    return this.#transport.json(
      { operation: "writeFile", parameters, query, headers, bytes: content, repeatable: false, unbounded: true },
      options,
    );
  }

  /** A link is described itself, not what it leads to. Throws `file_not_found`. */
  stat(path: string, options: CallOptions & { readonly metadata?: boolean } = {}): Promise<FileEntry> {
    const query = { path, metadata: options.metadata === true ? "true" : undefined } as const;
    return this.#transport.json(
      { operation: "statFile", parameters: { id: this.#session }, query, repeatable: true },
      options,
    );
  }

  /** The entries of a directory, page after page; with `depth` also of those below it. */
  list(
    path: string,
    options: CallOptions & { readonly depth?: number; readonly metadata?: boolean } = {},
  ): AsyncGenerator<FileEntry, void, void> {
    const { depth, metadata } = options;
    return everyPage(async (cursor) => {
      const query = {
        path,
        cursor,
        depth: depth?.toString(),
        metadata: metadata === true ? "true" : undefined,
      } as const;
      const call = { operation: "listFiles", parameters: { id: this.#session }, query, repeatable: true } as const;
      const page = await this.#transport.json(call, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** Makes the directory and those above it. Succeeds also when it exists. */
  mkdir(path: string, options: CallOptions = {}): Promise<FileEntry> {
    return this.#transport.json(
      { operation: "makeDirectory", parameters: { id: this.#session }, query: { path }, repeatable: true },
      options,
    );
  }

  /** Replaces what is at `to`, unless `overwrite` is false. */
  move(from: string, to: string, options: CallOptions & { readonly overwrite?: boolean } = {}): Promise<FileEntry> {
    const query = { from, to, overwrite: options.overwrite === false ? "false" : undefined } as const;
    return this.#transport.json(
      { operation: "moveFile", parameters: { id: this.#session }, query, repeatable: false },
      options,
    );
  }

  /** A directory that is not empty only with `recursive`. */
  async remove(path: string, options: CallOptions & { readonly recursive?: boolean } = {}): Promise<void> {
    const query = { path, recursive: options.recursive === true ? "true" : undefined } as const;
    const parameters = { id: this.#session };
    await this.#transport.text({ operation: "removeFile", parameters, query, repeatable: false }, options);
  }

  /** A directory as a stream of tar, with paths below it. */
  async download(
    path: string,
    options: CallOptions & { readonly gzip?: boolean } = {},
  ): Promise<ReadableStream<Uint8Array>> {
    const query = { path, compress: options.gzip === true ? "gzip" : undefined } as const;
    const parameters = { id: this.#session };
    const answer = await this.#transport.stream(
      { operation: "packFiles", parameters, query, repeatable: true },
      options,
    );
    return answer.body ?? new ReadableStream();
  }

  /** Unpacks a tar into a directory, which is made when it is not there. Files of the same name are replaced, others stay. */
  async upload(path: string, tar: FileContent, options: CallOptions & { readonly gzip?: boolean } = {}): Promise<void> {
    const query = { path, compress: options.gzip === true ? "gzip" : undefined } as const;
    const parameters = { id: this.#session };
    await this.#transport.text(
      { operation: "unpackFiles", parameters, query, bytes: tar, repeatable: false, unbounded: true },
      options,
    );
  }

  /**
   * Changes below a directory, as they happen, until it is gone or gets more directories than can be watched. The first item is `null`: from then on nothing is missed. It comes
   * again after a broken connection and after more changes than could be told: then look at the directory itself.
   */
  watch(
    path: string,
    options: CallOptions & { readonly recursive?: boolean } = {},
  ): AsyncGenerator<FileChange | null, void, void> {
    const query = { path, recursive: options.recursive === true ? "true" : undefined } as const;
    const headers = { accept: "text/event-stream" };
    const parameters = { id: this.#session };
    return follow<FileChange | null, void>({
      what: `The changes of ${path}`,
      from: 0,
      signal: options.signal,
      retry: this.#transport.retry,
      open: () =>
        this.#transport.stream({ operation: "watchFiles", parameters, query, headers, repeatable: true }, options),
      take: ({ event, data }) => {
        if (event === "end") return { type: "end", end: undefined };
        if (event === "ready" || event === "overflow") return { type: "item", item: null, position: 0 };
        return { type: "item", item: JSON.parse(data) as FileChange, position: 0 };
      },
    });
  }
}
