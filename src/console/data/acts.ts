/**
 * What can be done to one session, and by whom: an operator ends and resolves, the session's tenant does everything
 * else.
 */
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import { act } from "./call.ts";

export type NextCall = NonNullable<AnswerOf<"explainAnySession">["next_call"]>;

/** Sends a call as `explain` gave it, with the reason that was typed in place of the example text. */
export async function sendCall(call: NextCall, reason: string | null): Promise<unknown> {
  const body =
    call.body === null ? undefined : reason !== null && "reason" in call.body ? { ...call.body, reason } : call.body;
  if (call.method === "GET") throw new Error("What only reads is no act.");
  return await act<"resolveSession">(call.method, call.path, {
    ...(body === undefined ? {} : { body }),
    headers: call.headers,
  });
}

/** Whether the call ends something, or records that a sandbox is gone without proof. */
export function isDestructive(call: NextCall): boolean {
  const action = String(call.body?.["action"] ?? "");
  if (call.method === "DELETE") return true;
  return call.path.endsWith("/rebuild") || ["assert_absent", "abandon", "forget_snapshots"].includes(action);
}

/** The label of the call's button. */
export function nameOf(call: NextCall): string {
  const action = String(call.body?.["action"] ?? "");
  const named: Readonly<Record<string, string>> = {
    retry_stop: "Try to stop it again",
    assert_absent: "Say that it is gone",
    abandon: "Give it up",
    forget_snapshots: "Forget its snapshots",
  };
  if (action !== "") return named[action] ?? action;
  if (call.method === "DELETE") return "End it";
  const last = call.path.split("/").at(-1) ?? "";
  const words: Readonly<Record<string, string>> = {
    timeout: "Set its end to an hour from now",
    keepalive: "Restart its idle clock",
    pause: "Pause it",
    resume: "Resume it",
    rebuild: "Rebuild it",
    sessions: call.method === "POST" ? "Create a session" : "List the sessions",
    audits: "Plan an audit",
    drain: "Take new sessions again",
  };
  return words[last] ?? (call.method === "GET" ? "Look" : "Do it");
}
