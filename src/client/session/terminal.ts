/** A terminal over a WebSocket. The program outlives the connection: open it again with its `pid`. */
import type { Transport } from "../wire/transport.ts";
import type { SignalProcess } from "../types.ts";

/** What `ws` and Node's own WebSocket have in common. A browser's cannot send a key. */
export interface TerminalSocket {
  binaryType: string;
  send(data: string | Uint8Array): void;
  close(): void;
  addEventListener(type: string, listener: (event: { readonly data?: unknown }) => void): void;
}
export type TerminalSockets = new (
  url: string,
  options: { readonly headers: Readonly<Record<string, string>> },
) => TerminalSocket;

export interface TerminalOptions {
  readonly cols?: number | undefined;
  readonly rows?: number | undefined;
  /** A line for `sh -c`; left out: a login shell. */
  readonly command?: string | undefined;
  readonly cwd?: string | undefined;
  /** Come back to that one. */
  readonly pid?: number | undefined;
  /** Left out: the global one, which Node has from version 22 on. */
  readonly WebSocket?: TerminalSockets | undefined;
  readonly onData: (bytes: Uint8Array) => void;
}

export interface TerminalExit {
  readonly exit_code: number | null;
  readonly signal: string | null;
}

export class Terminal {
  readonly #socket: TerminalSocket;
  readonly pid: number;
  /** null: the connection went before the program did. */
  readonly closed: Promise<TerminalExit | null>;

  constructor(socket: TerminalSocket, pid: number, closed: Promise<TerminalExit | null>) {
    this.#socket = socket;
    this.pid = pid;
    this.closed = closed;
  }

  write(input: string | Uint8Array): void {
    this.#socket.send(typeof input === "string" ? new TextEncoder().encode(input) : input);
  }

  resize(cols: number, rows: number): void {
    this.#socket.send(JSON.stringify({ type: "resize", cols, rows }));
  }

  signal(signal: SignalProcess["signal"]): void {
    this.#socket.send(JSON.stringify({ type: "signal", signal }));
  }

  /** The program goes on. */
  close(): void {
    this.#socket.close();
  }
}

/** A WebSocket in a browser, and most others, do not tell the answer that refused them. */
const notOpened =
  "The terminal did not open, or its connection broke: a WebSocket does not tell which. Look at the session's status, then try again.";

export async function openTerminal(transport: Transport, session: string, options: TerminalOptions): Promise<Terminal> {
  const { WebSocket: given, onData, ...rest } = options;
  const Socket = given ?? (globalThis as unknown as { readonly WebSocket?: TerminalSockets }).WebSocket;
  if (Socket === undefined)
    throw new TypeError("There is no WebSocket here. Give one: `{ WebSocket }` of the package `ws`.");
  const { url, headers } = await transport.address(`/v1/sessions/${encodeURIComponent(session)}/terminal`, rest);
  const socket = new Socket(url.replace(/^http/, "ws"), { headers });
  socket.binaryType = "arraybuffer";
  let exit: TerminalExit | null = null;
  let ready: (pid: number) => void = () => {};
  let refuse: (error: Error) => void = () => {};
  const opened = new Promise<number>((resolve, reject) => {
    ready = resolve;
    refuse = reject;
  });
  const closed = new Promise<TerminalExit | null>((resolve) => {
    socket.addEventListener("close", () => {
      refuse(new Error(notOpened));
      resolve(exit);
    });
  });
  socket.addEventListener("error", () => refuse(new Error(notOpened)));
  socket.addEventListener("message", ({ data }) => {
    if (typeof data !== "string") return onData(new Uint8Array(data as ArrayBuffer));
    const news = JSON.parse(data) as { readonly type: string; readonly pid: number } & TerminalExit;
    if (news.type === "ready") ready(news.pid);
    else if (news.type === "exit") exit = { exit_code: news.exit_code, signal: news.signal };
  });
  return new Terminal(socket, await opened, closed);
}
