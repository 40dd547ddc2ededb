/**
 * `node toolbox.js <tool> '<order>'`, see src/protocol/sandbox/toolbox.ts. Exits 0 with one JSON document on standard output.
 * Any other exit is a failure, and the last line on standard error says why. It uses the code of the local host, with one
 * difference: it has no memory of earlier looks, so a process that hides from marks and parents ends with the container.
 */
import { transferArchive } from "./archive-transfer.ts";
import { look } from "./look.ts";
import { logs, resources } from "./reports.ts";
import { space, survey, vacate } from "./space.ts";
import { stop } from "./stop.ts";

const tools: Readonly<Record<string, (order: unknown) => Promise<object>>> = {
  look,
  stop,
  resources,
  logs,
  space,
  survey,
  vacate,
  pack: () => transferArchive("pack"),
  unpack: () => transferArchive("unpack"),
};

async function main(tool: string, order: string): Promise<void> {
  const run = tools[tool];
  if (run === undefined) throw new Error(`There is no tool "${tool}": ${Object.keys(tools).join(", ")}.`);
  const report = await run(order === "" ? null : JSON.parse(order));
  // The caller may be gone. Then nobody needs the answer.
  process.stdout.on("error", () => {});
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

main(process.argv[2] ?? "", process.argv[3] ?? "").catch((error: unknown) => {
  // Whatever it left open, a tool that has failed is over: a transfer that stays keeps its port from the next one.
  process.stderr.write(`mooring toolbox: ${error instanceof Error ? error.message : String(error)}\n`, () =>
    process.exit(1),
  );
});
