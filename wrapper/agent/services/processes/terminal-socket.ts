/**
 * `GET /terminal`: a terminal over a WebSocket. Binary frames are bytes, both ways; text frames are orders and news
 * (src/protocol/resources/sandbox/processes.ts). The program outlives the connection: `?pid=` comes back to it, with what it showed last.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { terminalOrder, type TerminalNews } from "../../../../src/protocol/resources/sandbox/processes.ts";
import type { RawQuery } from "../raw-query.ts";
import { ServiceFailure } from "../service-failure.ts";
import type { ClientProcess } from "./client-process.ts";
import type { ClientProcesses } from "./client-processes.ts";

const maxFrameBytes = 1_024 * 1_024;
/** Input that the program has not taken yet. Above this, the connection is not read. */
const maxTypedBytes = 64 * 1_024;
const maxSide = 1_000;
/** Screens of text, for one who comes back. */
const shownBytes = 256 * 1_024;

export class TerminalSockets {
  readonly #processes: ClientProcesses;
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: maxFrameBytes, perMessageDeflate: false });

  constructor(processes: ClientProcesses) {
    this.#processes = processes;
  }

  /** Throws a `ServiceFailure` before anything was answered. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, query: RawQuery): Promise<void> {
    const pid = query.text("pid");
    const found = pid === null ? await this.#processes.start(orderOf(query)) : this.#processes.get(pid);
    if (!found.isTerminal) throw new ServiceFailure("no_terminal", "That process was started without a terminal.");
    const offset = query.whole("offset", 0, Number.MAX_SAFE_INTEGER);
    this.#server.handleUpgrade(request, socket, head, (client) => {
      void this.#serve(client, found, offset).catch(() => client.terminate());
    });
  }

  async #serve(client: WebSocket, found: ClientProcess, offset: number | null): Promise<void> {
    const gone = new AbortController();
    client.on("close", () => gone.abort());
    client.on("error", () => client.terminate());
    listen(client, found);
    const { output } = found;
    const from = Math.max(output.firstOffset, Math.min(offset ?? output.totalBytes - shownBytes, output.totalBytes));
    await send(client, { type: "ready", pid: found.pid, from });
    this.#processes.look();
    for await (const part of output.follow(from, gone.signal)) {
      if (part.type === "gap") await send(client, part);
      else await sent(client, part.bytes);
    }
    this.#processes.look();
    if (gone.signal.aborted) return;
    await found.ended;
    await send(client, { type: "exit", ...found.exit() });
    client.close(1_000);
  }
}

/** Writes input in order. While the program does not read, the connection is not read either. */
function listen(client: WebSocket, found: ClientProcess): void {
  let waiting = 0;
  let writing = Promise.resolve();
  client.on("message", (data: Buffer, isBinary: boolean) => {
    if (!isBinary) return obey(client, found, data.toString("utf8"));
    waiting += data.length;
    if (waiting > maxTypedBytes) client.pause();
    writing = writing
      .then(() => found.write(data))
      .catch(() => {})
      .then(() => {
        waiting -= data.length;
        if (waiting <= maxTypedBytes) client.resume();
      });
  });
}

function obey(client: WebSocket, found: ClientProcess, text: string): void {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = null;
  }
  const order = terminalOrder.safeParse(json);
  if (!order.success)
    return client.close(1_008, "A text frame is {type: resize | signal, ...}; what is typed goes as binary.");
  try {
    if (order.data.type === "resize") found.resize({ cols: order.data.cols, rows: order.data.rows });
    else found.signal(order.data.signal, true);
  } catch {
    // It has ended: the news of that is on its way.
  }
}

function send(client: WebSocket, news: TerminalNews): Promise<void> {
  return sent(client, JSON.stringify(news));
}

/** Resolves when it is with the kernel: a client that stops reading stops the program. */
function sent(client: WebSocket, data: string | Buffer): Promise<void> {
  return new Promise((resolve) => client.send(data, () => resolve()));
}

function orderOf(query: RawQuery): Parameters<ClientProcesses["start"]>[0] {
  const command = query.text("command");
  const cwd = query.text("cwd");
  const size = { cols: query.whole("cols", 1, maxSide) ?? 80, rows: query.whole("rows", 1, maxSide) ?? 24 };
  const shell = process.env["SHELL"] ?? "/bin/sh";
  return {
    argv:
      command === null
        ? ["/bin/sh", "-c", `command -v bash >/dev/null && exec bash -l; exec ${shell} -l`]
        : ["/bin/sh", "-c", command],
    ...(cwd === null ? {} : { cwd }),
    terminal: size,
  };
}
