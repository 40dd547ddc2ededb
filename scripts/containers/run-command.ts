/** One command to its end: never waits for ever, and a failure carries the last line that the command said. */
import { spawnSync } from "node:child_process";

export interface Ran {
  readonly ok: boolean;
  readonly stdout: string;
  /** Empty when it succeeded. */
  readonly why: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
  readonly timeoutMs?: number;
}

export function run(command: string, args: readonly string[], options: CommandOptions = {}): Ran {
  const ran = spawnSync(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    encoding: "utf8",
    input: options.input ?? "",
    timeout: options.timeoutMs ?? 60_000,
    killSignal: "SIGKILL",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (ran.error === undefined && ran.status === 0) return { ok: true, stdout: ran.stdout, why: "" };
  const said = (ran.stderr ?? "").trim().split("\n").at(-1) ?? "";
  const how = ran.error?.message ?? (ran.signal === null ? `exit code ${ran.status}` : ran.signal);
  return { ok: false, stdout: ran.stdout ?? "", why: `${command} ${args[0] ?? ""}: ${said === "" ? how : said}` };
}

/** As `run`, for a step that the rest cannot do without. */
export function must(command: string, args: readonly string[], options: CommandOptions = {}): string {
  const ran = run(command, args, options);
  if (!ran.ok) throw new Error(ran.why);
  return ran.stdout;
}
