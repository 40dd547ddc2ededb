/** One page of the list of sessions: for an operator those of all tenants, for a tenant its own. */
import { read } from "./call.ts";

export interface SessionFilter {
  /**
   * The search as typed: an id, or words like `team=web`, `tenant:acme`, `agent:coder`, `task:t-1`, `provider:local`,
   * `template:python`.
   */
  readonly q: string;
  readonly status: string;
  /** A code of what blocks; for operators also `stuck`, `overdue`, `open` and `critical`. */
  readonly only: string;
  readonly cursor: string;
}

export interface Row {
  readonly id: string;
  /** null: the reader's own session. */
  readonly tenant: string | null;
  readonly status: string;
  readonly blocked: string | null;
  readonly stuckSince: string | null;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly agentType: string | null;
  readonly taskId: string | null;
  readonly critical: boolean;
  readonly provider: string;
  /** null: the index does not know it yet. */
  readonly template: string | null;
  readonly activeJobs: number | null;
  readonly reason: string | null;
  readonly lastError: string | null;
  readonly stopAttempts: number;
  readonly asOf: string;
}

export interface RowPage {
  readonly rows: readonly Row[];
  /** null: this is the last page. */
  readonly next: string | null;
}

export async function listSessions(
  filter: SessionFilter,
  limit: number,
  operator: boolean,
  signal?: AbortSignal,
): Promise<RowPage> {
  const query = queryOf(filter, operator);
  query.set("limit", String(limit));
  if (filter.cursor !== "") query.set("cursor", filter.cursor);
  if (operator) {
    const page = await read<"listAllSessions">(`/v1/admin/sessions?${query}`, signal);
    return {
      rows: page.data.map((row) => ({
        id: row.id,
        tenant: row.tenant,
        status: row.status,
        blocked: row.blocked,
        stuckSince: row.stuck_since,
        createdAt: row.created_at,
        expiresAt: row.expires_at,
        labels: row.labels,
        agentType: row.agent_type,
        taskId: row.task_id,
        critical: row.critical,
        provider: row.provider,
        template: row.template,
        activeJobs: row.active_jobs,
        reason: row.terminate_reason,
        lastError: row.last_error,
        stopAttempts: row.stop_attempts,
        asOf: row.as_of,
      })),
      next: page.next_cursor,
    };
  }
  const page = await read<"listSessions">(`/v1/sessions?${query}`, signal);
  return {
    rows: page.data.map((row) => ({
      id: row.id,
      tenant: null,
      status: row.status,
      blocked: row.blocked,
      stuckSince: null,
      createdAt: row.created_at,
      expiresAt: row.expires_at,
      labels: row.labels,
      agentType: row.agent_type,
      taskId: row.task_id,
      critical: row.critical,
      provider: row.provider,
      template: row.template,
      activeJobs: null,
      reason: null,
      lastError: null,
      stopAttempts: 0,
      asOf: row.as_of,
    })),
    next: page.next_cursor,
  };
}

const fields: Readonly<Record<string, string>> = {
  tenant: "tenant",
  agent: "agent_type",
  agent_type: "agent_type",
  task: "task_id",
  task_id: "task_id",
  provider: "provider",
  template: "template",
  phase: "phase",
};

/** The session id in what was typed or pasted; null: there is none. */
export function idIn(typed: string): string | null {
  return /\b([a-z0-9]{20})\b/.exec(typed)?.[1] ?? null;
}

/** The query of a list. A tenant's list has fewer filters: `operator` says whether those of the operators' list are taken too. */
export function queryOf({ q, status, only }: SessionFilter, operator: boolean): URLSearchParams {
  const query = new URLSearchParams();
  if (status !== "") query.set("status", status);
  for (const word of q.split(/\s+/).filter(Boolean)) {
    const [, name = "", sign = "", value = ""] = /^([^:=]+)([:=])(.+)$/.exec(word) ?? [];
    const field = sign === ":" && (operator || name === "template") ? fields[name] : undefined;
    if (field !== undefined) query.set(field, value);
    else if (name !== "") query.set(`label[${name}]`, value);
    else if (operator) query.set("tenant", word);
  }
  if (only === "stuck") query.set("stuck", "true");
  else if (only === "overdue") query.set("teardown", "overdue");
  else if (only === "open") query.set("open", "true");
  else if (only === "critical") query.set("critical", "true");
  else if (only !== "") query.set("blocked", only);
  return query;
}
