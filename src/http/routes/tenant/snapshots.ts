/** Snapshots of a tenant: take, list, read, delete; and forks, which are sessions made from one. */
import type { SessionId } from "../../../domain/state/ids.ts";
import { snapshotContracts as contracts } from "../../../protocol/contracts/tenant/snapshot-contracts.ts";
import { problemStatus, type Problem, type Reply } from "../../../protocol/problem.ts";
import type { CreateSession, SessionView } from "../../../protocol/resources/session/sessions.ts";
import { type SnapshotView } from "../../../protocol/resources/tenant/snapshots.ts";
import { ask } from "../../backend.ts";
import { badCursor, decodeCursor, encodeCursor, pageOf } from "../../request/cursor.ts";
import { sessionRanges } from "../../request/validation.ts";
import { answered, mapped, refused } from "../../answer/problem.ts";
import { askSession, json, type Route, type TenantContext } from "../../route.ts";
import { type BodyOf, type Made, type QueryOf, serve, serveBody, serveQuery } from "../../serve.ts";
import { labelsTooLarge } from "../../guard/size-limits.ts";

/** Below what clients wait for an answer. */
export const takingMs = 45_000;
const deletingMs = 10_000;
const startingMs = 45_000;

async function create(context: TenantContext, body: BodyOf<typeof contracts.create>): Promise<Made> {
  const { name = null, replace = false } = body;
  const wish = { name, replace, purpose: "kept" } as const;
  const reply = await askSession(context, "write", (session) => session.snapshot(context.caller, wish, takingMs));
  if (!reply.ok) return reply;
  const location = `/v1/snapshots/${reply.value.id}`;
  return json(reply.value.status === "taking" ? 202 : 201, reply.value, { location });
}

async function list(context: TenantContext, query: QueryOf<typeof contracts.list>): Promise<Made> {
  const { session_id: sessionId = null, name = null, cursor = null, limit } = query;
  const page = await snapshotsPage(context, { sessionId, name, cursor, limit });
  return mapped(page, ({ data, next }) => ({ data, next_cursor: next }));
}

/** Also for E2B's list. */
export async function snapshotsPage(
  context: TenantContext,
  wish: {
    readonly sessionId: string | null;
    readonly name: string | null;
    readonly cursor: string | null;
    readonly limit: number;
  },
): Promise<Reply<{ readonly data: readonly SnapshotView[]; readonly next: string | null }>> {
  const { sessionId, name, cursor, limit } = wish;
  const after = cursor === null ? null : decodeCursor(cursor);
  if (cursor !== null && after === null) return badCursor();
  const reply = await askTenant(context, "read", (tenant) =>
    tenant.snapshots({ sessionId, name, after, limit: limit + 1 }),
  );
  if (!reply.ok) return reply;
  // The ids of snapshots and of sessions are made alike.
  const cursorOf = ({ created_at, id }: SnapshotView) =>
    encodeCursor({ createdAt: Date.parse(created_at), id: id as SessionId });
  const { data, next_cursor: next } = pageOf(reply.value, limit, cursorOf);
  return { ok: true, value: { data, next } };
}

async function get(context: TenantContext): Promise<Made> {
  const reply = await askTenant(context, "read", (tenant) => tenant.snapshot(context.param("snapshot")));
  if (!reply.ok) return reply;
  return reply.value === null ? refused(noSnapshot) : json(200, reply.value);
}

async function remove(context: TenantContext): Promise<Made> {
  const reply = await deleteSnapshot(context, context.param("snapshot"));
  if (!reply.ok) return reply;
  if (reply.value === null) return refused(noSnapshot);
  return json(reply.value.status === "deleted" ? 200 : 202, reply.value);
}

export function deleteSnapshot(context: TenantContext, reference: string): Promise<Reply<SnapshotView | null>> {
  return askTenant(context, "write", (tenant) => tenant.deleteSnapshot(reference, deletingMs));
}

const noSnapshot: Problem = {
  code: "not_found",
  detail: "There is no snapshot of that id or name. GET /v1/snapshots lists those there are.",
};

async function fork(context: TenantContext, body: BodyOf<typeof contracts.fork>): Promise<Made> {
  const { count = 1, timeout_seconds, labels } = body;
  const heavy = labelsTooLarge(labels, context.config.sizes);
  if (heavy !== null) return refused(heavy);
  const forks = await forksOf(context, count, {
    ...(timeout_seconds === undefined ? {} : { timeout_seconds }),
    ...(labels === undefined ? {} : { labels }),
  });
  if (!forks.ok) return forks;
  return json(201, {
    forks: forks.value.map((each) =>
      each.ok
        ? { session: each.value, problem: null }
        : {
            session: null,
            problem: {
              code: each.problem.code,
              status: problemStatus[each.problem.code],
              detail: each.problem.detail,
            },
          },
    ),
  });
}

/** One snapshot, and sessions made from it side by side. Each fails by itself. */
export async function forksOf(
  context: TenantContext,
  count: number,
  changes: Partial<CreateSession>,
): Promise<Reply<readonly Reply<SessionView>[]>> {
  const recipe = await askSession(context, "read", (session) => session.recipe(context.caller));
  if (!recipe.ok) return recipe;
  const wish = { name: null, replace: false, purpose: "fork" } as const;
  const taken = await askSession(context, "write", (session) => session.snapshot(context.caller, wish, takingMs));
  if (!taken.ok) return taken;
  if (taken.value.status !== "ready") return { ok: false, problem: tooSlow };
  const body = { ...recipe.value, ...changes, snapshot: taken.value.id };
  const forks = await Promise.all(Array.from({ length: count }, () => made(context, body)));
  // A new session may still need the snapshot to start; then the registry's clock ends it later.
  if (forks.every((each) => !each.ok || each.value.status !== "provisioning"))
    await askTenant(context, "write", (tenant) => tenant.deleteSnapshot(taken.value.id, 0));
  return { ok: true, value: forks };
}

const tooSlow: Problem = {
  code: "snapshot_failed",
  detail:
    "Its files were not saved in time, so nothing was forked. What was saved of them is deleted. Try again, or take a snapshot and create sessions from it.",
};

async function made(context: TenantContext, body: CreateSession): Promise<Reply<SessionView>> {
  const id = context.ids.id() as SessionId;
  const reply = await ask("write", context.log, () =>
    context.backend.session(id).create(id, context.caller, body, null, startingMs),
  );
  if (reply.ok) return { ok: true, value: reply.value.body };
  // The client never learned this id, so end the session now instead of waiting for its timeout.
  if (reply.problem.code === "unavailable")
    await ask("write", context.log, () => context.backend.session(id).delete(context.caller, "requested"));
  return reply;
}

async function askTenant<T>(
  context: TenantContext,
  how: "read" | "write",
  call: (tenant: ReturnType<TenantContext["backend"]["tenant"]>) => Promise<T>,
): Promise<Reply<T>> {
  const reply = await ask(how, context.log, () => answered(call(context.backend.tenant(context.caller.tenant))));
  return reply.ok ? reply : { ok: false, problem: { ...reply.problem, detail: silent } };
}

const silent =
  "The tenant's registry did not answer. A deletion that was asked for may have been stored; GET /v1/snapshots shows how it stands. Try again in a moment.";

export const snapshotRoutes: readonly Route[] = [
  serveBody(contracts.create, create),
  serveQuery(contracts.list, list),
  serve(contracts.get, get),
  serve(contracts.delete, remove),
  serveBody(contracts.fork, fork, ({ config }) => sessionRanges(config.policy)),
];
