/** Requests with a pass, as the Worker's gate sends them to whoever stands before an agent. */
import { randomBytes } from "node:crypto";
import { request as sendRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { trafficHeaders, webTrafficKeys } from "../../src/protocol/sandbox/traffic.ts";
import type { WrapperBoot } from "../../src/protocol/sandbox/wrapper.ts";

export interface TrafficCall {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly generation?: number;
  readonly token?: string;
}

/** The headers of a pass. */
export async function passHeaders(
  boot: Pick<WrapperBoot, "secret" | "generation">,
  call: TrafficCall = {},
): Promise<Record<string, string>> {
  return {
    [trafficHeaders.token]: call.token ?? (await webTrafficKeys.token(await webTrafficKeys.key(boot.secret))),
    [trafficHeaders.generation]: String(call.generation ?? boot.generation),
    [trafficHeaders.nonce]: randomBytes(16).toString("hex"),
  };
}

/** The answer as soon as its head is there. Rejects when the connection breaks before. */
export async function trafficTo(
  target: { readonly port: number; readonly boot: Pick<WrapperBoot, "secret" | "generation"> },
  path: string,
  call: TrafficCall = {},
): Promise<IncomingMessage> {
  const headers = { ...(await passHeaders(target.boot, call)), ...call.headers };
  return new Promise((resolve, reject) => {
    const request = sendRequest({ port: target.port, host: "127.0.0.1", path, method: call.method ?? "GET", headers });
    request.once("error", reject);
    request.once("response", resolve);
    request.end(call.body);
  });
}

export interface OpenSocket {
  readonly answer: IncomingMessage;
  readonly socket: Duplex;
}

/** A WebSocket's handshake; the bytes after it are the caller's. The plain answer when it was refused. */
export async function upgradeTo(
  target: { readonly port: number; readonly boot: Pick<WrapperBoot, "secret" | "generation"> },
  path: string,
): Promise<OpenSocket | IncomingMessage> {
  const headers = {
    ...(await passHeaders(target.boot)),
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": randomBytes(16).toString("base64"),
  };
  return new Promise((resolve, reject) => {
    const request = sendRequest({ port: target.port, host: "127.0.0.1", path, headers });
    request.once("error", reject);
    request.once("response", resolve);
    request.once("upgrade", (answer, socket, first) => {
      socket.on("error", () => {});
      socket.unshift(first);
      resolve({ answer, socket });
    });
    request.end();
  });
}

/** `whole` is false when the body broke off. */
export async function bodyOf(answer: IncomingMessage): Promise<{ readonly text: string; readonly whole: boolean }> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
    return { text: Buffer.concat(chunks).toString(), whole: answer.complete };
  } catch {
    return { text: Buffer.concat(chunks).toString(), whole: false };
  }
}
