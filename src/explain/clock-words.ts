/** What a clock says of itself: what it does when it is due, and why it has no date. */
import type { ClockName, ClockRow } from "../domain/rules/clocks.ts";
import type { Session } from "../domain/state/session.ts";
import { bracketed, times } from "./phrases.ts";

export function doing(session: Session, action: ClockRow["action"]): string {
  switch (action.type) {
    case "onTimeout":
      return session.lifecycle.onTimeout === "pause"
        ? "its contents are saved and it pauses"
        : `it ends with the reason ${action.reason}`;
    case "terminate":
      return `it ends with the reason ${action.reason}`;
    case "budget":
      return "its contents are saved and it pauses; if they cannot be saved, it ends with the reason budget";
    case "announce":
      return "an event tells of it, and nothing else changes";
    case "provisionFailed":
      return session.desired.type === "running" && session.desired.provision?.purpose !== "create"
        ? "it goes back to where it was, with what is saved"
        : "it ends as failed";
  }
}

/** Why a clock has no date. */
export function standing(session: Session, name: ClockName): string {
  if (session.desired.type === "terminated") return "The session has ended: no clock runs.";
  const paused = session.desired.type === "suspended" && session.desired.cause === "pause";
  switch (name) {
    case "end_at":
      return "It stands while the session is paused.";
    case "idle":
      return session.limits.idleTimeoutMs === null ? "It is switched off." : "It runs only while a sandbox runs.";
    case "max_lifetime":
      return "It stands while the session has no sandbox.";
    case "budget":
      return session.budget.maxNanos === null ? "The session has no budget." : "It runs only while a sandbox is held.";
    case "budget_warning":
      if (session.budget.maxNanos === null) return "The session has no budget.";
      return session.budget.warnedOf === session.budget.maxNanos
        ? "The warning was given."
        : "It runs only while a sandbox is held.";
    case "ending_soon":
      return session.warnedOfEnd === session.endAt
        ? "The warning was given."
        : "It runs only while a sandbox is held, and only in a session that is longer than a few minutes.";
    case "provision":
      return "It runs only while a sandbox is being started.";
    case "paused_warning":
      return paused ? "The warning was given." : "It runs only while the session is paused.";
    case "paused_retention":
      return "It runs only while the session is paused.";
  }
}

/** Words about the pauses that this clock asked for and that saved nothing; "" when there was none. */
export function retrying({ pauseTries }: Session, name: ClockName): string {
  if (pauseTries === null || (name !== "end_at" && name !== "idle")) return "";
  return ` A pause was tried ${times(pauseTries.tries)} and did not save anything ${bracketed(pauseTries.error ?? "unfinished")}; this is the next try.`;
}
