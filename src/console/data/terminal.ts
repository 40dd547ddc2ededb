/**
 * The connection of a terminal. While the page is hidden it is closed. When the page is visible again it resumes at the
 * byte where it was: the program went on in the meantime, and its output is read then.
 */
import type { SessionView } from "../../protocol/resources/session/sessions.ts";
import { read } from "./call.ts";
import { visible } from "./clock.ts";

export type Connection = "connecting" | "open" | "hidden" | "paused" | "broken" | "ended";

export interface TerminalEnd {
  readonly exit_code: number | null;
  readonly signal: string | null;
}

export interface TerminalOrder {
  readonly base: string;
  /** null: start a new terminal. */
  readonly pid: number | null;
  readonly size: () => { readonly cols: number; readonly rows: number };
  readonly onBytes: (bytes: Uint8Array) => void;
  /** Called with the number of bytes that were dropped while nobody was connected. */
  readonly onGap: (bytes: number) => void;
  readonly onReady: (pid: number) => void;
  readonly onState: (state: Connection, end: TerminalEnd | null) => void;
}

export interface TerminalLine {
  readonly type: (bytes: Uint8Array) => void;
  readonly resize: (cols: number, rows: number) => void;
  readonly close: () => void;
}

/** Pauses between tries after a break. They end: a refusal is not tried for ever. */
const pausesMs = [500, 1_000, 2_000, 4_000, 8_000];

export function openTerminal(order: TerminalOrder): TerminalLine {
  let socket: WebSocket | null = null;
  let pid = order.pid;
  /** The offset of the next byte; null: the first answer tells it. */
  let offset: number | null = null;
  let tries = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;
  let wasOpened = false;
  /** Counts connections begun or given up. A callback of an older round is ignored. */
  let round = 0;

  /**
   * Reads the session first: connecting to one that was paused meanwhile would resume it, and nobody asked for that.
   */
  async function comeBack(): Promise<void> {
    const mine = (round += 1);
    order.onState("connecting", null);
    const status = await read<"getSession">(order.base).then(
      (session): SessionView["status"] | null => session.status,
      () => null,
    );
    if (mine !== round || over) return;
    if (status === "running") return connect();
    order.onState(status === null ? "broken" : "paused", null);
    if (status === null) tryLater();
  }

  function tryLater(): void {
    const pauseMs = pausesMs[tries++];
    if (pauseMs !== undefined) timer = setTimeout(() => void comeBack(), pauseMs);
  }

  function connect(): void {
    const { cols, rows } = order.size();
    const query = new URLSearchParams({ cols: String(cols), rows: String(rows) });
    if (pid !== null) query.set("pid", String(pid));
    if (pid !== null && offset !== null) query.set("offset", String(offset));
    order.onState("connecting", null);
    wasOpened = true;
    const opened = new WebSocket(`${location.origin.replace(/^http/, "ws")}${order.base}/terminal?${query}`);
    socket = opened;
    opened.binaryType = "arraybuffer";
    opened.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (socket !== opened) return;
      if (typeof data === "string") return hear(data);
      offset = (offset ?? 0) + data.byteLength;
      order.onBytes(new Uint8Array(data));
    });
    opened.addEventListener("close", () => {
      if (socket !== opened || over) return;
      socket = null;
      order.onState("broken", null);
      tryLater();
    });
  }

  function hear(text: string): void {
    const news = JSON.parse(text) as { readonly type: string } & Record<string, unknown>;
    if (news.type === "ready") {
      pid = Number(news["pid"]);
      const from = Number(news["from"]);
      if (offset !== null && from > offset) order.onGap(from - offset);
      offset = from;
      tries = 0;
      order.onReady(pid);
      order.onState("open", null);
      const { cols, rows } = order.size();
      send(JSON.stringify({ type: "resize", cols, rows }));
    } else if (news.type === "gap") {
      const [from, to] = [Number(news["from"]), Number(news["to"])];
      order.onGap(to - from);
      offset = to;
    } else if (news.type === "exit") {
      over = true;
      const { exit_code, signal } = news as unknown as TerminalEnd;
      order.onState("ended", { exit_code, signal });
    }
  }

  function send(data: string | Uint8Array): void {
    if (socket?.readyState === WebSocket.OPEN) socket.send(data as string | Uint8Array<ArrayBuffer>);
  }

  function letGo(): void {
    round += 1;
    clearTimeout(timer);
    const held = socket;
    socket = null;
    held?.close();
  }

  const stopWatching = visible.subscribe((seen) => {
    if (over) return;
    letGo();
    tries = 0;
    if (!seen) order.onState("hidden", null);
    else if (wasOpened) void comeBack();
    else connect();
  });
  return {
    type: send,
    resize: (cols, rows) => send(JSON.stringify({ type: "resize", cols, rows })),
    close: () => {
      over = true;
      stopWatching();
      letGo();
    },
  };
}
