/** Calls to the services of a real wrapper, with bodies and answers that may be streams. */
import { request, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { trafficHeaders, webTrafficKeys } from "../../src/protocol/sandbox/traffic.ts";
import { passHeaders } from "./traffic-call.ts";
import type { Instance } from "./wrapper-instance.ts";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface CallBody {
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Uint8Array | Readable;
}

/** The head of the answer; its body is the caller's to read. Throws when the answer carries no valid proof. */
export async function open(
  instance: Instance,
  method: string,
  path: string,
  { headers = {}, body }: CallBody = {},
): Promise<IncomingMessage> {
  const own = await passHeaders(instance.boot);
  const call = request({
    port: instance.port,
    method,
    path: `/traffic${path}`,
    headers: { ...own, ...headers },
    agent: false,
  });
  const reply = new Promise<IncomingMessage>((resolve, reject) => {
    call.once("response", resolve);
    call.once("error", reject);
  });
  if (body instanceof Readable) pipeline(body, call).catch(() => {});
  else call.end(body);
  const answer = await reply;
  const expected = await webTrafficKeys.proof(
    await webTrafficKeys.key(instance.boot.secret),
    own[trafficHeaders.nonce] ?? "",
  );
  if (answer.headers[trafficHeaders.proof] !== expected) throw new Error("The answer carries no valid proof.");
  return answer;
}

export async function call(instance: Instance, method: string, path: string, sent: CallBody = {}): Promise<Reply> {
  const answer = await open(instance, method, path, sent);
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) };
}

export function json(reply: Reply): unknown {
  return JSON.parse(reply.body.toString("utf8"));
}

/** Each byte percent-encoded. */
export function rawPath(bytes: Buffer): string {
  return Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}
