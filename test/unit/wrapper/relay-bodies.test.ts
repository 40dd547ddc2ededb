/** The relay of host and agent: a body longer than allowed is refused in words, and the server behind it never sees it as whole. */
import { once } from "node:events";
import { createServer, request, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { afterEach, expect, it } from "vitest";
import { passBody } from "../../../wrapper/relay/pass-body.ts";
import { TrafficRefused } from "../../../wrapper/relay/refusal.ts";
import { relayRequest } from "../../../wrapper/relay/relay.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function serving(handle: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(handle);
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function relay(maxBodyBytes: number) {
  const whole: number[] = [];
  const behind = await serving((incoming, answer) => {
    let bytes = 0;
    incoming.on("data", (chunk: Buffer) => (bytes += chunk.length));
    incoming.on("error", () => {});
    incoming.on("end", () => {
      if (incoming.complete) whole.push(bytes);
      answer.end("taken");
    });
  });
  const port = await serving((incoming, answer) => {
    const upstream = request({ port: behind, host: "127.0.0.1", method: "PUT", agent: false });
    relayRequest(incoming, answer, upstream, {
      sent: new Set(),
      answered: new Set(["mooring-refused"]),
      broken: () => new TrafficRefused("unreachable", "It broke."),
      passed: () => {},
      maxBodyBytes,
    });
  });
  return { whole, port };
}

async function put(port: number, bytes: number, headers: Record<string, string> = {}): Promise<[number, string]> {
  const sent = request({ port, host: "127.0.0.1", method: "PUT", agent: false, headers });
  sent.on("error", () => {});
  sent.write(Buffer.alloc(bytes));
  const answered = once(sent, "response");
  sent.end();
  const [answer] = (await answered) as [IncomingMessage];
  let text = "";
  for await (const chunk of answer as AsyncIterable<Buffer>) text += chunk.toString();
  return [answer.statusCode ?? 0, text];
}

it("one that fits goes through [SEC-4]", async () => {
  const { port, whole } = await relay(1_000);
  expect(await put(port, 1_000)).toEqual([200, "taken"]);
  expect(whole).toEqual([1_000]);
});

it("one that says that it is longer is refused at once, and one that says nothing while it comes [SEC-4]", async () => {
  const { port, whole } = await relay(1_000);
  const refused = JSON.stringify({ code: "too_large", message: "The body is longer than 1000 bytes." });
  expect(await put(port, 1_001, { "content-length": "1001" })).toEqual([413, refused]);
  expect(await put(port, 1_001, { "transfer-encoding": "chunked" })).toEqual([413, refused]);
  expect(whole).toEqual([]);
});

/** A reader that takes one piece at a time and keeps what it was given as it was when it took it. */
class SlowReader extends Writable {
  readonly taken: Buffer[] = [];

  constructor() {
    super({ highWaterMark: 65_536 });
  }

  override _write(piece: Buffer, _encoding: BufferEncoding, done: () => void): void {
    setImmediate(() => {
      this.taken.push(Buffer.from(piece));
      done();
    });
  }
}

it("pieces that come together go on together, in order and complete, whatever their sizes [TRA-1]", async () => {
  const sizes = [1, 8_192, 3, 65_536, 65_535, 8_192, 131_072, 200_000, 1, 8_192, 8_192, 131_071, 5];
  const bodies = Array.from({ length: 6 }, (_, body) => {
    const pieces = sizes.map((size, index) => Buffer.alloc(size, (body * 31 + index * 7) % 251));
    return { pieces, from: new PassThrough({ highWaterMark: 4_000_000 }), to: new SlowReader() };
  });
  for (const { pieces, from, to } of bodies) {
    passBody(from, to, () => true);
    for (const piece of pieces) from.write(piece);
    from.end();
  }
  await Promise.all(bodies.map(({ to }) => once(to, "finish")));
  for (const { pieces, to } of bodies) {
    expect(Buffer.concat(to.taken).equals(Buffer.concat(pieces))).toBe(true);
    expect(to.taken.length).toBeLessThan(pieces.length);
  }
});

it("a sender waits for a reader that takes nothing", async () => {
  const from = new PassThrough({ highWaterMark: 65_536 });
  const stuck = new Writable({ highWaterMark: 65_536, write: () => {} });
  passBody(from, stuck, () => true);
  let offered = 0;
  while (from.write(Buffer.alloc(8_192))) {
    offered += 8_192;
    await new Promise((resolve) => setImmediate(resolve));
    if (offered > 4_000_000) break;
  }
  expect(offered).toBeLessThan(1_000_000);
});
