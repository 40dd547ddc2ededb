/** `mooring logs`: what a session and its jobs said; `-f` follows, and goes on at the byte when the connection breaks. */
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { clock } from "../../screen/times.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

export function logsCommand(shell: Shell): Command {
  const made = command("logs", "Show the log of a session and the output of its jobs", [
    ["mooring logs ID", "the sandbox's log, and the last words of each job"],
    ["mooring logs ID JOB", "all that is kept of one job's output"],
    ["mooring logs -f ID", "follow the newest job; Ctrl-C stops following, not the job"],
    ["mooring logs -f --events ID", "follow what happens to the session"],
  ])
    .argument("<session>", "id of the session")
    .argument("[job]", "id of a job")
    .option("-f, --follow", "go on as more comes")
    .option("--events", "the session's events instead of output")
    .option("-n, --bytes <count>", "how much of the end of each log", "8192");
  return withSharedOptions(made).action(
    async (id: string, job: string | undefined, flags: { follow?: boolean; events?: boolean; bytes: string }) => {
      const context = contextOf(shell, flags);
      if (flags.events === true) return await showEvents(context, id, flags.follow === true);
      if (job === undefined && flags.follow !== true) return await showLogs(context, id, Number(flags.bytes));
      await showJob(context, id, job ?? (await newestJob(context, id)), flags.follow === true);
    },
  );
}

async function showLogs(context: Context, id: string, tailBytes: number): Promise<void> {
  const { screen, signal } = context;
  const options = { tailBytes, signal };
  const logs = context.actsAsOperator
    ? await context.admin().logs(id, options)
    : await context.mooring().session(id).logs(options);
  if (screen.form.json) return screen.json(logs);
  const { bold, dim, warn } = screen.colours;
  for (const hint of logs.diagnosis) screen.line(warn(screen.plain(`${hint.code}: ${hint.detail}`)));
  if (logs.sandbox !== null) screen.line(`${bold("Sandbox")}\n${logs.sandbox.text.trimEnd()}\n`);
  for (const each of logs.jobs)
    screen.line(`${bold(`Job ${each.id}`)}  ${dim(each.state)}\n${(each.tail ?? "").trimEnd()}\n`);
  if (logs.sandbox === null && logs.jobs.length === 0) screen.note("Nothing was logged.");
}

async function newestJob(context: Context, id: string): Promise<string> {
  let newest: string | null = null;
  for await (const job of context.mooring().session(id).jobs({ limit: 100, signal: context.signal })) newest = job.id;
  if (newest === null)
    throw new CliFault(exitCodes.notFound, `Session ${id} has no job yet.`, `mooring run -s ${id} -- COMMAND`);
  return newest;
}

async function showJob(context: Context, id: string, jobId: string, follow: boolean): Promise<void> {
  const { signal, screen } = context;
  const job = context.mooring().session(id).job(jobId);
  if (screen.form.json) return screen.json(follow ? await job.done({ signal }) : await job.read({ signal }));
  const view = await job.read({ signal });
  // The output of a running job has no end. Without -f, show what is there now.
  const bound = follow || view.ended_at !== null ? signal : AbortSignal.any([signal, AbortSignal.timeout(1_500)]);
  try {
    for await (const bytes of job.outputBytes({ signal: bound }))
      if (!process.stdout.write(bytes)) await new Promise((resolve) => process.stdout.once("drain", resolve));
  } catch (error) {
    signal.throwIfAborted();
    if (!bound.aborted) throw error;
    screen.note(screen.notes.dim(`It still runs. Follow it with: mooring logs -f ${id} ${jobId}`));
    return;
  }
  const ended = await job.read({ signal });
  screen.note(screen.notes.dim(`${ended.state}, exit code ${ended.exit_code ?? "none"}`));
}

async function showEvents(context: Context, id: string, follow: boolean): Promise<void> {
  const { signal, screen } = context;
  const session = context.mooring().session(id);
  for await (const event of follow ? session.watch({ signal }) : session.history({ signal })) {
    if (screen.form.json) {
      // Print one JSON document per line: events that are followed never end, so they cannot be one document.
      screen.line(JSON.stringify(event));
      continue;
    }
    const moved = event.from === event.to ? "" : screen.colours.dim(`  ${event.from} → ${event.to}`);
    screen.line(
      `${screen.colours.dim(clock(event.at))}  ${event.type.padEnd(20)} ${screen.plain(event.cause)}${moved}`,
    );
  }
}
