/**
 * The port: the only way from a session to a container.
 *
 * The contract, for whoever writes a provider (the conformance kit checks every sentence):
 * - No method throws. A call returns a value or a `ProviderFailure` of the closed set, with a truthful `effect`.
 * - Every call takes a `CallBound`. The caller gives up at `timeoutMs` whatever happens and aborts the signal; a provider
 *   should stop working then, and must survive it when it does not.
 * - `launch` is idempotent by instance: repeated, concurrent or late, one instance has one process. It is refused when the
 *   generation is retired (`refused_retired`) or `launchNotAfter` has passed (`refused_late`).
 * - `retire` is durable before it is acknowledged, and covers earlier generations of that sandbox id.
 * - `observe` never wakes, starts or extends anything. Only evidence makes `absent`; every doubt is `unknown`.
 * - `stop` targets an instance, checked at the moment of each signal; the absent one is success. It never claims more than it saw:
 *   what it returns is no proof, the session looks again by itself (I3).
 */
import type { ProviderResult } from "../domain/failure.ts";
import type { ContainerId, Generation, InstanceId, JobId, SandboxId, SessionId } from "../domain/ids.ts";
import type { Containment, Observation, Residue } from "../domain/observation.ts";
import type { ProviderName } from "../domain/provider-names.ts";
import type {
  RenewalReply,
  RenewalRequest,
  WrapperHealth,
  WrapperJob,
  WrapperJobDetail,
  WrapperJobOrder,
} from "../protocol/wrapper.ts";
import type { BootstrapReply, BootstrapRequest } from "../protocol/workspace.ts";

export interface CallBound {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface LaunchOrder {
  readonly sessionId: SessionId;
  readonly sandboxId: SandboxId;
  /** The shared container that this sandbox is a place in; absent: a container of its own. */
  readonly container?: ContainerId;
  readonly instanceId: InstanceId;
  readonly generation: Generation;
  /** Known to this session and this instance only. */
  readonly secret: string;
  /** Epoch ms: a launch that lands later must start nothing. */
  readonly launchNotAfter: number;
  readonly leaseTtlMs: number;
  readonly jobGraceMs: number;
  readonly stopGraceMs: number;
  readonly env: Readonly<Record<string, string>>;
  /** The snapshot whose files the workspace begins with; absent: an empty one. Not there: `not_found`, nothing started. */
  readonly restore?: string;
}

/** What is aimed at. `instanceId` null: every instance of that generation. */
export interface Target {
  readonly sessionId: SessionId;
  readonly sandboxId: SandboxId;
  /** As it was launched: absent for a sandbox with a container of its own. */
  readonly container?: ContainerId;
  readonly generation: Generation;
  readonly instanceId: InstanceId | null;
  /** The host that the lease recorded; null before the first answer. */
  readonly host: string | null;
}

/** What it takes to talk to a running wrapper. */
export interface InstanceRef extends Target {
  readonly instanceId: InstanceId;
  readonly secret: string;
}

export interface Launched {
  readonly host: string;
  readonly boot: string;
}

export interface Retired {
  readonly host: string;
  readonly boot: string;
}

export interface Stopped {
  /** What the provider still saw when it returned. Empty is a hope, not a proof. */
  readonly remaining: readonly Residue[];
}

export interface SandboxLogs {
  readonly text: string;
  readonly lastWrittenAgoMs: number | null;
}

export interface SandboxResources {
  readonly processes: number;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly diskUsedBytes: number | null;
  /** Read and write syscalls of the process tree; null where the provider cannot count them. */
  readonly operations: number | null;
}

/** One thing a provider found by itself. Its presence is evidence; the absence of an entry is none (FLT-20). */
export interface Enumerated {
  readonly sessionId: SessionId;
  readonly sandboxId: SandboxId | null;
  readonly container?: ContainerId;
  readonly generation: Generation | null;
  readonly residue: Residue;
}

export interface Capabilities {
  /** Sandbox contents can be saved and restored: pause, rebuild of a live session. */
  readonly snapshot: boolean;
  /** `enumerate` is there. */
  readonly enumerate: boolean;
  /** `containers` is there: many sandboxes in one container. */
  readonly shared: boolean;
  /** `space` is there: room is measured before a workspace is prepared. Without it only `launch` can say that there is none. */
  readonly space: boolean;
  /** The least that every look of it is worth; a look may say more (`Observation.containment`). */
  readonly containment: Containment;
  /** The longest its own launch retries may take, ms: must fit in the launch bound (config refuses otherwise). */
  readonly launchRetriesMs: number;
  /** What it gives a wrapper between TERM and KILL at least, ms: the stop grace must not be above it. */
  readonly stopGraceMs: number;
}

export interface AgentSandbox {
  readonly name: ProviderName;
  readonly capabilities: Capabilities;
  launch(order: LaunchOrder, bound: CallBound): Promise<ProviderResult<Launched>>;
  retire(target: Target, bound: CallBound): Promise<ProviderResult<Retired>>;
  /** `beganAt` is the caller's clock. Never fails: a failure is the answer `unknown`. */
  observe(target: Target, beganAt: number, bound: CallBound): Promise<Observation>;
  stop(target: Target, graceMs: number, bound: CallBound): Promise<ProviderResult<Stopped>>;
  /** Removes what is left on disk of a retired, empty sandbox. After the receipt only; failing is harmless. */
  destroy(target: Target, bound: CallBound): Promise<ProviderResult<null>>;
  wrapper(instance: InstanceRef): WrapperClient;
  readLogs(target: Target, tailBytes: number, bound: CallBound): Promise<ProviderResult<SandboxLogs>>;
  readResources(target: Target, bound: CallBound): Promise<ProviderResult<SandboxResources>>;
  /** There exactly when `capabilities.snapshot`. */
  readonly snapshots?: Snapshots;
  /** There exactly when `capabilities.shared`. */
  readonly containers?: Containers;
  /** There exactly when `capabilities.space`. */
  readonly space?: Space;
  enumerate?(bound: CallBound): Promise<ProviderResult<readonly Enumerated[]>>;
}

/** What saves and forgets the files of a workspace. Names are minted by the session and never used twice. */
export interface Snapshots {
  /**
   * Saves the target's workspace (names, modes, links, contents). Idempotent by name. Acknowledged only after it was read back
   * whole: an acknowledged snapshot can be restored. Refused (`refused_retired`) when the name was removed before.
   */
  save(target: Target, snapshotId: string, bound: CallBound): Promise<ProviderResult<{ readonly bytes: number }>>;
  /** Durable: a save of that name that lands later is refused. What is not there is success. */
  remove(sessionId: SessionId, snapshotId: string, bound: CallBound): Promise<ProviderResult<null>>;
}

/** A shared container as a whole. `generation` is when it was made: its id is never used again. */
export interface ContainerTarget {
  readonly id: ContainerId;
  readonly generation: Generation;
  /** The host that has it; null before it is known. */
  readonly host: string | null;
}

/**
 * What many sandboxes have in common (docs/decisions/0013). A sandbox in a container is launched, retired, observed and stopped
 * by its own names as any other, and none of that touches its siblings or the container. Only `destroy` here ends a container;
 * Mooring calls it when no member is left, or all that are left are being stopped for good.
 */
export interface Containers {
  /** Durable before it is acknowledged: nothing is launched in it any more (`refused_retired`). What runs goes on. */
  retire(container: ContainerTarget, bound: CallBound): Promise<ProviderResult<Retired>>;
  /** What of any member is there, and the container itself where there is one. As `observe`; `sandboxId` is the container's id. Never wakes. */
  observe(container: ContainerTarget, beganAt: number, bound: CallBound): Promise<Observation>;
  /** Ends all that is in it at once, without grace, and removes its files. Refused (`invalid`) unless retired; absent: success. */
  destroy(container: ContainerTarget, bound: CallBound): Promise<ProviderResult<null>>;
}

/** Where a workspace would be prepared. */
export interface Place {
  readonly sessionId: SessionId;
  readonly sandboxId: SandboxId;
  readonly container?: ContainerId;
}

/** Bytes, all of what workspaces may take there: a quota where there is one, else the disk. */
export interface Capacity {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface Reclaimed {
  readonly removed: readonly SandboxId[];
  readonly freedBytes: number;
  /** Workspaces that stayed although they are not of the session that asked, and why; at most 100. */
  readonly kept: readonly { readonly name: string; readonly why: string }[];
}

/** Room for a workspace (docs/decisions/0012). Neither call starts or wakes a container. */
export interface Space {
  /**
   * `space_unmeasurable`: what is free cannot be told (a number is never guessed). `filesystem_unusable`: only on explicit
   * evidence, a write that was refused as read-only, or for want of space although room was measured.
   */
  inspectCapacity(place: Place, bound: CallBound): Promise<ProviderResult<Capacity>>;
  /**
   * Removes workspaces that are stale by `protocol/stale-workspace.ts`, each judged again right before. When processes
   * cannot be inspected nothing is removed.
   */
  reclaim(place: Place, bound: CallBound): Promise<ProviderResult<Reclaimed>>;
}

/**
 * Calls to one running wrapper. `not_found` is a job it does not know; `foreign_instance` means that whoever
 * answered could not prove to be the instance; every network trouble is `unavailable` with effect `unknown`.
 */
export interface WrapperClient {
  health(bound: CallBound): Promise<ProviderResult<WrapperHealth>>;
  renew(request: RenewalRequest, bound: CallBound): Promise<ProviderResult<RenewalReply>>;
  /**
   * Prepares the workspace, once: a repeat of the same order answers how far it is, as soon as that is more than
   * `request.seen` or `request.wait_ms` has passed. Another order is `invalid`. No job is taken before it has succeeded.
   */
  prepare(request: BootstrapRequest, bound: CallBound): Promise<ProviderResult<BootstrapReply>>;
  startJob(order: WrapperJobOrder, bound: CallBound): Promise<ProviderResult<WrapperJob>>;
  /** With the last `tailBytes` of its output. */
  job(id: JobId, tailBytes: number, bound: CallBound): Promise<ProviderResult<WrapperJobDetail>>;
  /** Bytes from `offset`; follows until the job has ended and all was sent. The bound covers the time to the first byte. */
  output(id: JobId, offset: number, bound: CallBound): Promise<ProviderResult<ReadableStream<Uint8Array>>>;
  /** TERM to the job's group, grace, KILL. Answers when the job has ended. `as` is the state it gets. */
  endJob(id: JobId, as: "cancelled" | "interrupted", bound: CallBound): Promise<ProviderResult<WrapperJob>>;
  writeStdin(id: JobId, bytes: Uint8Array, end: boolean, bound: CallBound): Promise<ProviderResult<null>>;
  /** No new job is admitted from now on; answers how many still run. */
  drain(bound: CallBound): Promise<ProviderResult<{ readonly activeJobs: number }>>;
  /** Takes a drain back: jobs are admitted again. */
  admit(bound: CallBound): Promise<ProviderResult<null>>;
}
