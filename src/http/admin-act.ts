/**
 * An operator's act over the whole fleet, written to the admin log with who, why and how it ended.
 *
 * Two ways. `acted`: what cannot be logged beforehand is not done. `ended`: for what ends sandboxes, which must also be
 * possible while FleetControl is out of order; it is logged afterwards, and in the Worker's own log when control is away.
 */
import { bounded, timedOut } from "../calls/bounded-call.ts";
import type { AdminAct } from "../fleet/control/control-api.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import { ask, briefly } from "./backend.ts";
import { answered, refused } from "./answer/problem.ts";
import type { AdminContext } from "./route.ts";

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
  context: AdminContext,
  act: Act,
  body: () => Promise<Reply<T>>,
  outcome: (value: T) => string,
): Promise<Reply<T>> {
  const entry = { actor: "admin", ...act, requestId: context.requestId };
  const asked = await ask("write", context.log, () =>
    answered(context.backend.control().log({ ...entry, outcome: "asked" })),
  );
  if (!asked.ok) return refused(unlogged);
  return await ended(context, act, body, outcome);
}

export async function ended<T>(
  context: AdminContext,
  act: Act,
  body: () => Promise<Reply<T>>,
  outcome: (value: T) => string,
): Promise<Reply<T>> {
  const reply = await body().catch((error: unknown): Reply<T> => {
    context.log.error("fleet act failed", { action: act.action, request_id: context.requestId, error: briefly(error) });
    return refused(lost);
  });
  const entry = { actor: "admin", ...act, requestId: context.requestId };
  const words = reply.ok ? outcome(reply.value) : reply.problem.code;
  if (!(await logged(context, { ...entry, outcome: words }))) {
    const { action, target, reason } = act;
    context.log.warn("not in the admin log", { action, target, reason, request_id: context.requestId, outcome: words });
  }
  return reply;
}

const logMs = 3_000;

/** Bounded: a control that hangs must not keep the answer from the operator. */
async function logged(context: AdminContext, entry: AdminAct): Promise<boolean> {
  try {
    return (await bounded(context.clock, logMs, () => context.backend.control().log(entry))) !== timedOut;
  } catch {
    return false;
  }
}

/** A read of control; its silence is a 503. */
export async function askControl<T>(
  context: AdminContext,
  read: (control: ReturnType<AdminContext["backend"]["control"]>) => Promise<T>,
): Promise<Reply<T>> {
  return await ask("read", context.log, () => answered(read(context.backend.control())));
}
