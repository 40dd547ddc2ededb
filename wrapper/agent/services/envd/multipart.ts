/**
 * `multipart/form-data` as a stream of parts: nothing of a part is kept beyond what could be the beginning of a delimiter. A part must be
 * read to its end, or skipped by asking for the next one.
 */
import { ServiceFailure } from "../service-failure.ts";

export interface Part {
  readonly name: string;
  /** With its slashes; null: it has none. */
  readonly filename: string | null;
  readonly body: AsyncIterable<Buffer>;
}

const maxHeadBytes = 16_384;
const headEnd = Buffer.from("\r\n\r\n");

/** null: it is another type. */
export function boundaryOf(contentType: string): string | null {
  if (!/^multipart\/form-data\s*(;|$)/i.test(contentType)) return null;
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]{1,200})"|([^\s;]{1,200}))/i.exec(contentType) ?? [];
  return quoted ?? plain ?? null;
}

export async function* partsOf(source: AsyncIterable<Buffer>, boundary: string): AsyncGenerator<Part> {
  const reader = new Reader(source);
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  // What precedes the first delimiter says nothing. It may begin without a line end.
  reader.putBack(Buffer.from("\r\n"));
  try {
    await drain(reader.until(delimiter));
    for (;;) {
      const after = await reader.take(2);
      if (after.toString("latin1") === "--") return;
      reader.putBack(after);
      const head = await headOf(reader);
      const body = reader.until(delimiter);
      yield { ...named(head), body };
      await drain(body);
    }
  } finally {
    await reader.end();
  }
}

/** What follows a delimiter, up to the empty line: one line end more when the part has no header at all. */
async function headOf(reader: Reader): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of reader.until(headEnd)) {
    bytes += chunk.length;
    if (bytes > maxHeadBytes) throw broken("the head of a part is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function named(head: string): { readonly name: string; readonly filename: string | null } {
  const [, disposition = ""] = /^content-disposition:(.*)$/im.exec(head) ?? [];
  return { name: parameter(disposition, "name") ?? "", filename: parameter(disposition, "filename") };
}

/** As browsers and undici write it: quotes and line ends are percent-encoded; others put a backslash before a quote. */
function parameter(disposition: string, name: string): string | null {
  const [, quoted, plain] =
    new RegExp(`;\\s*${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s;]*))`, "i").exec(disposition) ?? [];
  const text = quoted?.replaceAll(/\\(["\\])/g, "$1") ?? plain;
  if (text === undefined) return null;
  return text.replaceAll(/%22/g, '"').replaceAll(/%0D/gi, "\r").replaceAll(/%0A/gi, "\n");
}

async function drain(body: AsyncIterable<Buffer>): Promise<void> {
  const chunks = body[Symbol.asyncIterator]();
  while ((await chunks.next()).done !== true);
}

class Reader {
  readonly #source: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  putBack(bytes: Buffer): void {
    this.#held = Buffer.concat([bytes, this.#held]);
  }

  async take(length: number): Promise<Buffer> {
    while (this.#held.length < length) await this.#more();
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }

  /** Nothing more is read. */
  async end(): Promise<void> {
    await this.#source.return?.();
  }

  /** The bytes before `mark`, which is taken too. Ends at once when it was read to its end before. */
  until(mark: Buffer): AsyncIterable<Buffer> {
    let isOver = false;
    const next = async (): Promise<IteratorResult<Buffer, undefined>> => {
      while (!isOver) {
        const at = this.#held.indexOf(mark);
        // The mark may be cut by the end of what has come so far.
        const free = at < 0 ? this.#held.length - mark.length + 1 : at;
        if (at >= 0) isOver = true;
        const chunk = this.#held.subarray(0, Math.max(0, free));
        this.#held = this.#held.subarray(chunk.length + (at < 0 ? 0 : mark.length));
        if (chunk.length > 0) return { done: false, value: chunk };
        if (!isOver) await this.#more();
      }
      return { done: true, value: undefined };
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }

  async #more(): Promise<void> {
    const { done, value } = await this.#source.next();
    if (done === true) throw broken("it ends before its last delimiter");
    this.#held = this.#held.length === 0 ? value : Buffer.concat([this.#held, value]);
  }
}

function broken(why: string): ServiceFailure {
  return new ServiceFailure("invalid", `The multipart body cannot be read: ${why}. Nothing more was written.`);
}
