/**
 * What needs somebody. The index chooses (stuck, overdue, blocked, lost), each session that is listed explains itself, and the
 * watch adds what it sees of the fleet. A part that is silent is a line of its own: a short list must not look like a good night.
 */
import { ask } from "../../backend.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import { attentionContracts } from "../../../protocol/contracts/operator/attention-contracts.ts";
import {
  type AttentionItem,
  attentionLimit,
  type AttentionView,
} from "../../../protocol/resources/operator/attention.ts";
import type { AlertBoard } from "../../../fleet/control/control-api.ts";
import type { FleetQuery, FleetRow, ShardStats } from "../../../fleet/shard/shard-api.ts";
import type { Caller } from "../../../session/session-api.ts";
import { outcomeWithin } from "../../../calls/outcome-within.ts";
import {
  alertItems,
  containerItem,
  drainingItem,
  layerItems,
  sessionItem,
  silentItem,
  unbalanced,
} from "./attention-items.ts";
import { type AdminContext, json, type Route, type TenantContext } from "../../route.ts";
import { serve } from "../../serve.ts";
import { type blockedCodes } from "../../../protocol/resources/session/sessions.ts";

/** A healthy part answers in some ms. An operator at night must not wait for a sick one. */
const partMs = 4_000;
/** For the whole look: sessions that could not be asked for their own words by then are listed without them. */
const wholeMs = 6_000;
/** How many sessions of each kind are asked of each shard. */
const rowsOfKind = 20;
/** Sessions that are asked for their own words. */
const explained = 20;
const explainsAtOnce = 6;

type Shard = ReturnType<AdminContext["backend"]["shards"]>[number];
type ReaderContext = AdminContext | TenantContext;
/** The answer of one part; null: there was none, or not within the time of this look. */
type InTime = <T>(call: () => Promise<T>) => Promise<T | null>;

const notOver = ["provisioning", "running", "recovering", "pausing", "paused", "lost", "terminating"] as const;

async function ofFleet(context: AdminContext): Promise<Response> {
  const inTime = inTimeOf(context);
  const [control, ...parts] = await Promise.all([
    inTime(() => controlPart(context)),
    ...context.backend.shards().map((shard) => shardPart(context, shard, inTime)),
  ]);
  const rows = troubled(parts.flatMap((part) => part?.rows ?? []));
  const items = await sessionItems(context, rows, null, inTime);
  items.push(...parts.flatMap((part) => part?.containers ?? []).map(containerItem));
  context.backend.shards().forEach(({ name }, index) => {
    if (parts[index] === null) items.push(silentItem(name));
  });
  if (control === null) items.push(silentItem("control"));
  const { board, layers, capacity } = control ?? { board: null, layers: [], capacity: null };
  items.push(...alertItems(board, items), ...layerItems(layers));
  if (capacity?.draining != null) items.push(drainingItem(capacity.draining));
  const stats = parts.flatMap((part) => (part === null ? [] : [part.stats]));
  const figures = figuresOf(stats, rows, context.clock.now());
  if (!figures.balanced) items.push(unbalanced);
  return answer(context, items, {
    ...figures,
    cap: capacity?.limit ?? null,
    looked_at: board === null ? null : rfc3339(board.lookedAt),
  });
}

/** The same of one tenant's sessions: nothing of anybody else is asked for. */
async function ofTenant(context: TenantContext): Promise<Response> {
  const shard = { name: "the index", api: context.backend.shard(context.caller.tenant) };
  const inTime = inTimeOf(context);
  const [part, open] = await Promise.all([
    inTime(() => rowsOf(context, shard, { tenant: context.caller.tenant })),
    inTime(() => shard.api.select({ tenant: context.caller.tenant, statuses: notOver, limit: 1_000, order: "newest" })),
  ]);
  const rows = troubled(part ?? []);
  const items = await sessionItems(context, rows, context.caller, inTime);
  if (part === null || open === null) items.push(silentItem("index"));
  const own = open ?? [];
  const holding = own.filter(({ phase }) => phase === "launching" || phase === "held" || phase === "stopping");
  return answer(context, items, {
    sandboxes: holding.length,
    active: own.filter(({ phase }) => phase === "held").length,
    sessions: own.length,
    stuck: rows.filter(({ stuckSince }) => stuckSince !== null).length,
    overdue: overdueOf(rows, context.clock.now()),
    balanced: true,
    cap: null,
    looked_at: null,
  });
}

function answer(context: ReaderContext, items: readonly AttentionItem[], figures: AttentionView["figures"]): Response {
  const order = { critical: 0, warning: 1 } as const;
  const sorted = items.toSorted(
    (a, b) => order[a.severity] - order[b.severity] || (a.since ?? "~").localeCompare(b.since ?? "~"),
  );
  const view: AttentionView = {
    as_of: rfc3339(context.clock.now()),
    items: sorted.slice(0, attentionLimit),
    left_off: Math.max(0, sorted.length - attentionLimit),
    figures,
  };
  return json(200, view);
}

/** null: it did not answer. */
async function shardPart(context: AdminContext, shard: Shard, inTime: InTime) {
  return await inTime(async () => {
    const [rows, stats, containers] = await Promise.all([
      rowsOf(context, shard, {}),
      shard.api.stats(),
      shard.api.overdueContainers(context.clock.now(), rowsOfKind),
    ]);
    return { rows, stats, containers };
  });
}

async function rowsOf(context: ReaderContext, { api }: Shard, only: Partial<FleetQuery>): Promise<readonly FleetRow[]> {
  const now = context.clock.now();
  const base = { limit: rowsOfKind, order: "oldest", ...only } as const;
  const found = await Promise.all([
    api.select({ ...base, stuckBefore: now }),
    api.select({ ...base, teardownOverdueBefore: now }),
    api.select({ ...base, statuses: ["lost", "recovering"] }),
    ...lastingBlocks.map((blocked) => api.select({ ...base, blocked })),
  ]);
  return found.flat();
}

/** What blocks and does not pass by itself; the rest is stuck when it lasts. */
const lastingBlocks = [
  "parked",
  "unreadable",
  "newer_record",
  "adapter_missing",
  "env_unreadable",
  "snapshot_not_deleted",
] as const satisfies readonly (typeof blockedCodes)[number][];

function troubled(rows: readonly FleetRow[]): readonly FleetRow[] {
  return [...new Map(rows.map((row) => [row.sessionId, row])).values()];
}

async function sessionItems(
  context: ReaderContext,
  rows: readonly FleetRow[],
  caller: Caller | null,
  inTime: InTime,
): Promise<AttentionItem[]> {
  const items: AttentionItem[] = [];
  let next = 0;
  async function lane(): Promise<void> {
    for (let index = next++; index < rows.length; index = next++) {
      const row = rows[index] as FleetRow;
      const told = index < explained ? await explanation(context, row, caller, inTime) : null;
      items[index] = sessionItem(row, told, context.clock.now());
    }
  }
  await Promise.all(Array.from({ length: explainsAtOnce }, lane));
  return items;
}

async function explanation(context: ReaderContext, row: FleetRow, caller: Caller | null, inTime: InTime) {
  const reply = await inTime(() =>
    ask("read", context.log, () => context.backend.session(row.sessionId).explain(caller)),
  );
  return reply?.ok === true ? reply.value : null;
}

async function controlPart(context: AdminContext) {
  const control = context.backend.control();
  const [document, layers, capacity] = await Promise.all([
    control.document("alert_state", "board"),
    control.layers(),
    control.capacity(),
  ]);
  return { board: document === null ? null : (JSON.parse(document.body) as AlertBoard), layers, capacity };
}

function figuresOf(stats: readonly ShardStats[], rows: readonly FleetRow[], now: number) {
  const sum = (of: (each: ShardStats) => number) => stats.reduce((total, each) => total + of(each), 0);
  const open = sum((each) => each.provisioning + each.active + each.terminating);
  return {
    sandboxes: open,
    active: sum((each) => each.active),
    sessions: sum((each) => notOver.reduce((total, status) => total + (each.sessions[status] ?? 0), 0)),
    stuck: sum((each) => each.stuck),
    overdue: overdueOf(rows, now),
    balanced: sum((each) => each.created - each.destroyed) === open,
  };
}

function overdueOf(rows: readonly FleetRow[], now: number): number {
  return rows.filter(({ teardownOverdueFrom }) => teardownOverdueFrom !== null && teardownOverdueFrom <= now).length;
}

/** One deadline for everything that a look asks, whatever is asked one after the other. */
function inTimeOf({ clock }: ReaderContext): InTime {
  const until = clock.now() + wholeMs;
  return async (call) => {
    const left = Math.min(partMs, until - clock.now());
    if (left <= 0) return null;
    const got = await outcomeWithin(clock, left, call);
    return got.type === "answered" ? got.value : null;
  };
}

export const attentionRoutes: readonly Route[] = [
  serve(attentionContracts.fleet, ofFleet),
  serve(attentionContracts.own, ofTenant),
];
