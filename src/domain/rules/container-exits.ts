/**
 * What an operator can do about a container whose end is not proven, and when it starts to count as overdue (docs/decisions/0013). Its
 * end is retried for ever without help. Two acts: ask a host that is back now; assert the absence for a host that never comes back.
 * Neither is evidence, and neither frees quota: a container takes none.
 */
import { containerAttemptMs, newRound, type Container, type StoppingContainer } from "../state/container.ts";
import type { Rejection } from "../machine/events.ts";
import { nextCalls, say } from "../state/next-calls.ts";
import type { Policy } from "./policy.ts";
import { stopsBoundMs } from "./stuck.ts";

export interface ContainerResolution {
  readonly action: "retry_stop" | "assert_absent";
  readonly by: string;
  readonly reason: string;
}

export type Resolved =
  | { readonly type: "moved"; readonly container: StoppingContainer }
  | { readonly type: "rejected"; readonly rejection: Rejection };

export function resolved(container: Container, order: ContainerResolution, policy: Policy, now: number): Resolved {
  if (container.phase === "open")
    return rejected(
      "not_stuck",
      "It is not being ended: it has members that are wanted. End those, and it ends by itself.",
    );
  if (container.phase === "gone") return rejected("not_stuck", "It is proven gone already.");
  return order.action === "retry_stop" ? retried(container, now) : asserted(container, order, policy, now);
}

/** A new round of attempts, the first of them at once. An assertion stands until something is proven or seen. */
function retried(container: StoppingContainer, now: number): Resolved {
  const { step, attempts, earlierAttempts } = container;
  if (step.type === "acting")
    return rejected(
      "not_stuck",
      `An attempt is under way. Look again when its bound has passed (${say(nextCalls.inspectContainer)}).`,
      step.deadline,
    );
  if (attempts + earlierAttempts === 0 || step.nextAttemptAt <= now)
    return rejected("not_stuck", "Its next attempt is due now and begins by itself.");
  return { type: "moved", container: newRound(container, now) };
}

/** Not before whatever might still be in it has certainly fenced itself: the word must not be able to be wrong about a process. */
function asserted(
  container: StoppingContainer,
  { by, reason }: ContainerResolution,
  policy: Policy,
  now: number,
): Resolved {
  if (container.assertion !== null) return rejected("not_stuck", "It is asserted gone already.");
  const from = container.requestedAt + policy.leaseTtlMs + policy.stopGraceMs + policy.alarmSlipMs;
  if (now < from)
    return rejected(
      "lease_not_expired",
      "What was in it may still act until its leases have certainly expired. Its end goes on meanwhile; send this again then (retry_at).",
      from,
    );
  return {
    type: "moved",
    // An attempt in flight is over for us: its result is that of an older attempt.
    container: {
      ...container,
      assertion: { at: now, by, reason },
      step: { type: "waiting", nextAttemptAt: now + policy.assertedProbeMs },
    },
  };
}

function rejected(code: Rejection["code"], detail: string, retryAt: number | null = null): Resolved {
  return { type: "rejected", rejection: { code, detail, retryAt } };
}

/**
 * From when on its end is past its bound, as a lease's is; null: it is not being ended, or somebody has said that it is
 * gone. May lie ahead: nothing else has to happen for it to come true.
 */
export function containerOverdueFrom(container: Container, policy: Policy): number | null {
  if (container.phase !== "stopping" || container.assertion !== null) return null;
  return container.requestedAt + stopsBoundMs(containerAttemptMs(policy), policy);
}
