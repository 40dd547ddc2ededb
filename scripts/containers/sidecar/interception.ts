/**
 * Takes the container's connections to ports 80 and 443 and offers each to workerd: `CONNECT` with the host that the first bytes name.
 * 200: workerd speaks HTTP on it, so TLS ends here. 202: bytes pass as they are. Anything else: the connection is closed.
 */
import { request } from "node:http";
import { createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { Certificates } from "./certificates.ts";
import { ports } from "./firewall.ts";
import { answerNames, placeholder } from "./names.ts";

/** Where workerd listens; null: nothing is intercepted now. */
type Judge = () => { readonly gateway: string; readonly port: number } | null;

const maxHeadBytes = 16_384;

/** Names too: they are answered with an address whose connections come here. */
export function takeAll(judge: Judge): void {
  const certificates = new Certificates();
  answerNames();
  createServer((client) => void take(client, 80, hostHeader, judge, certificates)).listen(ports.http, "0.0.0.0");
  createServer((client) => void take(client, 443, serverName, judge, certificates)).listen(ports.https, "0.0.0.0");
}

async function take(
  client: Socket,
  port: number,
  nameIn: (head: Buffer) => string | null,
  judge: Judge,
  certificates: Certificates,
): Promise<void> {
  client.on("error", () => client.destroy());
  try {
    const { head, name } = await readName(client, nameIn);
    const address = judge();
    if (name === null || name === nameless || address === null) return void client.destroy();
    const { status, upstream } = await offer(address, port, name);
    if (status !== 200 && status !== 202) return void client.destroy();
    client.unshift(head);
    const inside = status === 200 && port === 443 ? ended(client, name, certificates) : client;
    join(inside, upstream);
  } catch {
    client.destroy();
  }
}

function ended(client: Socket, name: string, certificates: Certificates): TLSSocket {
  return new TLSSocket(client, {
    isServer: true,
    secureContext: certificates.contextFor(name),
    ALPNProtocols: ["http/1.1"],
  });
}

function join(inside: Duplex, upstream: Duplex): void {
  inside.pipe(upstream).pipe(inside);
  for (const [one, other] of [
    [inside, upstream],
    [upstream, inside],
  ] as const) {
    one.on("error", () => other.destroy());
    one.once("close", () => other.destroy());
  }
}

function readName(
  client: Socket,
  nameIn: (head: Buffer) => string | null,
): Promise<{ readonly head: Buffer; readonly name: string | null }> {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    const look = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const name = nameFound(nameIn, head);
      if (name === null && head.length < maxHeadBytes) return;
      client.off("data", look);
      client.pause();
      resolve({ head, name });
    };
    client.on("data", look);
    client.once("close", () => reject(new Error("it closed before it said where to")));
  });
}

/** These bytes name no host, and more of them will not. The deployed platform resets such a connection. */
const nameless = "";

/** A program may send anything: a reader that runs past the end of the bytes must not end the sidecar. */
function nameFound(nameIn: (head: Buffer) => string | null, head: Buffer): string | null {
  try {
    return nameIn(head);
  } catch {
    return nameless;
  }
}

function offer(
  { gateway, port: at }: { readonly gateway: string; readonly port: number },
  port: number,
  name: string,
): Promise<{ readonly status: number; readonly upstream: Socket }> {
  const header = port === 443 ? "x-tls-sni" : "x-hostname";
  const asked = request({
    host: gateway,
    port: at,
    method: "CONNECT",
    path: `${placeholder}:${port}`,
    headers: { [header]: name },
  });
  return new Promise((resolve, reject) => {
    asked.once("connect", (reply, upstream, head) => {
      if (head.length > 0) upstream.unshift(head);
      resolve({ status: reply.statusCode ?? 0, upstream });
    });
    asked.once("response", (reply) => reject(new Error(`refused with ${reply.statusCode}`)));
    asked.once("error", reject);
    asked.end();
  });
}

/** The host that the first bytes of a request name; null: they do not name one yet. */
function hostHeader(head: Buffer): string | null {
  const found = /\r\nhost:[ \t]*([^\r\n:]+)(?::\d+)?[ \t]*\r\n/i.exec(head.toString("latin1"));
  return found?.[1]?.trim().toLowerCase() ?? null;
}

/** The server name in a ClientHello; null: it is not complete yet. A client that was given an address names none. */
export function serverName(head: Buffer): string | null {
  if (head[0] !== 22) return nameless;
  if (head.length < 5 || head.length < 5 + head.readUInt16BE(3)) return null;
  // Record header, handshake header, version, random.
  let at = 5 + 4 + 2 + 32;
  at += 1 + (head[at] ?? 0);
  at += 2 + head.readUInt16BE(at);
  at += 1 + (head[at] ?? 0);
  const end = at + 2 + head.readUInt16BE(at);
  at += 2;
  while (at + 4 <= end) {
    const type = head.readUInt16BE(at);
    const length = head.readUInt16BE(at + 2);
    // The list's length, the kind of name, the name's length.
    if (type === 0) return head.toString("latin1", at + 4 + 5, at + 4 + length).toLowerCase();
    at += 4 + length;
  }
  return nameless;
}
