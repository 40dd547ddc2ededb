/** What must hold once the faults are over: everybody settles, what is deleted is gone with a receipt, and at last nothing is left. */
import type { SessionId } from "../../src/domain/ids.ts";
import { openLeases, type Session } from "../../src/domain/session.ts";
import { statusOf } from "../../src/domain/status.ts";
import type { MemoryWorld } from "../../src/sandbox/memory/memory-world.ts";
import type { RegistryWatch } from "./registry-checks.ts";
import type { SessionWatch } from "./session-watch.ts";

type Watches = ReadonlyMap<SessionId, SessionWatch>;

/** Where a session may stay: it is where it wants to be. */
const atRest: ReadonlySet<string> = new Set(["running", "paused", "lost", "terminated", "failed"]);
/** What it may wait for, and then says so. */
const waitsFor: ReadonlySet<string> = new Set(["quota_exhausted", "spawn_breaker_open"]);

/** `before`: what began to change since then (its own clock ended it, say) may still be on its way. By the controllers' clock. */
export function unsettled(watches: Watches, before: number): readonly string[] {
  const found: string[] = [];
  for (const [id, { session }] of watches) {
    if (session === null) continue;
    const status = statusOf(session);
    const parked = openLeases(session).some((lease) => lease.phase === "stopping" && lease.step.type === "parked");
    const { desired } = session;
    const lastError = desired.type === "running" ? (desired.provision?.lastError?.code ?? "") : "";
    const waits = status === "provisioning" && waitsFor.has(lastError);
    if (!atRest.has(status) && !parked && !waits && changingSince(session) < before)
      found.push(`${id} is still ${status}, long after the last fault`);
  }
  return found;
}

function changingSince(session: Session): number {
  const { desired, newest } = session;
  const stopping = newest?.phase === "stopping" ? newest.requestedAt : session.createdAt;
  if (desired.type === "terminated") return Math.max(desired.at, stopping);
  if (desired.type === "suspended") return Math.max(desired.since, stopping);
  return Math.max(newest?.openedAt ?? session.createdAt, stopping);
}

/** Everything was deleted: nothing runs, nothing is reserved, every sandbox that ever was has its receipt. */
export function notGone(watches: Watches, world: MemoryWorld, registry: RegistryWatch): readonly string[] {
  const found = world.processes().map((process) => `I3: ${process.kind} of ${process.sessionId} is alive at the end`);
  for (const [id, { session, closed }] of watches) {
    if (session === null) continue;
    const status = statusOf(session);
    if (status !== "terminated" && status !== "failed") found.push(`DEL-1: ${id} is still ${status} after its delete`);
    for (const { generation } of closed.values()) {
      const receipt = registry.receipt(id, generation);
      if (receipt?.verified_absent_at == null) found.push(`DEL-7: the registry has no receipt of ${id} g${generation}`);
    }
  }
  const { used, imbalances } = registry.ledger();
  const reserved = Array.from(registry.reservations).filter(([, state]) => state !== "proven" && state !== "cancelled");
  if (used > 0) found.push(`CAP-6: ${used} are still reserved: ${JSON.stringify(reserved)}`);
  for (const imbalance of imbalances) found.push(`I11: ${JSON.stringify(imbalance)}`);
  return found;
}

/** The retention is over. */
export function notErased(watches: Watches, world: MemoryWorld): readonly string[] {
  const found: string[] = [];
  for (const [id, { session, object }] of watches) {
    const snapshots = world.snapshots.of(id).length;
    if (snapshots > 0) found.push(`DEL-13: ${snapshots} snapshots of ${id} are left`);
    if (session !== null) found.push(`DEL-5: ${id} still has rows after its retention`);
    if (object.storage.alarmAt !== null) found.push(`DEL-5: ${id} still has an alarm after its retention`);
  }
  return found;
}
