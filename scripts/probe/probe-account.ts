/**
 * `npm run probe:account [-- --dry-run]`: deploys a Worker with containers under a name of its own, asks it what only an account can answer
 * (questions.ts), prints a table, and removes all of it: some five minutes. Needs a login of wrangler, and no Docker.
 *
 * `--dry-run` asks no account: it bundles the Worker, checks its configuration, and lists the questions and what would be removed.
 * Exit 1: it could not be deployed, or something of it is left, which is named with the command that removes it.
 */
import { readCommandLine } from "../command-line.ts";
import { AccountWorker, freshBox, wait } from "./account-worker.ts";
import { answersOf, questions, tableOf } from "./questions.ts";

const usage = "Usage: npm run probe:account -- [--dry-run]";
const holdMs = 60_000;
const callMs = 120_000;

async function main(): Promise<number> {
  const { values } = readCommandLine(usage, { options: { "dry-run": { type: "boolean", default: false } } });
  const worker = new AccountWorker("probe");
  if (values["dry-run"]) return dryRun(worker);
  return worker.use(callMs, async (ask) => {
    const answers = await answersOf({ ask, fresh: freshBox, wait, holdMs }, (line) => console.error(line));
    console.log(tableOf(answers));
  });
}

function dryRun(worker: AccountWorker): number {
  const found = worker.dryRun();
  if (typeof found === "string") {
    console.error(found);
    return 1;
  }
  const { files, names, removals } = found;
  console.log(`Bundled: ${files.join(", ")}, as the Worker ${names.worker} with the containers ${names.application}.`);
  console.log(tableOf(questions.map((question) => ({ question, answer: "not asked: a dry run" }))));
  console.log(`It would then remove itself:\n${removals.join("\n")}`);
  return 0;
}

process.exitCode = await main();
