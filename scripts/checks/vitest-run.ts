/**
 * One vitest run and its closing line, `N passed, N failed`, for every script that runs tests. A file that cannot be collected, a
 * hook that throws or an error outside any test is a failure; a vitest that dies without a result is one too.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository, toolEnvironment } from "../repository.ts";
import type { TestCount } from "./count-reporter.ts";

export interface RunResult {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** null: it ended well. */
export function runTool(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string | null> {
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

export async function runVitest(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<RunResult> {
  const scratch = mkdtempSync(join(tmpdir(), "mooring-test-"));
  const file = join(scratch, "count.json");
  const reporters = ["--reporter=default", "--reporter=./scripts/checks/count-reporter.ts"];
  const ended = await runTool("vitest", ["run", ...reporters, ...args], { ...env, MOORING_TEST_COUNT: file });
  let count: TestCount | null = null;
  try {
    count = JSON.parse(readFileSync(file, "utf8")) as TestCount;
  } catch {
    console.log(`vitest ended without a result (${ended ?? "exit code 0"}): it crashed, or found nothing to run.`);
  }
  rmSync(scratch, { recursive: true, force: true });
  if (count === null) return { passed: 0, failed: 1, skipped: 0 };
  for (const what of [...count.failures, ...count.broken]) console.log(`failed: ${what}`);
  const { passed, skipped } = count;
  const failed = count.failed + count.broken.length;
  if (ended === null || failed > 0) return { passed, failed, skipped };
  console.log(`vitest itself failed: ${ended}`);
  return { passed, failed: 1, skipped };
}

/** `whenNonePassed`: what a run means in which every test was skipped. */
export function close({ passed, failed, skipped }: RunResult, whenNonePassed: "failure" | "skipped" = "failure"): void {
  if (skipped > 0) console.log(`${skipped} skipped`);
  if (passed + failed + skipped === 0) console.log("No test ran.");
  console.log(`${passed} passed, ${failed} failed`);
  const isFine = passed > 0 || (whenNonePassed === "skipped" && skipped > 0);
  process.exitCode = failed === 0 && isFine ? 0 : 1;
}
