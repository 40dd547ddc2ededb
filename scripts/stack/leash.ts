/**
 * A child process that cannot outlive us. Each runs in a process group of its own under a few lines of shell that hold
 * the other end of a pipe: when the pipe closes, because we stop it or because we were killed, the child gets SIGTERM,
 * and after the grace whatever is left of its group gets SIGKILL. So the way out that an accident takes is the one that
 * every ordinary stop takes too. Only groups that were started here are ever signalled.
 */
import { spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

export interface LeashOrder {
  /** For messages: "The local host". */
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Standard error goes here, and standard output unless `onLine` takes it. */
  readonly logFile: string;
  readonly onLine?: (line: string) => void;
  /** From SIGTERM to SIGKILL. */
  readonly graceSeconds: number;
}

export interface Leash {
  readonly name: string;
  readonly logFile: string;
  /** The group: every process in it was started by us. */
  readonly group: number;
  /** Resolves once when the child has ended, by itself or not. */
  readonly ended: Promise<string>;
  alive(): boolean;
  /** What it wrote to the log since this start. */
  said(): string;
  /** Idempotent. Resolves when no process of the group is left. */
  stop(): Promise<void>;
  /** Without any grace, as an accident would: for tests. */
  kill(): Promise<void>;
}

// `exec 3<&0`: a background command of a non-interactive shell reads from /dev/null, so the pipe moves to descriptor 3.
const leashScript = `
grace=$1; shift
exec 3<&0 </dev/null
"$@" 3<&- &
child=$!
( cat <&3; kill -TERM "$child"; sleep "$grace"; kill -KILL 0 ) >/dev/null 2>&1 &
exec 3<&-
wait "$child"
`;

export function spawnLeashed(order: LeashOrder): Leash {
  const log = openSync(order.logFile, "a", 0o600);
  const logFrom = fstatSync(log).size;
  const takesLines = order.onLine !== undefined;
  const child = spawn("sh", ["-c", leashScript, "leash", String(order.graceSeconds), ...order.command], {
    cwd: order.cwd,
    env: order.env,
    detached: true,
    stdio: ["pipe", takesLines ? "pipe" : log, log],
  });
  closeSync(log);
  // A pipe to a process that has just ended answers EPIPE; `ended` tells the story.
  child.stdin?.on("error", () => {});
  if (order.onLine !== undefined) forwardLines(child.stdout, order.onLine);
  const group = child.pid;
  const ended = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => {
      if (group !== undefined) signalGroup(group, "SIGKILL");
      resolve(signal === null ? `exit code ${code}` : signal);
    });
  });
  if (group === undefined) throw new Error(`${order.name} could not be started: no shell.`);

  const gone = async (): Promise<void> => {
    await ended;
    while (groupMembers(group).length > 0) await pause(10);
  };
  return {
    name: order.name,
    logFile: order.logFile,
    group,
    ended,
    said: () => readFileSync(order.logFile).subarray(logFrom).toString(),
    alive: () => child.exitCode === null && child.signalCode === null,
    stop: async () => {
      child.stdin?.end();
      // The shell itself could be stopped; then nobody but us is left to end the group.
      const late = setTimeout(() => signalGroup(group, "SIGKILL"), order.graceSeconds * 1_000 + 1_000);
      await gone();
      clearTimeout(late);
    },
    kill: async () => {
      signalGroup(group, "SIGKILL");
      await gone();
    },
  };
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // Nobody is left in it.
  }
}

/** The live processes of a group. A zombie is not alive: where PID 1 reaps nobody it stays for ever. */
export function groupMembers(group: number): readonly number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        // The name may hold anything, so read behind its closing parenthesis: state, parent, group.
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const [state, , itsGroup] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return itsGroup === String(group) && state !== "Z" && state !== "X";
      } catch {
        return false;
      }
    })
    .map(Number);
}

function forwardLines(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  let rest = "";
  stream?.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}
