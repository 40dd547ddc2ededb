/** The real Clock, Ids and Logger. Only the composition root hands them out; tests and the simulation hand out their own. */
import { toHex } from "../protocol/bytes.ts";
import type { Clock, Ids, LogFields, Logger } from "../runtime/clock-ids-logger.ts";

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done);
    }),
};

export const systemIds: Ids = {
  id: () => base36(20),
  secret: () => toHex(randomBytes(32)),
  random: () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32,
};

/** From the platform's generator for secrets. */
export function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(count));
}

const base36Digits = "0123456789abcdefghijklmnopqrstuvwxyz";

function base36(length: number): string {
  let digits = "";
  // 252 = 7 × 36: a byte at or above it would favour the first digits.
  while (digits.length < length) {
    for (const byte of randomBytes(32)) if (byte < 252) digits += base36Digits.charAt(byte % 36);
  }
  return digits.slice(0, length);
}

/** One JSON object a line, which the platform's log store indexes by field. */
export const consoleLogger: Logger = {
  info: (message, fields) => write("info", message, fields),
  warn: (message, fields) => write("warn", message, fields),
  error: (message, fields) => write("error", message, fields),
};

function write(level: "info" | "warn" | "error", message: string, fields: LogFields | undefined): void {
  console[level](JSON.stringify({ level, message, ...fields }));
}
