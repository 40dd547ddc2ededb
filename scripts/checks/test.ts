/**
 * `npm test [-- vitest arguments]`: builds the wrapper bundle, the console, the docs and the Worker once for all stacks of the tests, runs the
 * vitest projects and closes with one line, `N passed, N failed`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildAll } from "../stack/stack.ts";
import { close, runVitest } from "./vitest-run.ts";

const built = mkdtempSync(join(tmpdir(), "mooring-built-"));
try {
  await buildAll(built);
  close(await runVitest(process.argv.slice(2), { MOORING_TEST_BUILT: built }));
} catch (error) {
  console.log(`No test was run. ${error instanceof Error ? error.message : String(error)}`);
  close({ passed: 0, failed: 1, skipped: 0 });
} finally {
  rmSync(built, { recursive: true, force: true });
}
