/** `mooring exec` and `mooring attach`: a process in a session's sandbox, without a record; with -t in a terminal. */
import type { Command } from "commander";
import type { Session, StartProcess } from "../../../client/mooring.ts";
import type { Context } from "../../context.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { attachTerminal, exitCodeOf, needsTerminal, terminalSize } from "../../sessions/terminal.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";
import { collect } from "../look/sessions.ts";
import { environmentOf } from "./run.ts";

interface Flags {
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly interactive?: boolean;
  readonly tty?: boolean;
}

export function execCommand(shell: Shell): Command {
  const made = command("exec", "Run a program in a session's sandbox, now and without a record", [
    ["mooring exec -it ID -- bash", "in a terminal; Ctrl-] leaves it, and it goes on"],
    ["mooring exec ID -- git status", "its two outputs apart, its exit code"],
    ["cat dump.sql | mooring exec -i ID -- sqlite3 app.db", "stdin goes to it"],
  ])
    .argument("<session>", "id of the session")
    .argument("<command...>", "program and arguments; a single argument is run by `sh -c`")
    .passThroughOptions()
    .option("-i, --interactive", "send stdin to it")
    .option("-t, --tty", "in a terminal")
    .option("-e, --env <name=value>", "set a variable; `-e NAME` takes it from your environment", collect, [])
    .option("-C, --cwd <dir>", "directory below the workspace")
    .addHelpText(
      "after",
      "\nExits with the code of the program. What must be done whatever happens to this connection is a job: mooring run -s ID.\n",
    );
  return withSharedOptions(made, []).action(async (id: string, words: string[], flags: Flags) => {
    const context = contextOf(shell, flags);
    const session = context.mooring().session(id);
    const order = orderOf(words, flags, shell.env);
    process.exitCode =
      flags.tty === true ? await inTerminal(context, session, order) : await through(context, session, order, flags);
  });
}

export function attachCommand(shell: Shell): Command {
  const made = command("attach", "Open a terminal in a session, or come back to one", [
    ["mooring attach ID", "a shell; Ctrl-] leaves it, and it goes on"],
    ["mooring attach ID 4711", "back to the terminal with that pid"],
  ])
    .argument("<session>", "id of the session")
    .argument("[pid]", "of a terminal that is there; left out: a new shell");
  return withSharedOptions(made, []).action(async (id: string, pid: string | undefined, flags: object) => {
    const context = contextOf(shell, flags);
    if (pid !== undefined && !/^[1-9]\d{0,9}$/.test(pid)) throw new CliFault(exitCodes.usage, `"${pid}" is no pid.`);
    const order = pid === undefined ? {} : { pid: Number(pid) };
    process.exitCode = await attachTerminal(context, context.mooring().session(id), order);
  });
}

/** Commander passes on everything after the session's id, including the `--` before the program. */
function orderOf(given: readonly string[], flags: Flags, env: Shell["env"]): StartProcess {
  const words = given[0] === "--" ? given.slice(1) : given;
  if (words.length === 0) throw new CliFault(exitCodes.usage, "No program is named.", "mooring exec --help");
  const [first = ""] = words;
  const order: StartProcess = words.length === 1 ? { command: first } : { argv: [...words] };
  if (flags.cwd !== undefined) order.cwd = flags.cwd;
  const variables = environmentOf(flags.env ?? [], env);
  if (variables !== null) order.env = variables;
  return order;
}

async function inTerminal(context: Context, session: Session, order: StartProcess): Promise<number> {
  needsTerminal();
  const { pid } = await session.start({ ...order, terminal: terminalSize() }, { signal: context.signal });
  return await attachTerminal(context, session, { pid });
}

/**
 * Runs the process and passes its output through. Ctrl-C also ends the process in the sandbox, because nobody else
 * knows that it runs.
 */
async function through(context: Context, session: Session, order: StartProcess, flags: Flags): Promise<number> {
  const { signal } = context;
  const started = await session.start({ ...order, stdin: flags.interactive === true });
  try {
    signal.throwIfAborted();
    const feeding =
      flags.interactive === true
        ? (async () => {
            for await (const chunk of process.stdin) await started.write(chunk as Buffer, { signal });
            await started.write("", { end: true, signal });
          })()
        : Promise.resolve();
    // The process may end without reading all of its input. That is no error.
    feeding.catch(() => {});
    const output = started.output({ signal });
    for (;;) {
      const next = await output.next();
      if (next.done === true) {
        if (flags.interactive === true) process.stdin.destroy();
        return exitCodeOf(next.value);
      }
      const { value } = next;
      if (value.stream === "gap") context.screen.note(`… ${value.to - value.offset} bytes were lost here …`);
      else await written(value.stream === "stderr" ? process.stderr : process.stdout, value.bytes);
    }
  } catch (error) {
    if (signal.aborted) await started.end().catch(() => {});
    throw error;
  }
}

async function written(sink: NodeJS.WriteStream, bytes: Uint8Array): Promise<void> {
  if (!sink.write(bytes)) await new Promise((resolve) => sink.once("drain", resolve));
}
