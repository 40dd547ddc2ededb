/**
 * The Connect protocol with JSON, as far as E2B's SDKs use it: a unary call is plain JSON, a server stream is a
 * sequence of envelopes in a body whose status is always 200.
 *
 * An envelope is one byte of flags, four bytes of length (big-endian), and the payload. The last one has the flag "end
 * of stream" and says how the call ended. A body that closes without it is an error to every client.
 */
import { z } from "zod";

/** Every code, and the HTTP status of a unary call that fails with it. */
export const connectStatus = {
  canceled: 499,
  unknown: 500,
  invalid_argument: 400,
  deadline_exceeded: 504,
  not_found: 404,
  already_exists: 409,
  permission_denied: 403,
  resource_exhausted: 429,
  failed_precondition: 400,
  aborted: 409,
  out_of_range: 400,
  unimplemented: 501,
  internal: 500,
  unavailable: 503,
  data_loss: 500,
  unauthenticated: 401,
} as const satisfies Record<string, number>;
export type ConnectCode = keyof typeof connectStatus;
const connectCodes = Object.keys(connectStatus) as [ConnectCode, ...ConnectCode[]];

export const connectError = z.object({
  code: z.enum(connectCodes),
  message: z.string(),
});
export type ConnectError = z.infer<typeof connectError>;

export const unaryType = "application/json";
export const streamType = "application/connect+json";

const headBytes = 5;
const compressed = 0x01;
const endOfStream = 0x02;
const encoder = new TextEncoder();

function envelope(flags: number, message: unknown): Uint8Array<ArrayBuffer> {
  const payload = encoder.encode(JSON.stringify(message));
  const bytes = new Uint8Array(headBytes + payload.length);
  bytes[0] = flags;
  new DataView(bytes.buffer).setUint32(1, payload.length);
  bytes.set(payload, headBytes);
  return bytes;
}

export function messageEnvelope(message: object): Uint8Array<ArrayBuffer> {
  return envelope(0, message);
}

/** The last envelope of a stream; null: it ended well. */
export function endEnvelope(error: ConnectError | null): Uint8Array<ArrayBuffer> {
  return envelope(endOfStream, error === null ? {} : { error });
}

export type EnvelopeReading =
  | { readonly type: "message"; readonly payload: Uint8Array }
  | { readonly type: "end"; readonly payload: Uint8Array }
  /** The bytes are not an envelope, so nothing after them can be read either. */
  | { readonly type: "fault"; readonly error: ConnectError };

/** Takes bytes in chunks of any size and answers the envelopes that are complete. */
export class EnvelopeReader {
  readonly #maxBytes: number;
  #rest: Uint8Array = new Uint8Array(0);
  #isBroken = false;

  /** `maxBytes`: the largest payload of one envelope. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether a part of an envelope has arrived and its end has not. */
  get isWithin(): boolean {
    return this.#rest.length > 0;
  }

  push(chunk: Uint8Array): readonly EnvelopeReading[] {
    if (this.#isBroken) return [];
    const bytes = joined(this.#rest, chunk);
    const found: EnvelopeReading[] = [];
    let at = 0;
    while (bytes.length - at >= headBytes) {
      const flags = bytes[at] ?? 0;
      const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(1);
      const fault = this.#faultOf(flags, length);
      if (fault !== null) {
        this.#isBroken = true;
        this.#rest = new Uint8Array(0);
        return [...found, { type: "fault", error: fault }];
      }
      if (bytes.length - at - headBytes < length) break;
      const payload = bytes.slice(at + headBytes, at + headBytes + length);
      found.push({ type: flags === endOfStream ? "end" : "message", payload });
      at += headBytes + length;
    }
    this.#rest = bytes.slice(at);
    return found;
  }

  #faultOf(flags: number, length: number): ConnectError | null {
    if ((flags & compressed) !== 0)
      return { code: "unimplemented", message: "Compressed messages are not read here. Send them uncompressed." };
    if (flags !== 0 && flags !== endOfStream)
      return { code: "invalid_argument", message: `An envelope has the flags ${flags}, which mean nothing.` };
    if (length > this.#maxBytes)
      return {
        code: "resource_exhausted",
        message: `A message of ${length} bytes is longer than the ${this.#maxBytes} that are read here.`,
      };
    return null;
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  if (one.length === 0) return other;
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
