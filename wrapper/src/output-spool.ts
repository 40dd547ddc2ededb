/**
 * The output of one job on disk: written by one, read by any number, each at its own pace.
 *
 * Memory stays flat: one chunk is in flight from the job (its pipe waits meanwhile), one per reader to its client.
 * Beyond `maxBytes` bytes are counted and dropped: the job is never stalled or ended by its own output.
 * A descriptor is open while something is written or read: a thousand remembered jobs hold none.
 */
import { open, type FileHandle } from "node:fs/promises";
import { rmSync } from "node:fs";

const chunkBytes = 64 * 1_024;

export class OutputSpool {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #maxBytes: number;
  readonly #waiting = new Set<() => void>();
  #keptBytes = 0;
  #totalBytes = 0;
  #dropping = false;
  #closed = false;

  static async create(path: string, maxBytes: number): Promise<OutputSpool> {
    return new OutputSpool(path, await open(path, "wx", 0o600), maxBytes);
  }

  private constructor(path: string, file: FileHandle, maxBytes: number) {
    this.#path = path;
    this.#file = file;
    this.#maxBytes = maxBytes;
  }

  /** All bytes the job wrote. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** What can be read: the first bytes of the total. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  get truncated(): boolean {
    return this.#keptBytes < this.#totalBytes;
  }

  /** One at a time: the caller waits before it reads on. */
  async append(chunk: Buffer): Promise<void> {
    const keep = this.#dropping ? 0 : Math.min(chunk.length, this.#maxBytes - this.#keptBytes);
    let written = 0;
    try {
      while (written < keep) {
        const { bytesWritten } = await this.#file.write(chunk, written, keep - written, this.#keptBytes + written);
        written += bytesWritten;
      }
    } catch {
      // A full disk: what is kept stays a prefix, so nothing may be kept after the gap.
      this.#dropping = true;
    }
    this.#keptBytes += written;
    this.#totalBytes += chunk.length;
    this.#wake();
  }

  /** No more will come: readers finish. Once, after the last append. */
  async close(): Promise<void> {
    // Every byte is with the kernel already; an error of close has nothing left to say.
    await this.#file.close().catch(() => {});
    this.#closed = true;
    this.#wake();
  }

  /** The last `bytes` that were kept. */
  async tail(bytes: number): Promise<Buffer> {
    const length = Math.min(bytes, this.#keptBytes);
    if (length === 0) return Buffer.alloc(0);
    const position = this.#keptBytes - length;
    const file = await open(this.#path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  /** Chunks from `offset` until the job has ended and all was given, or `signal` aborts. The chunk is reused for the next one. */
  async *follow(offset: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    const buffer = Buffer.allocUnsafe(chunkBytes);
    const file = await open(this.#path, "r");
    try {
      let position = offset;
      while (!signal.aborted) {
        const available = Math.min(this.#keptBytes - position, chunkBytes);
        if (available <= 0) {
          if (this.#closed) return;
          await this.#changed(signal);
          continue;
        }
        const { bytesRead } = await file.read(buffer, 0, available, position);
        position += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  /** Forgets it on disk, after `close`; readers that are under way keep what they opened. */
  remove(): void {
    rmSync(this.#path, { force: true });
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }
}
