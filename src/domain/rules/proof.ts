/** What counts as proof that nothing of a lease is left, and why the rest does not. */
import type { Retirement, Stopping } from "../state/lease.ts";
import type { Observation } from "../state/observation.ts";
import type { Policy } from "./policy.ts";

/** Whose absence is to be proven: a lease, or a sandbox that no lease owns any more. */
export type ProofSubject = Pick<Stopping, "sandboxId" | "generation" | "provider" | "host">;

export type Verdict =
  | { readonly type: "proven"; readonly at: number }
  | { readonly type: "present"; readonly why: string }
  | { readonly type: "unproven"; readonly why: string };

/**
 * `looks` in the order in which they began; `settledAt` is when the last effect on the sandbox settled (the stop call
 * returned or was given up; for a probe, when the retirement was acknowledged).
 */
export function judgeAbsence(
  lease: ProofSubject,
  retired: Retirement | null,
  looks: readonly Observation[],
  settledAt: number,
  policy: Policy,
): Verdict {
  if (looks.some((look) => look.answer === "present" && concerns(lease, look))) {
    return { type: "present", why: "something of it is still there" };
  }
  if (retired === null) return { type: "unproven", why: "its generation is not retired at the provider yet" };
  const [first, second] = looks.slice(-2);
  if (first === undefined || second === undefined) return { type: "unproven", why: "it takes two looks" };
  for (const look of [first, second]) {
    const why = disbelief(lease, retired, look, settledAt);
    if (why !== null) return { type: "unproven", why };
  }
  if (second.beganAt - first.beganAt < policy.absenceLookGapMs) {
    return { type: "unproven", why: `the two looks began less than ${policy.absenceLookGapMs} ms apart` };
  }
  return { type: "proven", at: second.beganAt };
}

function concerns(lease: ProofSubject, look: Observation): boolean {
  return look.sandboxId === lease.sandboxId && look.generation === lease.generation;
}

/** null: the look is believed. */
function disbelief(lease: ProofSubject, retired: Retirement, look: Observation, settledAt: number): string | null {
  if (look.answer !== "absent") return `one look said ${look.answer}: ${look.detail}`;
  if (!concerns(lease, look)) return "a look was at another sandbox or generation";
  if (look.provider !== lease.provider) return `a look was answered by provider ${look.provider}`;
  if (look.host !== (lease.host ?? retired.host)) return `a look was answered by host ${look.host ?? "nobody"}`;
  if (look.boot !== retired.boot) return "a look was answered by another boot than the one that retired it";
  if (look.beganAt < settledAt || look.beganAt < retired.at) return "a look began before the last effect settled";
  return null;
}
