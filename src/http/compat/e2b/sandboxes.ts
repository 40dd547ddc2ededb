/**
 * E2B's calls on one sandbox, carried out by native calls. Like E2B's, a call returns when its result holds, or says
 * that it does not hold yet. It waits less than the 60 s after which the SDK gives up.
 */
import type { SessionId } from "../../../domain/state/ids.ts";
import { e2bContracts } from "../../../protocol/contracts/compat/e2b-contracts.ts";
import type { Config } from "../../../config/config.ts";
import { e2bConnect, e2bNewSandbox, e2bPause, e2bRefresh, e2bRules, e2bTimeout } from "../../../protocol/compat/e2b.ts";
import type { NetworkOrder } from "../../../protocol/resources/session/network.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { SessionView } from "../../../protocol/resources/session/sessions.ts";
import type { ChangeReply, AttachOrder } from "../../../session/session-api.ts";
import { ask } from "../../backend.ts";
import { askSession, json, type Route, type TenantContext } from "../../route.ts";
import { serve } from "../../serve.ts";
import { reportEnd } from "../../report-end.ts";
import { readLenient } from "../lenient-body.ts";
import { networkOf } from "./network.ts";
import { createOrder, defaultSeconds, noProxy, says, tooLong } from "./new-sandbox.ts";
import { e2bAnswer, refuse } from "./refusal.ts";
import { operatorsTemplate, snapshotFor } from "./snapshots.ts";
import { domainOf, sandboxFor } from "./made-sandbox.ts";
import { detailOf, e2bStateOf, madeByE2b } from "./view.ts";

const waitMs = 50_000;

async function create(context: TenantContext): Promise<Response> {
  const body = await readLenient(context.request, e2bNewSandbox);
  if (!body.ok) return refuse(context, body.problem);
  const order = createOrder(body.value, context.config.policy);
  if (!order.ok) return refuse(context, order.problem);
  const source = await sourceOf(context, body.value.templateID);
  if (!source.ok) return refuse(context, source.problem);
  const id = context.ids.id() as SessionId;
  const reply = await ask("write", context.log, () =>
    context.backend.session(id).create(id, context.caller, { ...order.value, ...source.value }, null, waitMs),
  );
  if (reply.ok && reply.value.body.status === "running") return await sandbox(context, 201, reply.value.body);
  // The client never learned this id, so end the session now instead of waiting for its timeout.
  if (reply.ok || reply.problem.code === "unavailable")
    await ask("write", context.log, () => context.backend.session(id).delete(context.caller, "requested"));
  if (!reply.ok) return refuse(context, reply.problem);
  const { status, failure } = reply.value.body;
  if (status === "provisioning") return e2bAnswer(504, slow("create"), "not_ready_in_time");
  return e2bAnswer(503, `The sandbox could not be started: ${failure ?? `it is ${status}`}`, "launch_failed");
}

/** What the sandbox starts from. The operator's template of a name wins over a snapshot of the tenant. */
async function sourceOf(
  context: TenantContext,
  named: string | undefined,
): Promise<Reply<{ readonly template?: string; readonly snapshot?: string }>> {
  const template = operatorsTemplate(named, context.config.templates);
  if (template !== null) return { ok: true, value: { template } };
  const snapshot = await snapshotFor(context, named);
  if (!snapshot.ok) return snapshot;
  return { ok: true, value: snapshot.value === null ? {} : { snapshot: snapshot.value.id } };
}

async function info(context: TenantContext): Promise<Response> {
  const reply = await askSession(context, "read", (session) => session.get(context.caller));
  if (!reply.ok) return refuse(context, reply.problem);
  const detail = detailOf(reply.value.body, domainOf(context));
  return detail === null ? refuse(context, goneProblem(reply.value.body)) : json(200, detail);
}

async function kill(context: TenantContext): Promise<Response> {
  const reply = await askSession(context, "write", (session) => session.delete(context.caller, "requested"));
  if (!reply.ok) return refuse(context, reply.problem);
  await reportEnd(context, reply.value.session);
  return reply.value.changed ? done() : refuse(context, goneProblem(reply.value.session));
}

async function setTimeout(context: TenantContext): Promise<Response> {
  const body = await readLenient(context.request, e2bTimeout);
  return body.ok ? await moveEnd(context, "timeout", "timeout", body.value.timeout) : refuse(context, body.problem);
}

async function refresh(context: TenantContext): Promise<Response> {
  const body = await readLenient(context.request, e2bRefresh);
  if (!body.ok) return refuse(context, body.problem);
  return await moveEnd(context, "refresh", "duration", body.value.duration ?? defaultSeconds(context.config.policy));
}

/** As in E2B's API, zero and less mean now: the session's own clock ends it. */
async function moveEnd(
  context: TenantContext,
  kind: "timeout" | "refresh",
  field: string,
  seconds: number,
): Promise<Response> {
  const long = tooLong(field, seconds, context.config.policy);
  if (long?.ok === false) return refuse(context, long.problem);
  const reply = await askSession(context, "write", (session) =>
    session.timeout(context.caller, kind, Math.max(0, seconds)),
  );
  if (!reply.ok) return refuse(context, reply.problem);
  await reportEnd(context, reply.value.body);
  return done();
}

/** Replaces all rules, as in a create: a rule that is left out is as the operator has set it. */
async function setNetwork(context: TenantContext): Promise<Response> {
  const body = await readLenient(context.request, e2bRules);
  if (!body.ok) return refuse(context, body.problem);
  if (says(body.value.egressProxy))
    return refuse(context, {
      code: "validation_failed",
      detail: `${noProxy} Mooring does not offer that, so nothing was changed.`,
    });
  const order = networkOf(body.value, "");
  if (!order.ok) return refuse(context, order.problem);
  const rules = order.value ?? usualRules(context.config);
  const reply = await askSession(context, "write", (session) => session.setNetwork(context.caller, rules));
  return reply.ok ? done() : refuse(context, reply.problem);
}

function usualRules({ defaultNetwork }: Config): NetworkOrder {
  return defaultNetwork.mode === "allow"
    ? { mode: "allow", allow: [...defaultNetwork.allow] }
    : { mode: defaultNetwork.mode };
}

async function pause(context: TenantContext): Promise<Response> {
  const body = await readLenient(context.request, e2bPause);
  if (!body.ok) return refuse(context, body.problem);
  // `memory` is read and ignored: every SDK but the newest sends `true` with each pause. docs/compat.md says that only
  // files are kept.
  const reply = await askSession(context, "write", (session) => session.pause(context.caller, waitMs));
  if (!reply.ok) return refuse(context, reply.problem);
  const { body: session, changed } = reply.value;
  if (session.status === "pausing") return e2bAnswer(504, slow("pause"), "not_ready_in_time");
  if (e2bStateOf[session.status] === null) return refuse(context, goneProblem(session));
  if (session.status !== "paused") return refuse(context, notSaved);
  return changed ? done() : e2bAnswer(409, "The sandbox is paused already.", "session_paused");
}

const notSaved: Problem = {
  code: "session_not_running",
  detail: "The sandbox is not paused: its files could not be saved, or it was resumed meanwhile. It goes on as it was.",
};

async function connect(context: TenantContext): Promise<Response> {
  const found = await askSession(context, "read", (session) => session.get(context.caller));
  if (!found.ok) return refuse(context, found.problem);
  // As in E2B's API, a connect resumes a paused sandbox. A session that the native API created is resumed only if its
  // own settings say so.
  const reply = await attach(context, madeByE2b(found.value.body) ? "always" : "if_auto");
  if (!reply.ok) return refuse(context, reply.problem);
  return await attached(context, reply.value, reply.value.changed ? 201 : 200);
}

/** Older clients resume with this. A running sandbox is 409, as in E2B's API. */
async function resume(context: TenantContext): Promise<Response> {
  const reply = await attach(context, "always");
  if (!reply.ok) return refuse(context, reply.problem);
  if (reply.value.changed) return await attached(context, reply.value, 201);
  return e2bAnswer(409, "The sandbox runs already; its end was moved out as asked.", "conflict");
}

async function attach(context: TenantContext, resumes: AttachOrder["resumes"]): Promise<Reply<ChangeReply>> {
  const body = await readLenient(context.request, e2bConnect);
  if (!body.ok) return body;
  const seconds = Math.max(0, body.value.timeout ?? defaultSeconds(context.config.policy));
  const long = tooLong("timeout", seconds, context.config.policy);
  if (long !== null) return long;
  return await askSession(context, "write", (session) => session.attach(context.caller, { seconds, resumes }, waitMs));
}

async function attached(context: TenantContext, { body }: ChangeReply, status: 200 | 201): Promise<Response> {
  if (body.status === "running") return await sandbox(context, status, body);
  if (e2bStateOf[body.status] === null) return refuse(context, goneProblem(body));
  return e2bAnswer(504, slow("resume"), "not_ready_in_time");
}

async function sandbox(context: TenantContext, status: 200 | 201, session: SessionView): Promise<Response> {
  return json(status, await sandboxFor(context, session));
}

function done(): Response {
  return new Response(null, { status: 204 });
}

function goneProblem(session: SessionView): Problem {
  const detail =
    session.status === "lost"
      ? "This sandbox was lost. The native API can begin a new one for the same session: POST /v1/sessions/{id}/rebuild."
      : `This sandbox is gone: the session is ${session.status}. Its record can be read with GET /v1/sessions/{id}.`;
  return { code: "session_gone", detail };
}

function slow(what: "create" | "pause" | "resume"): string {
  const then = {
    create: "What had begun is being ended; create another.",
    pause: "It goes on; pause it again to wait for it.",
    resume: "It goes on; connect again to wait for it.",
  };
  return `The sandbox was not ready within ${waitMs / 1_000} s of the ${what}. ${then[what]}`;
}

export const sandboxRoutes: readonly Route[] = e2bContracts.flatMap((contracts): readonly Route[] => [
  serve(contracts.create, create),
  serve(contracts.info, info),
  serve(contracts.kill, kill),
  serve(contracts.connect, connect),
  serve(contracts.resume, resume),
  serve(contracts.pause, pause),
  serve(contracts.timeout, setTimeout),
  serve(contracts.refresh, refresh),
  serve(contracts.network, setNetwork),
]);
