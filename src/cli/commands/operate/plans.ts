/**
 * `mooring audit`, `cleanup`, `emergency`: acts on many sessions. Each first shows the plan, and then acts on exactly
 * that plan.
 */
import type { Command } from "commander";
import type { AnswerOf } from "../../../client/mooring.ts";
import { sessionStatuses } from "../../../protocol/resources/session/sessions.ts";
import type { Context } from "../../context.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { askedFor, confirmed } from "../../screen/confirm.ts";
import { startProgress } from "../../screen/spinner.ts";
import { relative } from "../../screen/times.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";
import { secondsOf } from "../work/run.ts";

type Cleaned = AnswerOf<"cleanUp">;
type Plan = AnswerOf<"planAudit">;

export function auditCommand(shell: Shell): Command {
  const audit = command("audit", "Compare records with sandboxes: plan, then apply exactly that plan", [
    ["mooring audit plan", "what does not fit together; changes nothing, exits 8 when it finds something"],
    ["mooring audit apply PLAN", "shows the plan, asks, applies it; each finding is verified again"],
    ["mooring audit list", "the newest plans"],
  ]);
  audit.addCommand(
    withSharedOptions(command("plan", "Look, and write down what to do")).action(async (flags: object) => {
      const context = contextOf(shell, flags);
      const shown = startProgress(context.screen, "Comparing records with sandboxes");
      const plan = await context.admin().planAudit({ signal: context.signal });
      shown.done(
        `Looked at ${plan.looked.records} records and ${plan.looked.sandboxes} sandboxes of ${plan.looked.tenants} tenants`,
      );
      if (context.screen.form.json) context.screen.json(plan);
      else showPlan(context, plan);
      if (plan.findings.length > 0)
        throw new CliFault(
          exitCodes.found,
          `Findings: ${plan.findings.length}.`,
          `mooring audit apply ${plan.id}`,
          context.page(`audits/${plan.id}`),
        );
    }),
  );
  audit.addCommand(
    withSharedOptions(
      command("apply", "Apply a plan after showing it")
        .argument("<plan>", "id of the plan")
        .option("-y, --yes", "do it without being asked")
        .option("--hash <hash>", "only if the plan has this hash"),
    ).action(async (id: string, flags: { yes?: boolean; hash?: string }) => {
      const context = contextOf(shell, flags);
      const { plan } = await context.admin().audit(id, { signal: context.signal });
      if (!context.screen.form.json) showPlan(context, plan);
      if (flags.yes !== true)
        await confirmed(context.screen, `${plan.findings.length} findings are verified again and acted on`);
      const result = await context.admin().applyAudit(id, { plan_hash: flags.hash ?? plan.plan_hash });
      if (context.screen.form.json) return context.screen.json(result);
      context.screen.rows(
        result.items,
        [
          { title: "session", text: ({ finding }) => finding.session_id },
          { title: "finding", text: ({ finding }) => finding.kind },
          { title: "outcome", text: ({ outcome }) => outcome },
          { title: "why", text: ({ why }) => why },
        ],
        ({ finding }) => finding.session_id,
        "The plan was empty: nothing to do.",
      );
      context.screen.note(`${result.done} done, ${result.skipped} skipped, ${result.failed} failed.`);
      if (result.failed > 0)
        throw new CliFault(exitCodes.failed, `${result.failed} findings could not be acted on.`, "mooring audit plan");
    }),
  );
  audit.addCommand(
    withSharedOptions(command("list", "The newest plans"), ["json", "ids"]).action(async (flags: object) => {
      const context = contextOf(shell, flags);
      const { data } = await context.admin().audits({ signal: context.signal });
      const now = Date.now();
      context.screen.rows(
        data,
        [
          { title: "plan", text: ({ id }) => id },
          { title: "made", text: ({ created_at: at }) => relative(at, now) },
          { title: "findings", text: ({ findings }) => String(findings) },
          { title: "complete", text: ({ complete }) => (complete ? "yes" : "no") },
          { title: "by", text: ({ by }) => by },
        ],
        ({ id }) => id,
        "No plan yet: `mooring audit plan` makes one.",
      );
    }),
  );
  return audit;
}

function showPlan({ screen }: Context, plan: Plan): void {
  screen.line(`Plan ${plan.id}, hash ${plan.plan_hash.slice(0, 12)}…, valid until ${plan.expires_at}`);
  for (const note of plan.notes) screen.line(screen.colours.warn(screen.plain(note)));
  if (plan.findings.length === 0) return screen.line(screen.colours.good("No findings: records and sandboxes agree."));
  screen.rows(
    plan.findings,
    [
      { title: "session", text: ({ session_id: id }) => id },
      { title: "tenant", text: ({ tenant }) => tenant ?? "-" },
      { title: "finding", text: ({ kind }) => kind },
      { title: "detail", text: ({ detail }) => detail },
    ],
    ({ session_id: id }) => id,
    "",
  );
}

interface CleanupFlags {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly reason?: string;
  readonly olderThan?: string;
  readonly status?: string;
  readonly includePaused?: boolean;
}

export function cleanupCommand(shell: Shell): Command {
  const made = command("cleanup", "End what is overdue, stuck or lost", [
    ["mooring cleanup --dry-run", "what it would end"],
    ["mooring cleanup --reason 'after the outage'", "shows it, asks, ends it"],
    ["mooring cleanup --older-than 2h --reason 'leak'", "whatever is older than two hours and not critical"],
  ])
    .option("--older-than <time>", "instead: whatever is at least this old (90s, 15m, 2h, 1d)")
    .option("--status <status>", `only sessions of this status: ${sessionStatuses.join(", ")}`);
  return withPlanOptions(made).action(async (flags: CleanupFlags) => {
    const context = contextOf(shell, flags);
    const terms = {
      ...(flags.olderThan === undefined ? {} : { max_age_seconds: secondsOf(flags.olderThan, "--older-than") }),
      ...(flags.status === undefined ? {} : { status: flags.status as "running" }),
    };
    await planThenAct(context, flags, (act, reason) => context.admin().cleanUp({ ...terms, ...act, reason }));
  });
}

export function emergencyCommand(shell: Shell): Command {
  const made = command("emergency", "End everything that holds a sandbox and is not critical", [
    ["mooring emergency --dry-run --reason look", "what it would end, and what becomes of the files"],
    ["mooring emergency --reason 'runaway cost'", "shows it, asks, ends it"],
  ]).option("--include-paused", "also sessions that hold no sandbox; their saved files are deleted");
  return withPlanOptions(made).action(async (flags: CleanupFlags) => {
    const context = contextOf(shell, flags);
    const more = flags.includePaused === true ? { include_paused: true } : {};
    await planThenAct(context, flags, (act, reason) => context.admin().cleanUpEmergency({ ...more, ...act, reason }));
  });
}

function withPlanOptions(made: Command): Command {
  return withSharedOptions(
    made
      .option("--dry-run", "tell what would end, and end nothing")
      .option("--reason <text>", "why; kept in the history")
      .option("-y, --yes", "do it without being asked"),
  );
}

/**
 * Either a dry run, which is shown for confirmation, or the apply of that plan by its hash. The apply is refused when
 * the plan would come out differently by now.
 */
type Act = { readonly dry_run: true } | { readonly plan_hash: string };

async function planThenAct(
  context: Context,
  flags: CleanupFlags,
  call: (act: Act, reason: string) => Promise<Cleaned>,
): Promise<void> {
  const { screen } = context;
  const plan = await call({ dry_run: true }, flags.reason ?? "a look before the act");
  if (flags.dryRun === true && screen.form.json) return screen.json(plan);
  if (!screen.form.json) showCleaned(context, plan, "Nothing would end.");
  const count = plan.results.filter(({ outcome }) => outcome === "would_end").length;
  if (flags.dryRun === true || count === 0) {
    if (screen.form.json) screen.json(plan);
    return;
  }
  const reason = flags.reason ?? (await askedFor(screen, "Reason, for the history", "--reason 'why'"));
  if (flags.yes !== true)
    await confirmed(screen, `${count} ${count === 1 ? "session ends" : "sessions end"}, as listed`);
  const shown = startProgress(screen, `Ending ${count}`);
  if (plan.plan_hash === null) throw new CliFault(exitCodes.failed, "The plan has no hash, so nothing was ended.");
  const done = await call({ plan_hash: plan.plan_hash }, reason);
  shown.done(`${done.ended} of ${done.found} ended`);
  if (screen.form.json) return screen.json(done);
  showCleaned(context, done, "Nothing ended.");
  if (done.more || done.silent_shards.length > 0)
    throw new CliFault(
      exitCodes.found,
      done.more
        ? "There was more than one run takes."
        : `Parts of the index were silent: ${done.silent_shards.join(", ")}.`,
      "the same command again",
    );
  screen.note("Each has its own teardown now: mooring sessions --all --status terminating");
}

function showCleaned({ screen }: Context, reply: Cleaned, empty: string): void {
  screen.rows(
    reply.results,
    [
      { title: "session", text: ({ id }) => id },
      { title: "outcome", text: ({ outcome }) => outcome.replaceAll("_", " ") },
      { title: "why", text: ({ why, detail }) => (detail === "" ? why : `${why}: ${detail}`) },
      { title: "files", text: ({ files }) => files },
    ],
    ({ id }) => id,
    empty,
  );
}
