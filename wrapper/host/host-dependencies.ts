/** What the operations of the host depend on, and the fields that their answers share. */
import type { HostResidue } from "../../src/protocol/sandbox/host.ts";
import type { Containers } from "./containers.ts";
import type { Snapshots } from "./disk/snapshots.ts";
import type { HostTraffic } from "./http/traffic.ts";
import type { KeyedQueue } from "../../src/calls/keyed-queue.ts";
import type { Launcher } from "./launch/launcher.ts";
import type { Restores } from "./launch/restores.ts";
import type { Cgroups } from "./processes/cgroups.ts";
import type { JobUsers } from "./processes/job-users.ts";
import type { Aim, Found, Residue } from "./processes/residue.ts";
import type { Stopper } from "./processes/stopper.ts";
import type { Records, SandboxRecord } from "./records/records.ts";
import type { StateDirectory } from "./records/state-directory.ts";
import { Refusal } from "./refusal.ts";

export interface HostDependencies {
  readonly state: StateDirectory;
  readonly records: Records;
  readonly residue: Residue;
  readonly stopper: Stopper;
  readonly snapshots: Snapshots;
  readonly containers: Containers;
  readonly launcher: Launcher;
  readonly restores: Restores;
  readonly traffic: HostTraffic;
  /** One task at a time for each sandbox id. */
  readonly queue: KeyedQueue;
  readonly cgroups: Cgroups | null;
  readonly jobUsers: JobUsers;
  readonly quotaBytes: number | null;
  /** For tests: how much older than it is everything on disk looks to a reclaim. ms */
  readonly agedMs: number;
}

/** Names the host and its boot in every answer that proves something. */
export function identityOf({ state }: Pick<HostDependencies, "state">): { host_id: string; boot_id: string } {
  return { host_id: state.hostId, boot_id: state.bootId };
}

/** Which processes belong to what a record names; null: nothing was ever launched under it. */
export function aimOf({ sessionId, armed }: Pick<SandboxRecord, "sessionId" | "armed">): Aim | null {
  return sessionId === null || armed === null
    ? null
    : { session: sessionId, generation: armed.generation, instance: null };
}

/** The aim of a sandbox that has a record. */
export function knownAim({ records }: Pick<HostDependencies, "records">, sandboxId: string): Aim | null {
  const record = records.get(sandboxId);
  if (record === null) throw new Refusal("not_found", `No sandbox ${sandboxId} here.`);
  return aimOf(record);
}

export function residueView({ records }: Pick<HostDependencies, "records">, found: Found): HostResidue {
  const { session, instance, generation } = found.owner;
  const record = instance === null ? null : records.byInstance(instance);
  const own = record?.sessionId === session ? record : null;
  return {
    kind: found.kind,
    session_id: session,
    sandbox_id: own?.sandboxId ?? null,
    ...(own === null || own.container === null ? {} : { container: own.container }),
    instance_id: instance,
    generation,
    pid: found.pid,
    start_time: found.startTime,
  };
}
