/** The HTTP side of the service process: it finds the route, and turns whatever is thrown into an answer. */
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import { answerFailure, type Exchange, type ServiceRoute } from "./exchange.ts";
import type { Duplex } from "node:stream";
import { serviceErrorStatus } from "../../../src/protocol/sandbox/services.ts";
import { rawRefusal } from "../../relay/refusal.ts";
import { maxHeadBytes } from "../../relay/relay.ts";
import type { TerminalSockets } from "./processes/terminal-socket.ts";
import { RawQuery } from "./raw-query.ts";
import { fileFailure, ServiceFailure } from "./service-failure.ts";

/** Bytes of a body taken in while the disk is still writing the bytes before. They are then written in one go. */
const aheadBytes = 262_144;

export function serviceServer(routes: readonly ServiceRoute[], terminals: TerminalSockets): HttpServer {
  // The wrapper bounds heads and connections; a body may take as long as it takes.
  const server = createServer({
    requestTimeout: 0,
    headersTimeout: 0,
    keepAliveTimeout: 1,
    maxHeaderSize: maxHeadBytes,
    highWaterMark: aheadBytes,
  });
  server.on("request", (request, response) => {
    response.on("error", () => {});
    request.on("error", () => {});
    const exchange = exchangeOf(request, response);
    void answer(routes, exchange).catch((error: unknown) => answerFailure(exchange, error));
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    void upgrade(terminals, request, socket, head).catch((error: unknown) => refuseUpgrade(socket, error));
  });
  return server;
}

async function upgrade(
  terminals: TerminalSockets,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const [, path, search = ""] = /^([^?]*)\??(.*)$/s.exec(request.url ?? "/") ?? [];
  if (path !== "/terminal") throw new ServiceFailure("not_found", "The agent takes no WebSocket there.");
  await terminals.upgrade(request, socket, head, new RawQuery(search));
}

function refuseUpgrade(socket: Duplex, thrown: unknown): void {
  const { error } = thrown instanceof ServiceFailure ? thrown : fileFailure(thrown, "the terminal");
  socket.end(rawRefusal(serviceErrorStatus[error.code], {}, error));
}

function exchangeOf(request: IncomingMessage, response: ServerResponse): Exchange {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const [, search = ""] = /^[^?]*\??(.*)$/s.exec(request.url ?? "/") ?? [];
  return { request, response, query: new RawQuery(search), parameters: [], gone: gone.signal };
}

async function answer(routes: readonly ServiceRoute[], exchange: Exchange): Promise<void> {
  const { request } = exchange;
  const path = request.url?.split("?", 1)[0] ?? "/";
  const here = routes.flatMap((route) => {
    const match = route.path.exec(path);
    return match === null ? [] : [{ route, parameters: match.slice(1) }];
  });
  const found = here.find(({ route }) => route.method === request.method);
  if (found !== undefined) return found.route.handle({ ...exchange, parameters: found.parameters });
  throw new ServiceFailure(
    here.length === 0 ? "not_found" : "invalid",
    "The agent does not serve this method and path.",
  );
}
