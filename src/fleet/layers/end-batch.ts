/**
 * Ends many sessions, each under its own guard, none able to stop another. It decides nothing: the session does,
 * and its teardown goes on by itself; what this run did not reach is chosen again by the next.
 */
import type { SessionId } from "../../domain/state/ids.ts";
import type { Reply } from "../../protocol/problem.ts";
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import type { EndOrder, EndReply } from "../../session/session-api.ts";
import { inLanes } from "../../calls/in-lanes.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { Choice } from "./choices.ts";

export interface EndPorts {
  end(sessionId: SessionId, order: EndOrder): Promise<Reply<EndReply>>;
  readonly clock: Clock;
}

export interface EndTerms {
  readonly callMs: number;
  readonly concurrency: number;
  /** No call begins later than this after the start. */
  readonly runMs: number;
}

/**
 * `ended`: its end is stored, and its sandbox is being torn down. `kept`: its guard did not hold any more.
 * `gone`: it has no record of itself. `unclear`: it did not answer in time, so it may or may not have ended.
 */
export type EndOutcome = "ended" | "kept" | "gone" | "failed" | "unclear" | "not_reached";

export interface EndResult {
  readonly sessionId: SessionId;
  readonly why: string;
  readonly outcome: EndOutcome;
  /** The status it has now, or what spoke against it. */
  readonly detail: string;
}

export async function endBatch(
  ports: EndPorts,
  terms: EndTerms,
  choices: readonly Choice[],
  /** After each one. */
  told: (result: EndResult, soFar: readonly EndResult[]) => Promise<void>,
): Promise<readonly EndResult[]> {
  const { clock } = ports;
  const startedAt = clock.now();
  const soFar: EndResult[] = [];
  return await inLanes(choices, terms.concurrency, async ({ sessionId, why, order }) => {
    if (clock.now() - startedAt >= terms.runMs) return { sessionId, why, outcome: "not_reached" as const, detail: "" };
    const answer = await outcomeWithin(clock, terms.callMs, () => ports.end(sessionId, order));
    const result: EndResult = { sessionId, why, ...outcomeOf(answer) };
    soFar.push(result);
    await told(result, soFar);
    return result;
  });
}

function outcomeOf(answer: Awaited<ReturnType<typeof outcomeWithin<Reply<EndReply>>>>): {
  readonly outcome: EndOutcome;
  readonly detail: string;
} {
  if (answer.type === "hung")
    return {
      outcome: "unclear",
      detail: "It did not answer in time, so it may have begun to end. The next run looks again.",
    };
  if (answer.type === "failed") return { outcome: "failed", detail: answer.message.slice(0, 300) };
  const reply = answer.value;
  if (!reply.ok) {
    if (reply.problem.code === "not_found")
      return { outcome: "gone", detail: "It has no record; an audit finds what is left." };
    return { outcome: "failed", detail: `${reply.problem.code}: ${reply.problem.detail}` };
  }
  if (!reply.value.ended) return { outcome: "kept", detail: reply.value.why };
  return { outcome: "ended", detail: reply.value.session.status };
}
