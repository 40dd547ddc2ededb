/** What the local provider stores: snapshots, room on the disk, and the list of everything that lies there. */
import { failed, succeeded, type ProviderResult } from "../../domain/state/failure.ts";
import type { ContainerId, Generation, SandboxId, SessionId } from "../../domain/state/ids.ts";
import {
  hostFiles,
  hostReclaimed,
  hostRestored,
  hostSnapshot,
  hostSnapshotRemoved,
  hostSnapshotStored,
  hostSpace,
} from "../../protocol/sandbox/host.ts";
import type { CallBound, Snapshots, Space, StoredFile } from "../agent-sandbox.ts";
import { askHost, type HostAddress } from "./host-client.ts";
import { anotherHostWords, isAnotherHost } from "./local-answers.ts";

export function localSnapshots(host: HostAddress): Snapshots {
  const pathOf = (sessionId: SessionId, snapshotId: string): string =>
    `/snapshots/${encodeURIComponent(sessionId)}/${encodeURIComponent(snapshotId)}`;
  return {
    save: async (target, snapshotId, bound) => {
      const { sandboxId, generation, instanceId } = target;
      const body = { sandbox_id: sandboxId, generation, instance_id: instanceId };
      const path = pathOf(target.sessionId, snapshotId);
      const reply = await askHost(host, { method: "PUT", path, body }, hostSnapshot, bound);
      if (!reply.ok) return reply;
      const { host_id, bytes } = reply.value;
      return isAnotherHost(target, host_id)
        ? failed("unavailable", anotherHostWords(target, host_id), "unknown")
        : succeeded({ bytes });
    },
    restore: async (order, bound) => {
      const body = {
        session_id: order.sessionId,
        sandbox_id: order.sandboxId,
        ...(order.container === undefined ? {} : { container: order.container }),
        generation: order.generation,
        snapshot: order.snapshotId,
        ...(order.snapshotOf === undefined ? {} : { snapshot_of: order.snapshotOf }),
        wait_ms: order.waitMs,
      };
      const path = `/instances/${encodeURIComponent(order.instanceId)}/restore`;
      const reply = await askHost(host, { method: "PUT", path, body }, hostRestored, bound);
      if (!reply.ok) return reply;
      const { done, done_bytes: doneBytes, total_bytes: totalBytes } = reply.value;
      return succeeded({ done, doneBytes, totalBytes });
    },
    remove: async (sessionId, snapshotId, bound) => {
      const call = { method: "DELETE", path: pathOf(sessionId, snapshotId) } as const;
      const reply = await askHost(host, call, hostSnapshotRemoved, bound);
      return reply.ok ? succeeded(null) : reply;
    },
    inspect: async (sessionId, snapshotId, bound) => {
      const call = { method: "GET", path: pathOf(sessionId, snapshotId) } as const;
      const reply = await askHost(host, call, hostSnapshotStored, bound);
      if (!reply.ok) return reply;
      const { files, bytes, host_id: id } = reply.value;
      return succeeded({ files, bytes, asked: `host ${id}` });
    },
  };
}

export function localSpace(host: HostAddress): Space {
  return {
    // All sandboxes share one disk, so the place makes no difference.
    inspectCapacity: async (_place, bound) => {
      const reply = await askHost(host, { method: "GET", path: "/space" }, hostSpace, bound);
      if (!reply.ok) return reply;
      return succeeded({ freeBytes: reply.value.free_bytes, totalBytes: reply.value.total_bytes });
    },
    reclaim: async ({ sessionId }, bound) => {
      const call = { method: "POST", path: "/space/reclaim", body: { session_id: sessionId } } as const;
      const reply = await askHost(host, call, hostReclaimed, bound);
      if (!reply.ok) return reply;
      const { removed, freed_bytes: freedBytes, kept } = reply.value;
      return succeeded({ removed: removed as SandboxId[], freedBytes, kept });
    },
  };
}

export async function localFiles(host: HostAddress, bound: CallBound): Promise<ProviderResult<readonly StoredFile[]>> {
  const reply = await askHost(host, { method: "GET", path: "/files" }, hostFiles, bound);
  if (!reply.ok) return reply;
  return succeeded(
    reply.value.files.map(({ kind, name, session_id, generation, container, age_ms, removal }) => ({
      kind,
      name,
      host: reply.value.host_id,
      sessionId: session_id as SessionId | null,
      generation: generation as Generation | null,
      ...(container === undefined ? {} : { container: container as ContainerId }),
      ageMs: age_ms,
      removal:
        removal === null ? null : { pendingMs: removal.pending_ms, attempts: removal.attempts, why: removal.why },
    })),
  );
}
