/**
 * A server for tests to run inside a sandbox: `node -e '<serverProgram>' [port]`. It prints the port that it listens on.
 *
 *   GET /inside     says `inside`
 *   ANY /echo       method, path, headers and body, as JSON
 *   GET /stream     one line, then silence until the connection ends
 *   GET /count      how many requests it has had
 *   GET /bytes/N    N bytes
 *   a WebSocket     says hello, and then every text back
 */
export const serverProgram = `
const http = require("node:http");
const crypto = require("node:crypto");
let count = 0;
const server = http.createServer((request, response) => {
  count += 1;
  const { method, url, headers } = request;
  if (url.startsWith("/stream")) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: begun\\n\\n");
    if (url === "/stream/comments") setInterval(() => response.write(": still here\\n\\n"), 50);
    return;
  }
  if (url === "/inside") return response.end("inside");
  if (url === "/count") return response.end(String(count));
  if (url.startsWith("/bytes/")) {
    const bytes = Buffer.alloc(Number(url.slice(7)), 120);
    response.setHeader("content-length", bytes.length);
    return response.end(bytes);
  }
  if (url === "/broken") {
    response.writeHead(200, { "content-length": "100" });
    response.write("part");
    return setTimeout(() => request.socket.destroy(), 50);
  }
  if (url === "/redirect") {
    response.writeHead(302, { location: "/echo" });
    return response.end();
  }
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    response.writeHead(200, { "content-type": "application/json", "set-cookie": ["a=1; Path=/", "b=2; Domain=localhost"], "mooring-refused": "retired", "x-own": "1" });
    response.end(JSON.stringify({ method, url, headers, body: Buffer.concat(chunks).toString() }));
  });
});
server.on("upgrade", (request, socket) => {
  const accept = crypto.createHash("sha1").update(request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + "\\r\\n\\r\\n");
  const say = (text) => socket.write(Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]));
  say("hello");
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    const length = chunk[1] & 0x7f;
    if ((chunk[0] & 0x0f) !== 1 || length > 125) return;
    const mask = chunk.subarray(2, 6);
    say(Buffer.from(chunk.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4])).toString());
  });
});
server.listen(Number(process.argv[1] ?? process.env.PORT ?? 0), process.env.ADDRESS ?? "127.0.0.1", () => console.log("listening on " + server.address().port));
`;

/** A job that runs it. */
export const serverJob = { argv: ["node", "-e", serverProgram], timeout_ms: 600_000 };

/** The port that it printed; null: it has not begun. */
export function portIn(output: string): number | null {
  const [, port] = /listening on (\d+)/.exec(output) ?? [];
  return port === undefined ? null : Number(port);
}
