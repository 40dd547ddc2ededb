/** HTTP in front of the host: who may ask, what is asked, and one status for each refusal. Routes: src/protocol/host.ts. */
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { z } from "zod";
import { hostFault, hostLaunchOrder, hostReclaimOrder, hostSaveOrder, hostStopOrder } from "../../src/protocol/host.ts";
import type { Faults, FaultOp } from "./faults.ts";
import { parsed, Refusal, refusalStatus } from "./refusal.ts";
import type { SandboxHost } from "./sandbox-host.ts";
import { containerIdText, instanceIdText, sandboxIdText, snapshotNameText } from "./state-directory.ts";

const maxBodyBytes = 4 * 1024 * 1024;
const retirement = z.strictObject({ generation: z.int() });
const sessionIdText = z.string().min(1).max(64);
const integerText = z
  .string()
  .regex(/^\d{1,16}$/, "A whole number is needed.")
  .transform(Number);

interface Question {
  readonly host: SandboxHost;
  readonly id: string;
  /** The second name in the path; "" where there is one only. */
  readonly second: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

interface Route {
  readonly method: string;
  readonly path: RegExp;
  readonly fault: FaultOp | null;
  readonly answer: (question: Question) => Promise<unknown>;
}

const sandboxIdOf = ({ id }: Question): string => parsed(sandboxIdText, id);

const routes: readonly Route[] = [
  {
    method: "PUT",
    path: /^\/instances\/([^/]+)$/,
    fault: "launch",
    answer: ({ host, id, body }) => {
      const order = parsed(hostLaunchOrder, body);
      parsed(sandboxIdText, order.sandbox_id);
      parsed(sessionIdText, order.session_id);
      if (order.container !== undefined) parsed(containerIdText, order.container);
      if (order.restore !== undefined)
        for (const name of [order.session_id, order.restore]) parsed(snapshotNameText, name);
      return host.launch(parsed(instanceIdText, id), order);
    },
  },
  {
    method: "GET",
    path: /^\/instances\/([^/]+)$/,
    fault: "endpoint",
    answer: ({ host, id }) => host.endpoint(parsed(instanceIdText, id)),
  },
  {
    method: "POST",
    path: /^\/sandboxes\/([^/]+)\/retire$/,
    fault: "retire",
    answer: (question) => question.host.retire(sandboxIdOf(question), parsed(retirement, question.body).generation),
  },
  {
    method: "GET",
    path: /^\/sandboxes\/([^/]+)\/observe$/,
    fault: "observe",
    answer: (question) =>
      question.host.observe(sandboxIdOf(question), {
        session: parsed(sessionIdText, question.query.get("session_id")),
        generation: parsed(integerText, question.query.get("generation")),
        instance: null,
      }),
  },
  {
    method: "POST",
    path: /^\/sandboxes\/([^/]+)\/stop$/,
    fault: "stop",
    answer: (question) => {
      sandboxIdOf(question);
      const order = parsed(hostStopOrder, question.body);
      const aim = { session: order.session_id, generation: order.generation, instance: order.instance_id };
      return question.host.stop(aim, order.grace_ms);
    },
  },
  {
    method: "PUT",
    path: /^\/snapshots\/([^/]+)\/([^/]+)$/,
    fault: "save",
    answer: ({ host, id, second, body }) => {
      const order = parsed(hostSaveOrder, body);
      parsed(sandboxIdText, order.sandbox_id);
      return host.save(parsed(snapshotNameText, id), parsed(snapshotNameText, second), order);
    },
  },
  {
    method: "DELETE",
    path: /^\/snapshots\/([^/]+)\/([^/]+)$/,
    fault: "remove",
    answer: ({ host, id, second }) =>
      host.removeSnapshot(parsed(snapshotNameText, id), parsed(snapshotNameText, second)),
  },
  {
    method: "GET",
    path: /^\/sandboxes\/([^/]+)\/logs$/,
    fault: null,
    answer: (question) =>
      question.host.logs(
        sandboxIdOf(question),
        Math.min(parsed(integerText, question.query.get("tail_bytes") ?? "65536"), 1_048_576),
      ),
  },
  {
    method: "GET",
    path: /^\/sandboxes\/([^/]+)\/resources$/,
    fault: null,
    answer: (question) => question.host.resources(sandboxIdOf(question)),
  },
  {
    method: "DELETE",
    path: /^\/sandboxes\/([^/]+)$/,
    fault: null,
    answer: (question) => question.host.destroy(sandboxIdOf(question)),
  },
  {
    method: "POST",
    path: /^\/containers\/([^/]+)\/retire$/,
    fault: "retire",
    answer: ({ host, id }) => host.retireContainer(parsed(containerIdText, id)),
  },
  {
    method: "GET",
    path: /^\/containers\/([^/]+)\/observe$/,
    fault: "observe",
    answer: ({ host, id }) => host.observeContainer(parsed(containerIdText, id)),
  },
  {
    method: "DELETE",
    path: /^\/containers\/([^/]+)$/,
    fault: null,
    answer: ({ host, id }) => host.destroyContainer(parsed(containerIdText, id)),
  },
  { method: "GET", path: /^\/space()$/, fault: "space", answer: ({ host }) => host.space() },
  {
    method: "POST",
    path: /^\/space\/reclaim()$/,
    fault: "reclaim",
    answer: ({ host, body }) => host.reclaim(parsed(hostReclaimOrder, body).session_id),
  },
  { method: "GET", path: /^\/sandboxes()$/, fault: null, answer: ({ host }) => host.enumerate() },
  { method: "GET", path: /^\/health()$/, fault: null, answer: async ({ host }) => host.health() },
];

/** `faults` null: the routes to order them are not there. */
export function createHostServer(host: SandboxHost, token: string, faults: Faults | null): Server {
  const server = createServer((request, response) => {
    respond(host, token, faults, request, response).catch((error: unknown) => {
      const refusal =
        error instanceof Refusal ? error : new Refusal("internal", error instanceof Error ? error.message : "unknown");
      if (!(error instanceof Refusal))
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      if (refusal.code === "scanning") response.setHeader("retry-after", "1");
      send(response, refusalStatus[refusal.code], { code: refusal.code, message: refusal.message });
    });
  });
  // A connection that we close as the next request arrives loses that request: a lost reply, with its effect unknown.
  server.keepAliveTimeout = 60_000;
  return server;
}

async function respond(
  host: SandboxHost,
  token: string,
  faults: Faults | null,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!isAuthorized(request, token)) throw new Refusal("unauthorized", "The bearer token is missing or wrong.");
  const url = new URL(request.url ?? "/", "http://host");
  const body = await readBody(request);
  if (faults !== null && url.pathname === "/faults") {
    orderFault(faults, request.method, body);
    return send(response, 200, {});
  }
  for (const route of routes) {
    const match = route.method === request.method ? route.path.exec(url.pathname) : null;
    if (match === null) continue;
    const effect = (): Promise<unknown> =>
      route.answer({
        host,
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
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(request.headers.authorization ?? ""), digest(`Bearer ${token}`));
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
