/** Sessions: create, list, get, delete, the three clocks, pause, resume, rebuild, interrupt, teardown. */
import {
  sessionContracts as contracts,
  sessionListQuery,
} from "../../../protocol/contracts/session/session-contracts.ts";
import { sessionReadContracts } from "../../../protocol/contracts/session/session-read-contracts.ts";
import {
  budgetBody,
  createSession,
  rebuildBody,
  refreshBody,
  resumeBody,
  type SessionListItem,
  type SessionView,
  setTimeoutBody,
  updateBody,
} from "../../../protocol/resources/session/sessions.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { SessionId } from "../../../domain/state/ids.ts";
import type { ListQuery } from "../../../fleet/shard/shard-api.ts";
import { ask } from "../../backend.ts";
import { readJson, readNoFields } from "../../request/body.ts";
import { badCursor, decodeCursor, encodeCursor } from "../../request/cursor.ts";
import { idempotencyKey, matchesAny, preferredWaitMs, readQuery } from "../../request/headers.ts";
import { idempotentSessionId, requestHash } from "../../request/idempotency.ts";
import type { Tagged } from "../../../session/session-api.ts";
import { askSession, json, jsonText, problem, type Route, serve, taggedJson, type TenantContext } from "../../route.ts";
import { labelsTooLarge } from "../../guard/size-limits.ts";
import { sessionRanges } from "../../request/validation.ts";
import { reportEnd } from "../../report-end.ts";

async function create(context: TenantContext): Promise<Response> {
  const key = idempotencyKey(context.request);
  if (!key.ok) return problem(context, key.problem);
  const ranges = sessionRanges(context.config.policy);
  const body = await readJson(context.request, createSession, { ranges, empty: "no fields" });
  if (!body.ok) return problem(context, body.problem);
  if (body.value.critical === true && !context.caller.scopes.includes("critical")) {
    return problem(context, {
      code: "forbidden",
      detail:
        "`critical` needs an API key with the scope `critical`, and this one has it not. Leave the field out, or use such a key.",
    });
  }
  const heavy = labelsTooLarge(body.value.labels, context.config.sizes);
  if (heavy !== null) return problem(context, heavy);
  const id =
    key.value === null ? (context.ids.id() as SessionId) : await idempotentSessionId(context.caller.tenant, key.value);
  const hash = key.value === null ? null : await requestHash(body.value);
  const waitMs = preferredWaitMs(context.request);
  const reply = await ask("write", context.log, () =>
    context.backend.session(id).create(id, context.caller, body.value, hash, waitMs),
  );
  if (!reply.ok) return problem(context, reply.problem);
  const { body: session, etag, replayed } = reply.value;
  if (replayed && (session.status === "terminating" || session.status === "terminated"))
    return problem(context, replayOfEnded(session));
  return await taggedJson(
    session.status === "provisioning" ? 202 : 201,
    { etag, body: session },
    {
      location: `/v1/sessions/${session.id}`,
      ...(replayed ? { "idempotency-replayed": "true" } : {}),
      ...(waitMs === 0 ? {} : { "preference-applied": `wait=${waitMs / 1_000}` }),
    },
  );
}

/** A create that is answered with a session that is over would fail at the next call, with words about something else. */
function replayOfEnded({ id, status, terminate_reason }: SessionView): Problem {
  return {
    code: "session_ended",
    detail:
      `This Idempotency-Key has made a session before, ${id}, and that one is ${status} (${terminate_reason ?? "no reason"}), so nothing was started. ` +
      `Send a fresh key for a new session; GET /v1/sessions/${id} shows the old one.`,
  };
}

async function list(context: TenantContext): Promise<Response> {
  const query = readQuery(context.request, sessionListQuery);
  if (!query.ok) return problem(context, query.problem);
  const { limit, cursor, status, template, blocked, created_after: createdAfter, label } = query.value;
  const after = cursor === undefined ? null : decodeCursor(cursor);
  if (cursor !== undefined && after === null) return problem(context, badCursor().problem);
  // One more than asked for tells whether there is another page.
  const asked: ListQuery = {
    tenant: context.caller.tenant,
    limit: limit + 1,
    after,
    status: status ?? null,
    template: template ?? null,
    blocked: blocked ?? null,
    labels: label ?? {},
    createdAfter: createdAfter === undefined ? null : Date.parse(createdAfter),
  };
  const reply = await ask("read", context.log, async (): Promise<Reply<readonly SessionListItem[]>> => {
    return { ok: true, value: await context.backend.shard(context.caller.tenant).list(asked) };
  });
  if (!reply.ok) {
    return problem(context, {
      ...reply.problem,
      detail: "The index of sessions did not answer, so there is no list, not even a short one. Try again in a moment.",
    });
  }
  const data = reply.value.slice(0, limit);
  const last = data.at(-1);
  const more = reply.value.length > limit && last !== undefined;
  const next = more ? encodeCursor({ createdAt: Date.parse(last.created_at), id: last.id as SessionId }) : null;
  return json(200, { data, next_cursor: next });
}

async function get(context: TenantContext): Promise<Response> {
  const reply = await askSession(context, "read", (session) => session.read(context.caller));
  if (!reply.ok) return problem(context, reply.problem);
  const { etag, text } = reply.value;
  if (matchesAny(context.request.headers.get("if-none-match"), etag)) {
    return new Response(null, { status: 304, headers: { etag } });
  }
  return jsonText(200, text, { etag });
}

async function remove(context: TenantContext): Promise<Response> {
  // From a client the reason is always `requested`: the route takes no field that could say otherwise.
  const none = await readNoFields(context.request);
  if (!none.ok) return problem(context, none.problem);
  const reply = await askSession(context, "write", (session) => session.delete(context.caller, "requested"));
  if (!reply.ok) return problem(context, reply.problem);
  await reportEnd(context, reply.value.session);
  return json(reply.value.done ? 200 : 202, reply.value.session);
}

async function moveEnd(context: TenantContext, kind: "timeout" | "refresh"): Promise<Response> {
  const options = { ranges: sessionRanges(context.config.policy), empty: "refused" } as const;
  const seconds =
    kind === "timeout"
      ? map(await readJson(context.request, setTimeoutBody, options), (body) => body.timeout_seconds)
      : map(await readJson(context.request, refreshBody, options), (body) => body.duration_seconds);
  if (!seconds.ok) return problem(context, seconds.problem);
  const reply = await askSession(context, "write", (session) => session.timeout(context.caller, kind, seconds.value));
  if (!reply.ok) return problem(context, reply.problem);
  return await taggedJson(200, reply.value);
}

async function update(context: TenantContext): Promise<Response> {
  const ranges = sessionRanges(context.config.policy);
  const body = await readJson(context.request, updateBody, { ranges, empty: "refused" });
  if (!body.ok) return problem(context, body.problem);
  const { network } = body.value;
  const reply = await askSession(context, "write", (session) => session.setNetwork(context.caller, network));
  if (!reply.ok) return problem(context, reply.problem);
  return await taggedJson(200, reply.value);
}

async function setBudget(context: TenantContext): Promise<Response> {
  const body = await readJson(context.request, budgetBody, { ranges: {}, empty: "refused" });
  if (!body.ok) return problem(context, body.problem);
  const reply = await askSession(context, "write", (session) => session.budget(context.caller, body.value.max_cost));
  if (!reply.ok) return problem(context, reply.problem);
  return await taggedJson(200, reply.value);
}

function map<T, U>(reply: Reply<T>, turn: (value: T) => U): Reply<U> {
  return reply.ok ? { ok: true, value: turn(reply.value) } : reply;
}

async function pause(context: TenantContext): Promise<Response> {
  const none = await readNoFields(context.request);
  if (!none.ok) return problem(context, none.problem);
  const waitMs = preferredWaitMs(context.request);
  return suspension(
    context,
    waitMs,
    await askSession(context, "write", (session) => session.pause(context.caller, waitMs)),
  );
}

async function resume(context: TenantContext): Promise<Response> {
  const ranges = sessionRanges(context.config.policy);
  const body = await readJson(context.request, resumeBody, { ranges, empty: "no fields" });
  if (!body.ok) return problem(context, body.problem);
  const seconds = body.value.timeout_seconds ?? null;
  const waitMs = preferredWaitMs(context.request);
  const reply = await askSession(context, "write", (session) => session.resume(context.caller, seconds, waitMs));
  return suspension(context, waitMs, reply);
}

async function rebuild(context: TenantContext): Promise<Response> {
  const ranges = sessionRanges(context.config.policy);
  const body = await readJson(context.request, rebuildBody, { ranges, empty: "refused" });
  if (!body.ok) return problem(context, body.problem);
  const waitMs = preferredWaitMs(context.request);
  return suspension(
    context,
    waitMs,
    await askSession(context, "write", (session) => session.rebuild(context.caller, waitMs)),
  );
}

/** 202: the request is stored. Read `status` for progress. */
async function suspension(
  context: TenantContext,
  waitMs: number,
  reply: Reply<Tagged<SessionView>>,
): Promise<Response> {
  if (!reply.ok) return problem(context, reply.problem);
  return await taggedJson(202, reply.value, waitMs === 0 ? {} : { "preference-applied": `wait=${waitMs / 1_000}` });
}

async function keepalive(context: TenantContext): Promise<Response> {
  const none = await readNoFields(context.request);
  if (!none.ok) return problem(context, none.problem);
  const reply = await askSession(context, "write", (session) => session.keepalive(context.caller));
  if (!reply.ok) return problem(context, reply.problem);
  const { idle_at, expires_at } = reply.value.body;
  return json(200, { idle_at, expires_at });
}

async function interrupt(context: TenantContext): Promise<Response> {
  const none = await readNoFields(context.request);
  if (!none.ok) return problem(context, none.problem);
  const reply = await askSession(context, "write", (session) => session.interrupt(context.caller));
  return reply.ok ? json(200, reply.value) : problem(context, reply.problem);
}

async function teardown(context: TenantContext): Promise<Response> {
  const reply = await askSession(context, "read", (session) => session.teardown(context.caller));
  if (!reply.ok) return problem(context, reply.problem);
  if (reply.value !== null) return json(200, reply.value);
  return problem(context, {
    code: "not_found",
    detail:
      "Nothing of this session is being torn down and nothing was yet, so there is no receipt. DELETE the session to end it.",
  });
}

export const sessionRoutes: readonly Route[] = [
  serve(contracts.create, create),
  serve(contracts.list, list),
  serve(contracts.get, get),
  serve(contracts.delete, remove),
  serve(contracts.update, update),
  serve(contracts.timeout, (context) => moveEnd(context, "timeout")),
  serve(contracts.refresh, (context) => moveEnd(context, "refresh")),
  serve(contracts.pause, pause),
  serve(contracts.resume, resume),
  serve(contracts.rebuild, rebuild),
  serve(contracts.budget, setBudget),
  serve(contracts.keepalive, keepalive),
  serve(contracts.interrupt, interrupt),
  serve(sessionReadContracts.teardown, teardown),
];
