/**
 * `npm test [-- vitest arguments]`: builds the wrapper bundle and the docs page, runs both vitest projects and closes with one line,
 * `N passed, N failed`. A file that cannot be collected, a hook that throws or an error outside any test is a failure;
 * a vitest that dies without a result is one too. The exit code says the same as the line.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestCount } from "./count-reporter.ts";
import { repository, toolEnvironment } from "./repository.ts";

function run(command: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: repository,
      env: toolEnvironment(env),
      stdio: ["ignore", "inherit", "inherit"],
    });
    // The terminal sends Ctrl-C to the child as well; it ends by itself, and then so does this process, with its line.
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) =>
      resolve(code === 0 ? null : signal === null ? `exit code ${code}` : `${signal}`),
    );
  });
}

function close(passed: number, failed: number): void {
  if (passed + failed === 0) console.log("No test ran.");
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

const built =
  (await run("node", ["scripts/build-wrapper.ts"], {})) ?? (await run("node", ["scripts/build-docs.ts"], {}));
if (built !== null) {
  console.log(`The wrapper bundle, or the docs page, could not be built (${built}): no test was run.`);
  close(0, 1);
} else {
  const scratch = mkdtempSync(join(tmpdir(), "mooring-test-"));
  const file = join(scratch, "count.json");
  const reporters = ["--reporter=default", "--reporter=./scripts/count-reporter.ts"];
  const ended = await run("vitest", ["run", ...reporters, ...process.argv.slice(2)], { MOORING_TEST_COUNT: file });
  let count: TestCount | null = null;
  try {
    count = JSON.parse(readFileSync(file, "utf8")) as TestCount;
  } catch {
    console.log(`vitest ended without a result (${ended ?? "exit code 0"}): it crashed, or found nothing to run.`);
  }
  rmSync(scratch, { recursive: true, force: true });
  if (count === null) close(0, 1);
  else {
    for (const what of count.broken) console.log(`failed: ${what}`);
    if (count.skipped > 0) console.log(`${count.skipped} skipped`);
    const failed = count.failed + count.broken.length;
    if (ended !== null && failed === 0) console.log(`vitest itself failed: ${ended}`);
    close(count.passed, ended !== null && failed === 0 ? 1 : failed);
  }
}
