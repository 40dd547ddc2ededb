/** Plain views of resources and logs for the HTTP tests. */
import type { LogsView, ResourcesView } from "../../src/protocol/insight.ts";
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
