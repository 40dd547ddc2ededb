/** HTTP in front of the host: who may call, which route answers (routes.ts), and one status for each refusal. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  controlPlaneHeader,
  controlPlaneIdText,
  hostFault,
  hostTrafficToken,
} from "../../../src/protocol/sandbox/host.ts";
import { refuseRequest, refuseUpgrade, TrafficRefused } from "../../relay/refusal.ts";
import { maxHeadBytes } from "../../relay/relay.ts";
import { parsed, reasonOf, Refusal, refusalStatus } from "../refusal.ts";
import type { SandboxHost } from "../sandbox-host.ts";
import { boundConnections, connectionLimits } from "../../agent/http/connections.ts";
import type { Faults } from "./faults.ts";
import { routes } from "./routes.ts";
import { isSameSecret } from "../../relay/same-secret.ts";

const maxBodyBytes = 4 * 1024 * 1024;
/** Connections from a control plane: each session that waits for a job, or follows output, holds one. */
const maxKnown = 4_096;
/** Held of one body for a reader that is slower than its sender. */
const aheadBytes = 262_144;

/** `faults` null: this host has no routes to order faults. */
export function createHostServer(host: SandboxHost, token: string, faults: Faults | null): Server {
  // One body of traffic may take hours; those of the host's own routes are small, and their callers give up.
  const server = createServer({ maxHeaderSize: maxHeadBytes, highWaterMark: aheadBytes, requestTimeout: 0 });
  // Jobs share the loopback with this host.
  const admitted = boundConnections(server, { ...connectionLimits, maxKnown });
  const context = { host, token, faults, admitted };
  server.on("request", (request, response) => {
    if (host.traffic.isTraffic(request.url)) return passOn(context, request, response);
    respond(context, request, response).catch((error: unknown) => {
      const refusal =
        error instanceof Refusal ? error : new Refusal("internal", `Something broke in the host: ${reasonOf(error)}.`);
      if (!(error instanceof Refusal))
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      if (refusal.code === "scanning") response.setHeader("retry-after", "1");
      send(response, refusalStatus[refusal.code], { code: refusal.code, message: refusal.message });
    });
  });
  server.on("upgrade", (request, socket, head) => {
    const refused = host.traffic.isTraffic(request.url) ? refusalOfTraffic(context, request) : noUpgrade;
    if (refused === null) host.traffic.upgrade(request, socket, head);
    else refuseUpgrade(socket, refused, null);
  });
  // Closing a connection just as the next request arrives loses that request, and its caller cannot know the effect.
  server.keepAliveTimeout = 60_000;
  return server;
}

interface Context {
  readonly host: SandboxHost;
  readonly token: string;
  readonly faults: Faults | null;
  readonly admitted: (request: IncomingMessage) => void;
}

function passOn(context: Context, request: IncomingMessage, response: ServerResponse): void {
  const refused = refusalOfTraffic(context, request);
  if (refused === null) context.host.traffic.request(request, response);
  else refuseRequest(response, refused);
}

/** null: the caller may send traffic here. Its pass says what it may reach. */
function refusalOfTraffic({ host, token, admitted }: Context, request: IncomingMessage): TrafficRefused | null {
  const { headers } = request;
  if (!isSameSecret(headers[hostTrafficToken], token))
    return new TrafficRefused("unauthorized", "The host's token is missing or wrong.");
  admitted(request);
  const named = controlPlaneIdText.safeParse(headers[controlPlaneHeader]);
  try {
    host.serve(named.success ? named.data : null, true);
    void host.operations;
    return null;
  } catch (error) {
    return new TrafficRefused("unreachable", error instanceof Error ? error.message : "The host cannot answer now.");
  }
}

const noUpgrade = new TrafficRefused("not_found", "That path takes no WebSocket.");

async function respond(
  { host, token, faults, admitted }: Context,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!isAuthorized(request, token)) throw new Refusal("unauthorized", "The bearer token is missing or wrong.");
  admitted(request);
  const header = request.headers[controlPlaneHeader];
  const controlPlane = header === undefined ? null : parsed(controlPlaneIdText, header);
  const url = new URL(request.url ?? "/", "http://host");
  const body = await readBody(request);
  if (faults !== null && url.pathname === "/faults") {
    orderFault(faults, request.method, body);
    return send(response, 200, {});
  }
  if (request.method === "GET" && url.pathname === "/health") {
    host.serve(controlPlane, true);
    return send(response, 200, host.health());
  }
  for (const route of routes) {
    const match = route.method === request.method ? route.path.exec(url.pathname) : null;
    if (match === null) continue;
    host.serve(controlPlane, route.isNamed);
    const effect = async (): Promise<unknown> =>
      await route.answer({
        ...host.operations,
        id: decoded(match[1] ?? ""),
        second: decoded(match[2] ?? ""),
        query: url.searchParams,
        body,
      });
    if (route.fault === null || faults === null) return send(response, 200, await effect());
    const answer = await faults.apply(route.fault, response, effect);
    if (!response.destroyed && answer !== null) send(response, 200, answer);
    return;
  }
  throw new Refusal("not_found", `No ${request.method} ${url.pathname} here.`);
}

function orderFault(faults: Faults, method: string | undefined, body: unknown): void {
  if (method === "POST") faults.add(parsed(hostFault, body));
  else if (method === "DELETE") faults.clear();
  else throw new Refusal("not_found", "Faults are ordered by POST and cleared by DELETE.");
}

function isAuthorized(request: IncomingMessage, token: string): boolean {
  return isSameSecret(request.headers.authorization, `Bearer ${token}`);
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new Refusal("invalid", `A body is at most ${maxBodyBytes} bytes.`);
    chunks.push(chunk);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new Refusal("invalid", "The body is not JSON.");
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Refusal("invalid", "The path is not valid percent-encoding.");
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
