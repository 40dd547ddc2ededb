/**
 * Why a session is as it is, for people: what keeps it alive, what each clock says and which fires next, what blocks it, and
 * the exact call to make. It folds over the same rows and functions that decide, and decides nothing itself.
 */
import { clocks, idleAt, jobsBelievedRunning, type ClockName, type ClockRow } from "../domain/rules/clocks.ts";
import { nextDeadline } from "../domain/rules/reconcile.ts";
import { blockedBy, statusOf } from "../domain/rules/status.ts";
import { openLeases, type Session } from "../domain/state/session.ts";
import { doing, retrying, standing } from "./clock-words.ts";
import type { ExplainContext, ExplainedClock, Explanation } from "./explanation.ts";
import { nextStepsFor } from "./next-steps.ts";
import { at, capital } from "./phrases.ts";
import { sandboxOf } from "./sandbox-words.ts";
import { blockedWords, leftoverWords, whyAlive } from "./why-alive.ts";

export function explain(session: Session, context: ExplainContext): Explanation {
  const { policy } = context;
  const { desired } = session;
  const status = statusOf(session);
  const all = (Object.keys(clocks) as ClockName[]).map((name) => clockOf(session, name, context));
  const running = all.filter(({ dueAt, name }) => dueAt !== null && clocks[name].action.type !== "announce");
  const nextClock = running.toSorted((a, b) => (a.dueAt ?? 0) - (b.dueAt ?? 0))[0] ?? null;
  const blocked = blockedBy(session, context.adapterMissing);
  const advice = nextStepsFor(session, nextClock?.name ?? null, context);
  const alive = whyAlive(session, status, context);
  const leftovers = leftoverWords(session);
  const says = blocked === null ? null : blockedWords(session, blocked, policy);
  const summary = [
    `It is ${status}: ${alive}`,
    ...(says === null ? [] : [says]),
    ...(leftovers === "" ? [] : [leftovers]),
    ...(nextClock?.dueAt == null
      ? []
      : [`The next clock is ${nextClock.name}. It is due ${at(nextClock.dueAt)}: then ${nextClock.does}.`]),
    ...(advice.next === null ? [] : [advice.next.why]),
  ].join(" ");
  return {
    status,
    summary,
    alive,
    clocks: all,
    nextClock,
    nextLookAt: nextDeadline(session, policy),
    lostSince: desired.type === "suspended" && desired.cause === "loss" ? desired.since : null,
    blocked: blocked === null || says === null ? null : { ...blocked, says },
    sandboxes: openLeases(session).map((lease) => sandboxOf(session, lease, policy)),
    ...advice,
  };
}

function clockOf(session: Session, name: ClockName, context: ExplainContext): ExplainedClock {
  const row: ClockRow = clocks[name];
  const { now, policy } = context;
  // As in `idle_at`: while a job runs the idle clock has no date.
  const works = name === "idle" && idleAt(session, policy) !== null && jobsBelievedRunning(session, now, policy);
  const dueAt = works ? null : row.dueAt(session, policy);
  const does = doing(session, row.action);
  const says = works
    ? "It stands while a job runs."
    : dueAt === null
      ? standing(session, name)
      : `${capital(row.words)}.${retrying(session, name)}`;
  return { name, dueAt, does, movedBy: row.movedBy, says };
}
