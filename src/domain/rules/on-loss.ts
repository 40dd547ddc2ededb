/** What a lost sandbox means for its session: one function for every way to lose one. */
import type { Policy } from "./policy.ts";
import { startProvision, type Desired, type Session } from "../state/session.ts";

export interface LossDecision {
  readonly desired: Desired;
  readonly relaunches: number;
}

/** `why` in words, for the failure of a session that does not go on. */
export function desiredAfterLoss(session: Session, why: string, now: number, policy: Policy): LossDecision {
  const held: LossDecision = {
    desired: { type: "suspended", cause: "loss", since: now, resumeQueued: false },
    relaunches: session.relaunches,
  };
  switch (session.lifecycle.onLoss) {
    case "hold":
      return held;
    case "relaunch":
      // A sandbox that keeps dying is not replaced for ever: then it waits for somebody, as with hold.
      if (session.relaunches >= policy.relaunchBudget) return held;
      return {
        desired: { type: "running", provision: startProvision("relaunch", now, policy.provisionMs) },
        relaunches: session.relaunches + 1,
      };
    case "terminate":
      return {
        desired: {
          type: "terminated",
          reason: "failed",
          at: now,
          endedAt: null,
          failure: `The sandbox was lost: ${why}`,
        },
        relaunches: session.relaunches,
      };
  }
}
