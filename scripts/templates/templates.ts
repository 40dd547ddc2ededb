/**
 * `npm run templates -- build NAME [--dry-run]`: prepares a template by commands (recipes.ts), with no Docker: a container of the account with
 * Internet runs them, then the platform keeps it as a snapshot, and the line for TEMPLATES in wrangler.toml is printed. Build it again when
 * sandboxes fail to start because the snapshot is gone. `--dry-run` asks no account.
 */
import { readCommandLine } from "../command-line.ts";
import { AccountWorker, freshBox } from "../probe/account-worker.ts";
import { buildTemplate } from "./build-template.ts";
import { type Recipe, recipes } from "./recipes.ts";

const usage = `Usage: npm run templates -- build NAME [--dry-run]\nNAME: ${Object.keys(recipes).join(", ")} (scripts/templates/recipes.ts)`;
/** The longest that one step, or the snapshot at the end, may take. */
const callMs = 600_000;

async function main(): Promise<number> {
  const { values, positionals } = readCommandLine(usage, {
    options: { "dry-run": { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const [verb, name = ""] = positionals;
  const recipe = Object.hasOwn(recipes, name) ? recipes[name] : undefined;
  if (verb !== "build" || recipe === undefined) {
    console.error(usage);
    return 2;
  }
  const worker = new AccountWorker("templates");
  if (values["dry-run"]) return dryRun(worker, recipe);
  return worker.use(callMs, async (ask) => {
    const { snapshot, bytes } = await buildTemplate(ask, freshBox(), name, recipe, (line) => console.error(line));
    console.log(`${(bytes / 1_048_576).toFixed(0)} MiB. In wrangler.toml, then \`npm run deploy\`:`);
    console.log(`TEMPLATES = '${JSON.stringify({ [name]: { snapshot } })}'`);
  });
}

function dryRun(worker: AccountWorker, { steps, check }: Recipe): number {
  const found = worker.dryRun();
  if (typeof found === "string") {
    console.error(found);
    return 1;
  }
  console.log(`Bundled as the Worker ${found.names.worker}. In a container of it would run:`);
  console.log([...steps, check].join("\n"));
  console.log(`Then a snapshot is taken, and the Worker removed:\n${found.removals.join("\n")}`);
  return 0;
}

process.exitCode = await main();
