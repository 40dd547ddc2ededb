/** E2B's `process.Process`: commands and terminals that a client starts, over the processes of this sandbox. */
import { z } from "zod";
import type { Exchange, ServiceRoute } from "../exchange.ts";
import type { ClientProcess } from "../processes/client-process.ts";
import type { ProcessOrder } from "../processes/start-program.ts";
import type { ClientProcesses } from "../processes/client-processes.ts";
import type { StreamName } from "../processes/output-ring.ts";
import { ServiceFailure } from "../service-failure.ts";
import { checkCaller } from "./caller.ts";
import type { E2bPaths } from "./e2b-paths.ts";
import { RpcFailure, type Sending, serverStream, timeoutOf, unary } from "./rpc.ts";

const config = z.object({
  cmd: z.string().min(1),
  args: z.array(z.string()).default([]),
  envs: z.record(z.string(), z.string()).default({}),
  cwd: z.string().nullish(),
});
const side = z.int().min(1).max(1_000);
const size = z.object({ cols: side, rows: side });
const pty = z.object({ size: size.nullish() });
const start = z.object({
  process: config,
  pty: pty.nullish(),
  tag: z.string().nullish(),
  /** Absent: of a client that knows nothing of it and may write. */
  stdin: z.boolean().nullish(),
});
const selector = z.object({ pid: z.int().nullish(), tag: z.string().nullish() });
const one = z.object({ process: selector });
const base64 = z.base64();
const sendInput = one.extend({ input: z.object({ stdin: base64.nullish(), pty: base64.nullish() }) });
const signal = z.union([z.enum(["SIGNAL_UNSPECIFIED", "SIGNAL_SIGTERM", "SIGNAL_SIGKILL"]), z.int()]);
const sendSignal = one.extend({ signal });
const update = one.extend({ pty: pty.nullish() });

type Config = z.infer<typeof config>;
type Selector = z.infer<typeof selector>;

/** As much as E2B's own sends in one event. */
const maxChunkBytes = 32_768;
const keepAlive = { event: { keepalive: {} } };
const usualSize = { cols: 80, rows: 24 };

/** `environment`: of every process, before what the request adds. */
export function processMethods(
  processes: ClientProcesses,
  paths: E2bPaths,
  environment: Readonly<Record<string, string>>,
): readonly ServiceRoute[] {
  const find = (selected: Selector) => found(processes, selected);
  return [
    serverStream("process.Process/Start", start, keepAlive, async (message, sending, exchange) => {
      checkCaller(exchange.request.headers.authorization);
      const process = await processes.start(orderOf(message, paths, exchange), environment).catch((error: unknown) => {
        throw startError(error, message.process);
      });
      await follow(process, 0, sending);
    }),
    serverStream("process.Process/Connect", one, keepAlive, async (message, sending) => {
      const process = find(message.process);
      // A new listener starts at the current end: earlier output went to earlier listeners.
      await follow(process, process.output.totalBytes, sending);
    }),
    unary("process.Process/List", z.object({}), () => ({
      processes: processes.all().flatMap((process) => {
        const { pid, tag } = process.view();
        return process.running ? [{ config: configOf(process, paths), pid, ...(tag === null ? {} : { tag }) }] : [];
      }),
    })),
    unary("process.Process/SendInput", sendInput, async ({ process: selected, input }) => {
      const process = find(selected);
      const isForTerminal = input.pty !== undefined && input.pty !== null;
      if (isForTerminal !== process.isTerminal)
        throw new RpcFailure("internal", isForTerminal ? "This process has no tty." : "This process has a tty.");
      const bytes = Buffer.from(input.pty ?? input.stdin ?? "", "base64");
      if (bytes.length > 0) await process.write(bytes);
      return {};
    }),
    unary("process.Process/StreamInput", z.unknown(), () => {
      throw new RpcFailure("unimplemented", "Send input with SendInput: StreamInput is not served here.");
    }),
    unary("process.Process/CloseStdin", one, ({ process: selected }) => {
      const process = find(selected);
      if (process.isTerminal)
        throw new RpcFailure("unknown", "A terminal has no end of input of its own: send the byte 4 (Ctrl-D).");
      process.closeStdin();
      return {};
    }),
    unary("process.Process/SendSignal", sendSignal, (message) => {
      find(message.process).signal(signalOf(message.signal), false);
      return {};
    }),
    unary("process.Process/Update", update, (message) => {
      const process = find(message.process);
      if (!process.isTerminal) throw new RpcFailure("internal", "This process has no tty.");
      const wanted = message.pty?.size;
      if (wanted !== undefined && wanted !== null) process.resize(wanted);
      return {};
    }),
  ];
}

function orderOf(
  { process: { cmd, args, envs, cwd }, pty: terminal, tag, stdin }: z.infer<typeof start>,
  paths: E2bPaths,
  exchange: Exchange,
): ProcessOrder {
  const timeoutMs = timeoutOf(exchange);
  const env = Object.fromEntries(Object.entries(envs).filter(([name]) => !name.startsWith("MOORING_")));
  const isTerminal = terminal !== undefined && terminal !== null;
  return {
    argv: [cmd, ...args],
    env,
    stdin: stdin !== false && !isTerminal,
    // As there: what holds the output open keeps its reader.
    end_with: "output",
    cwd: paths.resolve(Buffer.from(cwd === undefined || cwd === null || cwd === "" ? "." : cwd)).text,
    ...(isTerminal ? { terminal: terminal.size ?? usualSize } : {}),
    ...(tag === undefined || tag === null ? {} : { tag }),
    ...(timeoutMs === null ? {} : { timeout_seconds: timeoutMs / 1_000 }),
  };
}

/** Whatever is wrong with the start is wrong with the request. */
function startError(error: unknown, { cwd }: Config): unknown {
  if (!(error instanceof ServiceFailure)) return error;
  const { code, message } = error.error;
  if (code === "not_found") return new RpcFailure("invalid_argument", `cwd '${cwd ?? ""}' does not exist`);
  if (code === "not_a_directory") return new RpcFailure("invalid_argument", `cwd '${cwd ?? ""}' is not a directory`);
  return code === "permission_denied" ? new RpcFailure("invalid_argument", message) : error;
}

const outputNames: Readonly<Record<StreamName, string>> = { stdout: "stdout", stderr: "stderr", terminal: "pty" };

/** Tells everything from `offset`, until the process ends or the client is gone, which ends nothing. */
async function follow(process: ClientProcess, offset: number, sending: Sending): Promise<void> {
  sending.message({ event: { start: { pid: process.pid } } });
  for await (const part of process.output.follow(offset, sending.gone)) {
    // A reader that was too slow beside a faster one has lost something, which this protocol has no word for.
    if (part.type === "gap") continue;
    for (let at = 0; at < part.bytes.length; at += maxChunkBytes) {
      const data = part.bytes.subarray(at, at + maxChunkBytes).toString("base64");
      if (!sending.message({ event: { data: { [outputNames[part.stream]]: data } } })) await sending.drained();
    }
  }
  if (sending.gone.aborted) return;
  await process.ended;
  sending.message({ event: { end: endEvent(process) } });
}

/** In the words of Go, which E2B's clients show. */
function endEvent(process: ClientProcess): object {
  const { exit_code: code, signal: name, timed_out: timedOut } = process.exit();
  if (timedOut) throw new RpcFailure("deadline_exceeded", "The process was killed at the end of its timeout.");
  if (name !== null) {
    const status = `signal: ${signalWords[name] ?? name}`;
    return { exitCode: -1, exited: false, status, error: status };
  }
  const status = `exit status ${code ?? -1}`;
  return { exitCode: code ?? -1, exited: true, status, ...(code === 0 ? {} : { error: status }) };
}

const signalWords: Readonly<Record<string, string>> = {
  SIGKILL: "killed",
  SIGTERM: "terminated",
  SIGINT: "interrupt",
  SIGHUP: "hangup",
  SIGSEGV: "segmentation fault",
  SIGABRT: "aborted",
  SIGPIPE: "broken pipe",
};

function signalOf(given: z.infer<typeof signal>): NodeJS.Signals {
  if (given === "SIGNAL_SIGKILL" || given === 9) return "SIGKILL";
  if (given === "SIGNAL_SIGTERM" || given === 15) return "SIGTERM";
  throw new RpcFailure("unimplemented", `invalid signal: ${given}. SIGNAL_SIGTERM and SIGNAL_SIGKILL are served.`);
}

function found(processes: ClientProcesses, selected: Selector): ClientProcess {
  const { pid, tag } = selected;
  const byTag = pid === undefined || pid === null;
  const process = processes
    .all()
    .find((each) => (byTag ? each.running && each.view().tag === (tag ?? "") : each.pid === pid));
  if (process !== undefined) return process;
  throw new RpcFailure("not_found", `process with ${byTag ? `tag ${tag ?? ""}` : `pid ${pid}`} not found`);
}

function configOf(process: ClientProcess, paths: E2bPaths): Config {
  const { argv, env: envs, cwd } = process.view();
  const [cmd = "", ...args] = argv;
  return { cmd, args, envs, cwd: paths.shown(cwd) };
}
