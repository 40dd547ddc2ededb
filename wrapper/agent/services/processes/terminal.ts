/** A program in a pseudo terminal: by node-pty's native part, or by `script` of util-linux where that cannot be loaded. */
import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants as access, readFileSync, readlinkSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { ReadStream } from "node:tty";
import { placesOf, startFailure } from "../../jobs/start-failure.ts";
import { inScript } from "../../script-terminal.ts";
import { ServiceFailure } from "../service-failure.ts";
import { nativeTerminals } from "./native-terminal.ts";
import { hasErrno } from "../../../proc/errno.ts";

export interface TerminalSize {
  readonly cols: number;
  readonly rows: number;
}

export interface TerminalOrder extends TerminalSize {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface Terminal {
  readonly pid: number;
  readonly onData: (take: (bytes: Buffer) => void) => void;
  /** Resolves when nothing more can be read. */
  readonly drained: Promise<void>;
  readonly exited: Promise<Exit>;
  readonly pause: (pause: boolean) => void;
  /** Resolves when the terminal has taken it. */
  readonly write: (bytes: Buffer) => Promise<void>;
  readonly resize: (size: TerminalSize) => void;
  readonly close: () => void;
}

export async function openTerminal(order: TerminalOrder): Promise<Terminal> {
  const why = whyNot(order);
  if (why !== null) throw new ServiceFailure("cannot_start", why);
  const native = nativeTerminals();
  return native === null ? byScript(order) : byNative(native, order);
}

/** Asked before: what makes the terminal begins in any case, and does not tell why its program did not. */
function whyNot({ argv, cwd: directory, environment }: TerminalOrder): string | null {
  const attempted = { file: argv[0] ?? "", directory, environment };
  let first: unknown = null;
  for (const place of placesOf(attempted)) {
    try {
      accessSync(place, access.X_OK);
      return null;
    } catch (error) {
      first ??= error;
    }
  }
  return startFailure(first, { ...attempted, user: null }).message;
}

function byNative(native: NonNullable<ReturnType<typeof nativeTerminals>>, order: TerminalOrder): Terminal {
  const { argv, cwd, cols, rows } = order;
  const [file = "", ...args] = argv;
  const environment = Object.entries(order.environment).map(([name, value]) => `${name}=${value}`);
  let exit: (exit: Exit) => void = () => {};
  const exited = new Promise<Exit>((resolve) => {
    exit = resolve;
  });
  const took = (code: number, signal: number): void =>
    exit(signal > 0 ? { code: null, signal: signalName(signal) } : { code, signal: null });
  const { fd, pid } = native.fork(file, args, environment, cwd, cols, rows, -1, -1, true, "", took);
  const stream = new ReadStream(fd);
  const drained = new Promise<void>((resolve) => {
    stream.once("close", resolve);
    // EIO: nobody has the other side open any more. That is how a terminal ends.
    stream.on("error", () => stream.destroy());
  });
  return {
    pid,
    onData: (take) => stream.on("data", take),
    drained,
    exited,
    pause: (stop) => void (stop ? stream.pause() : stream.resume()),
    write: (bytes) => written(stream, fd, bytes),
    resize: (size) => {
      if (!stream.destroyed) native.resize(fd, size.cols, size.rows);
    },
    close: () => stream.destroy(),
  };
}

/** A terminal takes 4 kB at a time, and nothing while its program does not read. */
async function written(stream: ReadStream, fd: number, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    if (stream.destroyed) throw new ServiceFailure("process_ended", "The terminal is closed.");
    try {
      done += writeSync(fd, bytes, done, Math.min(4_096, bytes.length - done));
    } catch (error) {
      if (!hasErrno(error, "EAGAIN")) throw error;
      await pause(10);
    }
  }
}

/** The terminal is made by a program of its own, whose only child is the one that was asked for. */
async function byScript(order: TerminalOrder): Promise<Terminal> {
  const [script, ...args] = inScript(order.argv, order);
  const child = spawn(script, args, {
    cwd: order.cwd,
    env: { ...order.environment, SHELL: "/bin/sh" },
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
  });
  child.on("error", () => {});
  if (child.pid === undefined)
    throw new ServiceFailure(
      "unsupported",
      "This image can open no terminal: it has neither a C library that ours fits, nor `script` of util-linux.",
    );
  const { stdin, stdout, pid: outer } = child;
  stdin.on("error", () => {});
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => resolve(exitOfShell(code, signal)));
  });
  const pid = await onlyChild(outer, exited);
  return {
    pid,
    onData: (take) => stdout.on("data", take),
    drained: new Promise((resolve) => stdout.once("close", resolve)),
    exited,
    pause: (stop) => void (stop ? stdout.pause() : stdout.resume()),
    write: (bytes) => new Promise((resolve) => stdin.write(bytes, () => resolve())),
    resize: ({ cols, rows }) => {
      try {
        const device = readlinkSync(`/proc/${pid}/fd/0`);
        spawnSync("stty", ["-F", device, "cols", String(cols), "rows", String(rows)], { stdio: "ignore" });
      } catch {
        // It has ended.
      }
    },
    close: () => stdout.destroy(),
  };
}

async function onlyChild(outer: number, exited: Promise<unknown>): Promise<number> {
  const over = { ended: false };
  void exited.then(() => (over.ended = true));
  while (!over.ended) {
    const text = read(`/proc/${outer}/task/${outer}/children`).trim();
    if (text !== "") return Number(text.split(" ")[0]);
    await pause(5);
  }
  return outer;
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** `script -e` exits as a shell does: 128 and the signal's number. */
function exitOfShell(code: number | null, signal: string | null): Exit {
  return code !== null && code > 128 ? { code: null, signal: signalName(code - 128) } : { code, signal };
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return found?.[0] ?? `SIG${number}`;
}
