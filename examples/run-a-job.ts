/**
 * Run a command and follow its output; end the session and show the proof. Exits with the command's exit code.
 *
 *   npm run dev                                              # prints a key
 *   MOORING_KEY=mrg_dev_… npx node examples/run-a-job.ts "uname -a"
 *
 * In a project of your own: `import { Mooring } from "mooring/client"`.
 */
import { mooring } from "./connect.ts";

const session = await mooring.create(
  { idle_timeout_seconds: 60, labels: { example: "run-a-job" } },
  { waitSeconds: 30 },
);
try {
  const job = await session.run(process.argv[2] ?? "echo hello from $(hostname)");
  for await (const { text } of job.output()) process.stdout.write(text);
  const { state, exit_code } = await job.done();
  console.error(`job ${state}, exit code ${exit_code}`);
  process.exitCode = exit_code ?? 1;
} finally {
  const receipt = await session.end();
  console.error(receipt?.evidence);
}
