/**
 * The restore drill: by sampling, where the operator allows it (RESTORE_DRILL_MINUTES), the saved files of a paused session are restored
 * into a throwaway session and read whole. The session itself is asked two things and never touched: what it would restore, and to note
 * what was found (docs/decisions/0041).
 *
 * The throwaway is an ordinary session of a tenant of Mooring's own, so everything that keeps a sandbox from outliving its session
 * keeps this one: lease, clocks, layers, receipts. One drill at a time; each step is stored, and the next tick goes on from it.
 */
import type { SessionId, TenantId } from "../../domain/state/ids.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import { drillTenantName } from "../../protocol/primitives.ts";
import type { CreateSession, SessionView } from "../../protocol/resources/session/sessions.ts";
import type { Caller, DrillFinding, RestorePoint, SessionApi } from "../../session/session-api.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { AuditPorts } from "../audits/audit-ports.ts";
import type { CapacityView, FleetControlApi } from "../control/control-api.ts";
import type { FleetRow } from "../shard/shard-api.ts";
import {
  type DrillState,
  type FailingRestore,
  parseDrills,
  type RunningDrill,
} from "../../domain/probes/restore-drills.ts";
import { differenceOf, manifestCommand, readManifest, type TreeManifest } from "./tree-manifest.ts";

const minute = 60_000;
/** The tenant of all throwaways. No key opens it. */
export const drillTenant = drillTenantName as TenantId;
/** Timeout of the throwaway session. Longer than a drill may take, so that its own clock ends it last. */
const timeoutSeconds = 3_600;
/** From the start of a drill to its verdict. What takes longer says nothing. */
const drillMs = 40 * minute;
const jobWaitMs = 60_000;
/** Paused sessions that one drill chooses among, of each shard and from either end. */
const sampled = 100;
/** At most this many of the chosen are asked what they would restore: they may have changed since the index heard of them. */
const askedAtMost = 5;
const failingKept = 20;
/** Above this share of the global cap work comes first. */
const busyShare = 0.7;

export interface DrillTerms {
  /** null: off. A drill that is under way is still finished. */
  readonly everyMs: number | null;
  readonly provider: ProviderName;
  readonly callMs: number;
}

export interface DrillPorts extends Pick<AuditPorts, "shards" | "clock" | "ids" | "logger" | "providers"> {
  readonly control: Pick<FleetControlApi, "document" | "putDocument"> & { capacity(): Promise<CapacityView> };
  session(
    id: SessionId,
  ): Pick<SessionApi, "restorePoint" | "restoreDrilled" | "create" | "get" | "createJob" | "job" | "delete">;
}

export async function tendDrills(ports: DrillPorts, terms: DrillTerms): Promise<void> {
  const state = parseDrills((await ports.control.document("probe", "restore_drill"))?.body);
  if (state.running !== null) return await goOn(ports, terms, state, state.running);
  const now = ports.clock.now();
  if (terms.everyMs === null) return;
  // A first failure is tried again at once: it may have been a bad minute of the provider, or an operator has to know.
  const suspected = state.failing.some(({ tries }) => tries === 1);
  if (!suspected && now - (state.lastStartedAt ?? 0) < terms.everyMs - minute) return;
  await start(ports, terms, state);
}

async function start(ports: DrillPorts, terms: DrillTerms, state: DrillState): Promise<void> {
  const { limit, used, draining } = await ports.control.capacity();
  if (draining !== null || used >= limit * busyShare) return;
  const { chosen, failing } = await choose(ports, terms, state);
  const startedAt = ports.clock.now();
  if (chosen === null) return await put(ports, { ...state, failing, lastStartedAt: startedAt });
  const { sessionId, point } = chosen;
  const { snapshot, tenant } = point;
  const running: RunningDrill = {
    ...{ startedAt, tenant, sessionId, snapshotId: snapshot.id, throwaway: ports.ids.id() as SessionId, verdict: null },
  };
  const begun: DrillState = { ...state, failing, lastStartedAt: startedAt, running };
  // Before the throwaway is made: a tick that dies here leaves a session that the next one finds by its id.
  await put(ports, begun);
  await make(ports, terms, running, point);
}

async function make(ports: DrillPorts, terms: DrillTerms, running: RunningDrill, point: RestorePoint): Promise<void> {
  const network = ports.providers.get(terms.provider)?.capabilities.network === true;
  const body: CreateSession = {
    timeout_seconds: timeoutSeconds,
    idle_timeout_seconds: null,
    on_timeout: "kill",
    on_loss: "hold",
    labels: { drill_of: running.sessionId },
    agent_type: "restore-drill",
    // The throwaway has no network: none of the tenant's files leave it, and no program in them can call out.
    ...(network ? { network: { mode: "closed" } } : {}),
  };
  const made = await outcomeWithin(ports.clock, terms.callMs, () =>
    ports.session(running.throwaway).create(running.throwaway, callerOf(running), body, null, 0, point.snapshot),
  );
  if (made.type === "answered" && made.value.ok) return;
  const why = made.type === "answered" && !made.value.ok ? made.value.problem.detail : made.type;
  ports.logger.warn("restore drill did not begin", { session: running.sessionId, error: why.slice(0, 300) });
}

async function goOn(ports: DrillPorts, terms: DrillTerms, state: DrillState, running: RunningDrill): Promise<void> {
  const throwaway = ports.session(running.throwaway);
  const caller = callerOf(running);
  const read = await outcomeWithin(ports.clock, terms.callMs, () => throwaway.get(caller));
  if (read.type !== "answered") return;
  const view = read.value.ok ? read.value.value.body : null;
  if (running.verdict !== null) return await endThrowaway(ports, terms, state, running, view);
  const late = ports.clock.now() - running.startedAt > drillMs;
  if (view?.status === "running") {
    const found = await readTree(ports, throwaway, caller);
    if (found !== null) return await conclude(ports, terms, state, running, found);
  } else if (view === null || view.status === "terminated" || view.status === "failed") {
    // It never was, or it ended: by its provider's word about the snapshot, or for a reason of the fleet's own.
    return await conclude(ports, terms, state, running, view === null ? null : failureOf(view));
  }
  if (late) await conclude(ports, terms, state, running, null);
}

/** What a provider says when it is the saved files: a provider that starts nothing at all has an alert of its own. */
const aboutFiles = /snapshot|restor|saved|bucket|archive/i;

/** null: nothing was learned about the snapshot. */
function failureOf({ failure, terminate_reason: reason, started_at: startedAt }: SessionView): DrillFinding | null {
  const neverRan = startedAt === null && (reason === "provision_timeout" || reason === "failed");
  return neverRan && failure !== null && aboutFiles.test(failure) ? { failed: failure.slice(0, 500) } : null;
}

/** null: not yet. */
async function readTree(
  ports: DrillPorts,
  throwaway: ReturnType<DrillPorts["session"]>,
  caller: Caller,
): Promise<DrillFinding | null> {
  const job = { id: "manifest", command: manifestCommand, timeout_seconds: 1_800 };
  const answer = await outcomeWithin(ports.clock, jobWaitMs + 10_000, async () => {
    const made = await throwaway.createJob(caller, job);
    return made.ok ? await throwaway.job(caller, job.id, jobWaitMs) : made;
  });
  if (answer.type !== "answered" || !answer.value.ok) return null;
  const { state, ended_at: endedAt, output_tail: tail, exit_code: exit } = answer.value.value;
  if (endedAt === null) return null;
  const tree = state === "succeeded" ? readManifest(tail ?? "") : null;
  return (
    tree ?? { failed: `Its restored files could not be read whole: the job is ${state}, exit code ${exit ?? "none"}.` }
  );
}

async function conclude(
  ports: DrillPorts,
  terms: DrillTerms,
  state: DrillState,
  running: RunningDrill,
  found: DrillFinding | null,
): Promise<void> {
  const { sessionId, snapshotId } = running;
  const session = ports.session(sessionId);
  const point = await session.restorePoint();
  // It was resumed, saved anew or deleted while the drill ran: what was found is of no use to anybody.
  const current = point?.snapshot.id === snapshotId ? point : null;
  const judged = found === null || current === null ? null : judge(found, current.proof);
  const before = state.failing.find((each) => each.snapshotId === snapshotId);
  const others = state.failing.filter((each) => each.snapshotId !== snapshotId);
  const settle = async (verdict: NonNullable<RunningDrill["verdict"]>, changes: Partial<DrillState>) => {
    const ending = { ...running, verdict };
    await put(ports, { ...state, ...changes, running: ending });
    await endThrowaway(ports, terms, { ...state, ...changes }, ending, null);
  };
  if (judged === null) {
    ports.logger.info("restore drill was inconclusive", { session: sessionId });
    const failing = current === null ? others : state.failing;
    return await settle("inconclusive", { inconclusive: state.inconclusive + 1, failing });
  }
  if (!("failed" in judged)) {
    await session.restoreDrilled(snapshotId, judged);
    ports.logger.info("snapshot proven restorable", { session: sessionId, files: judged.files, bytes: judged.bytes });
    const lastProvenAt = ports.clock.now();
    return await settle("proven", { proven: state.proven + 1, lastProvenAt, failing: others });
  }
  const failing: FailingRestore = {
    ...{ sessionId, tenant: running.tenant, snapshotId, why: judged.failed },
    ...{ since: before?.since ?? ports.clock.now(), tries: (before?.tries ?? 0) + 1 },
  };
  // The first failure may be a bad minute of the provider's: it is tried again before anybody is told.
  if (failing.tries > 1) await session.restoreDrilled(snapshotId, judged);
  ports.logger.error("snapshot could not be restored", {
    session: sessionId,
    tries: failing.tries,
    why: judged.failed,
  });
  await settle("failed", { failed: state.failed + 1, failing: [failing, ...others].slice(0, failingKept) });
}

/** The restore itself has compared the archive with the checksum of its save. Here: the tree with the one of the drill before. */
function judge(found: DrillFinding, before: TreeManifest | null): DrillFinding {
  if ("failed" in found || before === null) return found;
  const difference = differenceOf(before, found);
  return difference === null
    ? found
    : { failed: `Restored, it differs from what an earlier drill found: ${difference}.` };
}

/** Until it is proven gone, or was never made; then the next drill may begin. */
async function endThrowaway(
  ports: DrillPorts,
  terms: DrillTerms,
  state: DrillState,
  running: RunningDrill,
  view: SessionView | null,
): Promise<void> {
  const gone = (each: SessionView | null) => each?.terminated_at != null;
  const answer = gone(view)
    ? null
    : await outcomeWithin(ports.clock, terms.callMs, () =>
        ports.session(running.throwaway).delete(callerOf(running), "requested"),
      );
  if (answer !== null && answer.type !== "answered") return;
  const reply = answer?.value ?? null;
  const never = reply !== null && !reply.ok && reply.problem.code === "not_found";
  if (reply !== null && !never && !(reply.ok && gone(reply.value.session))) return;
  await put(ports, { ...state, running: null });
}

/** `failing`: earlier failures whose snapshot is still the one that would be restored. */
async function choose(
  ports: DrillPorts,
  terms: DrillTerms,
  state: DrillState,
): Promise<{
  readonly chosen: { readonly sessionId: SessionId; readonly point: RestorePoint } | null;
  readonly failing: DrillState["failing"];
}> {
  let { failing } = state;
  for (const each of state.failing.toSorted((a, b) => a.tries - b.tries)) {
    const point = await pointOf(ports, terms, each.sessionId);
    if (point === "silent") continue;
    if (point?.snapshot.id === each.snapshotId) return { chosen: { sessionId: each.sessionId, point }, failing };
    failing = failing.filter((other) => other !== each);
  }
  for (const row of await sample(ports, terms)) {
    const point = await pointOf(ports, terms, row.sessionId);
    // The throwaway goes where new sessions go: elsewhere nobody has these files.
    if (point === "silent" || point?.snapshot.provider !== terms.provider) continue;
    return { chosen: { sessionId: row.sessionId, point }, failing };
  }
  return { chosen: null, failing };
}

/** `silent`: it did not answer, so nothing is known of what it would restore. */
async function pointOf(ports: DrillPorts, terms: DrillTerms, id: SessionId): Promise<RestorePoint | null | "silent"> {
  const answer = await outcomeWithin(ports.clock, terms.callMs, () => ports.session(id).restorePoint());
  return answer.type === "answered" ? answer.value : "silent";
}

/** Candidates: some of the oldest and of the newest paused sessions of each shard, in random order. A silent shard is left out. */
async function sample(ports: DrillPorts, terms: DrillTerms): Promise<readonly FleetRow[]> {
  const query = { statuses: ["paused"], provider: terms.provider, limit: sampled } as const;
  const pages = await Promise.all(
    ports.shards.flatMap(({ api }) =>
      (["oldest", "newest"] as const).map((order) =>
        outcomeWithin(ports.clock, terms.callMs, () => api.select({ ...query, order })),
      ),
    ),
  );
  const rows = pages.flatMap((page) => (page.type === "answered" ? page.value : []));
  const byId = [...new Map(rows.map((row) => [row.sessionId, row])).values()];
  // Fresh ids are random: they are the lots.
  return byId
    .map((row) => ({ row, lot: ports.ids.id() }))
    .toSorted((a, b) => (a.lot < b.lot ? -1 : 1))
    .slice(0, askedAtMost)
    .map(({ row }) => row);
}

function callerOf({ sessionId }: RunningDrill): Caller {
  return { tenant: drillTenant, requestId: `drill-${sessionId}`, scopes: [] };
}

async function put(ports: DrillPorts, state: DrillState): Promise<void> {
  await ports.control.putDocument({ kind: "probe", id: "restore_drill", body: JSON.stringify(state) });
}
