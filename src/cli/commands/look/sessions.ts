/** `mooring sessions`: your sessions, or with the admin token those of all tenants. */
import { type Command, Option } from "commander";
import type { AnswerOf } from "../../../client/mooring.ts";
import { blockedCodes, sessionStatuses } from "../../../protocol/resources/session/sessions.ts";
import type { Context } from "../../context.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import type { Column } from "../../screen/table.ts";
import { relative } from "../../screen/times.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

type Own = AnswerOf<"listSessions">["data"][number];
type Anyones = AnswerOf<"listAllSessions">["data"][number];
type Status = Own["status"];
type Blocked = (typeof blockedCodes)[number];

interface Flags {
  readonly status?: string;
  readonly template?: string;
  readonly label?: readonly string[];
  readonly limit: string;
  readonly all?: boolean;
  readonly tenant?: string;
  readonly stuck?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly blocked?: string;
}

export function sessionsCommand(shell: Shell): Command {
  const made = command("sessions", "List sessions, newest first", [
    ["mooring sessions --status running", "what runs now"],
    ["mooring sessions --label team=web --json", "for a script"],
    ["mooring sessions --template python", "whose sandboxes start from that template"],
    ["mooring sessions --blocked no_capacity", "what waits for room"],
    ["mooring sessions -q --status paused | xargs -n1 mooring end", "end every paused one"],
    ["mooring sessions --all --stuck", "every tenant's stuck ones (admin token)"],
  ])
    .alias("ls")
    .addOption(new Option("-s, --status <status>", "only this status").choices(sessionStatuses))
    .option("-l, --label <name=value>", "only with this label; may be repeated", collect, [])
    .option("--template <name>", "only those whose sandboxes start from this template")
    .addOption(new Option("--blocked <code>", "only those that this blocks").choices(blockedCodes))
    .option("-n, --limit <count>", "how many at most", "50")
    .optionsGroup("With the admin token:")
    .option("-a, --all", "sessions of all tenants")
    .option("--tenant <tenant>", "sessions of this tenant")
    .option("--stuck", "only those that are stuck");
  return withSharedOptions(made, ["json", "ids"]).action(async (flags: Flags) => {
    const context = contextOf(shell, flags);
    const asOperator = flags.all === true || flags.tenant !== undefined || flags.stuck === true;
    if (asOperator || context.actsAsOperator) return await listAll(context, flags);
    const { signal } = context;
    const rows = await atMost(countOf(flags), context.mooring().list(filtersOf(flags), { signal }));
    context.screen.rows(
      rows,
      ownColumns(context),
      ({ id }) => id,
      "No sessions. `mooring run -- echo hello` makes one and ends it.",
    );
  });
}

/** The filters that both lists have. */
function filtersOf(flags: Flags) {
  const { status, template, blocked } = flags;
  return {
    limit: pageOf(flags),
    status: status as Status | undefined,
    template,
    blocked: blocked as Blocked | undefined,
    label: labelsOf(flags.label),
  };
}

async function listAll(context: Context, flags: Flags): Promise<void> {
  const query = {
    ...filtersOf(flags),
    tenant: flags.tenant,
    stuck: flags.stuck === true ? ("true" as const) : undefined,
  };
  const rows = await atMost(countOf(flags), context.admin().sessions(query, { signal: context.signal }));
  const columns: readonly Column<Anyones>[] = [
    ...ownColumns(context).slice(0, 1),
    { title: "tenant", text: ({ tenant }) => tenant },
    ...ownColumns(context).slice(1, 4),
    {
      title: "trouble",
      text: troubleOf,
      paint: (cell, row) => (troubleOf(row) === "-" ? cell : context.screen.colours.bad(cell)),
    },
    ...ownColumns(context).slice(4),
  ];
  context.screen.rows(rows, columns, ({ id }) => id, "No sessions.");
}

function ownColumns(context: Context): readonly Column<Own | Anyones>[] {
  const { screen } = context;
  const now = Date.now();
  return [
    {
      title: "id",
      text: ({ id }) => id,
      paint: (cell, { id }) => cell.replace(id, screen.colours.link(id, context.page(`sessions/${id}`))),
    },
    {
      title: "status",
      text: ({ status }) => status,
      paint: (cell, { status }) => cell.replace(status, screen.status(status)),
    },
    { title: "age", text: ({ created_at: at }) => relative(at, now) },
    { title: "ends", text: ({ expires_at: at }) => relative(at, now) },
    { title: "provider", text: ({ provider }) => provider },
    {
      title: "labels",
      text: ({ labels }) =>
        Object.entries(labels)
          .map(([name, value]) => `${name}=${value}`)
          .join(" ") || "-",
    },
  ];
}

function troubleOf({ blocked, stuck_since: stuck, last_error: error }: Anyones): string {
  if (blocked !== null) return blocked;
  if (stuck !== null) return "stuck";
  return error === null ? "-" : error.slice(0, 40);
}

export function labelsOf(given: readonly string[] = []): Record<string, string> | undefined {
  if (given.length === 0) return undefined;
  return Object.fromEntries(
    given.map((each) => {
      const at = each.indexOf("=");
      if (at < 1) throw new CliFault(exitCodes.usage, `"${each}" is no label: write it as name=value.`);
      return [each.slice(0, at), each.slice(at + 1)];
    }),
  );
}

export function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function countOf({ limit }: Flags): number {
  if (!/^[1-9]\d{0,5}$/.test(limit)) throw new CliFault(exitCodes.usage, "--limit must be a whole number from 1.");
  return Number(limit);
}

/** One page holds at most 100 sessions. A higher limit reads several pages. */
function pageOf(flags: Flags): number {
  return Math.min(100, countOf(flags));
}

async function atMost<T>(count: number, items: AsyncIterable<T>): Promise<readonly T[]> {
  const taken: T[] = [];
  for await (const item of items) {
    taken.push(item);
    if (taken.length >= count) break;
  }
  return taken;
}
