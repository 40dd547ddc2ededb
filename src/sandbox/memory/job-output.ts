/** What a job wrote. The first `keepBytes` are kept; what comes after is counted and dropped. */
export class JobOutput {
  readonly #keepBytes: number;
  #kept = new Uint8Array(0);
  #keptLength = 0;
  #written = 0;

  constructor(keepBytes: number) {
    this.#keepBytes = keepBytes;
  }

  get written(): number {
    return this.#written;
  }

  get kept(): number {
    return this.#keptLength;
  }

  get truncated(): boolean {
    return this.#written > this.#keptLength;
  }

  append(bytes: Uint8Array): void {
    this.#written += bytes.length;
    this.#keep(Math.min(bytes.length, this.#keepBytes - this.#keptLength), (room) =>
      room.set(bytes.subarray(0, room.length)),
    );
  }

  /** As `append` of so many zero bytes, without ever holding more than is kept. */
  appendZeros(count: number): void {
    this.#written += count;
    this.#keep(Math.min(count, this.#keepBytes - this.#keptLength), (room) => room.fill(0));
  }

  /** A copy of the kept bytes from `offset` on. */
  from(offset: number): Uint8Array {
    return this.#kept.slice(Math.min(offset, this.#keptLength), this.#keptLength);
  }

  tail(bytes: number): Uint8Array {
    return this.from(Math.max(0, this.#keptLength - bytes));
  }

  #keep(count: number, fill: (room: Uint8Array) => void): void {
    if (count <= 0) return;
    const needed = this.#keptLength + count;
    if (needed > this.#kept.length) {
      const grown = new Uint8Array(Math.min(this.#keepBytes, Math.max(needed, 2 * this.#kept.length)));
      grown.set(this.#kept.subarray(0, this.#keptLength));
      this.#kept = grown;
    }
    fill(this.#kept.subarray(this.#keptLength, needed));
    this.#keptLength = needed;
  }
}
