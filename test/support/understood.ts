/** Whether `mooring` understands a line as it stands: the command is there, takes so many words, and has every option with such a value. */
import type { Command } from "commander";
import { programFor } from "../../src/cli/program.ts";

/** null: it does. Else what is wrong with it. Nothing is run. */
export function misunderstood(line: string): string | null {
  for (const part of line.split(/[;|]/)) {
    const [program, ...words] = wordsOf(part.trim());
    if (program !== "mooring") return `"${part.trim()}" is no line of mooring`;
    const wrong = wrongWith(words);
    if (wrong !== null) return `${part.trim()}: ${wrong}`;
  }
  return null;
}

function wrongWith(words: readonly string[]): string | null {
  let command: Command = programFor({ env: {}, signal: new AbortController().signal }, "0");
  let rest = [...words];
  for (;;) {
    const next = command.commands.find((each) => each.name() === rest[0] || each.aliases().includes(rest[0] ?? ""));
    if (next === undefined) break;
    command = next;
    rest = rest.slice(1);
  }
  if (rest.length === 1 && rest[0] === "--help") return null;
  if (command.commands.length > 0) return `there is no command ${rest[0] ?? ""}`;
  command.exitOverride().configureOutput({ writeErr: () => {} });
  try {
    const { operands, unknown } = command.parseOptions(rest);
    if (unknown.length > 0) return `it has no ${unknown.join(" ")}`;
    const wanted = command.registeredArguments;
    if (operands.length < wanted.filter(({ required }) => required).length) return "it needs more words";
    return operands.length > wanted.length && !wanted.some(({ variadic }) => variadic) ? "it takes fewer words" : null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** As a shell splits a line, as far as our lines need it. */
function wordsOf(line: string): readonly string[] {
  return [...line.matchAll(/(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+/g)].map(([word]) =>
    word.replace(
      /'([^']*)'|"([^"]*)"|\\(.)/g,
      (_, one?: string, two?: string, three?: string) => one ?? two ?? three ?? "",
    ),
  );
}
