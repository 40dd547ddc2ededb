#!/usr/bin/env node
/** The start and the end of `mooring`. What it does is in the commands. */
import { CommanderError } from "commander";
import { exitCodes } from "./exit-codes.ts";
import { faultOf, Interrupted } from "./fault.ts";
import { watchForInterrupts } from "./interrupt.ts";
import { programFor } from "./program.ts";
import { coloursFor } from "./screen/colours.ts";
import { plain } from "./screen/table.ts";
import { refuseSecretsIn } from "./settings/access.ts";
import { version } from "./version.ts";

// `mooring sessions | head` closes the pipe: that is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(exitCodes.done);
  throw error;
});

async function main(args: readonly string[]): Promise<void> {
  const signal = watchForInterrupts();
  try {
    refuseSecretsIn(args);
    const program = programFor({ env: process.env, signal }, version);
    for (const each of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)])
      each.exitOverride();
    await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    process.exitCode = tell(error, signal);
  }
}

/** Reports the error in at most three lines and returns the exit code. */
function tell(error: unknown, signal: AbortSignal): number {
  // Commander has already printed its message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (error instanceof Interrupted || signal.aborted) return exitCodes.interrupted;
  const { bad, dim } = coloursFor(process.stderr.isTTY === true, process.env);
  const fault = faultOf(error);
  const lines = [`${bad("error:")} ${fault.message.split("\n").map(plain).join("\n")}`];
  if (fault.next !== null) lines.push(`${dim("next: ")} ${fault.next}`);
  if (fault.page !== null) lines.push(`${dim("see:  ")} ${fault.page}`);
  process.stderr.write(`${lines.join("\n")}\n`);
  return process.exitCode === exitCodes.notRun ? exitCodes.notRun : fault.exitCode;
}

await main(process.argv.slice(2));
