/**
 * `fetch` as workerd has it and Node has not: it sends streams, and opens WebSockets: the answer to a request with `upgrade: websocket` has status 101 and
 * its socket in `webSocket`. Nothing is read of it before `accept`.
 */
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { WebSocket } from "ws";

/** What of workerd's socket the checks use. */
export interface AnsweredSocket {
  accept(): void;
  send(text: string): void;
  close(): void;
  addEventListener(type: "message", heard: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", heard: () => void): void;
}

export async function upgradingFetch(input: Parameters<typeof fetch>[0], init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  // What Node wants to hear of a body that is a stream; workerd does not ask.
  const half = init.body instanceof ReadableStream ? { duplex: "half" as const } : {};
  if (headers.get("upgrade")?.toLowerCase() !== "websocket") return fetch(input, { ...init, ...half });
  // The client of WebSockets says these itself.
  for (const name of ["upgrade", "connection", "sec-websocket-key", "sec-websocket-version"]) headers.delete(name);
  const url = (input instanceof Request ? input.url : String(input)).replace(/^http/, "ws");
  const socket = new WebSocket(url, { headers: Object.fromEntries(headers) });
  return new Promise((resolve, reject) => {
    let head = new Headers();
    socket.once("upgrade", (answer) => (head = headersOf(answer)));
    socket.once("open", () => {
      socket.pause();
      const webSocket = Object.assign(socket, { accept: () => socket.resume() });
      const answer = new Response(null, { headers: head });
      // Node makes no answer with this status.
      resolve(Object.defineProperties(answer, { status: { value: 101 }, webSocket: { value: webSocket } }));
    });
    socket.once("unexpected-response", (_request, answer) => {
      const body = Readable.toWeb(answer) as unknown as ReadableStream<Uint8Array>;
      resolve(new Response(body, { status: answer.statusCode ?? 502, headers: headersOf(answer) }));
    });
    socket.once("error", reject);
  });
}

function headersOf({ headers }: IncomingMessage): Headers {
  return new Headers(Object.entries(headers).map(([name, value]) => [name, String(value)] as [string, string]));
}
