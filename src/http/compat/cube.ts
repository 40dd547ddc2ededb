/**
 * CubeSandbox's `timeout` and `refresh`. Both set the end to so many seconds from now; in that API a refresh may
 * shorten, too. Both use the one native call. CubeSandbox counts idle time, Mooring counts from now:
 * docs/decisions/0020.
 */
import type { SessionId } from "../../domain/state/ids.ts";
import { cubeContracts } from "../../protocol/contracts/compat/cube-contracts.ts";
import { cubeRefresh, type CubeReply, cubeTimeout } from "../../protocol/compat/cube.ts";
import { sessionIdPattern } from "../../protocol/primitives.ts";
import { type Problem, type ProblemCode, problemStatus, type Reply } from "../../protocol/problem.ts";
import { ask } from "../backend.ts";
import { compatHeaders, inOneLine, type ProblemContext } from "../answer/problem.ts";
import { json, type Route, type TenantContext } from "../route.ts";
import { serve } from "../serve.ts";
import { validationFailed } from "../request/validation.ts";
import { readLenient } from "./lenient-body.ts";
import { sessionNotFound } from "../../protocol/not-found.ts";

const success = { ret_code: 200, ret_msg: "Success" };

/** CubeSandbox's own error numbers, by HTTP status. Ended sandboxes have a number of their own. */
const retCodes: Readonly<Record<number, number>> = {
  400: 130_400,
  401: 130_401,
  404: 130_404,
  409: 130_409,
  410: 310_410,
  413: 130_400,
  429: 130_429,
};
const serverFault = 130_593;

const statuses: Partial<Record<ProblemCode, number>> = {
  session_ended: 410,
};

export function cubeRefusal(problem: Problem, context: ProblemContext, headers: Record<string, string> = {}): Response {
  const native = statuses[problem.code] ?? problemStatus[problem.code];
  // A status without a number of CubeSandbox's becomes 400, an invalid request.
  const status = native >= 500 || native === 405 || native in retCodes ? native : 400;
  const body: CubeReply = {
    requestID: context.requestId,
    ret: {
      ret_code: retCodes[status] ?? (status < 500 ? 130_400 : serverFault),
      ret_msg: inOneLine(problem),
    },
  };
  return json(status, body, { ...compatHeaders(status, problem, context), ...headers });
}

async function timeout(context: TenantContext): Promise<Response> {
  const body = await readLenient(context.request, cubeTimeout);
  if (!body.ok) return refuse(context, body.problem);
  const { requestID, sandboxID, timeout: seconds } = body.value;
  return await setEnd(context, { requestID, sandboxID, field: "timeout", seconds });
}

async function refresh(context: TenantContext): Promise<Response> {
  const body = await readLenient(context.request, cubeRefresh);
  if (!body.ok) return refuse(context, body.problem);
  const { requestID, sandboxID, duration } = body.value;
  const seconds = duration ?? Math.floor(context.config.policy.defaultTimeoutMs / 1_000);
  return await setEnd(context, { requestID, sandboxID, field: "duration", seconds });
}

interface Order {
  readonly requestID: string | undefined;
  readonly sandboxID: string;
  readonly field: "timeout" | "duration";
  readonly seconds: number;
}

async function setEnd(context: TenantContext, { requestID, sandboxID, field, seconds }: Order): Promise<Response> {
  const most = Math.floor(context.config.policy.maxTimeoutMs / 1_000);
  const long =
    seconds <= most ? null : validationFailed([{ pointer: `/${field}`, detail: `At most ${most} seconds.` }]);
  if (long?.ok === false) return refuse(context, long.problem);
  const reply = await asked(context, sandboxID, seconds);
  if (!reply.ok) return refuse(context, reply.problem);
  const body: CubeReply = {
    requestID: requestID ?? context.requestId,
    sandboxID,
    ret: success,
    end_at: reply.value,
  };
  return json(200, body);
}

/** Sets the end and answers it as stored, epoch ms. */
async function asked(context: TenantContext, id: string, seconds: number): Promise<Reply<number>> {
  if (!sessionIdPattern.test(id)) return { ok: false, problem: sessionNotFound };
  const reply = await ask("write", context.log, () =>
    context.backend.session(id as SessionId).timeout(context.caller, "timeout", seconds),
  );
  return reply.ok ? { ok: true, value: Date.parse(reply.value.body.end_at) } : reply;
}

function refuse(context: TenantContext, problem: Problem): Response {
  return cubeRefusal(problem, { requestId: context.requestId, now: context.clock.now(), url: context.request.url });
}

export const cubeRoutes: readonly Route[] = [
  serve(cubeContracts.timeout, timeout),
  serve(cubeContracts.refresh, refresh),
];
