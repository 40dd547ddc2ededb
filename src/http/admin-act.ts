/**
 * An operator's act over the whole fleet, written to the admin log with who, why and how it ended. What cannot be logged
 * beforehand is not done; how it ended is logged on a best effort, because it has happened.
 */
import type { AdminAct } from "../fleet/control-api.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import { ask, briefly } from "./backend.ts";
import { refused } from "./problem.ts";
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
  const logged = await ask("write", from.log, async (): Promise<Reply<unknown>> => {
    return { ok: true, value: await from.backend.control().log({ ...entry, outcome: "asked" }) };
  });
  if (!logged.ok) return refused(unlogged);
  const reply = await body().catch((error: unknown): Reply<T> => {
    from.log.error("fleet act failed", { action: act.action, request_id: from.requestId, error: briefly(error) });
    return refused(lost);
  });
  const ended = reply.ok ? outcome(reply.value) : reply.problem.code;
  await from.backend
    .control()
    .log({ ...entry, outcome: ended })
    .catch((error: unknown) => {
      from.log.warn("outcome not in the admin log", { action: act.action, error: briefly(error) });
    });
  return reply;
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
