/** Valid wire views for tests that do not care about most of their fields. */
import type { EventView } from "../../src/protocol/resources/session/events.ts";
import type { JobView } from "../../src/protocol/resources/session/jobs.ts";
import type { Inspection } from "../../src/session/session-api.ts";
import type { SessionListItem, SessionView, TeardownView } from "../../src/protocol/resources/session/sessions.ts";
import type { SnapshotView } from "../../src/protocol/resources/tenant/snapshots.ts";

export const sampleId = "abcdefghij0123456789";
const at = "2026-03-01T12:00:00.000Z";

export function sampleSession(changes: Partial<SessionView> = {}): SessionView {
  return {
    id: sampleId,
    status: "running",
    blocked: null,
    terminate_reason: null,
    created_at: at,
    started_at: at,
    refreshed_at: null,
    end_at: "2026-03-01T13:00:00.000Z",
    idle_at: "2026-03-01T12:15:00.000Z",
    expires_at: "2026-03-01T12:15:00.000Z",
    terminated_at: null,
    generation: 1_772_366_400_000,
    provider: "memory",
    isolation: "session",
    container_id: null,
    jobs_apart: null,
    template: "base",
    network: { mode: "open", allow: [], inject: [], state: "applied" },
    timeout_seconds: 3_600,
    idle_timeout_seconds: 900,
    max_lifetime_seconds: 86_400,
    max_cost: null,
    cost: null,
    currency: null,
    budget_at: null,
    on_timeout: "kill",
    on_loss: "hold",
    auto_resume: false,
    public_ports: false,
    port_host: null,
    labels: {},
    agent_type: null,
    task_id: null,
    critical: false,
    workspace: null,
    restoring: null,
    failure: null,
    last_proven_restorable_at: null,
    ghosts: 0,
    teardown: null,
    ...changes,
  };
}

export function sampleListItem(changes: Partial<SessionListItem> = {}): SessionListItem {
  return {
    id: sampleId,
    status: "running",
    created_at: at,
    end_at: "2026-03-01T13:00:00.000Z",
    expires_at: null,
    generation: 1,
    provider: "memory",
    template: "base",
    blocked: null,
    labels: {},
    agent_type: null,
    task_id: null,
    critical: false,
    as_of: at,
    ...changes,
  };
}

export function sampleSnapshot(changes: Partial<SnapshotView> = {}): SnapshotView {
  return {
    id: sampleId,
    name: "base",
    session_id: sampleId,
    status: "ready",
    provider: "memory",
    template: "base",
    size_bytes: 10_240,
    created_at: at,
    failure: null,
    deletion: null,
    ...changes,
  };
}

export function sampleJob(changes: Partial<JobView> = {}): JobView {
  return {
    id: "job-1",
    session_id: sampleId,
    state: "running",
    command: "true",
    argv: null,
    created_at: at,
    started_at: at,
    ended_at: null,
    exit_code: null,
    signal: null,
    generation: 1_772_366_400_000,
    output_bytes: 0,
    output_truncated: false,
    output_gap: null,
    failure: null,
    keep: false,
    tty: false,
    left_running: null,
    output_tail: null,
    timeout_seconds: 300,
    held_back: null,
    ...changes,
  };
}

export function sampleEvent(sequence: number): EventView {
  return {
    sequence,
    at,
    type: "created",
    actor: "client",
    cause: "requested",
    from: "none",
    to: "provisioning",
    generation: null,
    facts: {},
  };
}

export function sampleTeardown(): TeardownView {
  return {
    session_id: sampleId,
    generation: 1_772_366_400_000,
    sandbox_id: `${sampleId}-g1772366400000`,
    phase: "stopping",
    reason: "requested",
    requested_at: at,
    attempts: [],
    observations: [],
    parked: false,
    next_attempt_at: null,
    verified_absent_at: null,
    asserted_absent_at: null,
    evidence: null,
  };
}

export function sampleInspection(): Inspection {
  return { etag: "9", record: "readable", session: sampleSession(), teardowns: [sampleTeardown()] };
}
