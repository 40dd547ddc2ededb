/** Writes what a vitest run came to, as JSON, to the file named by MOORING_TEST_COUNT: the closing line of `npm test` reads it. */
import { writeFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import type { Reporter, TestModule } from "vitest/node";

/** Characters of an error that are told. */
const longest = 300;

export interface TestCount {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** The failed tests, `file > suite > test: first line of the error`: a long log is read from its end. */
  readonly failures: readonly string[];
  /** Files that could not be collected, hooks and suites that failed, errors outside any test: each counts as one failure. */
  readonly broken: readonly string[];
}

/** The first line of an error, without colours. */
function firstLine(message: string): string {
  const line = stripVTControlCharacters(message).trim().split("\n", 1)[0] ?? "";
  return line.length > longest ? `${line.slice(0, longest)}…` : line;
}

export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly { readonly message?: string }[]): void {
    const file = process.env["MOORING_TEST_COUNT"];
    if (file === undefined) return;
    let [passed, failed, skipped] = [0, 0, 0];
    const failures: string[] = [];
    const broken: string[] = unhandled.map((error) => `outside any test: ${error.message ?? "unknown error"}`);
    for (const module of modules) {
      const name = module.relativeModuleId;
      let tests = 0;
      let failedHere = 0;
      for (const test of module.children.allTests()) {
        tests += 1;
        const { state, errors } = test.result();
        if (state === "passed") passed += 1;
        else if (state === "skipped") skipped += 1;
        else {
          // A test still pending at the end of the run never ended: a failure.
          failedHere += 1;
          failures.push(
            `${name} > ${test.fullName}: ${firstLine(errors?.[0]?.message ?? "it did not come to its end")}`,
          );
        }
      }
      failed += failedHere;
      const suites = [...module.children.allSuites()].filter((suite) => suite.errors().length > 0);
      broken.push(...suites.map((suite) => `${name}: ${suite.fullName}`));
      if (module.errors().length > 0)
        broken.push(`${name}: ${module.errors()[0]?.message ?? "could not be collected"}`);
      else if (tests === 0) broken.push(`${name}: no test in it`);
      else if (!module.ok() && failedHere === 0 && suites.length === 0)
        broken.push(`${name}: failed outside its tests`);
    }
    const count: TestCount = { passed, failed, skipped, failures, broken };
    writeFileSync(file, JSON.stringify(count));
  }
}
