/** Answers `explain`: the pure explanation of the state as it is, on the wire. A read: nothing is asked of anybody else. */
import { explain } from "../../explain/explain.ts";
import type { ExplainedClock, Explanation, NextCall } from "../../explain/explanation.ts";

import type { ExplainView } from "../../protocol/resources/session/explain.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { Reply } from "../../protocol/problem.ts";
import type { CommandContext } from "./command-context.ts";
import { adapterMissing } from "../reports/session-report.ts";
import type { Caller } from "../session-api.ts";

export class ExplainCommand {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  async explain(caller: Caller | null): Promise<Reply<ExplainView>> {
    const found = this.#context.findAs(caller);
    if (!found.ok) return found;
    const session = found.value;
    const { clock, policy, providers } = this.#context.ports;
    const now = clock.now();
    const explained = explain(session, {
      now,
      policy,
      adapterMissing: adapterMissing(session, providers),
      canSave: providers.get(session.provider)?.capabilities.snapshot === true,
      queuedJobs: this.#context.jobs.open().filter((job) => job.state === "queued").length,
      etag: String(this.#context.state.version),
    });
    return { ok: true, value: explainOf(session.id, now, explained) };
  }
}

const at = (instant: number | null): string | null => (instant === null ? null : rfc3339(instant));

function explainOf(id: string, now: number, explained: Explanation): ExplainView {
  const { blocked } = explained;
  return {
    session_id: id,
    as_of: rfc3339(now),
    status: explained.status,
    summary: explained.summary,
    alive: explained.alive,
    clocks: explained.clocks.map(clockOf),
    next_clock: explained.nextClock?.name ?? null,
    next_look_at: at(explained.nextLookAt),
    lost_since: at(explained.lostSince),
    blocked:
      blocked === null
        ? null
        : { code: blocked.code, since: rfc3339(blocked.since), retry_at: at(blocked.retryAt), says: blocked.says },
    sandboxes: explained.sandboxes.map(({ generation, sandboxId, phase, ghost, lease, says }) => ({
      generation,
      sandbox_id: sandboxId,
      phase,
      ghost,
      renewed_at: at(lease?.renewedAt ?? null),
      next_renewal_at: at(lease?.nextRenewalAt ?? null),
      lapses_at: at(lease?.lapsesAt ?? null),
      says,
    })),
    next_call: explained.next === null ? null : callOf(explained.next),
    other_calls: explained.others.map(callOf),
  };
}

function clockOf({ name, dueAt, does, movedBy, says }: ExplainedClock): ExplainView["clocks"][number] {
  return { name, due_at: at(dueAt), does, moved_by: movedBy, says };
}

function callOf({ method, path, body, headers, access, notBefore, why }: NextCall): ExplainView["other_calls"][number] {
  return { method, path, body, headers, access, not_before: at(notBefore), why };
}
