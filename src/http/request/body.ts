/** Request bodies: counted while they arrive (Content-Length is the client's word), then decoded, parsed and validated. */
import { z } from "zod";
import { limits } from "../../protocol/primitives.ts";
import { bodyTooLarge, type Reply } from "../../protocol/problem.ts";
import { refused } from "../answer/problem.ts";
import { type Ranges, validate, validationFailed } from "./validation.ts";

const noFields = z.strictObject({});

/**
 * What exceeds the limit is read on and dropped, up to here: cutting the line under a client that still sends loses it
 * the answer (it hears "connection reset", or a proxy's 500, instead of 413).
 */
const maxDropped = 33_554_432;

export function readBytes(request: Request): Promise<Reply<Uint8Array>> {
  return readBytesUpTo(request, limits.bodyBytes);
}

export async function readBytesUpTo(request: Request, maxBytes: number): Promise<Reply<Uint8Array>> {
  if (request.body === null) return { ok: true, value: new Uint8Array(0) };
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const read = await reader.read().catch(() => null);
    if (read === null) return brokenOff;
    const { done, value } = read;
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      chunks.length = 0;
      if (length > maxDropped) {
        await reader.cancel();
        break;
      }
    } else chunks.push(value);
  }
  return length > maxBytes ? tooLarge(maxBytes) : { ok: true, value: joined(chunks, length) };
}

function tooLarge(maxBytes: number): Reply<never> {
  return refused(bodyTooLarge(maxBytes));
}

/** The client went away in the middle of sending; only a proxy may still be listening. */
const brokenOff = refused({
  code: "malformed_json",
  detail: "The body broke off before its end, so nothing was changed. Send the request again.",
});

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** `empty`: what a request without a body means; "refused" where there is nothing it could mean. */
export async function readJson<S extends z.ZodType>(
  request: Request,
  schema: S,
  options: { readonly ranges: Ranges; readonly empty: "refused" | "no fields" },
): Promise<Reply<z.output<S>>> {
  const bytes = await readBytes(request);
  if (!bytes.ok) return bytes;
  if (bytes.value.length === 0) {
    if (options.empty === "no fields") return validate(schema, {}, "", options.ranges);
    const fields = validate(schema, {}, "", options.ranges);
    return fields.ok ? validationFailed([{ pointer: "", detail: "A JSON body is required." }]) : fields;
  }
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    return refused({
      code: "unsupported_media_type",
      detail: "The body was not read: this route takes JSON. Send `Content-Type: application/json`.",
    });
  }
  const parsed = parseJson(bytes.value);
  return parsed.ok ? validate(schema, parsed.value, "", options.ranges) : parsed;
}

/** For routes that take no fields: no body, or `{}`. */
export function readNoFields(request: Request): Promise<Reply<Record<string, never>>> {
  return readJson(request, noFields, { ranges: {}, empty: "no fields" });
}

const malformed = refused({
  code: "malformed_json",
  detail:
    "The body is not JSON in UTF-8, so nothing was changed. Check quotes, commas and the encoding, and send it again.",
});

function parseJson(bytes: Uint8Array): Reply<unknown> {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
    const value: unknown = JSON.parse(text, refusePrototype);
    return { ok: true, value };
  } catch {
    return malformed;
  }
}

/** zod drops a `__proto__` key in silence; an unknown field must be refused, so it is refused here. */
function refusePrototype(key: string, value: unknown): unknown {
  if (key === "__proto__") throw new SyntaxError("__proto__");
  return value;
}
