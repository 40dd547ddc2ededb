/**
 * `npm run check`: format, lint (with the import directions), types, dead code. Everything runs even when something
 * fails, so that one run shows all there is to mend. Prints a line per step and, for a failed one, what the tool said.
 *
 * A check that looks at nothing passes for ever: the types step therefore also demands that every TypeScript file of
 * the repository belongs to some tsconfig.
 */
import { spawn } from "node:child_process";
import { join, relative } from "node:path";
import { styleText } from "node:util";
import { readCommandLine } from "../command-line.ts";
import { repository, toolEnvironment } from "../repository.ts";

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

interface Step {
  readonly name: string;
  readonly mend: string;
  run(): Promise<Outcome>;
}

readCommandLine("Usage: npm run check", { options: {} });

const projects = [".", "src/cli", "src/console", "wrapper", "scripts", "test", "test/workers"];

function run(command: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: repository,
      env: toolEnvironment(process.stdout.isTTY ? { FORCE_COLOR: "1" } : {}),
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.on("error", (error) => resolve({ ok: false, output: `${command} could not be started: ${error.message}\n` }));
    child.on("close", (code, signal) => {
      const ended = signal === null ? "" : `${command} was ended by ${signal}\n`;
      resolve({ ok: code === 0, output: output + ended });
    });
  });
}

/** What did not change since the last run is not looked at again. */
function buildInfo(project: string): readonly string[] {
  const name = project.replaceAll("/", "-").replace(/^\.$/, "src");
  return ["--incremental", "--tsBuildInfoFile", join(repository, `node_modules/.cache/tsc-${name}.tsbuildinfo`)];
}

async function types(): Promise<Outcome> {
  let ok = true;
  // A file that several projects read is reported by each.
  const said = new Set<string>();
  const seen = new Set<string>();
  for (const project of projects) {
    const outcome = await run("tsc", ["-p", project, "--listFiles", ...buildInfo(project)]);
    ok &&= outcome.ok;
    for (const line of outcome.output.split("\n")) {
      if (/^\/.*\.([cm]?ts|tsx)$/.test(line)) seen.add(relative(repository, line));
      else if (line.trim() !== "") said.add(line);
    }
  }
  const output = [...said, ""].join("\n");
  const tracked = await run("git", [
    "ls-files",
    "--cached",
    "--others",
    "--exclude-standard",
    "--deduplicate",
    "*.ts",
    "*.tsx",
  ]);
  const files = tracked.output.split("\n").filter((file) => file !== "");
  if (!tracked.ok || files.length === 0)
    return { ok: false, output: `${output}No file list from git: ${tracked.output}` };
  const unchecked = files.filter((file) => !seen.has(file));
  if (ok && unchecked.length > 0) {
    return { ok: false, output: `${output}These files belong to no tsconfig.json:\n  ${unchecked.join("\n  ")}\n` };
  }
  return { ok, output };
}

/** By content: git sets new times on files it did not change. */
const formatCache = [
  "--cache",
  "--cache-strategy",
  "content",
  "--cache-location",
  "node_modules/.cache/prettier-check",
];

const steps: readonly Step[] = [
  {
    name: "format",
    mend: "npm run format",
    run: () => run("prettier", ["--check", "--log-level", "warn", ...formatCache, "."]),
  },
  { name: "lint", mend: "npx oxlint", run: () => run("oxlint", ["--format", "unix"]) },
  { name: "types", mend: "npx tsc -p <folder>", run: types },
  { name: "spec", mend: "npm run spec", run: () => run("node", ["scripts/checks/spec.ts", "--check"]) },
  { name: "dead code", mend: "npx knip", run: () => run("knip", ["--no-progress", "--treat-config-hints-as-errors"]) },
];

const ranSteps = await Promise.all(
  steps.map(async (step) => {
    const started = performance.now();
    const outcome = await step.run();
    return { ...step, ...outcome, seconds: (performance.now() - started) / 1000 };
  }),
);

for (const { name, ok, output, seconds, mend } of ranSteps) {
  const mark = ok ? styleText("green", "✓") : styleText("red", "✗");
  const time = styleText("dim", `${seconds.toFixed(1)} s`);
  console.log(`${mark} ${name.padEnd(10)} ${time}${ok ? "" : `   again alone: ${mend}`}`);
  // A warning is a sign to look at, not a failure.
  const warned = ok && /\bwarning/i.test(output);
  if (!ok || warned) console.log(`\n${output.trimEnd().replace(/^/gm, "    ")}\n`);
}

const failed = ranSteps.filter(({ ok }) => !ok).map(({ name }) => name);
console.log(
  failed.length === 0 ? styleText("green", "All checks passed") : styleText("red", `Failed: ${failed.join(", ")}`),
);
process.exitCode = failed.length === 0 ? 0 : 1;
