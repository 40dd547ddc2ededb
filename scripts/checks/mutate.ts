/**
 * `npm run mutate [-- proof.ts lease.ts]`: changes `src/domain` in thousands of small ways and asks of each whether a test of
 * the domain notices. Prints the score of each file and every change that nobody noticed.
 *
 * Stryker is installed into a scratch directory, not here: it is large, is run now and then, and must not slow `npm ci`. It
 * works on a copy, so that a run that is ended leaves nothing behind in the checkout. Needs the registry once.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCommandLine } from "../command-line.ts";
import { repository, toolEnvironment } from "../repository.ts";

const stryker = "10.1.1";
/** Below this the run fails: tests have fallen behind the machine. */
const leastScore = 90;
const tests = ["test/unit/domain/**/*.test.ts", "test/unit/tenant/containers.test.ts"];
const scratch = join(tmpdir(), "mooring-mutation");

interface Mutant {
  readonly mutatorName: string;
  readonly replacement?: string;
  readonly status:
    "Killed" | "Survived" | "NoCoverage" | "Timeout" | "RuntimeError" | "CompileError" | "Ignored" | "Pending";
  readonly location: { readonly start: Position; readonly end: Position };
}
interface Position {
  readonly line: number;
  readonly column: number;
}
interface Report {
  readonly files: Readonly<Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>>;
}

function run(command: string, args: readonly string[]): Promise<number | null> {
  return new Promise((resolve) => {
    const env = toolEnvironment({
      PATH: `${join(scratch, "node_modules", ".bin")}:${toolEnvironment({})["PATH"] ?? ""}`,
    });
    const child = spawn(command, args, { cwd: scratch, env, stdio: "inherit" });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
    child.on("error", () => resolve(null));
    child.on("close", resolve);
  });
}

function prepare(files: readonly string[]): void {
  mkdirSync(scratch, { recursive: true });
  for (const old of ["src", "test", "report.json"]) rmSync(join(scratch, old), { recursive: true, force: true });
  for (const folder of ["src", "test/support"]) {
    cpSync(join(repository, folder), join(scratch, folder), { recursive: true });
  }
  for (const test of globSync(tests, { cwd: repository })) {
    cpSync(join(repository, test), join(scratch, test));
  }
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>;
    readonly devDependencies: Readonly<Record<string, string>>;
  };
  const wanted = {
    "@stryker-mutator/core": stryker,
    "@stryker-mutator/vitest-runner": stryker,
    "fast-check": devDependencies["fast-check"],
    vitest: devDependencies["vitest"],
    zod: dependencies["zod"],
  };
  writeFileSync(
    join(scratch, "package.json"),
    JSON.stringify({ private: true, type: "module", devDependencies: wanted }),
  );
  writeFileSync(
    join(scratch, "vitest.config.mjs"),
    // Instrumented code on a busy machine takes its time; what hangs for good is Stryker's own timeout to find.
    `export default { test: { environment: "node", testTimeout: 60_000, include: ${JSON.stringify(tests)} } };\n`,
  );
  const config = {
    testRunner: "vitest",
    plugins: ["@stryker-mutator/vitest-runner"],
    mutate: files.length === 0 ? ["src/domain/**/*.ts"] : files.map((file) => `src/domain/${file}`),
    coverageAnalysis: "perTest",
    // Stryker would rewrite a tsconfig through TypeScript's API, which TypeScript 7 does not have. Nothing here reads one.
    tsconfigFile: "none.json",
    // Names of phases are held by the compiler and words are for people; what is evaluated at load is pinned by tests of its own.
    mutator: { excludedMutations: ["StringLiteral"] },
    ignoreStatic: true,
    timeoutMS: 20_000,
    // The first run of all tests, instrumented: five minutes are not enough on busy cores.
    dryRunTimeoutMinutes: 30,
    concurrency: 2,
    reporters: ["progress-append-only", "json"],
    jsonReporter: { fileName: "report.json" },
  };
  writeFileSync(join(scratch, "stryker.conf.json"), JSON.stringify(config));
}

function text(source: string, { start, end }: Mutant["location"]): string {
  const lines = source.split("\n").slice(start.line - 1, end.line);
  const last = lines.length - 1;
  const cut = lines.map((line, index) =>
    line.slice(index === 0 ? start.column - 1 : 0, index === last ? end.column - 1 : undefined),
  );
  return cut.join(" ").replaceAll(/\s+/g, " ");
}

function summarize(report: Report): number {
  let noticed = 0;
  let all = 0;
  for (const [name, { source, mutants }] of Object.entries(report.files)) {
    const tried = mutants.filter(({ status }) => !["Ignored", "CompileError", "Pending"].includes(status));
    const missed = tried.filter(({ status }) => status === "Survived" || status === "NoCoverage");
    if (tried.length === 0) continue;
    all += tried.length;
    noticed += tried.length - missed.length;
    const score = (100 * (tried.length - missed.length)) / tried.length;
    console.log(`${score.toFixed(1).padStart(5)} %  ${name}  (${tried.length - missed.length} of ${tried.length})`);
    for (const { location, mutatorName, replacement } of missed) {
      const now = (replacement ?? "").replaceAll(/\s+/g, " ").slice(0, 80);
      console.log(`         ${location.start.line}  ${mutatorName}: ${text(source, location).slice(0, 80)}  →  ${now}`);
    }
  }
  const score = all === 0 ? 0 : (100 * noticed) / all;
  console.log(`\n${noticed} of ${all} changes were noticed: ${score.toFixed(2)} %.`);
  return score;
}

const usage = "Usage: npm run mutate -- [FILE]...   (of src/domain: machine/stop/on-stop.ts)";
const { positionals } = readCommandLine(usage, { allowPositionals: true });
const unknown = positionals.filter((file) => !existsSync(join(repository, "src/domain", file)));
if (unknown.length > 0) {
  process.stderr.write(`There is no ${unknown.join(", ")} in src/domain.\n${usage}\n`);
  process.exit(2);
}
prepare(positionals);
const installed = await run("npm", ["install", "--no-audit", "--no-fund", "--loglevel", "error"]);
if (installed !== 0) {
  console.error("Stryker could not be installed: nothing was tried.");
  process.exitCode = 1;
} else {
  const ended = await run("stryker", ["run"]);
  if (ended !== 0) console.error(`Stryker ended with ${ended ?? "an error"}.`);
  const report = join(scratch, "report.json");
  if (existsSync(report)) {
    const score = summarize(JSON.parse(readFileSync(report, "utf8")) as Report);
    process.exitCode = ended === 0 && score >= leastScore ? 0 : 1;
  } else {
    console.error("It left no report: nothing was tried.");
    process.exitCode = 1;
  }
}
