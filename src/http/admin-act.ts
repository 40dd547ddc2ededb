/**
 * An operator's act over the whole fleet, written to the admin log with who, why and how it ended.
 *
 * Two manners. `acted`: what cannot be logged beforehand is not done. `ended`: for what ends sandboxes, which must also be
 * possible while FleetControl is out of order; it is logged afterwards, and in the Worker's own log when control is away.
 */
import { bounded, timedOut } from "../calls/bounded-call.ts";
import type { AdminAct } from "../fleet/control/control-api.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import { ask, briefly } from "./backend.ts";
import { refused } from "./answer/problem.ts";
import type { AdminAsk } from "./route.ts";

export type Act = Pick<AdminAct, "action" | "target" | "reason">;

const unlogged: Problem = {
  code: "unavailable",
  detail: "The admin log did not take this act, so nothing was done. Try again in a moment.",
};
const lost: Problem = {
  code: "unavailable",
  detail:
    "Mooring broke off in the middle of this, so part of it may have been done. Read /v1/admin/cleanup/runs, then send it again.",
};

export async function acted<T>(
  from: AdminAsk,
  act: Act,
  body: () => Promise<Reply<T>>,
  outcome: (value: T) => string,
): Promise<Reply<T>> {
  const entry = { actor: "admin", ...act, requestId: from.requestId };
  const asked = await ask("write", from.log, async (): Promise<Reply<unknown>> => {
    return { ok: true, value: await from.backend.control().log({ ...entry, outcome: "asked" }) };
  });
  if (!asked.ok) return refused(unlogged);
  return await ended(from, act, body, outcome);
}

export async function ended<T>(
  from: AdminAsk,
  act: Act,
  body: () => Promise<Reply<T>>,
  outcome: (value: T) => string,
): Promise<Reply<T>> {
  const reply = await body().catch((error: unknown): Reply<T> => {
    from.log.error("fleet act failed", { action: act.action, request_id: from.requestId, error: briefly(error) });
    return refused(lost);
  });
  const entry = { actor: "admin", ...act, requestId: from.requestId };
  const words = reply.ok ? outcome(reply.value) : reply.problem.code;
  if (!(await logged(from, { ...entry, outcome: words }))) {
    const { action, target, reason } = act;
    from.log.warn("not in the admin log", { action, target, reason, request_id: from.requestId, outcome: words });
  }
  return reply;
}

const logMs = 3_000;

/** Bounded: a control that hangs must not keep the answer from the operator. */
async function logged(from: AdminAsk, entry: AdminAct): Promise<boolean> {
  try {
    return (await bounded(from.clock, logMs, () => from.backend.control().log(entry))) !== timedOut;
  } catch {
    return false;
  }
}

/** A read of control; its silence is a 503. */
export async function askControl<T>(
  from: AdminAsk,
  read: (control: ReturnType<AdminAsk["backend"]["control"]>) => Promise<T>,
): Promise<Reply<T>> {
  return await ask("read", from.log, async (): Promise<Reply<T>> => {
    return { ok: true, value: await read(from.backend.control()) };
  });
}
