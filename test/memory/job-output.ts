/**
 * What a job wrote. It is kept as it comes up to `keepBytes`; of a longer output the first quarter stays and the newest bytes go
 * round in the rest, so that the middle is dropped.
 */
const tailBytes = 65_536;

export class JobOutput {
  readonly #keepBytes: number;
  readonly #head: number;
  #kept = new Uint8Array(0);
  #written = 0;

  constructor(keepBytes: number) {
    this.#keepBytes = keepBytes;
    this.#head = Math.max(0, Math.min(Math.floor(keepBytes / 4), keepBytes - tailBytes));
  }

  get written(): number {
    return this.#written;
  }

  get kept(): number {
    return Math.min(this.#written, this.#keepBytes);
  }

  /** null: all of it is kept. */
  get gap(): { readonly from: number; readonly to: number } | null {
    const to = this.#written - (this.#keepBytes - this.#head);
    return this.#written > this.#keepBytes ? { from: this.#head, to } : null;
  }

  append(bytes: Uint8Array): void {
    this.#add(bytes.length, (room, from) => room.set(bytes.subarray(from, from + room.length)));
  }

  /** As `append` of so many zero bytes, without ever holding more than is kept. */
  appendZeros(count: number): void {
    this.#add(count, (room) => room.fill(0));
  }

  /** Where reading from `offset` begins: later when that byte was dropped. */
  startOf(offset: number): number {
    const { gap } = this;
    return gap !== null && offset >= gap.from && offset < gap.to ? gap.to : offset;
  }

  /** A copy of at most `atMost` bytes from `offset` on, up to the gap; none when that byte is not there. */
  from(offset: number, atMost: number): Uint8Array {
    const { gap } = this;
    if (this.startOf(offset) !== offset) return new Uint8Array(0);
    const end = gap !== null && offset < gap.from ? gap.from : this.#written;
    const length = Math.max(0, Math.min(atMost, end - offset));
    return Uint8Array.from({ length }, (_, index) => this.#kept[this.#placeOf(offset + index)] ?? 0);
  }

  tail(bytes: number): { readonly offset: number; readonly bytes: Uint8Array } {
    const offset = Math.max(0, this.#written - bytes, this.gap?.to ?? 0);
    return { offset, bytes: this.from(offset, bytes) };
  }

  #placeOf(offset: number): number {
    return offset < this.#keepBytes ? offset : this.#head + ((offset - this.#head) % (this.#keepBytes - this.#head));
  }

  /** `fill` is given a room and where in what is added its first byte lies. */
  #add(count: number, fill: (room: Uint8Array, from: number) => void): void {
    this.#hold(Math.min(this.#keepBytes, this.#written + count));
    // Of what does not fit only the end is written.
    const ring = this.#keepBytes - this.#head;
    const growing = Math.max(0, Math.min(count, this.#keepBytes - this.#written));
    if (growing > 0) fill(this.#kept.subarray(this.#written, this.#written + growing), 0);
    for (let done = Math.max(growing, count - ring); done < count && ring > 0;) {
      const place = this.#placeOf(this.#written + done);
      const length = Math.min(count - done, this.#keepBytes - place);
      fill(this.#kept.subarray(place, place + length), done);
      done += length;
    }
    this.#written += count;
  }

  #hold(needed: number): void {
    if (needed <= this.#kept.length) return;
    const grown = new Uint8Array(Math.min(this.#keepBytes, Math.max(needed, 2 * this.#kept.length)));
    grown.set(this.#kept);
    this.#kept = grown;
  }
}
