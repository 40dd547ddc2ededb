/**
 * Connects this terminal to one in a sandbox: every key goes there, and all output comes back, until the program ends,
 * the connection breaks, or the leave key is pressed. The terminal's settings are restored in every case.
 */
import { constants } from "node:os";
import { WebSocket } from "ws";
import type { Session, Terminal, TerminalExit, TerminalSockets } from "../../client/mooring.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { CliFault } from "../fault.ts";

/** Ctrl-], the key that leaves telnet and virsh. Shells and editors rarely need it. */
const leaveKey = 0x1d;

export interface TerminalOrder {
  readonly command?: string | undefined;
  readonly cwd?: string | undefined;
  /** The process id of a running terminal to attach to. */
  readonly pid?: number | undefined;
}

/** Throws when there is no terminal to type in. */
export function needsTerminal(): void {
  if (process.stdin.isTTY && process.stdout.isTTY) return;
  throw new CliFault(
    exitCodes.usage,
    "There is no terminal here: standard input or output is a file or a pipe.",
    "the same command without -t",
  );
}

export function terminalSize(): { readonly cols: number; readonly rows: number } {
  const { columns, rows } = process.stdout;
  return { cols: columns > 0 ? columns : 80, rows: rows > 0 ? rows : 24 };
}

/** Answers the exit code for this process. */
export async function attachTerminal(context: Context, session: Session, order: TerminalOrder): Promise<number> {
  needsTerminal();
  const { signal, screen } = context;
  signal.throwIfAborted();
  const terminal = await session.terminal({
    ...order,
    ...terminalSize(),
    // Node has a WebSocket of its own from version 22 on.
    WebSocket: WebSocket as unknown as TerminalSockets,
    onData: (bytes) => void process.stdout.write(bytes),
  });
  const how = await typing(terminal, signal);
  if (how === "left") {
    screen.note(`\nLeft. It goes on: mooring attach ${session.id} ${terminal.pid}`);
    return exitCodes.done;
  }
  if (how === null)
    throw new CliFault(
      exitCodes.unreachable,
      "The connection to the terminal broke. What runs in it goes on.",
      `mooring attach ${session.id} ${terminal.pid}`,
    );
  return exitCodeOf(how);
}

async function typing(terminal: Terminal, signal: AbortSignal): Promise<TerminalExit | "left" | null> {
  const { stdin, stdout } = process;
  let leave: () => void = () => {};
  const left = new Promise<"left">((resolve) => (leave = () => resolve("left")));
  const onKeys = (keys: Buffer) => {
    const at = keys.indexOf(leaveKey);
    const typed = at === -1 ? keys : keys.subarray(0, at);
    if (typed.length > 0) terminal.write(typed);
    if (at !== -1) leave();
  };
  const onSize = () => {
    const { cols, rows } = terminalSize();
    terminal.resize(cols, rows);
  };
  stdin.setRawMode(true);
  stdin.on("data", onKeys);
  // A progress line before this may have paused stdin, and adding a listener does not resume it.
  stdin.resume();
  stdout.on("resize", onSize);
  signal.addEventListener("abort", leave);
  onSize();
  try {
    return await Promise.race([terminal.closed, left]);
  } finally {
    stdin.off("data", onKeys);
    stdout.off("resize", onSize);
    signal.removeEventListener("abort", leave);
    terminal.close();
    stdin.setRawMode(false);
    // An open stdin would keep this process alive.
    stdin.pause();
  }
}

export function exitCodeOf({ exit_code: code, signal }: TerminalExit): number {
  if (code !== null) return code;
  return 128 + ((constants.signals as Record<string, number>)[signal ?? ""] ?? 0);
}
