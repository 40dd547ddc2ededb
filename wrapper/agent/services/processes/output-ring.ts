/**
 * The last bytes that a process wrote, in pieces, for any number of readers.
 *
 * While somebody reads, the process waits for the fastest reader: nothing is lost for it, and a process whose only reader is
 * stuck is stuck itself. A slower reader beside it loses what no longer fits, and is told so. While nobody reads, the oldest
 * pieces make room.
 */
export type StreamName = "stdout" | "stderr" | "terminal";

export interface Piece {
  readonly type: "piece";
  readonly stream: StreamName;
  readonly offset: number;
  readonly bytes: Buffer;
}

export interface Gap {
  readonly type: "gap";
  readonly from: number;
  readonly to: number;
}

export interface RingLimits {
  readonly keepBytes: number;
  /** How far the process may be ahead of its fastest reader. */
  readonly aheadBytes: number;
}

/** A pipe holds 64 kB more, which must still fit when its process has exited. */
export const ringLimits: RingLimits = { keepBytes: 1_024 * 1_024, aheadBytes: 512 * 1_024 };

interface Reader {
  at: number;
  wake: (() => void) | null;
}

export class OutputRing {
  readonly #limits: RingLimits;
  readonly #pressure: (pause: boolean) => void;
  readonly #used: () => void;
  readonly #readers = new Set<Reader>();
  #pieces: Piece[] = [];
  #first = 0;
  #total = 0;
  #closed = false;
  #paused = false;

  /** `pressure` is told when the process must wait, and when it may go on; `used` when bytes come and when a reader leaves. */
  constructor(limits: RingLimits, pressure: (pause: boolean) => void, used: () => void) {
    this.#limits = limits;
    this.#pressure = pressure;
    this.#used = used;
  }

  get totalBytes(): number {
    return this.#total;
  }

  /** Offset of the first byte that is still there. */
  get firstOffset(): number {
    return this.#first;
  }

  get readers(): number {
    return this.#readers.size;
  }

  get paused(): boolean {
    return this.#paused;
  }

  append(stream: StreamName, bytes: Buffer): void {
    if (bytes.length === 0 || this.#closed) return;
    this.#pieces.push({ type: "piece", stream, offset: this.#total, bytes });
    this.#total += bytes.length;
    this.#used();
    this.#shrink(this.#limits.keepBytes);
    this.#weigh();
    this.#wakeAll();
  }

  /** Nothing more comes. */
  close(): void {
    this.#closed = true;
    this.#wakeAll();
  }

  /** For an ended process: drops all but the newest bytes. */
  keepOnly(bytes: number): void {
    if (this.#readers.size === 0) this.#shrink(bytes);
  }

  /** From `offset`, or from the first byte that is still there; ends when all was read and nothing more comes. */
  async *follow(offset: number, signal: AbortSignal): AsyncGenerator<Piece | Gap> {
    const reader: Reader = { at: offset, wake: null };
    const wake = (): void => reader.wake?.();
    this.#readers.add(reader);
    signal.addEventListener("abort", wake);
    try {
      this.#weigh();
      while (!signal.aborted) {
        const next = this.#next(reader);
        if (next === null) {
          if (this.#closed) return;
          await new Promise<void>((resolve) => {
            reader.wake = resolve;
          });
          reader.wake = null;
          continue;
        }
        yield next;
        // It counts as read when the next is asked for: until then it may wait in front of a slow client.
        reader.at = next.type === "gap" ? next.to : next.offset + next.bytes.length;
        this.#weigh();
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#readers.delete(reader);
      this.#used();
      this.#weigh();
    }
  }

  #next({ at }: Reader): Piece | Gap | null {
    if (at < this.#first) return { type: "gap", from: at, to: this.#first };
    const index = this.#indexOf(at);
    const piece = this.#pieces[index];
    if (piece === undefined) return null;
    if (piece.offset === at) return piece;
    return { ...piece, offset: at, bytes: piece.bytes.subarray(at - piece.offset) };
  }

  /** The piece that holds this byte; one past the last: none does yet. */
  #indexOf(offset: number): number {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const piece = this.#pieces[middle];
      if (piece !== undefined && piece.offset + piece.bytes.length <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #shrink(bytes: number): void {
    let drop = 0;
    while (drop < this.#pieces.length && this.#total - this.#first > bytes) {
      this.#first += this.#pieces[drop]?.bytes.length ?? 0;
      drop += 1;
    }
    if (drop > 0) this.#pieces = this.#pieces.slice(drop);
  }

  #weigh(): void {
    let fastest = -1;
    for (const { at } of this.#readers) fastest = Math.max(fastest, at);
    const pause = fastest >= 0 && this.#total - fastest > this.#limits.aheadBytes;
    if (pause === this.#paused) return;
    this.#paused = pause;
    this.#pressure(pause);
  }

  #wakeAll(): void {
    for (const { wake } of this.#readers) wake?.();
  }
}
