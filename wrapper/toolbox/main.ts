/**
 * `node toolbox.js <tool> '<order>'`, see src/protocol/toolbox.ts. Exit 0 with one JSON document on standard output; anything
 * else is a failure whose last line on standard error says why. It reads what the host reads (wrapper/host), with one
 * difference: it has no memory of earlier looks, so what hides from its marks and its parents is the container's to end.
 */
import { courier } from "./courier.ts";
import { look } from "./look.ts";
import { logs, resources } from "./reports.ts";
import { space, survey, vacate } from "./room.ts";
import { stop } from "./stop.ts";

const tools: Readonly<Record<string, (order: unknown) => Promise<object>>> = {
  look,
  stop,
  resources,
  logs,
  space,
  survey,
  vacate,
  pack: () => courier("pack"),
  unpack: () => courier("unpack"),
};

async function main(tool: string, order: string): Promise<void> {
  const run = tools[tool];
  if (run === undefined) throw new Error(`There is no tool "${tool}": ${Object.keys(tools).join(", ")}.`);
  const report = await run(order === "" ? null : JSON.parse(order));
  // Whoever called may be gone; then nobody misses it.
  process.stdout.on("error", () => {});
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

main(process.argv[2] ?? "", process.argv[3] ?? "").catch((error: unknown) => {
  process.stderr.write(`mooring toolbox: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
