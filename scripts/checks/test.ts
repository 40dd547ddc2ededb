/** `npm test [-- vitest arguments]`: builds the wrapper bundle, the console and the docs, runs both vitest projects and closes with one line, `N passed, N failed`. */
import { close, runTool, runVitest } from "./vitest-run.ts";

const built =
  (await runTool("node", ["scripts/builds/build-wrapper.ts"], {})) ??
  (await runTool("node", ["scripts/builds/build-pages.ts"], {}));
if (built !== null) {
  console.log(`The wrapper bundle, the console or the docs could not be built (${built}): no test was run.`);
  close({ passed: 0, failed: 1, skipped: 0 });
} else {
  close(await runVitest(process.argv.slice(2)));
}
