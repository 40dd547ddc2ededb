/** `mooring usage`: what a tenant uses of its quotas. */
import type { Command } from "commander";
import type { AnswerOf } from "../../../client/mooring.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import type { Context } from "../../context.ts";
import { relative } from "../../screen/times.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

type Usage = AnswerOf<"getOwnUsage">;

export function usageCommand(shell: Shell): Command {
  const made = command("usage", "What a tenant uses of what it may: sandboxes, the month's cost, seconds", [
    ["mooring usage", "your own"],
    ["mooring usage --tenant acme", "of any tenant (admin token)"],
  ]).option("--tenant <name>", "of this tenant, as an operator");
  return withSharedOptions(made).action(async (flags: { tenant?: string }) => {
    const context = contextOf(shell, flags);
    const { signal, screen } = context;
    if (flags.tenant === undefined && context.actsAsOperator)
      throw new CliFault(exitCodes.usage, "An operator names the tenant.", "mooring usage --tenant NAME");
    const usage =
      flags.tenant === undefined
        ? await context.mooring().usage({ signal })
        : await context.admin().usage(flags.tenant, { signal });
    if (screen.form.json) return screen.json(usage);
    show(context, usage);
  });
}

function show({ screen }: Context, { tenant, sandboxes, month, usage, total_seconds: total }: Usage): void {
  const { bold, bad, warn, good } = screen.colours;
  const share = month.max_cost === null ? 0 : month.cost / month.max_cost;
  const mark = (part: number) => (part >= 1 ? bad("●") : part >= 0.8 ? warn("●") : good("●"));
  screen.line(bold(screen.plain(tenant)));
  const { used, limit } = sandboxes;
  screen.line(`${mark(used / limit)} ${used} of ${limit} sandboxes`);
  const bound = month.max_cost === null ? "no bound" : `of at most ${amount(month.max_cost)}`;
  screen.line(
    `${mark(share)} ${amount(month.cost)} ${month.currency} this month, ${bound}; what runs now adds ${amount(month.cost_per_hour)} an hour`,
  );
  if (share >= 1)
    screen.line(
      `  ${bad("It is used up")}: what costs something pauses or ends, nothing new starts. The next month begins ${relative(month.until, Date.now())}; an operator allows more with TENANT_MAX_COST_PER_MONTH.`,
    );
  screen.line(`  ${hours(total)} in all sessions there ever were`);
  for (const { status, provider, seconds } of usage)
    screen.line(`    ${hours(seconds)} ${screen.plain(status)} with ${screen.plain(provider)}`);
}

const amount = (money: number): string => String(Number(money.toPrecision(4)));
const hours = (seconds: number): string => `${(seconds / 3_600).toFixed(2)} h`;
