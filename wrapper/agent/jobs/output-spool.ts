/**
 * The output of one job on disk: written by one, read by any number, each at its own pace.
 *
 * The file grows until it may not grow any more: the limit is reached, the sandbox's budget is used up, or the disk is full.
 * From then on its first quarter stays as it is and the rest is a ring that holds the newest bytes. So the beginning and the
 * end are kept, the bytes in between are dropped, and every reader can tell which. No byte is written outside of the space
 * that the file has by then, so a full disk loses the middle of an output and never its end.
 *
 * Memory stays flat: one chunk is in flight from the job (its pipe waits meanwhile), one per reader to its client.
 * The job is never stalled or ended by its own output.
 */
import { closeSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";

const chunkBytes = 64 * 1_024;
/** How much of an output's end a session stores. The ring always holds at least this much of a longer output. */
export const tailBytes = 64 * 1_024;

export interface SpoolDependencies {
  readonly maxBytes: number;
  /** Asks for the file to have another size. false: there is no room. */
  readonly resize: (from: number, to: number) => boolean;
  readonly removed: () => void;
}

/** Offsets in the output that are not kept: `from` up to, not including, `to`. */
export interface OutputGap {
  readonly from: number;
  readonly to: number;
}

/** How offsets of the output map to positions in the file. */
type Layout =
  /** Position and offset are the same. */
  | { readonly type: "growing" }
  /** `[0, head)` stays; the newest bytes go round in the `capacity` bytes after it. */
  | { readonly type: "ring"; readonly head: number; readonly capacity: number }
  /** Only the bytes from this offset on are left. */
  | { readonly type: "tail"; readonly from: number };

export class OutputSpool {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #at: SpoolDependencies;
  readonly #waiting = new Set<() => void>();
  #layout: Layout = { type: "growing" };
  /** The first offset after the gap; moved before bytes are overwritten, never after. */
  #tailFrom = 0;
  #size = 0;
  #totalBytes = 0;
  #readers = 0;
  #closed = false;

  constructor(path: string, file: FileHandle, surroundings: SpoolDependencies) {
    this.#path = path;
    this.#file = file;
    this.#at = surroundings;
  }

  /** All bytes the job wrote. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** What the file takes. */
  get sizeBytes(): number {
    return this.#size;
  }

  /** null: everything is kept. */
  get gap(): OutputGap | null {
    const from = this.#headEnd();
    return from < this.#tailFrom ? { from, to: this.#tailFrom } : null;
  }

  /** Where reading from `offset` begins: later when that byte was dropped. null: there is no such byte yet. */
  startOf(offset: number): number | null {
    if (offset > this.#totalBytes) return null;
    return this.#isDropped(offset) ? this.#tailFrom : offset;
  }

  /** One at a time: the caller waits before it reads on. */
  async append(chunk: Buffer): Promise<void> {
    const grown = await this.#grow(chunk);
    if (grown < chunk.length) await this.#turn(chunk.subarray(grown));
    this.#wake();
  }

  /** No more will come: readers finish. Once, after the last append. */
  async close(): Promise<void> {
    // Every byte is with the kernel already; an error of close has nothing left to say.
    await this.#file.close().catch(() => {});
    this.#closed = true;
    this.#wake();
  }

  /** The last bytes that were kept without a gap, at most `bytes`, and the offset of the first of them. */
  async tail(bytes: number): Promise<{ readonly offset: number; readonly bytes: Buffer }> {
    const end = this.#totalBytes;
    const start = Math.max(0, end - bytes, this.gap?.to ?? 0);
    const chunks: Buffer[] = [];
    this.#readers += 1;
    try {
      const file = await open(this.#path, "r");
      try {
        for (let offset = start; offset < end;) {
          const chunk = Buffer.alloc(this.#contiguous(offset, end));
          const { bytesRead } = await file.read(chunk, 0, chunk.length, this.#positionOf(offset));
          if (bytesRead === 0) break;
          chunks.push(chunk.subarray(0, bytesRead));
          offset += bytesRead;
        }
      } finally {
        await file.close();
      }
    } finally {
      this.#readers -= 1;
    }
    // What was overwritten meanwhile is not what it was.
    const lost = this.#isDropped(start) ? Math.min(this.#tailFrom, end) - start : 0;
    return { offset: start + lost, bytes: Buffer.concat(chunks).subarray(lost) };
  }

  /**
   * Chunks from `offset` on without a gap: until the job has ended and all was given, until the next byte is one that was
   * dropped, or until `signal` aborts. The chunk is reused for the next one.
   */
  async *follow(offset: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    const buffer = Buffer.allocUnsafe(chunkBytes);
    this.#readers += 1;
    let file: FileHandle | null = null;
    try {
      file = await open(this.#path, "r");
      let position = offset;
      while (!signal.aborted && !this.#isDropped(position)) {
        const available = this.#contiguous(position, Math.min(this.#totalBytes, position + chunkBytes));
        if (available <= 0) {
          if (this.#closed) return;
          await this.#changed(signal);
          continue;
        }
        const { bytesRead } = await file.read(buffer, 0, available, this.#positionOf(position));
        // The writer came round while the bytes were read.
        if (bytesRead === 0 || this.#isDropped(position)) return;
        position += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      this.#readers -= 1;
      await file?.close();
    }
  }

  /** Keeps the last bytes only, once the job has ended and nobody reads. */
  shrink(): void {
    if (!this.#closed || this.#readers > 0) return;
    const end = this.#totalBytes;
    const from = Math.max(0, end - tailBytes, this.gap?.to ?? 0);
    try {
      const file = openSync(this.#path, "r+");
      try {
        const kept = Buffer.alloc(end - from);
        for (let offset = from; offset < end;) {
          const read = readSync(file, kept, offset - from, this.#contiguous(offset, end), this.#positionOf(offset));
          if (read === 0) return;
          offset += read;
        }
        // In place: a full disk has no room for a second file.
        for (let written = 0; written < kept.length;)
          written += writeSync(file, kept, written, kept.length - written, written);
        ftruncateSync(file, kept.length);
        this.#layout = { type: "tail", from };
        this.#tailFrom = from;
        this.#at.resize(this.#size, kept.length);
        this.#size = kept.length;
      } finally {
        closeSync(file);
      }
    } catch {
      // It stays as it is; another output may have something to give.
    }
  }

  /** Forgets it on disk, after `close`; readers that are under way keep what they opened. */
  remove(): void {
    rmSync(this.#path, { force: true });
    this.#at.resize(this.#size, 0);
    this.#size = 0;
    this.#at.removed();
  }

  /** Resolves with how many bytes of the chunk were added at the end of the file; fewer: it will not grow any more. */
  async #grow(chunk: Buffer): Promise<number> {
    if (this.#layout.type !== "growing") return 0;
    const wanted = Math.min(chunk.length, this.#at.maxBytes - this.#size);
    const before = this.#size;
    let written = 0;
    if (wanted > 0 && this.#at.resize(before, before + wanted)) {
      try {
        while (written < wanted) {
          const { bytesWritten } = await this.#file.write(chunk, written, wanted - written, before + written);
          written += bytesWritten;
        }
      } catch {
        // A full disk.
      }
      this.#at.resize(before + wanted, before + written);
    }
    this.#size += written;
    this.#totalBytes += written;
    if (written < chunk.length) this.#stopGrowing();
    return written;
  }

  #stopGrowing(): void {
    const head = Math.max(0, Math.min(Math.floor(this.#size / 4), this.#size - tailBytes));
    this.#layout = { type: "ring", head, capacity: this.#size - head };
    this.#tailFrom = head;
  }

  /** Writes over the oldest bytes of the ring. */
  async #turn(chunk: Buffer): Promise<void> {
    if (this.#layout.type !== "ring") return;
    const { head, capacity } = this.#layout;
    const end = this.#totalBytes + chunk.length;
    this.#tailFrom = Math.max(this.#tailFrom, head, end - capacity);
    try {
      for (let offset = Math.max(this.#totalBytes, this.#tailFrom); offset < end;) {
        const length = Math.min(end - offset, capacity - ((offset - head) % capacity));
        const start = offset - this.#totalBytes;
        const { bytesWritten } = await this.#file.write(chunk, start, length, this.#positionOf(offset));
        offset += bytesWritten;
      }
    } catch {
      // What the ring holds cannot be told any more: it begins anew.
      this.#tailFrom = end;
    }
    this.#totalBytes = end;
  }

  #headEnd(): number {
    switch (this.#layout.type) {
      case "growing":
        return this.#totalBytes;
      case "ring":
        return this.#layout.head;
      case "tail":
        return 0;
    }
  }

  #isDropped(offset: number): boolean {
    return offset >= this.#headEnd() && offset < this.#tailFrom;
  }

  #positionOf(offset: number): number {
    const layout = this.#layout;
    switch (layout.type) {
      case "growing":
        return offset;
      case "ring":
        return offset < layout.head ? offset : layout.head + ((offset - layout.head) % layout.capacity);
      case "tail":
        return offset - layout.from;
    }
  }

  /** How many bytes from `offset`, before `end`, lie side by side in the file. */
  #contiguous(offset: number, end: number): number {
    const layout = this.#layout;
    if (end <= offset) return 0;
    if (layout.type !== "ring") return end - offset;
    if (offset < layout.head) return Math.min(end, layout.head) - offset;
    return Math.min(end - offset, layout.capacity - ((offset - layout.head) % layout.capacity));
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
