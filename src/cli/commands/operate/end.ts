/** `mooring end`: ends sessions and waits for the proof. */
import { inLanes } from "../../../calls/in-lanes.ts";
import type { Command } from "commander";
import { isProblem, type Teardown } from "../../../client/mooring.ts";
import type { Context } from "../../context.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault, faultOf } from "../../fault.ts";
import { confirmed } from "../../screen/confirm.ts";
import { startBar } from "../../screen/spinner.ts";
import { type EndOutcome, proofOf } from "../../sessions/own-session.ts";
import { untilProven } from "../../sessions/operator-end.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

interface Outcome {
  readonly id: string;
  readonly outcome: EndOutcome | "failed";
  readonly detail: string;
  readonly receipt: Teardown | null;
}

export function endCommand(shell: Shell): Command {
  const made = command("end", "End sessions and wait for the proof that they are gone", [
    ["mooring end ID", "one; asks first"],
    ["mooring sessions -q -l team=web | xargs mooring end -y", "many, with progress"],
    ["mooring end ID --no-wait", "store the end and do not wait"],
  ])
    .argument("<sessions...>", "ids of sessions")
    .option("--reason <text>", "as an operator: why; kept in the admin log")
    .option("-y, --yes", "do it without being asked")
    .option("--no-wait", "do not wait for the proof");
  return withSharedOptions(made, ["json", "ids"]).action(
    async (
      ids: string[],
      flags: { yes?: boolean; reason?: string; wait: boolean; json?: boolean; quiet?: boolean },
    ) => {
      const context = contextOf(shell, flags);
      if (flags.yes !== true) await ask(context, ids);
      const outcomes = await endAll(context, ids, flags);
      const { screen } = context;
      if (screen.form.json) screen.json(outcomes);
      else if (screen.form.quiet)
        screen.out(
          outcomes
            .filter(({ outcome }) => outcome !== "failed")
            .map(({ id }) => `${id}\n`)
            .join(""),
        );
      else
        for (const { id, outcome, detail } of outcomes)
          screen.line(
            `${id}  ${outcome === "proven gone" ? screen.colours.good(outcome) : outcome}  ${screen.colours.dim(screen.plain(detail))}`,
          );
      if (outcomes.some(({ outcome }) => outcome === "failed"))
        throw new CliFault(
          exitCodes.failed,
          "Not every session could be ended; see above.",
          `mooring why ${outcomes.find(({ outcome }) => outcome === "failed")?.id ?? "ID"}`,
        );
      const open = outcomes.find(({ outcome }) => outcome === "not proven yet" || outcome === "asserted gone");
      if (flags.wait && open !== undefined)
        throw new CliFault(
          exitCodes.found,
          "The end of every session is stored; not each is proven yet.",
          `mooring why ${open.id}`,
        );
    },
  );
}

/** Lists the sessions that would end, then asks for confirmation. */
async function ask(context: Context, ids: readonly string[]): Promise<void> {
  const { screen } = context;
  for (const id of ids.slice(0, 20)) {
    const view = context.actsAsOperator
      ? (await context.admin().inspect(id)).inspection.session
      : await context.mooring().session(id).read();
    const labels = Object.entries(view?.labels ?? {})
      .map(([name, value]) => `${name}=${value}`)
      .join(" ");
    screen.note(`${id}  ${view === null ? "unreadable" : screen.status(view.status)}  ${screen.plain(labels)}`);
  }
  if (ids.length > 20) screen.note(`… and ${ids.length - 20} more`);
  const them =
    ids.length === 1
      ? "This session ends, and its files are gone"
      : `These ${ids.length} sessions end, and their files are gone`;
  await confirmed(screen, them);
}

/** This many calls at a time. They do not wait for each other: each end is stored by the session's own object. */
const atOnce = 8;

interface EndFlags {
  readonly wait: boolean;
  readonly reason?: string;
}

async function endAll(context: Context, ids: readonly string[], flags: EndFlags): Promise<readonly Outcome[]> {
  const bar = startBar(context.screen, ids.length, ids.length === 1 ? "Ending" : `Ending ${ids.length} sessions`);
  const outcomes = new Map<string, Outcome>();
  await inLanes(ids, atOnce, async (id) => {
    if (context.signal.aborted) return;
    const outcome = await endOne(context, id, flags);
    outcomes.set(id, outcome);
    bar.advance(1, `${id} ${outcome.outcome}`);
  });
  bar.done(`${outcomes.size} of ${ids.length}`);
  context.signal.throwIfAborted();
  return ids.map((id) => outcomes.get(id) ?? { id, outcome: "failed", detail: "not reached", receipt: null });
}

async function endOne(context: Context, id: string, { wait, reason }: EndFlags): Promise<Outcome> {
  const { signal } = context;
  const body = reason === undefined ? {} : { reason };
  try {
    if (context.actsAsOperator) await context.admin().endSession(id, body, { signal });
    else await context.mooring().session(id).delete({ signal });
    if (!wait) return { id, outcome: "not proven yet", detail: "its end is stored", receipt: null };
    const receipt = context.actsAsOperator
      ? await untilProven(context.admin(), id, signal)
      : await context.mooring().session(id).end({ withinMs: 120_000, signal });
    const { outcome, evidence } = proofOf(receipt);
    return { id, outcome, detail: evidence, receipt };
  } catch (error) {
    signal.throwIfAborted();
    if (!isProblem(error) && error instanceof Error && error.name === "WaitTimeoutError")
      return { id, outcome: "not proven yet", detail: error.message, receipt: null };
    return { id, outcome: "failed", detail: faultOf(error).message, receipt: null };
  }
}
