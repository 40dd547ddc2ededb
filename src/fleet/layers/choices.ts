/**
 * Which sessions a layer may end, as questions to the index, and the condition that the session itself must still meet.
 * Pure. The index may be minutes old: it only proposes, and each choice carries the guard under which the session judges
 * again in the very turn in which it ends.
 */
import type { SessionId } from "../../domain/state/ids.ts";
import type { Policy } from "../../domain/rules/policy.ts";
import type { EndGuard, EndOrder } from "../../session/session-api.ts";
import type { FleetQuery, FleetRow } from "../shard/shard-api.ts";

export type FleetStatus = FleetRow["status"];

/** Of sessions that are not on their way out: ending one of the others would be no news to it. */
export const livingStatuses = ["provisioning", "running", "recovering", "pausing", "paused", "lost"] as const;

export interface Question {
  readonly query: Omit<FleetQuery, "limit">;
  /** For the history: why it is chosen. */
  readonly why: string;
  readonly guard: (row: FleetRow, now: number) => EndGuard;
  /** What it answers is listed and left alone; in words why. */
  readonly spared?: string;
}

export interface Choice {
  readonly sessionId: SessionId;
  readonly why: string;
  readonly order: EndOrder;
  /** As the index has it. */
  readonly status: FleetStatus;
  /** null: it is to be ended. */
  readonly spared: string | null;
}

/** How late a clock may be before the session counts as overdue: the alarm's own slip, and one look. ms */
export function overdueAfterMs(policy: Policy): number {
  return policy.alarmSlipMs + policy.observeMs;
}

/** What a cleanup without conditions ends: the overdue, the stuck, and those whose sandbox is lost. */
export function troubled(now: number, policy: Policy, statuses: readonly FleetStatus[] | null): readonly Question[] {
  const overdue = overdueAfterMs(policy);
  const questions: readonly Question[] = [
    {
      query: { statuses: livingStatuses, expiredBefore: now - overdue, order: "oldest" },
      why: "overdue",
      guard: () => ({ type: "overdue", byMs: overdue }),
    },
    {
      query: { statuses: livingStatuses, stuckBefore: now - policy.stuckAfterMs, order: "oldest" },
      why: "stuck",
      guard: () => ({ type: "stuck", forMs: policy.stuckAfterMs }),
    },
    {
      query: { statuses: ["lost"], order: "oldest" },
      why: "failed",
      guard: () => ({ type: "all", guards: [{ type: "status", anyOf: ["lost"] }, { type: "notCritical" }] }),
    },
  ];
  return questions.flatMap((each) => {
    const narrowed = within(each.query.statuses ?? livingStatuses, statuses);
    return narrowed.length === 0 ? [] : [{ ...each, query: { ...each.query, statuses: narrowed } }];
  });
}

/** The last line behind the sessions' own clocks: long past one of them, or in a transition for too long. */
export function backstop(now: number, policy: Policy): readonly Question[] {
  const forMs = policy.stuckAfterMs;
  const late = { statuses: livingStatuses, order: "oldest" } as const;
  const guard = (): EndGuard => ({ type: "stuck", forMs });
  return [
    { query: { ...late, expiredBefore: now - forMs }, why: "past its limits", guard },
    { query: { ...late, stuckBefore: now - forMs }, why: "stuck", guard },
    // A clock that the index has wrong or has not: older than any may be, so it is asked. Paused time does not count, hence the guard.
    {
      query: { ...late, open: true, createdBefore: now - policy.maxLifetimeMs - forMs },
      why: "older than the maximum lifetime",
      guard,
    },
  ];
}

/** By age alone, as an operator asked. Only `critical` protects, and only until max lifetime. */
export function agedBeyond(
  now: number,
  maxAgeMs: number,
  statuses: readonly FleetStatus[] | null,
): readonly Question[] {
  const narrowed = within(livingStatuses, statuses);
  if (narrowed.length === 0) return [];
  const guard: EndGuard = {
    type: "all",
    guards: [{ type: "age", atLeastMs: maxAgeMs }, { type: "status", anyOf: narrowed }, { type: "notCritical" }],
  };
  return [
    {
      query: { statuses: narrowed, createdBefore: now - maxAgeMs, order: "oldest" },
      why: "older than asked",
      guard: () => guard,
    },
  ];
}

/** These hold no sandbox, or are giving it back. Ending them would delete saved files, which nothing brings back. */
const withoutSandbox: readonly FleetStatus[] = ["pausing", "paused", "lost"];

export function holdsOnlyFiles(status: FleetStatus): boolean {
  return withoutSandbox.includes(status);
}

/**
 * Everything that holds a sandbox. Paused and lost sessions only when the order says so: an emergency is about
 * sandboxes, and the end of a paused session deletes its files. The session judges by the status it has by then.
 */
export function everythingNotCritical(includePaused: boolean): readonly Question[] {
  const why = "emergency";
  const guard = (anyOf: readonly FleetStatus[]) => (): EndGuard => ({
    type: "all",
    guards: [{ type: "status", anyOf }, { type: "notCritical" }],
  });
  if (includePaused)
    return [{ query: { statuses: livingStatuses, order: "oldest" }, why, guard: guard(livingStatuses) }];
  const physical = livingStatuses.filter((status) => !holdsOnlyFiles(status));
  const spared = "It holds no sandbox, so it is left alone. Send include_paused to end it too.";
  return [
    { query: { statuses: physical, order: "oldest" }, why, guard: guard(physical) },
    { query: { statuses: withoutSandbox, order: "oldest" }, why: "paused", guard: guard([]), spared },
  ];
}

function within(those: readonly FleetStatus[], asked: readonly FleetStatus[] | null): readonly FleetStatus[] {
  return asked === null ? those : those.filter((each) => asked.includes(each));
}
