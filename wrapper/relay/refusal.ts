/** A refusal of traffic that is ours, as the Worker reads it. */
import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { type TrafficRefusal, trafficHeaders, trafficRefusals } from "../../src/protocol/sandbox/traffic.ts";

/** What happened, for the client that reads it in the end. */
export class TrafficRefused extends Error {
  readonly code: TrafficRefusal;

  constructor(code: TrafficRefusal, message: string) {
    super(message);
    this.code = code;
  }
}

/** Once the head of an answer is gone, breaking off is all that is left. */
export function refuseRequest(response: ServerResponse, { code, message }: TrafficRefused): void {
  if (response.headersSent) return void response.destroy();
  // What was not read of the request would be taken for the next one on this connection.
  response.shouldKeepAlive = false;
  response.writeHead(trafficRefusals[code], { "content-type": "application/json", [trafficHeaders.refused]: code });
  response.end(JSON.stringify({ code, message }));
}

/** `proof`: the agent's proof of itself; null: it is not an agent that refuses. */
export function refuseUpgrade(socket: Duplex, { code, message }: TrafficRefused, proof: string | null): void {
  const headers = { [trafficHeaders.refused]: code, ...(proof === null ? {} : { [trafficHeaders.proof]: proof }) };
  socket.end(rawRefusal(trafficRefusals[code], headers, { code, message }));
}

/** A refusal as bytes, for a socket that wanted to become a WebSocket and has no response object. */
export function rawRefusal(status: number, headers: Readonly<Record<string, string>>, body: object): string {
  const text = JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${status} Refused`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(text)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    "connection: close",
  ];
  return `${head.join("\r\n")}\r\n\r\n${text}`;
}
