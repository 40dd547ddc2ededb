/**
 * A session as E2B's API shows a sandbox. A state that E2B's API has no word for is hidden: it answers 404 and is in no
 * list.
 */
import type { FleetRow } from "../../../fleet/shard/shard-api.ts";
import type {
  E2bListedSandbox,
  E2bMetric,
  E2bSandbox,
  E2bSandboxDetail,
  E2bState,
} from "../../../protocol/compat/e2b.ts";
import type { ResourcesView } from "../../../protocol/resources/session/insight.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import type { SessionView } from "../../../protocol/resources/session/sessions.ts";
import { metadataOf, templateLabel } from "./metadata.ts";

/** The template of a sandbox that was created without naming one, in E2B's own words. */
export const defaultTemplate = "base";

/**
 * The newest version of envd whose features the SDK checks for. With an older one the SDK refuses the sandbox, or
 * warns.
 */
const envdVersion = "0.6.4";
const clientID = "mooring";

/** null: for an E2B client the sandbox is gone. */
export const e2bStateOf: Readonly<Record<SessionView["status"], E2bState | null>> = {
  provisioning: "running",
  running: "running",
  recovering: "running",
  pausing: "paused",
  paused: "paused",
  lost: null,
  terminating: null,
  terminated: null,
  failed: null,
};

export function nativeStatuses(states: readonly E2bState[]): readonly SessionView["status"][] {
  const all = Object.keys(e2bStateOf) as SessionView["status"][];
  return all.filter((status) => states.some((state) => e2bStateOf[status] === state));
}

/** Created by an E2B client. A connect resumes such a session whatever its `auto_resume` says. */
export function madeByE2b(session: SessionView): boolean {
  return Object.hasOwn(session.labels, templateLabel);
}

/** The client's own word, which may name no template here; else what the session was made from. */
function templateOf({ labels, template }: Pick<FleetRow, "labels" | "template">): string {
  return labels[templateLabel] ?? template ?? defaultTemplate;
}

export function sandboxOf(
  session: SessionView,
  tokens: Pick<E2bSandbox, "envdAccessToken" | "trafficAccessToken">,
  domain: string,
): E2bSandbox {
  return {
    sandboxID: session.id,
    templateID: templateOf(session),
    clientID,
    envdVersion,
    ...tokens,
    domain,
  };
}

export function detailOf(session: SessionView, domain: string): E2bSandboxDetail | null {
  const { id, labels, created_at: startedAt, end_at: endAt, on_timeout: onTimeout, auto_resume: autoResume } = session;
  const templateID = templateOf(session);
  const state = e2bStateOf[session.status];
  if (state === null) return null;
  return {
    ...shown({ id, templateID, labels, startedAt, endAt, state }),
    domain,
    lifecycle: { onTimeout, autoResume },
  };
}

export function listedOf(row: FleetRow): E2bListedSandbox | null {
  const state = e2bStateOf[row.status];
  if (state === null) return null;
  const { sessionId: id, labels, createdAt, endAt } = row;
  const templateID = templateOf(row);
  return shown({ id, templateID, labels, startedAt: rfc3339(createdAt), endAt: rfc3339(endAt), state });
}

interface Shown {
  readonly id: string;
  readonly templateID: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly startedAt: string;
  readonly endAt: string;
  readonly state: E2bState;
}

function shown({ id, templateID, labels, startedAt, endAt, state }: Shown): E2bListedSandbox {
  return {
    sandboxID: id,
    templateID,
    clientID,
    envdVersion,
    startedAt,
    endAt,
    state,
    metadata: metadataOf(labels),
    cpuCount: 1,
    memoryMB: 0,
    diskSizeMB: 0,
  };
}

const bytes = (megabytes: number | null): number => Math.round((megabytes ?? 0) * 2 ** 20);

/** Oldest first. `from` and `to` in epoch seconds; null: no bound. */
export function metricsOf(view: ResourcesView, from: number | null, to: number | null): readonly E2bMetric[] {
  return view.history.flatMap((sample) => {
    const timestampUnix = Math.floor(Date.parse(sample.at) / 1_000);
    if ((from !== null && timestampUnix < from) || (to !== null && timestampUnix > to)) return [];
    return [
      {
        timestamp: sample.at,
        timestampUnix,
        cpuCount: 1,
        cpuUsedPct: sample.cpu_percent ?? view.cpu_percent,
        memUsed: bytes(sample.memory_mb),
        memTotal: 0,
        memCache: 0,
        diskUsed: bytes(sample.disk_mb),
        diskTotal: 0,
      },
    ];
  });
}
