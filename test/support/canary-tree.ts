/** A copy of the sources with one thing broken on purpose, and a test file run in it. */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository, toolEnvironment } from "../../scripts/repository.ts";

export interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** One project without workerd: everything that catches a canary runs in Node. */
const config = `import { defineConfig } from "vitest/config";
export default defineConfig({ test: { environment: "node", include: ["test/**/*.test.ts"], testTimeout: 60000 } });
`;

export class CanaryTree {
  readonly #folder = mkdtempSync(join(tmpdir(), "mooring-canary-"));

  constructor() {
    for (const part of ["src", "test", "scripts", "wrapper", "package.json", "tsconfig.json"]) {
      cpSync(join(repository, part), join(this.#folder, part), { recursive: true });
    }
    symlinkSync(join(repository, "node_modules"), join(this.#folder, "node_modules"));
    writeFileSync(join(this.#folder, "vitest.config.ts"), config);
  }

  /** Breaks it, runs the file, mends it. Throws when the text to break is not there: the canary is out of date. */
  async run(edits: readonly Edit[], testFile: string): Promise<{ readonly passed: number; readonly failed: number }> {
    const originals = new Map<string, string>();
    try {
      for (const { file, from, to } of edits) {
        const path = join(this.#folder, file);
        const text = readFileSync(path, "utf8");
        if (text.split(from).length !== 2) throw new Error(`${file} does not hold this exactly once: ${from}`);
        if (!originals.has(path)) originals.set(path, text);
        writeFileSync(
          path,
          text.replace(from, () => to),
        );
      }
      return await this.#vitest(testFile);
    } finally {
      for (const [path, text] of originals) writeFileSync(path, text);
    }
  }

  async #vitest(testFile: string): Promise<{ readonly passed: number; readonly failed: number }> {
    const report = join(this.#folder, "report.json");
    rmSync(report, { force: true });
    const child = spawn("vitest", ["run", testFile, "--reporter=json", `--outputFile=${report}`], {
      cwd: this.#folder,
      env: toolEnvironment({}),
      stdio: "ignore",
    });
    await new Promise((resolve) => child.on("close", resolve));
    const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, "utf8")) as {
      readonly numPassedTests: number;
      readonly numFailedTests: number;
    };
    return { passed: numPassedTests, failed: numFailedTests };
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
