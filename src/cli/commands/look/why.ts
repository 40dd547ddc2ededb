/** `mooring why`: why a session is as it is, which clock fires next, and the command to run. */
import type { Command } from "commander";
import type { AnswerOf } from "../../../client/mooring.ts";
import type { Context } from "../../context.ts";
import { commandOf } from "../../../client/wire/command-of.ts";
import { relative, span } from "../../screen/times.ts";
import { wrapped } from "../../screen/wrap.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

type Explanation = AnswerOf<"explainSession">;

export function whyCommand(shell: Shell): Command {
  const made = command("why", "Say why a session is as it is, and what to run", [
    ["mooring why ID", "what keeps it alive, what blocks it, what to run"],
    ["mooring why ID --json | jq .next_call", "the same for a script"],
  ]).argument("<session>", "id of the session");
  return withSharedOptions(made).action(async (id: string, flags: object) => {
    const context = contextOf(shell, flags);
    const { signal } = context;
    const told = context.actsAsOperator
      ? await context.admin().explain(id, { signal })
      : await context.mooring().session(id).explain({ signal });
    if (context.screen.form.json) return context.screen.json(told);
    show(context, told);
  });
}

function show(context: Context, told: Explanation): void {
  const { screen } = context;
  const { bold, dim, warn, accent } = screen.colours;
  const now = Date.parse(told.as_of);
  screen.line(`${bold(told.session_id)}  ${screen.status(told.status)}`);
  const prose = (text: string, used = 0, indent = used) =>
    wrapped(screen.plain(withRelativeTimes(text, now)), screen.width, used, indent);
  screen.line(prose(told.summary));
  if (told.blocked !== null) {
    // What it means is in the summary.
    const { code, since, retry_at: retry } = told.blocked;
    const again = retry === null ? "" : ` Mooring tries again ${relative(retry, now)}.`;
    const blocked = `Blocked: ${code}`;
    const rest = ` for ${span(now - Date.parse(since))}.${again}`;
    screen.line(`\n${warn(blocked)}${prose(rest, blocked.length, 0)}`);
  }
  const [first] = told.clocks;
  if (first !== undefined && told.clocks.every(({ due_at: due, says }) => due === null && says === first.says)) {
    // After the end no clock runs, all for the same reason. Nine lines that say so would hide what to do next.
    screen.line(`\n${bold("Clocks")}\n  ${dim(prose(first.says, 2))}`);
  } else if (first !== undefined) {
    screen.line(`\n${bold("Clocks")}`);
    for (const clock of told.clocks.toSorted((a, b) => Number(a.due_at === null) - Number(b.due_at === null))) {
      // Leave out what a stopped clock would do when it fires.
      const [due, says] =
        clock.due_at === null
          ? ["stands still", clock.says]
          : [relative(clock.due_at, now), `${clock.does.charAt(0).toUpperCase()}${clock.does.slice(1)}. ${clock.says}`];
      const mark = clock.name === told.next_clock ? accent("▸") : " ";
      screen.line(`${mark} ${clock.name.padEnd(16)} ${due.padEnd(14)} ${dim(prose(says, 34))}`);
    }
  }
  if (told.sandboxes.length > 0) {
    screen.line(`\n${bold("Sandboxes")}`);
    for (const each of told.sandboxes) {
      const which = `  ${each.sandbox_id} ${each.phase}: `;
      screen.line(`${which}${prose(`${each.says}${renewalOf(each)}`, which.length, 4)}`);
    }
  }
  const next = told.next_call;
  screen.line(`\n${bold("Next")}`);
  if (next === null) screen.line("  Nothing needs to be done.");
  else screen.line(`  ${accent(commandOf(next, told.session_id))}\n  ${dim(prose(next.why, 2))}`);
  for (const other of told.other_calls)
    screen.line(`  ${commandOf(other, told.session_id)}\n    ${dim(`# ${prose(other.why, 6)}`)}`);
  screen.note(dim(`\nIn the console: ${context.page(`sessions/${told.session_id}`)}`));
}

/** "at 2026-12-01T10:00:00.000Z" as "4m ago", as every other time here. `--json` keeps the instants. */
export function withRelativeTimes(text: string, now: number): string {
  return text.replace(/(?:\bat )?(\d{4}-\d\d-\d\dT[\d:.]+Z)/g, (_, instant: string) => relative(instant, now));
}

function renewalOf({ renewed_at: at, next_renewal_at: next }: Explanation["sandboxes"][number]): string {
  return at === null || next === null ? "" : ` Its last renewal was accepted at ${at}, and the next is due at ${next}.`;
}
