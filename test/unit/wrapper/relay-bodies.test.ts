/** The relay of host and agent: a body longer than allowed is refused in words, and the server behind it never sees it as whole. */
import { once } from "node:events";
import { createServer, request, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
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
