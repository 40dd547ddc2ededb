/** `mooring resolve`, `rebuild`, `budget`, `drain`: single acts of operators and tenants. */
import { type Command, Option } from "commander";
import type { BodyFor } from "../../../client/mooring.ts";
import { resolveBody } from "../../../protocol/resources/operator/admin.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { askedFor, confirmed } from "../../screen/confirm.ts";
import { startProgress } from "../../screen/spinner.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

type Action = BodyFor<"resolveSession">["action"];

export function resolveCommand(shell: Shell): Command {
  const made = command("resolve", "The way out of a teardown that is stuck (admin token)", [
    ["mooring resolve ID --action retry_stop --reason 'the host is back'", "a new round of stop attempts"],
    [
      "mooring resolve ID --action assert_absent --reason 'the machine was wiped'",
      "your word that it is gone; no proof",
    ],
  ])
    .argument("<session>", "id of the session")
    .addOption(
      new Option("--action <action>", "what to do").choices(resolveBody.shape.action.options).makeOptionMandatory(),
    )
    .option("--reason <text>", "why you believe it; kept in the session's history")
    .option("-y, --yes", "do it without being asked");
  return withSharedOptions(made).action(
    async (id: string, flags: { action: Action; reason?: string; yes?: boolean }) => {
      const context = contextOf(shell, flags);
      const { screen } = context;
      const { inspection, etag } = await context.admin().inspect(id, { signal: context.signal });
      if (!screen.form.json) {
        screen.note(
          `${id}  ${inspection.session === null ? inspection.record : screen.status(inspection.session.status)}`,
        );
        for (const each of inspection.teardowns)
          screen.note(
            `  ${each.sandbox_id} ${each.phase}${each.parked ? ", parked" : ""}, ${each.attempts.length} attempts, ${each.reason}`,
          );
      }
      const reason = flags.reason ?? (await askedFor(screen, "Reason, for the session's history", "--reason 'why'"));
      if (flags.yes !== true) await confirmed(screen, `${flags.action.replaceAll("_", " ")} for this session`);
      // Send the ETag of what was shown, so that the act is refused when the session has changed since.
      const now = await context.admin().resolve(id, { action: flags.action, reason }, etag);
      if (screen.form.json) return screen.json(now);
      screen.line(`Done. The session is ${now.session === null ? now.record : screen.status(now.session.status)}.`);
      screen.note(`See how it goes on: mooring why ${id}`);
    },
  );
}

export function rebuildCommand(shell: Shell): Command {
  const made = command("rebuild", "Replace a session's sandbox; what cannot be saved is gone", [
    ["mooring rebuild ID", "shows what would be lost, and asks"],
  ])
    .argument("<session>", "id of the session")
    .option("-y, --yes", "do it without being asked");
  return withSharedOptions(made).action(async (id: string, flags: { yes?: boolean }) => {
    const context = contextOf(shell, flags);
    const session = context.mooring().session(id);
    const view = await session.read({ signal: context.signal });
    const loss =
      view.status === "running"
        ? "its files are saved first; processes and memory are lost"
        : "it begins with what was saved last, or empty";
    if (flags.yes !== true) await confirmed(context.screen, `Session ${id} is ${view.status}: ${loss}`);
    const shown = startProgress(context.screen, `Session ${id}: rebuilding`);
    await session.rebuild({ confirm: true });
    const now = await session.until(["running", "lost", "failed", "terminated"], { signal: context.signal });
    shown.done(`Session ${id} is ${now.status}`);
    if (context.screen.form.json) context.screen.json(now);
    if (now.status !== "running")
      throw new CliFault(exitCodes.later, `It was not rebuilt: ${now.failure ?? now.status}.`, `mooring why ${id}`);
  });
}

export function budgetCommand(shell: Shell): Command {
  const made = command("budget", "Set what a session may cost in all", [
    ["mooring budget ID 2.5", "at most 2.5, counted from its beginning"],
    ["mooring budget ID none", "no bound of its own"],
  ])
    .argument("<session>", "id of the session")
    .argument("<amount>", "in the currency of the operator's prices, or `none`");
  return withSharedOptions(made).action(async (id: string, amount: string, flags: object) => {
    const context = contextOf(shell, flags);
    const most = amount === "none" ? null : Number(amount);
    if (most !== null && !(most > 0))
      throw new CliFault(exitCodes.usage, `"${amount}" is no amount: write a number such as 2.5, or none.`);
    const now = await context.mooring().session(id).setBudget(most, { signal: context.signal });
    if (context.screen.form.json) return context.screen.json(now);
    const spent = `${now.cost ?? 0} ${now.currency ?? ""}`.trim();
    context.screen.line(
      most === null ? `No budget. It has cost ${spent}.` : `At most ${most}. It has cost ${spent} so far.`,
    );
  });
}

export function drainCommand(shell: Shell): Command {
  const made = command("drain", "Take no new sessions, or take them again (admin token)", [
    ["mooring drain on --reason 'upgrade at 20:00'", "what runs goes on; nothing new starts"],
    ["mooring drain off --reason 'upgrade is done'", "new sessions are taken again"],
  ])
    .argument("<on|off>", "on: no new sessions from now on")
    .option("--reason <text>", "why; shown to whoever is refused by it");
  return withSharedOptions(made).action(async (state: string, flags: { reason?: string }) => {
    const context = contextOf(shell, flags);
    if (state !== "on" && state !== "off") throw new CliFault(exitCodes.usage, `"${state}" is neither on nor off.`);
    const reason = flags.reason ?? (await askedFor(context.screen, "Reason", "--reason 'why'"));
    const now = await context.admin().drain({ draining: state === "on", reason });
    if (context.screen.form.json) return context.screen.json(now);
    context.screen.line(
      now.draining ? "Draining: no new sessions are taken. What runs goes on." : "New sessions are taken.",
    );
  });
}
