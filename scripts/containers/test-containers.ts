/**
 * `npm run test:containers [-- vitest arguments]`: runs test/containers on real containers of this machine and removes all that it started.
 *
 * Where no engine can be had one line says so, and every test counts as skipped. The last line is `N passed, N failed`, as of `npm test`.
 */
import { rmSync } from "node:fs";
import { close, runVitest } from "../checks/vitest-run.ts";
import { removeLeftovers } from "./leftovers.ts";
import { type LocalContainers, openLocalContainers } from "./local-containers.ts";
import { engineDirectory } from "./paths.ts";

/** Workers whose containers the tests start. */
const workers = ["mooring-probe", "mooring-containers", "mooring-provider"];

async function main(args: readonly string[]): Promise<void> {
  const clean = args.includes("--clean");
  const opened = await openLocalContainers((line) => console.log(line));
  const containers = opened.type === "ready" ? opened.containers : null;
  if (opened.type === "missing") console.log(`The container tests are skipped: ${opened.why}.`);
  const env =
    opened.type === "ready"
      ? { ...opened.containers.env, MOORING_LOCAL_IMAGE: opened.containers.image }
      : { MOORING_NO_CONTAINERS: opened.why };
  try {
    const own = ["--clean", "--recipes"];
    const flags = ["--config", "test/containers/vitest.config.ts", ...args.filter((arg) => !own.includes(arg))];
    const also: Readonly<Record<string, string>> = args.includes("--recipes") ? { MOORING_RECIPES: "yes" } : {};
    close(await runVitest(flags, { ...env, ...also }), opened.type === "missing" ? "skipped" : "failure");
  } finally {
    if (containers !== null) await end(containers);
    if (clean && containers?.isOurs === true) rmSync(engineDirectory, { recursive: true, force: true });
  }
}

async function end(containers: LocalContainers): Promise<void> {
  for (const worker of workers) {
    removeLeftovers(containers.host, worker, containers.isOurs ? "remove images" : "keep images");
  }
  await containers.end();
}

await main(process.argv.slice(2));
