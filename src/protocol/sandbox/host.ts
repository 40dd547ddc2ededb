/**
 * The wire between the `local` provider and the local sandbox host (loopback only, `authorization: Bearer <LOCAL_HOST_TOKEN>`).
 * Every answer that proves something names the host and its boot. Until the host has scanned /proc after its own
 * start it answers 503 `scanning` to everything but /health: a host that does not know yet must not say "absent".
 *
 *   GET    /health
 *   PUT    /instances/{instance_id}                  launch; idempotent by instance: 8 at once start one process
 *   PUT    /instances/{instance_id}/restore          restore its workspace before it is launched: begins, or tells how far it is
 *   GET    /instances/{instance_id}                  its endpoint
 *   POST   /sandboxes/{sandbox_id}/retire            {generation}: nothing of this or an earlier generation starts there any more
 *   GET    /sandboxes/{sandbox_id}/observe?session_id=S&generation=N
 *   POST   /sandboxes/{sandbox_id}/stop              {session_id, generation, instance_id, grace_ms}
 *   PUT    /snapshots/{session_id}/{snapshot_id}     {sandbox_id, generation, instance_id}: save its workspace; idempotent by name
 *   GET    /snapshots/{session_id}/{snapshot_id}     what of it lies on the disk
 *   DELETE /snapshots/{session_id}/{snapshot_id}     what is not there is success; a save of that name is refused from now on
 *   GET    /sandboxes/{sandbox_id}/logs?tail_bytes=N
 *   GET    /sandboxes/{sandbox_id}/resources
 *   DELETE /sandboxes/{sandbox_id}                   remove the directory of a retired, empty sandbox
 *   POST   /containers/{container_id}/retire         nothing is launched in that shared container any more
 *   GET    /containers/{container_id}/observe
 *   DELETE /containers/{container_id}                end all that is in it, at once, and remove its directory; retired ones only
 *   GET    /space                                    what is free, of the quota or of the disk
 *   POST   /space/reclaim                            {session_id}: remove stale workspaces of other sessions
 *   GET    /sandboxes                                enumerate: every process that carries a session marker
 *   GET    /files                                    every workspace, container directory and snapshot on its disk
 *   ANY    /traffic/{service}/…                      with a pass (traffic.ts) and the host's token in `hostTrafficToken`
 *   POST   /faults, DELETE /faults                   only when started with --faults
 *
 * A host belongs to one control plane. Every call names its control plane in the header `controlPlaneHeader`: an id that
 * FleetControl makes once and keeps. The host adopts the first id that it hears and stores it before it answers. From then
 * on it refuses every call that names another one (409 `foreign_control_plane`, before any effect): an audit of that other
 * control plane has no record of what runs here, and would end all of it.
 * A call without the header comes from a controller that could not read its own id just then. An adopted host answers such
 * a call only when it is about one sandbox, instance, container or snapshot that is named and is already there (observe,
 * retire, stop, logs, …), so that a stop never waits for FleetControl. It refuses to launch and to enumerate.
 */
import { z } from "zod";

/** Names the caller's control plane on every call to a host. */
export const controlPlaneHeader = "mooring-control-plane";
export const controlPlaneIdText = z
  .string()
  .regex(/^[A-Za-z0-9_-]{8,64}$/, "A control plane's id is 8 to 64 of A-Z a-z 0-9 _ -.");

/** Carries the host's token on traffic, whose `authorization` is the sandbox's own. */
export const hostTrafficToken = "mooring-host-token";

export const hostHealth = z.object({
  host_id: z.string(),
  boot_id: z.string(),
  ready: z.boolean(),
  version: z.string(),
  /** The control plane that this host belongs to; null: none has called yet. Older hosts do not say. */
  control_plane: z.string().nullable().optional(),
  /** Why it would refuse a launch now although it has finished its scan; null: nothing is wrong. */
  problem: z.string().nullable().optional(),
  /** Its clock, epoch ms. */
  now: z.int().optional(),
});

export const hostLaunchOrder = z.strictObject({
  session_id: z.string(),
  sandbox_id: z.string(),
  /** The shared container that it is a place in. */
  container: z.string().optional(),
  generation: z.int(),
  secret: z.string(),
  launch_not_after: z.int(),
  lease_ttl_ms: z.int().positive(),
  job_grace_ms: z.int().nonnegative(),
  stop_grace_ms: z.int().positive(),
  env: z.record(z.string(), z.string()),
  /** The snapshot of that session that its workspace begins with. */
  restore: z.string().optional(),
  /** The session that saved it; absent: this one. */
  restore_of: z.string().optional(),
});
export type HostLaunchOrder = z.infer<typeof hostLaunchOrder>;

export const hostRestoreOrder = z.strictObject({
  session_id: z.string(),
  sandbox_id: z.string(),
  container: z.string().optional(),
  generation: z.int(),
  snapshot: z.string(),
  /** The session that saved it; absent: this one. */
  snapshot_of: z.string().optional(),
  /** How long to wait for its end before answering how far it is. */
  wait_ms: z.int().nonnegative().max(60_000),
});
export type HostRestoreOrder = z.infer<typeof hostRestoreOrder>;
/** The launch that follows names the same snapshot in `restore`, and finds it done. */
export const hostRestored = z.object({
  host_id: z.string(),
  boot_id: z.string(),
  done: z.boolean(),
  /** How much of the archive is unpacked. */
  done_bytes: z.int().nonnegative(),
  /** null: it has not begun. */
  total_bytes: z.int().nonnegative().nullable(),
});

export const hostInstance = z.object({
  host_id: z.string(),
  boot_id: z.string(),
  instance_id: z.string(),
  session_id: z.string(),
  sandbox_id: z.string(),
  generation: z.int(),
  guardian_pid: z.int(),
  wrapper_pid: z.int(),
  /** Where the wrapper listens, e.g. `http://127.0.0.1:41234`. */
  url: z.string(),
});
export type HostInstance = z.infer<typeof hostInstance>;

export const hostRetired = z.object({ host_id: z.string(), boot_id: z.string(), retired_through: z.int() });

export const hostResidue = z.object({
  kind: z.enum(["guardian", "wrapper", "job", "legacy"]),
  session_id: z.string(),
  sandbox_id: z.string().nullable(),
  container: z.string().optional(),
  instance_id: z.string().nullable(),
  generation: z.int().nullable(),
  pid: z.int(),
  /** Clock ticks since boot (field 22 of /proc/pid/stat): with the pid, the identity of a process. */
  start_time: z.int(),
});
export type HostResidue = z.infer<typeof hostResidue>;

export const hostObservation = z.object({
  host_id: z.string(),
  boot_id: z.string(),
  answer: z.enum(["present", "absent"]),
  residue: z.array(hostResidue),
  detail: z.string(),
  /** Whether the kernel counted its processes, its jobs had a user of their own, or only marks and lineage were looked at. Absent in hosts of before. */
  containment: z.enum(["cgroup", "user", "marker"]).optional(),
});

export const hostStopOrder = z.strictObject({
  /** Asked for by name, so that the answer rests on what runs and not on what the host remembers. */
  session_id: z.string().min(1).max(64),
  generation: z.int(),
  /** null: every instance of that generation (it was never learned which one started). */
  instance_id: z.string().nullable(),
  grace_ms: z.int().nonnegative(),
});
export const hostStopped = z.object({
  host_id: z.string(),
  boot_id: z.string(),
  /** Pids that were signalled and are gone. */
  ended: z.array(z.int()),
  remaining: z.array(hostResidue),
});

export const hostSaveOrder = z.strictObject({
  sandbox_id: z.string(),
  generation: z.int(),
  /** null: whichever instance was launched in it. */
  instance_id: z.string().nullable(),
});
/** Acknowledged: written, synced and read back whole. */
export const hostSnapshot = z.object({ host_id: z.string(), boot_id: z.string(), bytes: z.int().nonnegative() });
/** What lies on the disk under the name of a snapshot, whole or not. */
export const hostSnapshotStored = z.object({
  host_id: z.string(),
  boot_id: z.string(),
  files: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
});

export const hostSnapshotRemoved = z.object({ host_id: z.string(), boot_id: z.string() });

/** `DELETE /sandboxes/{id}`. */
export const hostDestroyed = z.null();

export const hostEnumeration = z.object({
  host_id: z.string(),
  boot_id: z.string(),
  residue: z.array(hostResidue),
});

/** What lies on the host's disk, whether or not anything runs in it. No paths: a name is an id. */
export const hostFile = z.object({
  kind: z.enum(["workspace", "container", "snapshot"]),
  /** The sandbox id, the container id, or the snapshot's name. */
  name: z.string(),
  /** null: the host has no record of it. */
  session_id: z.string().nullable(),
  /** null: the file is no workspace, or a workspace without a record. */
  generation: z.int().nullable(),
  /** The shared container that a workspace is a place in. */
  container: z.string().optional(),
  /** By its directory, or its newest file. null, or absent from an older host: not known. */
  age_ms: z.int().nonnegative().nullable().default(null),
  /** Its removal was asked for and failed; the host tries again by itself. null: no removal is pending. */
  removal: z
    .object({
      pending_ms: z.int().nonnegative(),
      attempts: z.int().nonnegative(),
      /** Why the last attempt failed, without a path of the host. */
      why: z.string(),
    })
    .nullable(),
});
export type HostFile = z.infer<typeof hostFile>;
export const hostFiles = z.object({ host_id: z.string(), boot_id: z.string(), files: z.array(hostFile) });

export const hostContainerRetired = z.object({ host_id: z.string(), boot_id: z.string() });
export const hostContainerObservation = z.object({
  host_id: z.string(),
  boot_id: z.string(),
  /** Its directory is there. */
  exists: z.boolean(),
  /** Of every member. */
  residue: z.array(hostResidue),
});

export const hostSpace = z.object({
  host_id: z.string(),
  boot_id: z.string(),
  free_bytes: z.int().nonnegative(),
  /** The quota where there is one, else the disk. */
  total_bytes: z.int().nonnegative(),
});
export const hostReclaimOrder = z.strictObject({ session_id: z.string().min(1).max(64) });
export const hostReclaimed = z.object({
  host_id: z.string(),
  boot_id: z.string(),
  removed: z.array(z.string()),
  freed_bytes: z.int().nonnegative(),
  kept: z.array(z.object({ name: z.string(), why: z.string() })),
});

export const hostLogs = z.object({ text: z.string(), last_written_ago_ms: z.int().nullable() });

export const hostResources = z.object({
  processes: z.int(),
  cpu_seconds: z.number(),
  memory_bytes: z.int(),
  disk_used_bytes: z.int().nullable(),
  read_write_syscalls: z.int().nullable(),
});

const hostFaultOps = [
  "launch",
  "restore",
  "retire",
  "observe",
  "stop",
  "endpoint",
  "save",
  "remove",
  "space",
  "reclaim",
  "any",
] as const;
export const hostFault = z.strictObject({
  op: z.enum(hostFaultOps),
  /** hang: never answers. error: 500 before the effect. lost_reply: the effect, then the connection is cut. delay: late by delay_ms, effect included. */
  mode: z.enum(["hang", "error", "lost_reply", "delay"]),
  /** How many calls it hits. */
  count: z.int().positive(),
  delay_ms: z.int().nonnegative().optional(),
});
export type HostFault = z.infer<typeof hostFault>;

export const hostErrorCodes = [
  "unauthorized", // 401
  "scanning", // 503, Retry-After
  "state_unusable", // 503: the host's state directory is gone and cannot be made again
  "refused_retired", // 409; of a snapshot: it was removed
  "refused_late", // 409
  "foreign_control_plane", // 409: this host belongs to another control plane
  "occupied", // 409: another generation or instance is armed in that sandbox id
  "not_found", // 404
  "damaged", // 409: the snapshot is no longer what was saved; nothing was started
  "not_empty", // 409: destroy while something is left, or not retired
  "launch_failed", // 500: spawned and ended again; nothing is left
  "save_failed", // 500: nothing of that snapshot is left
  "insufficient_space", // 507
  "space_unmeasurable", // 503
  "filesystem_unusable", // 507
  "invalid", // 422
  "internal", // 500
] as const;
export const hostError = z.object({ code: z.enum(hostErrorCodes), message: z.string() });
export type HostError = z.infer<typeof hostError>;
