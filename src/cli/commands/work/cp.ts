/** `mooring cp` and `mooring up`: files between this machine and a sandbox. */
import type { Command } from "commander";
import { type CreateSession, type Session } from "../../../client/mooring.ts";
import type { Context } from "../../context.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { sizeOf } from "../../screen/sizes.ts";
import { startProgress } from "../../screen/spinner.ts";
import { endSession, openSession } from "../../sessions/own-session.ts";
import { attachTerminal } from "../../sessions/terminal.ts";
import { download, type Transfer, upload } from "../../sessions/transfer.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";
import { collect, labelsOf } from "../look/sessions.ts";
import { secondsOf } from "./run.ts";

export function cpCommand(shell: Shell): Command {
  const made = command("cp", "Copy files into a sandbox or out of it", [
    ["mooring cp report.csv ID:data/", "into the workspace; directories are made"],
    ["mooring cp ID:out/result.json .", "out of it"],
    ["mooring cp -r src ID:app", "a directory, either way"],
  ])
    .argument("<from>", "path here, or ID:path in a session")
    .argument("<to>", "path here, or ID:path in a session; below the workspace unless it begins with /")
    .option("-r, --recursive", "a directory with all that is in it");
  return withSharedOptions(made, []).action(async (from: string, to: string, flags: { recursive?: boolean }) => {
    const context = contextOf(shell, flags);
    const [source, target] = [placeOf(from), placeOf(to)];
    if ((source.id === null) === (target.id === null))
      throw new CliFault(
        exitCodes.usage,
        "One side must be in a session, as ID:path, and the other here.",
        "mooring cp --help",
      );
    const id = source.id ?? target.id ?? "";
    const session = context.mooring().session(id);
    await shown(context, `${from} → ${to}`, (onBytes) => {
      const transfer = { session, signal: context.signal, onBytes };
      const recursive = flags.recursive === true;
      return source.id === null
        ? upload(transfer, source.path, target.path, { recursive })
        : download(transfer, source.path, target.path, recursive);
    });
  });
}

interface UpFlags {
  readonly label: readonly string[];
  readonly timeout?: string;
  readonly idle?: string;
  readonly snapshot?: string;
  readonly detach?: boolean;
  readonly quiet?: boolean;
}

export function upCommand(shell: Shell): Command {
  const made = command("up", "A session from a directory: creates it, uploads the directory, opens a terminal", [
    ["mooring up", "this directory; the session stays until it is idle or you end it"],
    ["mooring up -d", "without a terminal: prints the session's id"],
    ["mooring up app -l team=web --idle 1h", "another directory, with a label and a longer idle clock"],
    ["mooring up --snapshot with-dependencies", "the files of a snapshot; uploads nothing unless a directory is named"],
  ])
    .argument("[directory]", "what is uploaded; left out: this one, with --snapshot nothing")
    .option("-l, --label <name=value>", "label of the session; may be repeated", collect, [])
    .option("--timeout <time>", "the session ends after this time (90s, 15m, 2h, 1d)")
    .option("--idle <time>", "the session ends after this time without work")
    .option("--snapshot <name>", "begin with the files of this snapshot, by its name or its id")
    .option("-d, --detach", "open no terminal");
  return withSharedOptions(made, ["json", "ids"]).action(async (named: string | undefined, flags: UpFlags) => {
    const directory = named ?? (flags.snapshot === undefined ? "." : null);
    const context = contextOf(shell, flags);
    const order: CreateSession = { labels: { ...labelsOf(flags.label), made_by: "mooring-up" } };
    if (flags.timeout !== undefined) order.timeout_seconds = secondsOf(flags.timeout, "--timeout");
    if (flags.idle !== undefined) order.idle_timeout_seconds = secondsOf(flags.idle, "--idle");
    if (flags.snapshot !== undefined) order.snapshot = flags.snapshot;
    const session = await openSession(context, order);
    try {
      if (directory !== null)
        await shown(context, `${directory} → ${session.id}`, (onBytes) =>
          upload({ session, signal: context.signal, onBytes }, directory, ".", { recursive: true, contents: true }),
        );
    } catch (error) {
      // The upload failed. Without its files nobody can use the session, so end it.
      await endSession(context, session);
      throw error;
    }
    const { screen } = context;
    const forScripts = screen.form.json || flags.quiet === true || flags.detach === true;
    if (forScripts || !process.stdin.isTTY || !process.stdout.isTTY) return await told(context, session);
    screen.note("A terminal in it; Ctrl-] leaves it.");
    process.exitCode = await attachTerminal(context, session, {});
    tellWhatNext(context, session);
  });
}

async function told(context: Context, session: Session): Promise<void> {
  const { screen } = context;
  if (screen.form.json) return screen.json(await session.read());
  screen.line(session.id);
  tellWhatNext(context, session);
}

function tellWhatNext({ screen }: Context, { id }: Session): void {
  screen.note(
    [
      `A terminal in it:    mooring attach ${id}`,
      `Run something in it: mooring run -s ${id} -- COMMAND`,
      `End it:              mooring end ${id}`,
    ].join("\n"),
  );
}

async function shown(
  context: Context,
  what: string,
  act: (onBytes: Transfer["onBytes"]) => Promise<void>,
): Promise<void> {
  const progress = startProgress(context.screen, what);
  let bytes = 0;
  try {
    await act((count, total) => {
      bytes += count;
      if (!context.screen.isLive) return;
      const share = total === null || total === 0 ? "" : ` of ${sizeOf(total)}, ${Math.floor((100 * bytes) / total)} %`;
      progress.say(`${what}  ${sizeOf(bytes)}${share}`);
    });
    progress.done(`${what}  ${sizeOf(bytes)}`);
  } catch (error) {
    progress.failed(what);
    throw error;
  }
}

function placeOf(text: string): { readonly id: string | null; readonly path: string } {
  const [, id, path] = /^([a-z0-9]{20}):(.*)$/s.exec(text) ?? [];
  return id === undefined || path === undefined ? { id: null, path: text } : { id, path: path === "" ? "." : path };
}
