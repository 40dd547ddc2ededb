/** Plain views of what a session's sandbox uses and says, and of why it is as it is, for the HTTP tests. */
import type { ExplainView } from "../../src/protocol/resources/session/explain.ts";
import type { LogsView, ResourcesView } from "../../src/protocol/resources/session/insight.ts";
import { sampleId } from "./sample-views.ts";

export function sampleResources(): ResourcesView {
  const at = "2026-03-01T11:59:59.000Z";
  const figures = { cpu_percent: 12.5, memory_mb: 110, disk_mb: 3, processes: 2, operations: 420 };
  return {
    session_id: sampleId,
    sandbox_id: `${sampleId}-g7`,
    generation: 7,
    as_of: at,
    duration_ms: 60_000,
    ...figures,
    history: [{ at, ...figures }],
    diagnosis: [],
  };
}

export function sampleLogs(): LogsView {
  return {
    session_id: sampleId,
    sandbox: { sandbox_id: `${sampleId}-g7`, text: "started\n", last_written_at: "2026-03-01T11:59:00.000Z" },
    unavailable: null,
    jobs: [],
    last_activity_at: "2026-03-01T11:59:00.000Z",
    diagnosis: [],
  };
}

export function sampleExplanation(): ExplainView {
  const at = "2026-03-01T12:15:00.000Z";
  return {
    session_id: sampleId,
    as_of: "2026-03-01T12:00:00.000Z",
    status: "running",
    summary: "It is running: a job runs.",
    alive: "a job runs.",
    clocks: [{ name: "end_at", due_at: at, does: "it ends", moved_by: "timeout", says: "The session's own end." }],
    next_clock: "end_at",
    next_look_at: at,
    lost_since: null,
    blocked: null,
    sandboxes: [
      {
        generation: 7,
        sandbox_id: `${sampleId}-g7`,
        phase: "held",
        ghost: false,
        renewed_at: null,
        next_renewal_at: null,
        lapses_at: null,
        says: "It holds its lease.",
      },
    ],
    next_call: {
      method: "POST",
      path: `/v1/sessions/${sampleId}/timeout`,
      body: { timeout_seconds: 3_600 },
      headers: {},
      access: "tenant",
      not_before: null,
      why: "To keep it, move its end.",
    },
    other_calls: [],
  };
}
