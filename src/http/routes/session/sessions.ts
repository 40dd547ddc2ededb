/** Sessions: create, list, get, delete, the three clocks, pause, resume, rebuild, interrupt, teardown. */
import { sessionContracts as contracts } from "../../../protocol/contracts/session/session-contracts.ts";
import { sessionReadContracts } from "../../../protocol/contracts/session/session-read-contracts.ts";
import { createSession, type SessionView } from "../../../protocol/resources/session/sessions.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { SessionId } from "../../../domain/state/ids.ts";
import type { ListQuery } from "../../../fleet/shard/shard-api.ts";
import { ask } from "../../backend.ts";
import { readJson } from "../../request/body.ts";
import { badCursor, decodeCursor, encodeCursor, pageOf } from "../../request/cursor.ts";
import { idempotencyKey, matchesAny, preferredWaitMs } from "../../request/headers.ts";
import { idempotentSessionId, requestHash } from "../../request/idempotency.ts";
import type { Tagged } from "../../../session/session-api.ts";
import { answered, mapped, refused } from "../../answer/problem.ts";
import { askSession, json, jsonText, type Route, taggedJson, type TenantContext } from "../../route.ts";
import { type BodyOf, type Made, type QueryOf, serve, serveBody, serveQuery } from "../../serve.ts";
import { labelsTooLarge } from "../../guard/size-limits.ts";
import { sessionRanges } from "../../request/validation.ts";
import { reportEnd } from "../../report-end.ts";

async function create(context: TenantContext): Promise<Made> {
  const key = idempotencyKey(context.request);
  if (!key.ok) return key;
  const ranges = sessionRanges(context.config.policy);
  const body = await readJson(context.request, createSession, { ranges, empty: "no fields" });
  if (!body.ok) return body;
  if (body.value.critical === true && !context.caller.scopes.includes("critical")) {
    return refused({
      code: "forbidden",
      detail:
        "`critical` needs an API key with the scope `critical`, and this one has it not. Leave the field out, or use such a key.",
    });
  }
  const heavy = labelsTooLarge(body.value.labels, context.config.sizes);
  if (heavy !== null) return refused(heavy);
  const id =
    key.value === null ? (context.ids.id() as SessionId) : await idempotentSessionId(context.caller.tenant, key.value);
  const hash = key.value === null ? null : await requestHash(body.value);
  const waitMs = preferredWaitMs(context.request);
  const reply = await ask("write", context.log, () =>
    context.backend.session(id).create(id, context.caller, body.value, hash, waitMs),
  );
  if (!reply.ok) return reply;
  const { body: session, etag, replayed } = reply.value;
  if (replayed && (session.status === "terminating" || session.status === "terminated"))
    return refused(replayOfEnded(session));
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

async function list(context: TenantContext, query: QueryOf<typeof contracts.list>): Promise<Made> {
  const { limit, cursor, status, template, blocked, created_after: createdAfter, label } = query;
  const after = cursor === undefined ? null : decodeCursor(cursor);
  if (cursor !== undefined && after === null) return badCursor();
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
  const reply = await ask("read", context.log, () =>
    answered(context.backend.shard(context.caller.tenant).list(asked)),
  );
  if (!reply.ok) {
    return refused({
      ...reply.problem,
      detail: "The index of sessions did not answer, so there is no list, not even a short one. Try again in a moment.",
    });
  }
  return mapped(reply, (rows) =>
    pageOf(rows, limit, ({ created_at, id }) =>
      encodeCursor({ createdAt: Date.parse(created_at), id: id as SessionId }),
    ),
  );
}

async function get(context: TenantContext): Promise<Made> {
  const reply = await askSession(context, "read", (session) => session.read(context.caller));
  if (!reply.ok) return reply;
  const { etag, text } = reply.value;
  if (matchesAny(context.request.headers.get("if-none-match"), etag)) {
    return new Response(null, { status: 304, headers: { etag } });
  }
  return jsonText(200, text, { etag });
}

async function remove(context: TenantContext): Promise<Made> {
  // From a client the reason is always `requested`: the route takes no field that could say otherwise.
  const reply = await askSession(context, "write", (session) => session.delete(context.caller, "requested"));
  if (!reply.ok) return reply;
  await reportEnd(context, reply.value.session);
  return json(reply.value.done ? 200 : 202, reply.value.session);
}

async function moveEnd(context: TenantContext, kind: "timeout" | "refresh", seconds: number): Promise<Made> {
  return tagged(await askSession(context, "write", (session) => session.timeout(context.caller, kind, seconds)));
}

async function tagged(reply: Reply<Tagged<SessionView>>): Promise<Made> {
  return reply.ok ? await taggedJson(200, reply.value) : reply;
}

async function update(context: TenantContext, body: BodyOf<typeof contracts.update>): Promise<Made> {
  return tagged(await askSession(context, "write", (session) => session.setNetwork(context.caller, body.network)));
}

async function setBudget(context: TenantContext, body: BodyOf<typeof contracts.budget>): Promise<Made> {
  return tagged(await askSession(context, "write", (session) => session.budget(context.caller, body.max_cost)));
}

async function pause(context: TenantContext): Promise<Made> {
  const waitMs = preferredWaitMs(context.request);
  return suspension(waitMs, await askSession(context, "write", (session) => session.pause(context.caller, waitMs)));
}

async function resume(context: TenantContext, body: BodyOf<typeof contracts.resume>): Promise<Made> {
  const seconds = body.timeout_seconds ?? null;
  const waitMs = preferredWaitMs(context.request);
  const reply = await askSession(context, "write", (session) => session.resume(context.caller, seconds, waitMs));
  return suspension(waitMs, reply);
}

async function rebuild(context: TenantContext): Promise<Made> {
  const waitMs = preferredWaitMs(context.request);
  return suspension(waitMs, await askSession(context, "write", (session) => session.rebuild(context.caller, waitMs)));
}

/** 202: the request is stored. Read `status` for progress. */
async function suspension(waitMs: number, reply: Reply<Tagged<SessionView>>): Promise<Made> {
  if (!reply.ok) return reply;
  return await taggedJson(202, reply.value, waitMs === 0 ? {} : { "preference-applied": `wait=${waitMs / 1_000}` });
}

async function keepalive(context: TenantContext): Promise<Made> {
  const reply = await askSession(context, "write", (session) => session.keepalive(context.caller));
  return mapped(reply, ({ body: { idle_at, expires_at } }) => ({ idle_at, expires_at }));
}

async function teardown(context: TenantContext): Promise<Made> {
  const reply = await askSession(context, "read", (session) => session.teardown(context.caller));
  if (!reply.ok) return reply;
  if (reply.value !== null) return json(200, reply.value);
  return refused({
    code: "not_found",
    detail:
      "Nothing of this session is being torn down and nothing was yet, so there is no receipt. DELETE the session to end it.",
  });
}

/** What the configuration allows for the times of a session. */
const clocks = ({ config }: TenantContext) => sessionRanges(config.policy);

export const sessionRoutes: readonly Route[] = [
  serve(contracts.create, create),
  serveQuery(contracts.list, list),
  serve(contracts.get, get),
  serve(contracts.delete, remove),
  serveBody(contracts.update, update, clocks),
  serveBody(contracts.timeout, (context, body) => moveEnd(context, "timeout", body.timeout_seconds), clocks),
  serveBody(contracts.refresh, (context, body) => moveEnd(context, "refresh", body.duration_seconds), clocks),
  serve(contracts.pause, pause),
  serveBody(contracts.resume, resume, clocks),
  serveBody(contracts.rebuild, rebuild, clocks),
  serveBody(contracts.budget, setBudget),
  serve(contracts.keepalive, keepalive),
  serve(contracts.interrupt, (context) => askSession(context, "write", (session) => session.interrupt(context.caller))),
  serve(sessionReadContracts.teardown, teardown),
];
