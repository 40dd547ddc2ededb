/**
 * When the traffic of this sandbox was last more than waiting. A renewal carries it to the session's idle clock.
 *
 * A request counts when it begins and ends, and so do its bytes both ways. Bytes that only keep a connection alive do not: pings and
 * pongs of a WebSocket, and comments in an event stream. A page that is left open overnight must not hold its sandbox.
 */
import type { SteadyClock } from "../steady-clock.ts";

/** The clock is read from a file of the kernel, which would be most of what passing a chunk costs. */
const readEveryMs = 100;

export class TrafficActivity {
  readonly #clock: SteadyClock;
  #lastAt: number;
  #timer: NodeJS.Timeout | null = null;
  /** Something passed since the clock was read. */
  #noted = false;

  constructor(clock: SteadyClock) {
    this.#clock = clock;
    this.#lastAt = clock.now();
  }

  get idleMs(): number {
    if (this.#noted) this.#read();
    return Math.max(0, Math.round(this.#clock.now() - this.#lastAt));
  }

  note(): void {
    this.#noted = true;
    if (this.#timer !== null) return;
    this.#read();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#noted) this.note();
    }, readEveryMs);
    this.#timer.unref();
  }

  #read(): void {
    this.#lastAt = this.#clock.now();
    this.#noted = false;
  }
}

const ping = 0x9;
const pong = 0xa;

/** A chunk of a WebSocket that is nothing but one ping or pong. */
export function isKeepAliveFrame(chunk: Buffer): boolean {
  const [first = 0, second = 0] = chunk;
  const opcode = first & 0x0f;
  if ((first & 0x80) === 0 || (opcode !== ping && opcode !== pong)) return false;
  const isMasked = (second & 0x80) !== 0;
  return chunk.length === 2 + (isMasked ? 4 : 0) + (second & 0x7f);
}

/** A chunk of an event stream that has only comments and blank lines. Chunks of such a heartbeat are short. */
export function isEventComment(chunk: Buffer): boolean {
  if (chunk.length > 256) return false;
  const lines = chunk.toString("latin1").split(/[\r\n]/);
  return lines.every((line) => line === "" || line.startsWith(":"));
}
