/**
 * `mooring top`: what running sandboxes use. In a terminal it is refreshed every two seconds, elsewhere it is printed
 * once.
 */
import type { Command } from "commander";
import { isProblem } from "../../../client/mooring.ts";
import { sleep } from "../../../client/wire/pacing.ts";
import type { Context } from "../../context.ts";
import type { Column } from "../../screen/table.ts";
import { table } from "../../screen/table.ts";
import { relative } from "../../screen/times.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

const renewMs = 2_000;
/** Each row costs one call. With more rows the first figures would be outdated before the last ones arrive. */
const mostRows = 30;

interface Row {
  readonly id: string;
  readonly tenant: string | null;
  readonly cpu_percent: number | null;
  readonly memory_mb: number | null;
  readonly processes: number | null;
  readonly hints: string;
  /** null: the session was named on the command line, so only its usage was read. */
  readonly created_at: string | null;
}

export function topCommand(shell: Shell): Command {
  const made = command("top", "What running sandboxes use", [
    ["mooring top", "your running sessions, renewed until Ctrl-C"],
    ["mooring top --once", "one table"],
    ["mooring top ID", "one session"],
  ])
    .argument("[session]", "only this one")
    .option("--once", "show one table and end");
  return withSharedOptions(made).action(async (id: string | undefined, flags: { once?: boolean }) => {
    const context = contextOf(shell, flags);
    const { screen, signal } = context;
    const live = screen.isLive && process.stdout.isTTY === true && flags.once !== true && !screen.form.json;
    for (;;) {
      const rows = await look(context, id);
      if (screen.form.json) return screen.json(rows);
      // Move the cursor home, draw the new table over the old one, and erase what is left below. Clearing the screen
      // first would flicker.
      if (live) screen.out("\u001b[H");
      screen.out(rows.length === 0 ? "No sandbox runs.\n" : table(rows, columns(context), screen.width));
      if (!live) return;
      screen.out(`${screen.colours.dim("\nCtrl-C ends it.")}\u001b[J\n`);
      await sleep(renewMs, signal).catch(() => {});
      if (signal.aborted) return;
    }
  });
}

async function look(context: Context, only: string | undefined): Promise<readonly Row[]> {
  const { signal } = context;
  const ids: { readonly id: string; readonly tenant: string | null; readonly created_at: string | null }[] = [];
  if (only !== undefined) ids.push({ id: only, tenant: null, created_at: null });
  else if (context.actsAsOperator) {
    for await (const each of context.admin().sessions({ status: "running", limit: mostRows }, { signal }))
      if (ids.push(each) >= mostRows) break;
  } else {
    for await (const each of context.mooring().list({ status: "running", limit: mostRows }, { signal }))
      if (ids.push({ ...each, tenant: null }) >= mostRows) break;
  }
  const rows = await Promise.all(
    ids.map(async ({ id, tenant, created_at }): Promise<Row> => {
      try {
        const told = context.actsAsOperator
          ? await context.admin().resources(id, { signal })
          : await context.mooring().session(id).resources({ signal });
        return {
          id,
          tenant,
          created_at,
          cpu_percent: told.cpu_percent,
          memory_mb: told.memory_mb,
          processes: told.processes,
          hints: told.diagnosis.map(({ code }) => code).join(" "),
        };
      } catch (error) {
        if (only !== undefined || !isProblem(error)) throw error;
        return { id, tenant, created_at, cpu_percent: null, memory_mb: null, processes: null, hints: error.code };
      }
    }),
  );
  return [...rows].sort((a, b) => (b.cpu_percent ?? -1) - (a.cpu_percent ?? -1));
}

function columns({ screen, actsAsOperator }: Context): readonly Column<Row>[] {
  const now = Date.now();
  return [
    { title: "id", text: ({ id }) => id },
    ...(actsAsOperator ? [{ title: "tenant", text: ({ tenant }: Row) => tenant ?? "-" }] : []),
    { title: "cpu", text: ({ cpu_percent: cpu }) => (cpu === null ? "-" : `${cpu.toFixed(0)}%`).padStart(5) },
    { title: "memory", text: ({ memory_mb: mb }) => (mb === null ? "-" : `${mb.toFixed(0)} MB`).padStart(9) },
    { title: "processes", text: ({ processes }) => String(processes ?? "-").padStart(9) },
    { title: "age", text: ({ created_at: at }) => relative(at, now) },
    {
      title: "hints",
      text: ({ hints }) => hints || "-",
      paint: (cell, { hints }) => (hints === "" ? cell : screen.colours.warn(cell)),
    },
  ];
}
