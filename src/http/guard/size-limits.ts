/**
 * What a request may weigh, as configured. The schemas of the protocol hold the ceilings; an operator may set less,
 * and then these refuse. Every refusal says the limit and changes nothing.
 */
import type { Config } from "../../config/config.ts";
import type { CreateJob } from "../../protocol/resources/session/jobs.ts";
import { bodyTooLarge, type Problem, type Reply } from "../../protocol/problem.ts";
import { maxTrafficBodyBytes } from "../../protocol/sandbox/traffic.ts";
import { readBytesUpTo } from "../request/body.ts";
import { validationFailed } from "../request/validation.ts";

type Sizes = Config["sizes"];

const encoder = new TextEncoder();

/** Names and values together, as they travel. */
export function headersTooLarge(request: Request, sizes: Sizes): Problem | null {
  let bytes = 0;
  for (const [name, value] of request.headers) bytes += name.length + value.length + 4;
  if (bytes <= sizes.headerBytes) return null;
  return {
    code: "headers_too_large",
    detail: `The headers are ${bytes} bytes together and may be ${sizes.headerBytes}, so the request was not looked at. Send fewer or shorter headers.`,
    limit: sizes.headerBytes,
  };
}

/** For a body that is passed on unread. null: the request names no length, or one that fits. The agent counts the bytes that really come. */
export function trafficTooLarge(request: Request): Problem | null {
  const said = Number(request.headers.get("content-length") ?? 0);
  return said > maxTrafficBodyBytes ? bodyTooLarge(maxTrafficBodyBytes) : null;
}

/** The same request with its body read whole, when the body fits. A body that is too long is read to its end and dropped. */
export async function withinBody(request: Request, sizes: Sizes): Promise<Reply<Request>> {
  if (request.body === null) return { ok: true, value: request };
  const bytes = await readBytesUpTo(request, sizes.bodyBytes);
  if (!bytes.ok) return bytes;
  // An empty body stays one: no body and an empty one mean the same to every route.
  const { url, method, headers, signal } = request;
  return { ok: true, value: new Request(url, { method, headers, signal, body: new Uint8Array(bytes.value) }) };
}

/** null: it fits. */
export function commandTooLong(job: Pick<CreateJob, "command" | "argv">, sizes: Sizes): Problem | null {
  const field = job.command === undefined ? "argv" : "command";
  const bytes = encoder.encode(job.command ?? (job.argv ?? []).join(" ")).length;
  return bytes <= sizes.commandBytes ? null : tooLong(`/${field}`, `At most ${sizes.commandBytes} bytes.`);
}

/** null: they fit. */
export function labelsTooLarge(labels: Readonly<Record<string, string>> | undefined, sizes: Sizes): Problem | null {
  const entries = Object.entries(labels ?? {});
  if (entries.length > sizes.labelCount) return tooLong("/labels", `At most ${sizes.labelCount} labels.`);
  const long = entries.find(([, value]) => value.length > sizes.labelChars);
  return long === undefined
    ? null
    : tooLong(`/labels/${long[0].slice(0, 100)}`, `At most ${sizes.labelChars} characters.`);
}

function tooLong(pointer: string, detail: string): Problem | null {
  const reply = validationFailed([{ pointer, detail }]);
  return reply.ok ? null : reply.problem;
}
