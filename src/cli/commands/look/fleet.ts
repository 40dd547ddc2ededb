/** `mooring fleet` and `mooring attention`: how things stand, and what needs somebody now. */
import type { Command } from "commander";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import type { Context } from "../../context.ts";
import { sizeOf } from "../../screen/sizes.ts";
import { relative, span } from "../../screen/times.ts";
import { commandOf } from "../../../client/wire/command-of.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

export function attentionCommand(shell: Shell): Command {
  const made = command("attention", "What needs somebody now, worst first, and the command that ends it", [
    ["mooring attention", "one line per problem; exits 8 when there is any"],
    ["mooring attention --json", "for a script or a bot"],
  ]);
  return withSharedOptions(made).action(async (flags: object) => {
    const context = contextOf(shell, flags);
    const { signal, screen } = context;
    const asOperator = context.access.adminToken !== null;
    const told = asOperator
      ? await context.admin().attention({ signal })
      : await context.mooring().attention({ signal });
    const count = told.items.length + told.left_off;
    const problems = count === 1 ? "1 problem" : `${count} problems`;
    if (screen.form.json) screen.json(told);
    else {
      const { bold, bad, warn, dim, accent, good } = screen.colours;
      const { sandboxes, overdue, balanced, looked_at: looked } = told.figures;
      const now = Date.parse(told.as_of);
      const figures = `${sandboxes} sandboxes, ${overdue} overdue, ledger ${balanced ? "balanced" : bad("not balanced")}${looked === null ? "" : `, the watch looked ${relative(looked, now)}`}`;
      screen.line(
        told.items.length === 0
          ? `${good("Nothing needs attention.")} ${figures}.`
          : `${bold(problems)}  ${dim(figures)}`,
      );
      for (const each of told.items) {
        const mark = each.severity === "critical" ? bad("●") : warn("●");
        const since = each.since === null ? "" : dim(`, for ${span(now - Date.parse(each.since))}`);
        screen.line(
          `\n${mark} ${bold(screen.plain(each.what))}  ${each.kind} ${screen.plain(each.subject)}${each.tenant === null ? "" : ` of ${each.tenant}`}${since}`,
        );
        screen.line(`  ${screen.plain(each.why)}`);
        if (each.next_call !== null) screen.line(`  ${accent(commandOf(each.next_call, each.subject))}`);
        screen.line(`  ${dim(new URL(each.console, context.access.url).href)}`);
      }
    }
    if (told.items.length > 0) throw new CliFault(exitCodes.found, `${problems}: somebody is needed.`);
  });
}

export function fleetCommand(shell: Shell): Command {
  const made = command("fleet", "The fleet in figures: sandboxes, caps, alerts, ledger, cleanup layers (admin token)", [
    ["mooring fleet", "one screen"],
    ["mooring fleet --json | jq .stats.active", "for a script"],
  ]);
  return withSharedOptions(made).action(async (flags: object) => {
    const context = contextOf(shell, flags);
    const admin = context.admin();
    const options = { signal: context.signal };
    const [stats, alerts, ledger, runs] = await Promise.all([
      admin.stats(options),
      admin.alerts(options),
      admin.ledger({}, options),
      admin.cleanupRuns({ limit: 1 }, options),
    ]);
    if (context.screen.form.json) return context.screen.json({ stats, alerts, ledger, layers: runs.layers });
    show(context, stats, alerts, ledger, runs.layers);
  });
}

type Admin = ReturnType<Context["admin"]>;
type ResultOf<M extends "stats" | "alerts" | "ledger"> = Awaited<ReturnType<Admin[M]>>;
type Layers = Awaited<ReturnType<Admin["cleanupRuns"]>>["layers"];

function show(
  context: Context,
  stats: ResultOf<"stats">,
  alerts: ResultOf<"alerts">,
  ledger: ResultOf<"ledger">,
  layers: Layers,
): void {
  const { screen } = context;
  const { bold, good, bad, warn, dim, accent } = screen.colours;
  const now = Date.now();
  const { limit } = stats.global;
  const inUse = ledger.total.used;
  const { timeouts, oldest_running: oldest, cost } = stats;
  const sessions = Object.entries(stats.sessions)
    .map(([status, count]) => `${count} ${screen.status(status)}`)
    .join(", ");
  screen.line(bold("Sandboxes"));
  screen.facts([
    ["in use", `${bar(inUse / Math.max(1, limit))} ${inUse} of ${limit}`],
    ["now", `${stats.active} active, ${stats.provisioning} starting, ${stats.terminating} ending`],
    ["ever", `${stats.total_created} created, ${stats.total_destroyed} destroyed, ${stats.asserted} on a word alone`],
    ["snapshots", snapshotsOf(ledger.total.snapshots)],
    ["ledger", ledger.balanced ? good("balanced") : bad("does not balance: mooring api get-ledger")],
  ]);
  screen.line(`\n${bold("Sessions")}`);
  screen.facts([
    ["by status", sessions === "" ? "none" : sessions],
    ["stuck", stats.stuck === 0 ? "0" : bad(`${stats.stuck}: mooring sessions --stuck`)],
    [
      "blocked",
      Object.entries(stats.blocked)
        .map(([code, count]) => `${count} ${code}`)
        .join(", ") || "none",
    ],
    [
      "oldest",
      oldest === null ? "none runs" : `${oldest.id} of ${oldest.tenant}, begun ${relative(oldest.created_at, now)}`,
    ],
    [
      "timeouts",
      `${timeouts.percent} % of ${timeouts.samples} jobs and launches in the last ${timeouts.window_seconds / 60} min`,
    ],
    ["cost", cost === null ? "no prices are set" : `${Number(cost.per_hour.toPrecision(3))} ${cost.currency} an hour`],
    ["tenants", String(stats.tenants)],
    [
      "draining",
      stats.draining === null
        ? "no"
        : warn(`for ${span(now - Date.parse(stats.draining.since))}: ${screen.plain(stats.draining.reason)}`),
    ],
  ]);
  const { canary, restore_drill: drills } = stats;
  const found = canaryWords(canary, now);
  screen.line(`\n${bold("Tried on itself")}`);
  screen.facts([
    ["canary", canary.missed ? bad(`${found}: missed`) : found],
    [
      "restores",
      `${drills.proven} proven, ${drills.failed} failed, ${drills.inconclusive} inconclusive${drills.failing.length === 0 ? "" : bad(`; not restorable: ${drills.failing.join(" ")}`)}`,
    ],
  ]);
  const firing = alerts.data.filter(({ phase }) => phase !== "clear");
  screen.line(
    `\n${bold("Alerts")}  ${dim(alerts.looked_at === null ? "never looked" : `looked ${relative(alerts.looked_at, now)}`)}${alerts.stale ? bad("  the watch is late") : ""}`,
  );
  if (firing.length === 0) screen.line(good("  none"));
  for (const each of firing) {
    screen.line(
      `  ${each.phase === "firing" ? bad(each.name) : warn(each.name)}  ${each.phase} for ${span(now - Date.parse(each.since))}: ${screen.plain(each.summary)}`,
    );
    screen.line(`    ${accent(each.cli ?? each.command)}`);
  }
  screen.line(`\n${bold("Cleanup layers")}`);
  screen.facts(
    layers.map((each) => [
      each.layer,
      `${each.last_outcome === "ok" ? good("ok") : warn(each.last_outcome ?? "under way")}, ${relative(each.last_started_at, now)}${each.failures_in_row === 0 ? "" : bad(`, ${each.failures_in_row} failures in a row`)}`,
    ]),
  );
  screen.note(dim(`\nIn the console: ${context.page("fleet")}`));
}

function snapshotsOf({ count, bytes, deleting }: ResultOf<"ledger">["total"]["snapshots"]): string {
  return `${count} kept by tenants, ${sizeOf(bytes)}${deleting === 0 ? "" : `, ${deleting} being deleted`}`;
}

function bar(share: number, width = 24): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return "█".repeat(full) + "░".repeat(width - full);
}

/** What became of the last canary, and whether one is out now. */
export function canaryWords(
  { planted_at: planted, found_after_seconds: after }: ResultOf<"stats">["canary"],
  now: number,
): string {
  const last = after === null ? [] : [`found after ${Math.round(after)} s`];
  const out = planted === null ? [] : [`one is out, planted ${relative(planted, now)}`];
  const words = [...last, ...out].join("; ");
  return words === "" ? "none yet" : words;
}
