/**
 * What to end when the fleet runs full. Pure. Only what nobody would miss: first what is overdue or stuck, then
 * the longest idle without running jobs; never a session that works, never a critical one that is well.
 */
import type { Policy } from "../../domain/rules/policy.ts";
import type { EndGuard } from "../../session/session-api.ts";
import type { FleetRow } from "../shard/shard-api.ts";
import { overdueAfterMs, type Question } from "./choices.ts";

export interface Pressure {
  readonly limit: number;
  /** Counts against the cap now, as the ledger says. */
  readonly used: number;
  /** Sandboxes among them that are ending already. They come free without shedding. */
  readonly terminating: number;
}

export const shedAbove = 0.8;
export const shedBelow = 0.7;
/** A session that was just used is not idle, however full it is. ms */
export const idleAtLeastMs = 60_000;

export function isAbove(pressure: Pressure): boolean {
  return pressure.used > shedAbove * pressure.limit;
}

/** How many must end to fall below the lower mark. A terminating session counts as gone, so no tick sheds twice for it. */
export function toShed({ limit, used, terminating }: Pressure): number {
  return Math.max(0, Math.floor(used - terminating - shedBelow * limit) + 1);
}

/** In the order in which they are taken. */
export function sheddable(now: number, policy: Policy): readonly Question[] {
  // Only what holds a sandbox: ending a paused session frees nothing.
  const holding = { open: true, statuses: ["provisioning", "running", "recovering"] } as const;
  const overdue = overdueAfterMs(policy);
  return [
    {
      query: { ...holding, expiredBefore: now - overdue, order: "oldest" },
      why: "overdue",
      guard: () => ({ type: "overdue", byMs: overdue }),
    },
    {
      query: { ...holding, stuckBefore: now - policy.stuckAfterMs, order: "oldest" },
      why: "stuck",
      guard: () => ({ type: "stuck", forMs: policy.stuckAfterMs }),
    },
    {
      query: {
        ...holding,
        statuses: ["running"],
        phases: ["held"],
        critical: false,
        idleBefore: now - idleAtLeastMs,
        order: "idlest",
      },
      why: "longest idle",
      guard: stillIdle,
    },
  ];
}

/** As idle as it was when it was chosen: anything that came in between saves it. */
function stillIdle(row: FleetRow, now: number): EndGuard {
  const forMs = Math.max(idleAtLeastMs, now - row.lastActivityAt);
  return { type: "all", guards: [{ type: "idle", forMs }, { type: "notCritical" }] };
}
