/**
 * `npm run canaries [-- --only TEXT] [--workers N]` breaks the sources in one way after the other, each in a copy, and runs
 * the suite that claims the behaviour. Exit 0 only when every broken variant was noticed.
 */
import { canaries } from "../../test/canaries/canaries.ts";
import type { Canary } from "../../test/canaries/canary.ts";
import { CanaryTree } from "../../test/support/canary-tree.ts";
import { readCommandLine } from "../command-line.ts";

const { values } = readCommandLine("Usage: npm run canaries -- [--only TEXT] [--workers N]", {
  options: { only: { type: "string" }, workers: { type: "string", default: "2" } },
});
const { only } = values;
const chosen = canaries.filter(({ name }) => only === undefined || name.includes(only));
const queue = chosen.values();
const survived: Canary[] = [];

async function work(): Promise<void> {
  const tree = new CanaryTree();
  try {
    for (const canary of queue) {
      const beganAt = performance.now();
      const { noticed, words } = await tree.run(canary);
      const seconds = ((performance.now() - beganAt) / 1_000).toFixed(0);
      console.log(`${noticed ? "noticed " : "SURVIVED"}  ${seconds.padStart(4)} s  ${canary.name}: ${words}`);
      if (!noticed) survived.push(canary);
    }
  } finally {
    tree.remove();
  }
}

await Promise.all(Array.from({ length: Number(values.workers) }, work));
console.log(`${chosen.length - survived.length} of ${chosen.length} broken variants were noticed`);
process.exitCode = survived.length === 0 && chosen.length > 0 ? 0 : 1;
