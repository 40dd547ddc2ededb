/** A program in a terminal by `script` of util-linux, which makes the terminal and passes on what goes through it. */

interface ScriptSize {
  readonly cols: number;
  readonly rows: number;
}

/** Its exit code is the program's, or 128 and the number of the signal that ended the program. */
export function inScript(argv: readonly string[], { cols, rows }: ScriptSize): readonly [string, ...string[]] {
  const line = `stty cols ${cols} rows ${rows}; exec ${argv.map(quoted).join(" ")}`;
  return ["script", "-q", "-e", "-f", "-c", line, "/dev/null"];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
