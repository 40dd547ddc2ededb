/** What must hold once the faults are over: everybody settles, what is deleted is gone with a receipt, and at last nothing is left. */
import type { SessionId } from "../../../src/domain/state/ids.ts";
import type { MemoryWorld } from "../../memory/memory-world.ts";
import { counterFaults, indexFaults, readIndex } from "../oracle/index-rows.ts";
import { reservationKey, shouldCount, type LedgerWatch } from "../oracle/ledger.ts";
import { openOf, owesSomething, seenStatus, type SeenSession } from "../oracle/model.ts";
import type { Rows } from "../oracle/stored.ts";
import type { SessionWatch } from "./session-watch.ts";

type Watches = ReadonlyMap<SessionId, SessionWatch>;

/** What goes on failing is looked at by itself: these sessions are left out. */
export type Doomed = (id: SessionId) => boolean;

/** Where a session may stay: it is where it wants to be. */
const atRest: ReadonlySet<string> = new Set(["running", "paused", "lost", "terminated", "failed"]);
/** What it may wait for, and then says so. */
const waitsFor: ReadonlySet<string> = new Set(["quota_exhausted", "spawn_breaker_open", "no_capacity"]);

/** `before`: what began to change since then (its own clock ended it, say) may still be on its way. By the controllers' clock. */
export function unsettled(watches: Watches, before: number, doomed: Doomed): readonly string[] {
  const found: string[] = [];
  for (const [id, { session }] of watches) {
    if (session === null || doomed(id)) continue;
    const status = seenStatus(session);
    const parked = openOf(session).some((lease) => lease.phase === "stopping" && lease.step.type === "parked");
    const { desired } = session;
    const lastError = desired.type === "running" ? (desired.provision?.lastError?.code ?? "") : "";
    const waits = status === "provisioning" && waitsFor.has(lastError);
    if (!atRest.has(status) && !parked && !waits && changingSince(session) < before)
      found.push(`${id} is still ${status}, long after the last fault`);
  }
  return found;
}

function changingSince(session: SeenSession): number {
  const { desired, newest } = session;
  const stopping = newest?.phase === "stopping" ? newest.requestedAt : session.createdAt;
  if (desired.type === "terminated") return Math.max(desired.at, stopping);
  if (desired.type === "suspended") return Math.max(desired.since, stopping);
  return Math.max(newest?.openedAt ?? session.createdAt, stopping);
}

/** The registry and the index say of each session what is stored of it, once its newest version was confirmed (FLT-1, I11). */
export function untrue(watches: Watches, ledger: LedgerWatch, index: Rows): readonly string[] {
  const found: string[] = [...counterFaults(index)];
  const rows = readIndex(index);
  for (const [id, watch] of watches) {
    const { session, version } = watch;
    if (session === null || !watch.told) continue;
    found.push(...indexFaults(rows, session, version));
    for (const { generation } of openOf(session)) {
      const should = shouldCount(session, generation);
      const is = ledger.reservations.get(reservationKey(id, generation));
      if (is !== should)
        found.push(`I11: ${id} g${generation} is counted as ${is ?? "nothing"}, not ${should ?? "nothing"}`);
    }
  }
  return found;
}

/** Everything was deleted: nothing runs, nothing is reserved, every sandbox that ever was has its receipt. */
export function notGone(watches: Watches, world: MemoryWorld, ledger: LedgerWatch, doomed: Doomed): readonly string[] {
  const found = world
    .processes()
    .filter(({ sessionId }) => !doomed(sessionId))
    .map((process) => `I3: ${process.kind} of ${process.sessionId} is alive at the end`);
  for (const [id, { session, closed }] of watches) {
    if (session === null || doomed(id)) continue;
    const status = seenStatus(session);
    if (status !== "terminated" && status !== "failed") found.push(`DEL-1: ${id} is still ${status} after its delete`);
    if (owesSomething(session))
      found.push(`CAP-6: ${id} still owes something: ${JSON.stringify(session.cancellations)}`);
    for (const generation of closed.keys())
      if (!ledger.receipt(id, generation)) found.push(`DEL-7: the registry has no receipt of ${id} g${generation}`);
  }
  const reserved = ledger
    .unreleased()
    .filter((each) => !each.endsWith(" asserted") && !doomed(each.split("/")[0] as SessionId));
  for (const each of reserved) found.push(`CAP-6: still reserved: ${each}`);
  return found;
}

/** The retention is over. */
export function notErased(watches: Watches, world: MemoryWorld, index: Rows): readonly string[] {
  const found: string[] = [];
  const rows = readIndex(index);
  for (const [id, { session, object }] of watches) {
    const snapshots = world.snapshots.of(id).length;
    if (snapshots > 0) found.push(`DEL-13: ${snapshots} snapshots of ${id} are left`);
    if (session !== null) found.push(`DEL-5: ${id} still has rows after its retention`);
    if (object.storage.alarmAt !== null) found.push(`DEL-5: ${id} still has an alarm after its retention`);
    const row = rows.get(id);
    if (row !== undefined && !row.erased) found.push(`FLT-1: ${id} is erased and still listed`);
  }
  found.push(...counterFaults(index));
  return found;
}

/** What goes on failing is neither forgotten nor claimed to be gone: it is looked at again and again, and it says so. */
export function notWatched(
  watches: Watches,
  ledger: LedgerWatch,
  doomed: Doomed,
  now: number,
  withinMs: number,
): readonly string[] {
  const found: string[] = [];
  for (const [id, { session, object }] of watches) {
    if (!doomed(id)) continue;
    if (session === null) {
      // A mere reservation whose create was undone is asked about by the registry; an operator's word holds rows no longer than that.
      const left = ledger.unreleased().filter((each) => each.startsWith(id) && !/ (reserved|asserted)$/.test(each));
      if (left.length > 0) found.push(`I4: ${id} is forgotten although its end is not proven: ${left.join(", ")}`);
      continue;
    }
    const { alarmAt } = object.storage;
    if (alarmAt === null || alarmAt > now + withinMs)
      found.push(`I7: ${id} is not looked at any more: ${alarmAt ?? "no alarm"}`);
    for (const { generation, phase } of openOf(session)) {
      const state = ledger.reservations.get(reservationKey(id, generation));
      if (state === "proven" || state === "cancelled" || state === undefined)
        found.push(`I4: ${id} g${generation} is ${phase}, and its reservation is ${state ?? "not there"}`);
    }
  }
  return found;
}
