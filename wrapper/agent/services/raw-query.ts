/** The query of a request as bytes: a path need not be UTF-8, and `URLSearchParams` would replace what is not. */
import { ServiceFailure } from "./service-failure.ts";

export class RawQuery {
  readonly #values = new Map<string, Buffer>();

  constructor(search: string) {
    for (const pair of search.split("&")) {
      if (pair === "") continue;
      const cut = pair.indexOf("=");
      const name = decoded(cut < 0 ? pair : pair.slice(0, cut)).toString("utf8");
      // The first counts.
      if (!this.#values.has(name)) this.#values.set(name, decoded(cut < 0 ? "" : pair.slice(cut + 1)));
    }
  }

  bytes(name: string): Buffer | null {
    return this.#values.get(name) ?? null;
  }

  text(name: string): string | null {
    return this.#values.get(name)?.toString("utf8") ?? null;
  }

  flag(name: string, otherwise = false): boolean {
    const text = this.text(name);
    if (text === null) return otherwise;
    if (text === "true" || text === "1" || text === "") return true;
    if (text === "false" || text === "0") return false;
    throw new ServiceFailure("invalid", `${name} must be true or false.`);
  }

  /** null: it was not given. */
  whole(name: string, least: number, most: number): number | null {
    const text = this.text(name);
    if (text === null) return null;
    const value = Number(text);
    if (/^\d{1,15}$/.test(text) && value >= least && value <= most) return value;
    throw new ServiceFailure("invalid", `${name} must be a whole number from ${least} to ${most}.`);
  }
}

/** As a form has it: `+` is a space. */
function decoded(text: string): Buffer {
  const bytes = Buffer.alloc(Buffer.byteLength(text));
  let length = 0;
  const source = Buffer.from(text);
  for (let index = 0; index < source.length; index += 1) {
    const byte = source[index] ?? 0;
    const digits = byte === 0x25 ? source.toString("latin1", index + 1, index + 3) : "";
    if (/^[0-9A-Fa-f]{2}$/.test(digits)) {
      bytes[length] = Number.parseInt(digits, 16);
      index += 2;
    } else bytes[length] = byte === 0x2b ? 0x20 : byte;
    length += 1;
  }
  return bytes.subarray(0, length);
}
