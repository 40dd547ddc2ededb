/**
 * The command language that jobs of the memory world run: steps joined by `;` (or, in an argument vector, one step).
 * A small part of it means the same in a real shell, so that one test can run against every provider.
 *
 *   echo TEXT            writes TEXT and a newline
 *   printenv NAME        writes that variable and a newline
 *   sleep SECONDS        fractions allowed
 *   exit CODE            ends the job
 *   cat                  copies stdin to output until stdin is closed
 *   cat NAME             writes that file of the workspace, or "not found" and ends the job with 1
 *   write NAME TEXT      makes that file: TEXT and a newline
 *   spew BYTES           writes that many bytes at once (also: head -c BYTES /dev/zero)
 *   ignore-term          SIGTERM has no effect from here on (also: trap '' TERM)
 *   fork                 a child in a session of its own that sleeps for ever and ignores SIGTERM
 *   git-clone URL REF    the files of that repository of the world into the workspace; ends the job with 128 without it
 *   crash                dies by SIGSEGV
 *
 * A step it does not know writes "not found" and ends the job with 127, as a shell would.
 */
export type Step =
  | { readonly type: "write"; readonly text: string }
  | { readonly type: "printVariable"; readonly name: string }
  | { readonly type: "spew"; readonly bytes: number }
  | { readonly type: "sleep"; readonly ms: number }
  | { readonly type: "exit"; readonly code: number }
  | { readonly type: "copyStdin" }
  | { readonly type: "writeFile"; readonly name: string; readonly text: string }
  | { readonly type: "printFile"; readonly name: string }
  | { readonly type: "ignoreTerm" }
  | { readonly type: "fork" }
  | { readonly type: "clone"; readonly url: string; readonly ref: string }
  | { readonly type: "crash" };

export type JobProgram = readonly Step[];

export function parseJobProgram(order: {
  readonly command?: string | undefined;
  readonly argv?: readonly string[] | undefined;
}): JobProgram {
  const texts = order.argv === undefined ? (order.command ?? "").split(";") : [order.argv.join(" ")];
  return texts
    .map((text) => text.trim())
    .filter((text) => text !== "")
    .flatMap(parseStep);
}

function parseStep(text: string): readonly Step[] {
  const space = text.indexOf(" ");
  const word = space < 0 ? text : text.slice(0, space);
  const rest = space < 0 ? "" : text.slice(space + 1).trim();
  switch (word) {
    case "echo":
      return [{ type: "write", text: `${unquoted(rest)}\n` }];
    case "printenv":
      return [{ type: "printVariable", name: rest }];
    case "sleep":
      return number(rest, (seconds) => ({ type: "sleep", ms: Math.round(seconds * 1_000) })) ?? unknown(text);
    case "exit":
      return number(rest === "" ? "0" : rest, (code) => ({ type: "exit", code })) ?? unknown(text);
    case "spew":
      return number(rest, (bytes) => ({ type: "spew", bytes })) ?? unknown(text);
    case "head": {
      const bytes = /^-c (\d+) \/dev\/zero$/.exec(rest)?.[1];
      return bytes === undefined ? unknown(text) : [{ type: "spew", bytes: Number(bytes) }];
    }
    case "cat":
      return rest === "" ? [{ type: "copyStdin" }] : [{ type: "printFile", name: unquoted(rest) }];
    case "write": {
      const [, name, content] = /^(\S+) (.*)$/.exec(rest) ?? [];
      if (name === undefined || content === undefined) return unknown(text);
      return [{ type: "writeFile", name, text: `${unquoted(content)}\n` }];
    }
    case "ignore-term":
      return [{ type: "ignoreTerm" }];
    case "trap":
      return /^(''|"") TERM$/.test(rest) ? [{ type: "ignoreTerm" }] : unknown(text);
    case "fork":
      return [{ type: "fork" }];
    case "git-clone": {
      const [url = "", ref = ""] = rest.split(" ");
      return [{ type: "clone", url, ref }];
    }
    case "crash":
      return [{ type: "crash" }];
    case "true":
      return [];
    case "false":
      return [{ type: "exit", code: 1 }];
    default:
      return unknown(text);
  }
}

function number(text: string, step: (value: number) => Step): readonly Step[] | null {
  return /^\d+(\.\d+)?$/.test(text) ? [step(Number(text))] : null;
}

function unquoted(text: string): string {
  return /^'[^']*'$|^"[^"]*"$/.test(text) ? text.slice(1, -1) : text;
}

function unknown(text: string): readonly Step[] {
  return [
    { type: "write", text: `${text.split(" ")[0] ?? ""}: not found\n` },
    { type: "exit", code: 127 },
  ];
}
