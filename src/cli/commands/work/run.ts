/**
 * `mooring run`: runs a command in a new sandbox, which is ended and proven gone afterwards, or in a session that
 * exists already.
 */
import { constants } from "node:os";
import type { Command } from "commander";
import type { CreateJob, CreateSession, Job, JobView, Session } from "../../../client/mooring.ts";
import type { Context } from "../../context.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { withOwnSession } from "../../sessions/own-session.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";
import { collect, labelsOf } from "../look/sessions.ts";

interface Flags {
  readonly session?: string;
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly timeout?: string;
  readonly label?: readonly string[];
  readonly interactive?: boolean;
  readonly detach?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function runCommand(shell: Shell): Command {
  const made = command("run", "Run a command in a new sandbox and prove it gone, or in a session with -s", [
    ["mooring run -- node --version", "a sandbox of its own, ended and proven gone afterwards"],
    ["mooring run 'cd src && make test'", "one argument is a shell command"],
    ["mooring run -s ID -- pytest -q", "in a session that is there already"],
    ["echo hello | mooring run -i -- cat", "stdin goes to the command"],
  ])
    .argument("<command...>", "program and arguments; a single argument is run by `sh -c`")
    .passThroughOptions()
    .option("-s, --session <id>", "run it in this session and leave the session as it is")
    .option("-e, --env <name=value>", "set a variable; `-e NAME` takes it from your environment", collect, [])
    .option("-C, --cwd <dir>", "directory below the workspace")
    .option("-t, --timeout <seconds>", "end the command after this time")
    .option("-l, --label <name=value>", "label of the new session; may be repeated", collect, [])
    .option("-i, --interactive", "send stdin to the command")
    .option("-d, --detach", "with -s: print the job's id and do not wait")
    .addHelpText(
      "after",
      "\nExits with the code of the command; 124 when its time ran out, 125 when it could not be run. Ctrl-C ends the command,\nand the session if this command made it.\n",
    );
  return withSharedOptions(made, ["json", "ids"]).action(async (words: string[], flags: Flags) => {
    const context = contextOf(shell, flags);
    const order = orderOf(words, flags, shell.env);
    if (flags.detach === true && flags.session === undefined)
      throw new CliFault(exitCodes.usage, "--detach needs a session: with -s ID. A new one would be ended at once.");
    process.exitCode = await notRunOnFault(() =>
      flags.session === undefined ? runInOwn(context, order, flags) : runIn(context, flags.session, order, flags),
    );
  });
}

async function runInOwn(context: Context, order: CreateJob, flags: Flags): Promise<number> {
  const session: CreateSession = { labels: { ...labelsOf(flags.label), made_by: "mooring-run" }, on_timeout: "kill" };
  if (order.timeout_seconds !== undefined) session.timeout_seconds = order.timeout_seconds + 60;
  const { value, receipt } = await withOwnSession(context, session, (own) => follow(context, own, order, flags));
  if (context.screen.form.json) context.screen.json({ job: value, receipt });
  return exitCodeOf(value);
}

async function runIn(context: Context, id: string, order: CreateJob, flags: Flags): Promise<number> {
  const session = context.mooring().session(id);
  if (flags.detach === true) {
    const job = await session.run(order, { signal: context.signal });
    if (context.screen.form.json) context.screen.json(await job.read());
    else context.screen.line(job.id);
    context.screen.note(`Follow it with: mooring logs -f ${id} ${job.id}`);
    return exitCodes.done;
  }
  const view = await follow(context, session, order, flags);
  if (context.screen.form.json) context.screen.json({ job: view, receipt: null });
  return exitCodeOf(view);
}

/**
 * Runs the job and passes its output on byte for byte. On Ctrl-C the job is cancelled first, then `Interrupted` is
 * thrown.
 */
async function follow(context: Context, session: Session, order: CreateJob, flags: Flags): Promise<JobView> {
  const { signal, screen } = context;
  // Not under the Ctrl-C signal: if this call were aborted, the job might run all the same, and nobody would know the
  // id to cancel it by.
  const job = await session.run({ ...order, stdin_open: flags.interactive === true });
  try {
    signal.throwIfAborted();
    const feeding = flags.interactive === true ? feed(job, signal) : Promise.resolve();
    const output = job.outputBytes({ signal });
    for (;;) {
      const next = await output.next();
      if (next.done === true) {
        // stdin may stay open for ever and would keep this process alive. Nothing reads it any more.
        if (flags.interactive === true) process.stdin.destroy();
        feeding.catch(() => {});
        return next.value;
      }
      if (!screen.form.json && !process.stdout.write(next.value)) await drained();
    }
  } catch (error) {
    if (signal.aborted) await job.cancel().catch(() => {});
    throw error;
  }
}

/** Passes stdin on to the job, then closes the job's stdin. */
async function feed(job: Job, signal: AbortSignal): Promise<void> {
  for await (const chunk of process.stdin) await job.write(chunk as Buffer, { signal });
  await job.write("", { end: true, signal });
}

function drained(): Promise<void> {
  return new Promise((resolve) => process.stdout.once("drain", resolve));
}

export function exitCodeOf({ state, exit_code: code, signal }: JobView): number {
  if (state === "timed_out") return exitCodes.timedOut;
  if (code !== null) return code;
  if (signal !== null) return 128 + ((constants.signals as Record<string, number>)[signal] ?? 0);
  return exitCodes.notRun;
}

/**
 * Uses an exit code of its own when the command was not run, so that a script can tell "it failed" from "it never ran".
 */
async function notRunOnFault(act: () => Promise<number>): Promise<number> {
  try {
    return await act();
  } catch (error) {
    process.exitCode = exitCodes.notRun;
    throw error;
  }
}

function orderOf(words: readonly string[], flags: Flags, env: Shell["env"]): CreateJob {
  const [first = ""] = words;
  const order: CreateJob = words.length === 1 ? { command: first } : { argv: [...words] };
  if (flags.cwd !== undefined) order.cwd = flags.cwd;
  if (flags.timeout !== undefined) order.timeout_seconds = secondsOf(flags.timeout, "--timeout");
  const given = environmentOf(flags.env ?? [], env);
  if (given !== null) order.env = given;
  return order;
}

/** Reads `NAME=value`, or `NAME` with its value from the environment. null: no variable was given. */
export function environmentOf(given: readonly string[], env: Shell["env"]): Record<string, string> | null {
  if (given.length === 0) return null;
  const named = given.map((each): readonly [string, string] => {
    const at = each.indexOf("=");
    return at === -1 ? [each, env[each] ?? ""] : [each.slice(0, at), each.slice(at + 1)];
  });
  return Object.fromEntries(named);
}

export function secondsOf(text: string, flag: string): number {
  const [, digits, unit] = /^([1-9]\d{0,7})(s|m|h|d)?$/.exec(text) ?? [];
  if (digits === undefined) throw new CliFault(exitCodes.usage, `${flag} must look like 90, 90s, 15m, 2h or 1d.`);
  return Number(digits) * ({ s: 1, m: 60, h: 3_600, d: 86_400 }[unit ?? "s"] ?? 1);
}
