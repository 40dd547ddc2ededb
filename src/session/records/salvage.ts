/**
 * Builds a stand-in for a session whose record cannot be read, from the plain columns and the leases that can be read. It serves
 * teardown and reports, and is never stored as a whole (docs/decisions/0006).
 */
import type { Closed, Lease, OpenLease, Stopping } from "../../domain/state/lease.ts";
import { beginStop } from "../../domain/machine/stop/begin-stop.ts";
import { type DiscardedSnapshot, noBudget, type Session } from "../../domain/state/session.ts";
import { saveUnderWay, toDiscard } from "../../domain/rules/saved-files.ts";
import type { SessionPorts } from "../ports.ts";
import type { Happening } from "./history.ts";
import type { SavedFiles } from "./session-record.ts";
import type { SessionStore } from "./store.ts";
import { savedOf, type PlainSession, type LeaseWithStanding } from "./row-codec.ts";

/**
 * The leases of an unreadable session that may be torn down: stops under way, and all of them once a delete was asked for.
 * Each lease keeps its place: a ghost written back as the newest would push the real one out.
 */
export function salvage(
  plain: PlainSession,
  leases: readonly LeaseWithStanding[],
  ports: SessionPorts,
): Session | null {
  const now = ports.clock.now();
  const asked = plain.deleteRequestedAt !== null;
  const torn = (lease: Lease): lease is OpenLease => lease.phase === "stopping" || (asked && lease.phase !== "closed");
  const stop = (lease: OpenLease): Stopping => {
    const stopping = beginStop(lease, "terminated", now, ports.policy);
    // Unless it was asked to end, no list is written of what to delete: the lease keeps the name of its save until one is.
    const saving = lease.phase === "held" && lease.gate.type === "saving";
    return saving ? { ...stopping, unsettledSave: lease.gate.attemptId } : stopping;
  };
  const newestLease = leases.find((each) => each.standing === "newest")?.lease ?? null;
  const newest =
    newestLease === null || newestLease.phase === "closed" ? newestLease : torn(newestLease) ? stop(newestLease) : null;
  const ghosts = leases.flatMap(({ standing, lease }) => (standing === "ghost" && torn(lease) ? [stop(lease)] : []));
  const stopping = newest?.phase === "stopping" ? [...ghosts, newest] : ghosts;
  const last = leases.at(-1)?.lease;
  if (last === undefined || (stopping.length === 0 && !asked)) return null;
  const discarded = asked ? savedFilesOf(plain, newestLease, now) : [];
  const ended = discarded.length === 0 && stopping.every((lease) => lease.assertion !== null);
  const proofs = leases.flatMap(({ lease }) => (lease.phase === "closed" ? [lease.receipt.verifiedAbsentAt] : []));
  const at = plain.deleteRequestedAt ?? stopping[0]?.requestedAt ?? now;
  return {
    ...blank(plain, last.provider),
    nextGeneration: (last.generation + 1) as Session["nextGeneration"],
    // Not asked to end: it must not be told as ended, or it could never go on when its record is read again.
    desired: asked
      ? { type: "terminated", reason: "failed", at, endedAt: ended ? Math.max(at, ...proofs) : null, failure: null }
      : { type: "suspended", cause: "loss", since: at, resumeQueued: false },
    newest,
    ghosts,
    discarded,
  };
}

/** Its saved files that are still to be deleted, a save whose end was never heard among them. */
function savedFilesOf(plain: PlainSession, newest: Lease | null, now: number): readonly DiscardedSnapshot[] {
  const { files, settled } = plain.saved ?? { files: [], settled: [] };
  const underWay = newest === null ? null : saveUnderWay({ newest }, now);
  const all = underWay === null || files.some(({ id }) => id === underWay.id) ? files : [...files, underWay];
  return all.filter(({ id }) => !settled.includes(id)).map((snapshot) => toDiscard(snapshot, now));
}

interface UnreadableSaved {
  readonly plain: PlainSession;
  /** The saved files that were to be deleted when the record was loaded. */
  readonly toDelete: readonly string[];
}

/**
 * Writes the lease rows of an unreadable session, and what is left of its saved files. The record stays as it is, for code that
 * can read it. Answers the next row version.
 */
export function saveUnreadable(
  store: SessionStore,
  record: UnreadableSaved | null,
  { before, after, ...change }: Happening & { readonly before: Session },
  receipts: readonly Closed[],
): number {
  if (after.newest !== null && after.newest !== before.newest) store.saveLease(after.newest, "newest");
  for (const ghost of after.ghosts) if (!before.ghosts.includes(ghost)) store.saveLease(ghost, "ghost");
  for (const receipt of receipts) store.saveLease(receipt, "past");
  if (record !== null && before.discarded !== after.discarded) {
    const left = savedLeft(record, after);
    if (left !== null) store.saveFiles(left);
  }
  store.addNotes({ before, after, ...change });
  return store.bumpVersion();
}

/** For the column, after a change. null: what was saved is not known, and stays so. */
function savedLeft({ plain, toDelete }: UnreadableSaved, { discarded }: Session): SavedFiles | null {
  if (plain.saved === null) return null;
  const { files } = savedOf({ snapshot: null, discarded });
  const left = new Set(files.map(({ id }) => id));
  return { files, settled: [...plain.saved.settled, ...toDelete.filter((id) => !left.has(id))] };
}

/** A stand-in for reports alone, with the newest lease that can be read. Nothing of it may be acted on. */
export function reportOnlySession(plain: PlainSession, leases: readonly LeaseWithStanding[]): Session | null {
  const newest = leases.findLast((each) => each.standing === "newest")?.lease ?? null;
  const ghosts = leases.flatMap(({ standing, lease }) =>
    standing === "ghost" && lease.phase === "stopping" ? [lease] : [],
  );
  const provider = newest?.provider ?? plain.provider;
  if (provider === null) return null;
  return {
    ...blank(plain, provider),
    nextGeneration: ((newest?.generation ?? 0) + 1) as Session["nextGeneration"],
    desired: { type: "running", provision: null },
    newest,
    ghosts,
  };
}

/** Clocks of a session that cannot be read do not run: its end is as far away as a date goes. */
const noEnd = 8_640_000_000_000_000;

function blank(
  plain: PlainSession,
  provider: Session["provider"],
): Omit<Session, "nextGeneration" | "desired" | "newest" | "ghosts"> {
  return {
    id: plain.id,
    tenant: plain.tenant,
    provider,
    isolation: "session",
    createdAt: plain.createdAt,
    limits: { timeoutMs: 0, idleTimeoutMs: null, maxLifetimeMs: 0 },
    lifecycle: { onTimeout: "kill", onLoss: "hold" },
    profile: { labels: {}, agentType: null, taskId: null, critical: false, autoResume: false },
    endAt: noEnd,
    startedAt: null,
    refreshedAt: null,
    activity: { lastAt: plain.createdAt, activeJobs: 0, reportedAt: plain.createdAt },
    alive: { totalMs: 0, since: null },
    relaunches: 0,
    warnedOfPause: null,
    warnedOfEnd: null,
    budget: noBudget,
    pauseTries: null,
    setback: null,
    workspace: null,
    snapshot: null,
    discarded: [],
    forgotten: [],
    cancellations: [],
    taken: [],
    restoreProof: null,
  };
}
