/** How every script reads its command line: `--help` prints the usage; a wrong flag is named above the usage, with exit 2. */
import { parseArgs, type ParseArgsConfig } from "node:util";

type Parsed<T extends ParseArgsConfig> = ReturnType<typeof parseArgs<T>>;

/** Ends the process for `--help` (0) and for a command line that does not fit (2). */
export function readCommandLine<const T extends ParseArgsConfig>(usage: string, config: T): Parsed<T> {
  const args = config.args ?? process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    const why = error instanceof Error ? error.message : "The command line is wrong.";
    // Node goes on with advice about `--` that would only hide the mistake.
    process.stderr.write(`${why.replace(/\. To specify a positional .*/s, ".")}\n${usage}\n`);
    process.exit(2);
  }
}
