/**
 * `npm run dev -- [--port N] [--var NAME:VALUE]… [--faults] [--cron-seconds N] [--job-uids FIRST-LAST]`: Mooring on 127.0.0.1:8787 with the local
 * sandbox host, until Ctrl-C. State lives in .mooring/, so the next start finds the sessions and processes of this one.
 * Exit 0 after a signal, 1 when it could not start or a part of it ended by itself, 2 for a wrong command line.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { styleText } from "node:util";
import { readCommandLine } from "../command-line.ts";
import { repository } from "../repository.ts";
import { watchDisk } from "./disk-space.ts";
import { onceAskedToStop } from "./signals.ts";
import { Stack, StackFailure, type StackOrder } from "./stack.ts";

const usage =
  "Usage: npm run dev -- [--port 8787] [--var NAME:VALUE]... [--faults] [--cron-seconds 300] [--state .mooring] [--job-uids FIRST-LAST]";

function readOrder(): StackOrder | string {
  try {
    const { values } = readCommandLine(usage, {
      options: {
        port: { type: "string", default: "8787" },
        var: { type: "string", multiple: true, default: [] },
        faults: { type: "boolean", default: false },
        "cron-seconds": { type: "string", default: "300" },
        state: { type: "string", default: join(repository, ".mooring") },
        "job-uids": { type: "string" },
      },
    });
    if (!/^\d{1,5}$/.test(values.port) || Number(values.port) > 65_535) return `--port must be 0 to 65535. ${usage}`;
    if (!/^[1-9]\d{0,6}$/.test(values["cron-seconds"])) return `--cron-seconds must be a whole number from 1. ${usage}`;
    const vars: Record<string, string> = {};
    for (const each of values.var) {
      const [, name, value] = /^([A-Z][A-Z0-9_]*):(.*)$/s.exec(each) ?? [];
      if (name === undefined || value === undefined) return `--var must look like NAME:VALUE, not "${each}". ${usage}`;
      vars[name] = value;
    }
    return {
      stateDirectory: values.state,
      secretsFile: join(repository, ".dev.vars"),
      port: Number(values.port),
      vars,
      faults: values.faults,
      reload: true,
      cronSeconds: Number(values["cron-seconds"]),
      endSandboxes: false,
      ...(values["job-uids"] === undefined ? {} : { jobUids: values["job-uids"] }),
    };
  } catch (error) {
    return `${error instanceof Error ? error.message : "The command line is wrong."} ${usage}`;
  }
}

const bold = (text: string): string => styleText("bold", text);
const dim = (text: string): string => styleText("dim", text);

async function introduce(stack: Stack, order: StackOrder): Promise<void> {
  const key = await stack.apiKey("dev");
  const running = new Set((await stack.residue()).map((each) => each.session_id)).size;
  if (stack.madeSecrets.length > 0)
    console.log(dim(`Made .dev.vars with random secrets: ${stack.madeSecrets.join(", ")}.`));
  if (running > 0)
    console.log(`Found ${running} session${running === 1 ? "" : "s"} of an earlier start still running.`);
  console.log(`
${styleText("green", "●")} ${bold("Mooring is ready")} at ${bold(stack.url)}

  API key (tenant dev)  ${key}
  Admin token           ADMIN_TOKEN in .dev.vars
  State and logs        ${order.stateDirectory}

Try it:

  export MOORING_KEY=${key}
  curl -s ${stack.url}/v1/sessions -H "authorization: Bearer $MOORING_KEY" \\
       -H "content-type: application/json" -H "prefer: wait=10" -d '{"idle_timeout_seconds": 60}'

${dim("Ctrl-C stops it.")}`);
}

async function main(): Promise<number> {
  const order = readOrder();
  if (typeof order === "string") {
    console.error(order);
    return 2;
  }
  if (!existsSync(join(repository, "wrangler.toml"))) {
    console.error("There is no wrangler.toml here: this checkout is incomplete.");
    return 1;
  }
  const stop = onceAskedToStop();
  console.log(dim("Starting the local sandbox host and workerd …"));
  let stack: Stack;
  try {
    stack = await Stack.start(order, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return 0;
    console.error(error instanceof StackFailure ? error.message : error);
    return 1;
  }
  let crash: string | null = null;
  const stopWatching = watchDisk(order.stateDirectory, (full) => console.error(`\n${styleText("red", full)}`));
  try {
    await introduce(stack, order);
    crash = await Promise.race([stack.crashed(), stop.asked.then(() => null)]);
  } finally {
    stopWatching();
    const left = await stack.residue().catch(() => []);
    await stack.stop();
    const sessions = new Set(left.map((each) => each.session_id)).size;
    if (sessions > 0) {
      const ttl = Number(order.vars["LEASE_TTL_SECONDS"] ?? 300);
      const they = sessions === 1 ? "1 sandbox is" : `${sessions} sandboxes are`;
      console.log(
        `\n${they} still running. The next start finds what is left; without one, each ends by itself within ${ttl} s.`,
      );
    }
  }
  if (crash === null) return 0;
  console.error(crash);
  return 1;
}

process.exitCode = await main();
