/** `mooring snapshots` and `mooring fork`: the files of a session under a name, and sessions that begin with them. */
import type { Command } from "commander";
import { sleep } from "../../../client/wire/pacing.ts";
import type { Session, Snapshot } from "../../../client/mooring.ts";
import type { Context } from "../../context.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { confirmed } from "../../screen/confirm.ts";
import { sizeOf } from "../../screen/sizes.ts";
import { startProgress } from "../../screen/spinner.ts";
import { relative } from "../../screen/times.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";
import { collect, labelsOf } from "../look/sessions.ts";
import { secondsOf } from "./run.ts";

const lookMs = 1_000;
/** How long to wait for the proof of a deletion. A deletion that takes longer goes on; the provider is in trouble. */
const proofMs = 60_000;

export function snapshotsCommand(shell: Shell): Command {
  const snapshots = command("snapshots", "Files of sessions, kept under a name", [
    ["mooring snapshots list", "those there are, newest first"],
    ["mooring snapshots create ID with-dependencies", "the session runs on"],
    ["mooring up --snapshot with-dependencies", "a session that begins with them"],
    ["mooring snapshots delete with-dependencies", "shows it, asks, and waits for the proof"],
  ]);
  snapshots.addCommand(listCommand(shell));
  snapshots.addCommand(createCommand(shell));
  snapshots.addCommand(deleteCommand(shell));
  return snapshots;
}

function listCommand(shell: Shell): Command {
  const made = command("list", "List your snapshots, newest first").option(
    "-s, --session <id>",
    "only those taken from this session",
  );
  return withSharedOptions(made, ["json", "ids"]).action(async (flags: { session?: string }) => {
    const context = contextOf(shell, flags);
    const query = flags.session === undefined ? {} : { session_id: flags.session };
    const found: Snapshot[] = [];
    for await (const each of context.mooring().snapshots.list(query, { signal: context.signal })) found.push(each);
    const now = Date.now();
    context.screen.rows(
      found,
      [
        { title: "name", text: ({ name }) => name ?? "-" },
        { title: "id", text: ({ id }) => id },
        { title: "status", text: ({ status }) => status },
        { title: "size", text: ({ size_bytes: size }) => (size === null ? "-" : sizeOf(size)) },
        { title: "taken", text: ({ created_at: at }) => relative(at, now) },
        { title: "from", text: ({ session_id: id }) => id },
      ],
      ({ id }) => id,
      "There is no snapshot. `mooring snapshots create ID NAME` takes one.",
    );
  });
}

function createCommand(shell: Shell): Command {
  const made = command("create", "Take a snapshot of a session's files; the session runs on")
    .argument("<session>", "id of the session")
    .argument("[name]", "of the snapshot, unique among yours; left out: it has its id only")
    .option("--replace", "delete an older snapshot of that name once this one is saved");
  return withSharedOptions(made, ["json", "ids"]).action(
    async (id: string, name: string | undefined, flags: { replace?: boolean }) => {
      const context = contextOf(shell, flags);
      const { screen, signal } = context;
      const progress = startProgress(screen, `Saving the files of ${id}`);
      try {
        const order = await context
          .mooring()
          .session(id)
          .snapshot(name, { replace: flags.replace === true, signal });
        const taken = await untilStatus(context, order, ({ status }) => status !== "taking", null);
        if (taken.status !== "ready") throw notTaken(taken);
        progress.done(`Snapshot ${nameOf(taken)}: ${sizeOf(taken.size_bytes ?? 0)}`);
        if (screen.form.json) return screen.json(taken);
        screen.line(taken.id);
        screen.note(`Begin with it: mooring up --snapshot ${nameOf(taken)}`);
      } catch (error) {
        progress.failed("No snapshot was taken");
        throw error;
      }
    },
  );
}

function deleteCommand(shell: Shell): Command {
  const made = command("delete", "Delete a snapshot and wait for the proof that nothing of it is left")
    .argument("<snapshot>", "its name or its id")
    .option("-y, --yes", "do it without being asked")
    .option("--no-wait", "do not wait for the proof");
  return withSharedOptions(made).action(async (reference: string, flags: { yes?: boolean; wait: boolean }) => {
    const context = contextOf(shell, flags);
    const { screen, signal } = context;
    const { snapshots } = context.mooring();
    const found = await snapshots.get(reference, { signal });
    if (flags.yes !== true) {
      const size = found.size_bytes === null ? "not saved yet" : sizeOf(found.size_bytes);
      screen.note(`${nameOf(found)}  ${found.id}  ${size}, from session ${found.session_id}`);
      await confirmed(screen, "This snapshot is deleted for good; sessions made from it keep their files");
    }
    // Delete by id: another snapshot may have taken the name in the meantime.
    const begun = await snapshots.delete(found.id, { signal });
    const proven = flags.wait
      ? await untilStatus(context, begun, ({ status }) => status === "deleted", proofMs)
      : begun;
    if (screen.form.json) screen.json(proven);
    const { deletion, status } = proven;
    if (status === "deleted" && !screen.form.json)
      screen.line(
        `${found.id}  ${screen.colours.good("proven deleted")}  ${screen.colours.dim(deletion?.evidence ?? "")}`,
      );
    else if (!flags.wait && !screen.form.json) screen.line(`${found.id}  its deletion is stored`);
    if (flags.wait && status !== "deleted")
      throw new CliFault(
        exitCodes.found,
        `The deletion of ${found.id} is stored and not proven yet: ${deletion?.last_error ?? "it is under way"}. Mooring goes on trying.`,
        `mooring api get-snapshot ${found.id}`,
      );
  });
}

interface ForkFlags {
  readonly count?: string;
  readonly timeout?: string;
  readonly label: readonly string[];
  readonly quiet?: boolean;
}

export function forkCommand(shell: Shell): Command {
  const made = command("fork", "Make sessions that begin with the files and settings of one", [
    ["mooring fork ID", "one, with the same limits, labels, env and rules"],
    ["mooring fork ID -n 5 -l try=b", "five, with a label of their own"],
  ])
    .argument("<session>", "id of the session; it runs on")
    .option("-n, --count <number>", "how many, 20 at most", "1")
    .option("--timeout <time>", "each fork ends after this time (90s, 15m, 2h, 1d); left out: as the session")
    .option("-l, --label <name=value>", "label in place of the session's; may be repeated", collect, []);
  return withSharedOptions(made, ["json", "ids"]).action(async (id: string, flags: ForkFlags) => {
    const context = contextOf(shell, flags);
    if (!/^([1-9]|1\d|20)$/.test(flags.count ?? "1"))
      throw new CliFault(exitCodes.usage, "--count must be a whole number from 1 to 20.");
    const labels = labelsOf(flags.label);
    const order: Parameters<Session["fork"]>[0] = { count: Number(flags.count ?? "1") };
    if (flags.timeout !== undefined) order.timeout_seconds = secondsOf(flags.timeout, "--timeout");
    if (labels !== undefined) order.labels = labels;
    const { screen } = context;
    const progress = startProgress(screen, `Saving the files of ${id}`);
    // Not under the Ctrl-C signal: if this call were aborted, the forks might run all the same, and nobody would know
    // their ids.
    const forks = await context
      .mooring()
      .session(id)
      .fork(order)
      .catch((error: unknown) => {
        progress.failed("No fork was made");
        throw error;
      });
    const made = forks.flatMap((fork) => ("problem" in fork ? [] : [fork]));
    const problems = forks.flatMap((fork) => ("problem" in fork ? [fork.problem] : []));
    progress.done(`${made.length} of ${forks.length} made`);
    if (screen.form.json) screen.json({ sessions: await Promise.all(made.map((each) => each.read())), problems });
    else for (const each of made) screen.line(each.id);
    const [first] = problems;
    if (first !== undefined)
      throw new CliFault(
        exitCodes.later,
        `${problems.length} of ${forks.length} forks were not made: ${first.detail} (${first.code})`,
      );
  });
}

/**
 * Waits for a status. After `withinMs` the status is reported as it is. null: no limit here, because the server bounds
 * a save.
 */
async function untilStatus(
  context: Context,
  first: Snapshot,
  fits: (snapshot: Snapshot) => boolean,
  withinMs: number | null,
): Promise<Snapshot> {
  const { signal } = context;
  const { snapshots } = context.mooring();
  const until = withinMs === null ? Infinity : performance.now() + withinMs;
  for (let snapshot = first; ; snapshot = await snapshots.get(first.id, { signal })) {
    if (fits(snapshot) || performance.now() > until) return snapshot;
    await sleep(lookMs, signal);
  }
}

function notTaken({ id, failure }: Snapshot): CliFault {
  return new CliFault(
    exitCodes.failed,
    `Snapshot ${id} was not taken: ${failure ?? "somebody deleted it"}. The session is as it was.`,
    "the same command again",
  );
}

const nameOf = ({ name, id }: Snapshot) => name ?? id;
