/**
 * `/traffic/ports`: the ports on which processes of this sandbox listen. `/traffic/ports/{port}/…`: one request or WebSocket for one of
 * them.
 */
import { request as sendRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { trafficHeaders } from "../../../src/protocol/sandbox/traffic.ts";
import { TrafficRefused } from "../../relay/refusal.ts";
import { maxHeadBytes, onward, relayRequest, relayUpgrade } from "../../relay/relay.ts";
import type { TrafficActivity } from "./activity.ts";
import { relayRules } from "./relay-rules.ts";
import type { OwnListeners } from "./own-listeners.ts";
import type { TrafficService } from "./service.ts";

const pathPattern = /^\/(\d{1,5})(\/.*)?$/s;
const none: ReadonlySet<string> = new Set();

export function portProxy(listeners: Pick<OwnListeners, "find" | "list">, activity: TrafficActivity): TrafficService {
  return {
    name: "ports",
    request: async (request, response, path) => {
      if (path === "") return await list(listeners, response);
      const upstream = await connect(listeners, request, path);
      relayRequest(request, response, upstream, relayRules(request, activity, badAnswer));
    },
    upgrade: async (request, socket, head, path, proof) => {
      const upstream = await connect(listeners, request, path);
      relayUpgrade(socket, head, upstream, relayRules(request, activity, badAnswer), [
        `${trafficHeaders.proof}: ${proof}`,
      ]);
    },
  };
}

async function list(listeners: Pick<OwnListeners, "list">, response: ServerResponse): Promise<void> {
  const ports = await listeners.list();
  if (ports === null) throw new TrafficRefused("unreachable", "The processes of this sandbox could not be looked at.");
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ data: ports }));
}

async function connect(
  listeners: Pick<OwnListeners, "find">,
  request: IncomingMessage,
  path: string,
): Promise<ClientRequest> {
  const [, digits = "", rest = "/"] = pathPattern.exec(path) ?? [];
  const port = Number(digits);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new TrafficRefused("not_found", "The path names no port.");
  const listener = await listeners.find(port);
  if (request.socket.destroyed) throw new TrafficRefused("retired", "The connection was cut.");
  if (listener === null)
    throw new TrafficRefused("nobody_listens", `No process of this sandbox listens on port ${port}.`);
  return sendRequest({
    host: listener.address,
    port,
    path: rest,
    method: request.method ?? "GET",
    // With a capital, as clients send it: a program that prints its headers, or compares names by letter, sees what it expects.
    headers: { ...onward(request, none), Host: hostFor(request, port) },
    maxHeaderSize: maxHeadBytes,
    // A connection of its own: a kept one could belong to a server that was replaced meanwhile.
    agent: false,
  });
}

function hostFor({ headers }: IncomingMessage, port: number): string {
  const wanted = headers[trafficHeaders.portHost];
  return typeof wanted === "string" ? wanted.replaceAll("${PORT}", String(port)) : `localhost:${port}`;
}

function badAnswer(error: Error): TrafficRefused {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ECONNREFUSED"
    ? new TrafficRefused("nobody_listens", "The server stopped listening just now.")
    : new TrafficRefused(
        "bad_answer",
        `The server broke off or did not answer as HTTP says (${code ?? error.message}).`,
      );
}
