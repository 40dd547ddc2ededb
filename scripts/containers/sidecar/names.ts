/** Answers the names of an intercepted container: each gets one address that goes nowhere, because its requests are taken by their host. */
import { createSocket } from "node:dgram";
import { ports } from "./firewall.ts";

/** Of the documentation range. */
export const placeholder = "203.0.113.1";
const typeA = 1;
const headerBytes = 12;

export function answerNames(): void {
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    const reply = replyTo(query);
    if (reply !== null) socket.send(reply, from.port, from.address);
  });
  // Bound to the address that REDIRECT sends questions to: an answer from another address would be ignored.
  socket.bind(ports.dns, "127.0.0.1");
}

/** null: no query. Other types than addresses of version 4 are answered with nothing. */
function replyTo(query: Buffer): Buffer | null {
  if (query.length < headerBytes + 5) return null;
  let end = headerBytes;
  while (end < query.length && query[end] !== 0) end += (query[end] ?? 0) + 1;
  const question = query.subarray(headerBytes, end + 5);
  if (question.length < 5) return null;
  const isAddress = query.readUInt16BE(end + 1) === typeA;
  const header = Buffer.alloc(headerBytes);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(isAddress ? 1 : 0, 6);
  // The name by a pointer, type A, class IN, one second, four bytes.
  const answer = Buffer.from([
    0xc0,
    headerBytes,
    0,
    typeA,
    0,
    1,
    0,
    0,
    0,
    1,
    0,
    4,
    ...placeholder.split(".").map(Number),
  ]);
  return Buffer.concat([header, question, ...(isAddress ? [answer] : [])]);
}
