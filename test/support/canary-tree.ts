/** A copy of the sources with one thing broken on purpose, and the suite run in it that should notice. */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository, toolEnvironment } from "../../scripts/repository.ts";
import type { Canary, Edit, Noticed } from "../canaries/canary.ts";

/** One project without workerd: everything that catches a canary runs in Node. */
const config = `import { defineConfig } from "vitest/config";
export default defineConfig({
  test: {
    environment: "node",
    include: ["test/**/*.test.ts"],
    testTimeout: 60000,
    alias: { "cloudflare:workers": new URL("test/support/cloudflare/workers-module.ts", import.meta.url).pathname },
  },
});
`;

/** A canary may make its tests loop without end: then it was noticed. Far above what a busy machine needs for tests that do end. */
const longestTestsMs = 600_000;
/** The simulation ends a schedule that hangs by itself and calls it failed: past this it is only slow. */
const longestSimulationMs = 900_000;

export interface Verdict {
  readonly noticed: boolean;
  /** What failed, in words; or why nothing did. */
  readonly words: string;
}

export class CanaryTree {
  readonly #folder = mkdtempSync(join(tmpdir(), "mooring-canary-"));

  constructor() {
    for (const part of ["src", "test", "scripts", "wrapper", "package.json", "tsconfig.json"]) {
      cpSync(join(repository, part), join(this.#folder, part), { recursive: true });
    }
    symlinkSync(join(repository, "node_modules"), join(this.#folder, "node_modules"));
    writeFileSync(join(this.#folder, "vitest.config.ts"), config);
  }

  /** Breaks it, runs the suite that should notice, mends it. Throws when the text to break is not there: the canary is out of date. */
  async run({ edits, by }: Pick<Canary, "edits" | "by">): Promise<Verdict> {
    const originals = new Map<string, string>();
    try {
      for (const edit of edits) {
        const path = join(this.#folder, edit.file);
        const text = readFileSync(path, "utf8");
        const broken = brokenBy(edit, text);
        if (!originals.has(path)) originals.set(path, text);
        writeFileSync(path, broken);
      }
      return by.type === "tests" ? await this.#tests(by.files) : await this.#simulation(by);
    } finally {
      for (const [path, text] of originals) writeFileSync(path, text);
    }
  }

  async #tests(files: readonly string[]): Promise<Verdict> {
    for (const file of files) if (!existsSync(join(this.#folder, file))) throw new Error(`there is no ${file}`);
    const report = join(this.#folder, "report.json");
    rmSync(report, { force: true });
    const ended = await this.#spawned(
      "vitest",
      ["run", ...files, "--bail=1", "--reporter=json", `--outputFile=${report}`],
      longestTestsMs,
    );
    if (ended === "hung") return { noticed: true, words: "the tests did not end" };
    const { numPassedTests, numFailedTests, numTotalTests } = JSON.parse(readFileSync(report, "utf8")) as {
      readonly numPassedTests: number;
      readonly numFailedTests: number;
      readonly numTotalTests: number;
    };
    if (numTotalTests === 0 && ended !== 0) return { noticed: true, words: "the tests could not be loaded" };
    return { noticed: numFailedTests > 0, words: `${numFailedTests} failed, ${numPassedTests} passed` };
  }

  async #simulation({ from, seeds }: Extract<Noticed, { type: "simulation" }>): Promise<Verdict> {
    const order = ["--from", String(from), "--seeds", String(seeds), "--workers", "1", "--until-failure"];
    const ended = await this.#spawned("node", ["scripts/checks/sim.ts", ...order], longestSimulationMs);
    if (ended === "hung") return { noticed: false, words: `not through after ${longestSimulationMs} ms` };
    return { noticed: ended !== 0, words: ended === 0 ? `${seeds} schedules held` : "a schedule failed" };
  }

  async #spawned(command: string, args: readonly string[], boundMs: number): Promise<number | null | "hung"> {
    const child = spawn(command, args, { cwd: this.#folder, env: toolEnvironment({}), stdio: "ignore" });
    let hung = false;
    const guard = setTimeout(() => {
      hung = true;
      child.kill("SIGKILL");
    }, boundMs);
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    clearTimeout(guard);
    return hung ? "hung" : code;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Throws when the file does not hold the text exactly once. */
export function brokenBy({ file, from, to }: Edit, text: string): string {
  if (text.split(from).length !== 2) throw new Error(`${file} does not hold this exactly once: ${from}`);
  return text.replace(from, () => to);
}
