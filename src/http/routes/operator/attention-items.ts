/** Each kind of thing that needs somebody, in words: what it is, since when, why, and the call that ends it. Pure. */
import { rfc3339 } from "../../../protocol/primitives.ts";
import type { AttentionItem } from "../../../protocol/resources/operator/attention.ts";
import type { ExplainView } from "../../../protocol/resources/session/explain.ts";
import type { AlertBoard, LayerSummary } from "../../../fleet/control/control-api.ts";
import type { FleetRow } from "../../../fleet/shard/shard-api.ts";

export function sessionItem(
  row: FleetRow,
  told: Pick<ExplainView, "summary" | "next_call" | "blocked" | "lost_since"> | null,
  now: number,
): AttentionItem {
  const overdue = row.teardownOverdueFrom !== null && row.teardownOverdueFrom <= now;
  const since = [
    row.stuckSince,
    overdue ? row.teardownOverdueFrom : null,
    // Absent in the words of an object that still runs older code.
    ...[told?.blocked?.since, told?.lost_since].map((each) => (each == null ? null : Date.parse(each))),
  ].filter((each) => each !== null);
  const what = overdue
    ? "Its sandbox is not proven gone in time"
    : row.status === "lost"
      ? "Its sandbox is lost"
      : row.status === "recovering"
        ? "Its sandbox was lost and is being replaced"
        : row.blocked !== null
          ? `Blocked: ${row.blocked.replaceAll("_", " ")}`
          : `Stuck while ${row.status}`;
  return {
    kind: "session",
    severity: overdue || row.blocked === "parked" || row.blocked === "unreadable" ? "critical" : "warning",
    subject: row.sessionId,
    tenant: row.tenant,
    what,
    since: since.length === 0 ? null : rfc3339(Math.min(...since)),
    why: told?.summary ?? row.lastError ?? "It does not answer, or was not asked: its own page tells more.",
    next_call: told?.next_call ?? null,
    console: `/console/sessions/${row.sessionId}`,
  };
}

export function containerItem({
  id,
  tenant,
  from,
}: {
  readonly id: string;
  readonly tenant: string;
  readonly from: number;
}): AttentionItem {
  return {
    kind: "container",
    severity: "critical",
    subject: id,
    tenant,
    what: "A shared container is not proven gone in time",
    since: rfc3339(from),
    why: "It was to be ended, and no two looks have found it gone within its bound. Its page tells what each attempt met.",
    next_call: null,
    console: `/console/containers/${id}`,
  };
}

export function silentItem(name: string): AttentionItem {
  return {
    kind: "index",
    severity: "critical",
    subject: name,
    tenant: null,
    what: "A part of the fleet does not answer",
    since: null,
    why: `No answer from ${name}, so there may be problems that are not listed here, and the figures are too small. It is asked again with each look.`,
    next_call: null,
    console: "/console/fleet",
  };
}

/** Where each case is listed with its own call, the alert about them says nothing new. */
const listedAnyway: Readonly<Record<string, readonly AttentionItem["kind"][]>> = {
  session_stuck: ["session"],
  teardown_overdue: ["session", "container"],
  records_unreadable: ["session"],
};

export function alertItems(board: AlertBoard | null, listed: readonly AttentionItem[]): readonly AttentionItem[] {
  return (board?.alerts ?? [])
    .filter(({ phase }) => phase === "firing")
    .filter(({ name }) => !listed.some(({ kind }) => listedAnyway[name]?.includes(kind) === true))
    .map((alert) => ({
      kind: "alert",
      severity: alert.severity,
      subject: alert.name,
      tenant: null,
      what: alert.summary,
      since: rfc3339(alert.since),
      why: `${seenOf(alert.context)}First thing to run: ${alert.cli ?? alert.command}`,
      next_call: null,
      console: "/console/fleet",
    }));
}

function seenOf(context: Readonly<Record<string, string | number>>): string {
  const seen = Object.entries(context).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
  return seen.length === 0 ? "" : `Seen: ${seen.join(", ")}. `;
}

export function layerItems(layers: readonly LayerSummary[]): readonly AttentionItem[] {
  return layers
    .filter(({ failuresInRow }) => failuresInRow > 0)
    .map((layer) => ({
      kind: "layer",
      severity: "warning",
      subject: layer.layer,
      tenant: null,
      what: `The layer ${layer.layer} failed ${layer.failuresInRow} time${layer.failuresInRow === 1 ? "" : "s"} in a row`,
      since: rfc3339(layer.lastStartedAt),
      why: "It runs again by itself; its runs tell what it met.",
      next_call: {
        method: "GET",
        path: `/v1/admin/cleanup/runs?layer=${layer.layer}`,
        body: null,
        headers: {},
        access: "admin",
        not_before: null,
        why: "This lists its runs.",
      },
      console: "/console/fleet",
    }));
}

export function drainingItem({
  since,
  by,
  reason,
}: {
  readonly since: number;
  readonly by: string;
  readonly reason: string;
}): AttentionItem {
  return {
    kind: "draining",
    severity: "warning",
    subject: "drain",
    tenant: null,
    what: "No new sessions are taken",
    since: rfc3339(since),
    why: `${by} drains the fleet: ${reason}`,
    next_call: {
      method: "POST",
      path: "/v1/admin/drain",
      body: { draining: false, reason: "the work is done" },
      headers: {},
      access: "admin",
      not_before: null,
      why: "This takes new sessions again.",
    },
    console: "/console/fleet",
  };
}

export const unbalanced: AttentionItem = {
  kind: "ledger",
  severity: "critical",
  subject: "ledger",
  tenant: null,
  what: "The ledger does not balance",
  since: null,
  why: "Sandboxes that were granted are neither open nor gone in the tallies. The ledger names the tenant; an audit finds what is there.",
  next_call: {
    method: "POST",
    path: "/v1/admin/audits",
    body: {},
    headers: {},
    access: "admin",
    not_before: null,
    why: "This plans an audit; it changes nothing.",
  },
  console: "/console/ledger",
};
