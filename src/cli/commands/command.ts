/** How commands are made: the options that every command has, the context, and one place where errors are reported. */
import { Command, Option } from "commander";
import { Context } from "../context.ts";
import { Screen } from "../screen/screen.ts";
import { type AccessFlags, accessOf } from "../settings/access.ts";

export interface Shell {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

interface SharedFlags extends AccessFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Examples as shown below a help text: the command, and what it does. */
export type Examples = readonly (readonly [command: string, does: string])[];

export function command(name: string, summary: string, examples: Examples = []): Command {
  const made = new Command(name).summary(summary).description(summary).showSuggestionAfterError();
  if (examples.length > 0) made.addHelpText("after", examplesText(examples));
  return made;
}

/** `json`: the command has an answer that a script may want whole. `ids`: its answer is also a list. */
export function withSharedOptions(made: Command, forms: readonly ("json" | "ids")[] = ["json"]): Command {
  made.optionsGroup("Everywhere:");
  if (forms.includes("json")) made.addOption(new Option("--json", "answer as one JSON document, for scripts"));
  if (forms.includes("ids")) made.addOption(new Option("-q, --quiet", "ids only, one a line"));
  return made
    .option("--profile <name>", "use this profile (made by `mooring login`)")
    .option("--url <url>", "where Mooring is, instead of MOORING_URL and the profile")
    .option("--key-file <file>", "read the API key or admin token from a file; `-` is stdin");
}

/** `given`: the flags of any command that has the shared options. */
export function contextOf(shell: Shell, given: object): Context {
  const flags: SharedFlags = given;
  const screen = new Screen({ json: flags.json === true, quiet: flags.quiet === true }, shell.env);
  return new Context(accessOf(flags, shell.env), screen, shell.env, shell.signal);
}

function examplesText(examples: Examples): string {
  const width = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, does]) => `  $ ${line.padEnd(width)}  # ${does}`.trimEnd());
  return `\nExamples:\n${lines.join("\n")}\n`;
}
