/** Before the sandbox is used: answers why it cannot be, or begins the resume that makes it usable. */
import type { Session } from "../../domain/state/session.ts";
import { statusOf } from "../../domain/rules/status.ts";
import type { Problem } from "../../protocol/problem.ts";
import type { CommandContext } from "./command-context.ts";
import { jobsRefused } from "./refusals.ts";

/** Why it cannot be used; null: it can, or it will be. A paused session that resumes by itself begins to; however many ask at once, it resumes once. `resumes` false: somebody only looks on, which begins nothing. */
export function beginUse(context: CommandContext, session: Session, resumes = true): Problem | null {
  const { desired, profile, limits } = session;
  const paused = desired.type === "suspended" && desired.cause === "pause";
  if (!paused || !profile.autoResume || !resumes) return jobsRefused(session);
  const asked = context.dispatch({ type: "resumeRequested", timeoutMs: limits.timeoutMs }, "client");
  return asked.ok ? null : asked.problem;
}

/** Traffic and snapshots: its sandbox is there, and nothing is being done with it. */
export function isUsable({ desired, newest }: Session): boolean {
  return desired.type === "running" && newest?.phase === "held" && newest.gate.type === "open";
}

/** It can be used now, or will not be by itself. */
export function useIsDecided(session: Session | null): boolean {
  if (session === null) return true;
  const { newest, desired } = session;
  if (desired.type === "running" && newest?.phase === "held") return newest.gate.type === "open";
  if (desired.type === "suspended" && desired.cause === "pause" && desired.resumeQueued) return false;
  const status = statusOf(session);
  return jobsRefused(session) !== null || (status !== "provisioning" && status !== "recovering");
}
