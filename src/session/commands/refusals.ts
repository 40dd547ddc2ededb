/** Mooring's "no" to a request about a session, each in one place: what happened, what it means, what to do. */
import { nextCalls, say } from "../../domain/state/next-calls.ts";
import type { Rejection } from "../../domain/machine/events.ts";
import type { Session, Setback } from "../../domain/state/session.ts";
import { statusOf } from "../../domain/rules/status.ts";
import type { Problem, ProblemCode } from "../../protocol/problem.ts";
import type { PauseRefusal } from "../steps/save/pause-admission.ts";
import { type Refusal, refusalWords } from "../steps/open/reserving.ts";

export const newerRecord: Problem = {
  code: "newer_record",
  detail: `This session was written by a newer version of Mooring. It is left untouched until that version is back; its sandbox ends by itself when its lease runs out. Send this again then; a delete (${say(nextCalls.end)}) is remembered and carried out.`,
};

export const unreadableRecord: Problem = {
  code: "unreadable_record",
  detail: `The record of this session cannot be read. Nothing is started or ended on a guess; an operator has been shown it and can end it (${say(nextCalls.abandon)}). A delete (${say(nextCalls.end)}) is answered like this too, but remembered, and carried out as far as the record allows.`,
};

export const noKeyForSecrets: Problem = {
  code: "secret_missing",
  detail:
    "This Mooring has no ENV_ENCRYPTION_KEY, so `env`, `stdin` and `workspace` could not be kept safely and nothing was made. Its operator sets it with `wrangler secret put ENV_ENCRYPTION_KEY`; without them the request works now.",
};

export const secretsUnreadable: Problem = {
  code: "secret_missing",
  detail:
    "What was sent under this name before was sealed with a key that this Mooring does not have now, so it cannot be told whether this is the same. Nothing was changed or lost; use a new name, or ask the operator to put the key back as ENV_ENCRYPTION_KEY_PREVIOUS.",
};

export const storageFailed: Problem = {
  code: "storage_failed",
  detail: `The change could not be stored, so it was not made. Read the session to see how it stands (${say(nextCalls.read)}), then send this again.`,
};

const gone: Problem = {
  code: "session_gone",
  detail: `The session has ended: nothing runs in it any more. Its record, jobs and teardown can still be read (${say(nextCalls.teardown)}). ${say(nextCalls.create)} begins a new one.`,
};

/** Why no job can be started or fed now; null: one can. */
export function jobsRefused(session: Session): Problem | null {
  const status = statusOf(session);
  switch (status) {
    case "terminating":
    case "terminated":
    case "failed":
      return gone;
    case "paused":
    case "pausing":
      return { code: "session_paused", detail: pausedWords };
    case "lost":
      return { code: "sandbox_lost", detail: lostWords };
    case "recovering":
      return session.desired.type === "suspended" ? { code: "sandbox_lost", detail: lostWords } : null;
    case "provisioning":
    case "running":
      return null;
  }
}

const pausedWords = `The session is paused: its files are kept and nothing runs. ${say(nextCalls.resume)}, then send this again.`;

const lostWords = `The sandbox of this session was lost, and nothing is replaced behind your back. ${say(nextCalls.rebuild)} begins a new one, empty unless something of it is still saved; ${say(nextCalls.end)} ends the session.`;

export function endedForData(session: Session): Problem | null {
  return session.desired.type === "terminated" ? gone : null;
}

export function notRunning(session: Session): Problem {
  return (
    jobsRefused(session) ?? {
      code: "session_not_running",
      detail: `The session has no running sandbox at the moment; its status is ${statusOf(session)}. Wait until ${say(nextCalls.read)} says \`running\`, then send this again. ${say(nextCalls.explain)} tells what it waits for.`,
    }
  );
}

const codes: Readonly<Record<Rejection["code"], ProblemCode>> = {
  session_ended: "session_ended",
  session_paused: "session_paused",
  session_not_running: "session_not_running",
  sandbox_lost: "sandbox_lost",
  not_stuck: "not_stuck",
  lease_not_expired: "lease_not_expired",
  conflict: "conflict",
};

export function problemOf(rejection: Rejection): Problem {
  const { code, detail, retryAt } = rejection;
  return { code: codes[code], detail, ...(retryAt === null ? {} : { retryAt }) };
}

/** Why the session is suspended again, though the sandbox that was tried may still be stopping. null: nothing failed. */
export function setbackOf({ desired, setback }: Session): Problem | null {
  if (desired.type !== "suspended" || setback === null) return null;
  return setbackProblem(setback, desired.cause === "pause" ? "paused" : "lost");
}

/** What a tenant can do about a month's budget that is used up. */
const budgetAdvice = `${say(nextCalls.usage)} tells how it stands. Ask the operator for more (TENANT_MAX_COST_PER_MONTH), or send this again when the next month has begun.`;

/** A resume or rebuild that did not come about: the session is as it was before, and may be asked again. */
function setbackProblem(setback: Setback, status: "paused" | "lost"): Problem {
  switch (setback.code) {
    case "quota_exhausted":
      return {
        code: "quota_exhausted",
        detail: `There is no quota left for another sandbox: the session stays ${status}, and what is saved is kept. End another session of yours (${say(nextCalls.list)}, then ${say(nextCalls.end)}), then send this again.`,
      };
    case "budget_spent":
      return {
        code: "quota_exhausted",
        detail: `${setback.message} The session stays ${status}, and what is saved is kept. ${budgetAdvice}`,
      };
    case "insufficient_space":
    case "space_unmeasurable":
    case "filesystem_unusable":
      return {
        code: setback.code,
        detail: `${setback.message} The session stays ${status}, and what is saved is kept. Send this again when that has changed.`,
      };
    case "snapshot_missing":
    case "snapshot_damaged":
      return {
        code: setback.code,
        detail: `${setback.message}. The session stays ${status}. Should the store be well again, send this again; ${say(nextCalls.end)} gives the session up.`,
      };
    default:
      return {
        code: "capacity_unavailable",
        detail: `No sandbox came to be (${setback.message}): the session stays ${status}, and what is saved is kept. Send this again later; ${say(nextCalls.explain)} tells more.`,
      };
  }
}

export function refuse(problem: Problem): { readonly ok: false; readonly problem: Problem } {
  return { ok: false, problem };
}

/** The session runs on. */
export function pauseRefused({ words, limit, used }: PauseRefusal): Problem {
  const detail = `The session was not paused and runs on. ${words} End a paused session (${say(nextCalls.list)}, then ${say(nextCalls.end)}), then send this again.`;
  return { code: "quota_exhausted", detail, limit, used };
}

/** Why a create got no reservation. It left nothing behind, so the same request may be sent again. */
export function refusalProblem(refusal: Refusal): Problem {
  const words = refusalWords(refusal);
  switch (refusal.code) {
    case "quota_exhausted": {
      const { limit, used } = refusal;
      const detail = `Maximum sandbox limit reached. ${words} End a session (${say(nextCalls.list)}, then ${say(nextCalls.end)}), then send this again.`;
      return { code: "quota_exhausted", detail, limit, used };
    }
    case "budget_spent":
      return {
        code: "quota_exhausted",
        detail: `${words} Nothing was made. ${budgetAdvice}`,
      };
    case "capacity_exhausted":
      return {
        code: "capacity_unavailable",
        detail: `There is no capacity for another sandbox. ${words} Nothing was made. Try again when some have ended.`,
        limit: refusal.limit,
        used: refusal.used,
      };
    case "spawn_breaker_open":
      return {
        code: "spawn_breaker_open",
        detail: `${words} Nothing was made. Try again after the time in retry_at; look at why the launches failed.`,
        retryAt: refusal.closesAt,
      };
    case "insufficient_space":
      return {
        code: "insufficient_space",
        detail: `There is too little disk space for a workspace. ${words} Nothing was made. End a session there or give it more disk, then try again.`,
      };
    case "space_unmeasurable":
      return {
        code: "space_unmeasurable",
        detail: `Whether there is enough disk space for a workspace could not be told, so nothing was made. ${words} Try again; if it stays so, its operator should look at the provider.`,
      };
    case "filesystem_unusable":
      return {
        code: "filesystem_unusable",
        detail: `The filesystem where the workspace would be refuses writes, so nothing was made. ${words} Its operator has to mend or replace it.`,
      };
    case "draining":
      return { code: "draining", detail: `${words} Nothing was made. Ask its operator when new sessions are welcome.` };
  }
}
