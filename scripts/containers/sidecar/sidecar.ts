/**
 * The network sidecar of one local container, as far as workerd needs one. It owns the network namespace that the container
 * joins, tells workerd which ports answer, enforces `enableInternet: false`, and takes outgoing HTTP and HTTPS where workerd has rules for it.
 *
 * workerd asks over HTTP on the port of `--http-ingress-address`:
 * - `PUT /egress` before each start and with each rule: whether the container may reach the Internet, which names it may ask for, and where
 *   workerd takes requests;
 * - `GET /ca`: the certificate that intercepted HTTPS is answered with;
 * - `CONNECT`, with the address in `x-dst-addr`: a connection to a port of the container. 400 when nobody listens there.
 */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { authority } from "./authority.ts";
import { applyReach } from "./firewall.ts";

interface EgressOrder {
  readonly port?: number;
  readonly internet?: { readonly enabled?: boolean };
  readonly dns?: { readonly allowHostnames?: readonly string[] };
}

/** As far as the orders so far have told. */
const told = { port: 0, internet: false, hasRules: false };
let intercepting: Promise<void> | null = null;

function interception(): { readonly gateway: string; readonly port: number } | null {
  return told.hasRules && told.port > 0 ? { gateway: gateway(), port: told.port } : null;
}

/** Docker writes it there for `host.docker.internal`. */
function gateway(): string {
  const line = readFileSync("/etc/hosts", "utf8")
    .split("\n")
    .find((each) => each.includes("host.docker.internal"));
  const [address] = (line ?? "").split(/\s/);
  if (address === undefined || address === "") throw new Error("The machine has no address in here.");
  return address;
}

/** Loaded with the first rule: most containers have none, and TLS alone would take a tenth of a start. */
async function intercept(): Promise<void> {
  const { takeAll } = await import("./interception.ts");
  takeAll(interception);
}

async function take(order: EgressOrder): Promise<void> {
  told.port = order.port ?? told.port;
  told.internet = order.internet?.enabled ?? told.internet;
  const names = order.dns?.allowHostnames;
  if (names !== undefined) told.hasRules = names.length > 0;
  if (interception() !== null) await (intercepting ??= intercept());
  applyReach({ internet: told.internet, interception: interception() });
}

function portOf(argv: readonly string[]): number {
  const address = argv[argv.indexOf("--http-ingress-address") + 1] ?? "";
  return Number(address.split(":").at(-1)) || 39_001;
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => void answer(request, Buffer.concat(chunks).toString("utf8"), response));
});

async function answer({ url, method }: IncomingMessage, text: string, response: ServerResponse): Promise<void> {
  try {
    if (url === "/ca") return void response.end(readFileSync(authority.certificate));
    if (method !== "PUT" || url !== "/egress") return void response.writeHead(404).end();
    await take(JSON.parse(text) as EgressOrder);
    response.end();
  } catch (error) {
    // A container whose network could not be closed must not start.
    console.error(error);
    response.writeHead(500).end(String(error));
  }
}

server.on("connect", (request, client, head) => {
  const [host, port] = String(request.headers["x-dst-addr"] ?? "").split(":");
  const upstream = connect(Number(port), host ?? "127.0.0.1");
  upstream.once("connect", () => {
    client.write("HTTP/1.1 200 OK\r\n\r\n");
    if (head.length > 0) upstream.write(head);
    client.pipe(upstream).pipe(client);
  });
  upstream.once("error", () => client.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"));
  client.on("error", () => upstream.destroy());
  client.once("close", () => upstream.destroy());
});

// Listen first: workerd tries ten times within about two seconds, then gives the start up.
server.listen(portOf(process.argv), "0.0.0.0");
// Closed until the first order. The rules also start connection tracking: an answer on a connection that it never saw would be rejected.
applyReach({ internet: false, interception: null });
process.on("SIGTERM", () => process.exit(0));
