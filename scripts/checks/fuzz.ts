/** `npm run fuzz -- [requests] [seed]`: requests made from the OpenAPI document against the whole Worker, 10,000 unless told. */
import { spawn } from "node:child_process";
import { readCommandLine } from "../command-line.ts";
import { repository, toolEnvironment } from "../repository.ts";
import { runTool } from "./vitest-run.ts";

const usage = "Usage: npm run fuzz -- [REQUESTS] [SEED]   (whole numbers from 1)";
const { positionals } = readCommandLine(usage, { allowPositionals: true });
const [requests = "10000", seed = String(Date.now() % 1_000_000_000)] = positionals;
if (positionals.length > 2 || ![requests, seed].every((each) => /^[1-9]\d{0,9}$/.test(each))) {
  process.stderr.write(`REQUESTS and SEED are whole numbers, not "${positionals.join(" ")}".\n${usage}\n`);
  process.exit(2);
}
// Without its pages the console answers 404 everywhere, and nothing behind its assets would be reached.
const unbuilt = await runTool("node", ["scripts/builds/build-pages.ts"], {});
if (unbuilt !== null) {
  process.stderr.write(`The console and the docs could not be built (${unbuilt}): nothing was sent.\n`);
  process.exit(1);
}
const child = spawn("vitest", ["run", "--project", "workers", "test/http/fuzz.test.ts"], {
  cwd: repository,
  env: toolEnvironment({ FUZZ_REQUESTS: requests, FUZZ_SEED: seed }),
  stdio: ["ignore", "pipe", "inherit"],
});
// The Worker writes a line for each request; what is left is the figures, or the failure with its request and seed.
let rest = "";
child.stdout.on("data", (chunk: Buffer) => {
  const lines = (rest + chunk.toString()).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) if (!/^\S*\{"level":|stdout \||^\s*$/.test(line)) console.log(line);
});
child.on("close", (code) => {
  process.exitCode = code ?? 1;
});
