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
 *   what it returns is no proof, the session looks again by itself.
 */
import type { CallBound } from "../calls/bounded-call.ts";
import type { ProviderResult } from "../domain/state/failure.ts";
import type { ContainerId, Generation, InstanceId, JobId, SandboxId, SessionId } from "../domain/state/ids.ts";
import type { DeniedHost, NetworkMode } from "../domain/state/network.ts";
import type { Containment, Observation, Residue } from "../domain/state/observation.ts";
import type { ProviderName } from "../domain/state/provider-names.ts";
import type { InjectedHeader } from "../protocol/resources/session/network.ts";
import type {
  RenewalReply,
  RenewalRequest,
  WrapperHealth,
  WrapperJob,
  WrapperJobDetail,
  WrapperJobOrder,
} from "../protocol/sandbox/wrapper.ts";
import type { Pass } from "../protocol/sandbox/traffic.ts";
import type { BootstrapReply, BootstrapRequest } from "../protocol/sandbox/workspace.ts";

export type { CallBound };

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
  /** The session that saved it; absent: this one. */
  readonly restoreOf?: SessionId;
  /** A name of `capabilities.templates`; absent: the default one. */
  readonly template?: string;
  /** In force before the first process; absent: everything may be reached. */
  readonly network?: NetworkRules;
}

/** What a sandbox may reach. The values of injected headers are here too, and must never get into the sandbox. */
export interface NetworkRules {
  readonly mode: NetworkMode;
  readonly allow: readonly string[];
  readonly inject: readonly InjectedHeader[];
}

/** Without a host to inject for there is nothing to take requests for. */
export function opensEverything({ mode, inject }: NetworkRules): boolean {
  return mode === "open" && inject.length === 0;
}

/** Names what a call is about. `instanceId` null: every instance of that generation. */
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

/** What a caller needs to talk to a running wrapper. */
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

/** One thing a provider found by itself. Its presence is evidence; the absence of an entry is none. */
export interface Enumerated {
  readonly sessionId: SessionId;
  readonly sandboxId: SandboxId | null;
  readonly container?: ContainerId;
  readonly generation: Generation | null;
  /** Where it is. Only this host can prove it gone. */
  readonly host: string;
  readonly residue: Residue;
}

/** One thing on a provider's disk, whether or not anything runs in it. */
export interface StoredFile {
  readonly kind: "workspace" | "container" | "snapshot";
  /** The sandbox id, the container id, or the snapshot's name. */
  readonly name: string;
  /** Where it lies. */
  readonly host: string;
  /** null: the provider has no record of it. */
  readonly sessionId: SessionId | null;
  readonly generation: Generation | null;
  readonly container?: ContainerId;
  /** Since it was made or last changed, as far as one look tells; null: the provider cannot tell. */
  readonly ageMs: number | null;
  /** Its removal failed, and the provider tries again by itself; null: no removal is pending. */
  readonly removal: { readonly pendingMs: number; readonly attempts: number; readonly why: string } | null;
}

export interface Capabilities {
  /** Sandbox contents can be saved and restored: pause, rebuild of a live session. */
  readonly snapshot: boolean;
  /** `enumerate` is there. */
  readonly enumerate: boolean;
  /** Sessions may ask for a place in a shared container; `containers` is there. */
  readonly shared: boolean;
  /** `space` is there: space is measured before a workspace is prepared. Without it only `launch` can say that there is none. */
  readonly space: boolean;
  /** Requests with a pass reach the agent: files, processes, terminals, ports. `traffic` is there. */
  readonly traffic: boolean;
  /** What a sandbox may start from; absent: there is one template only. */
  readonly templates?: readonly string[];
  /** `network` is there. */
  readonly network?: boolean;
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
  /** There whenever `capabilities.shared`; also where shared containers of an earlier release are still to be ended. */
  readonly containers?: Containers;
  /** There exactly when `capabilities.network`. */
  readonly network?: Network;
  /** There exactly when `capabilities.space`. */
  readonly space?: Space;
  /** There exactly when `capabilities.traffic`. */
  readonly traffic?: Traffic;
  enumerate?(bound: CallBound): Promise<ProviderResult<readonly Enumerated[]>>;
  /** What lies on disk: for the audit of files without an owner, and of removals that keep failing. */
  files?(bound: CallBound): Promise<ProviderResult<readonly StoredFile[]>>;
}

/** One request for an agent's services. */
export interface TrafficRequest {
  readonly method: string;
  /** What follows `/traffic/`, with the query: `ports/8080/index.html?a=b`. */
  readonly path: string;
  /** As they go on; those of the pass are added. One with `upgrade: websocket` asks for a WebSocket. */
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
}

/**
 * Requests straight to an instance, past its session. From the moment a `retire` is acknowledged no request with a pass of that
 * generation, or of an earlier one of that sandbox id, is served, and none wakes or starts anything.
 */
export interface Traffic {
  /**
   * The answer as soon as its head is there; its body, or its WebSocket, goes on until one side breaks off. Refusals of the sandbox
   * side are answers too (`trafficHeaders.refused`). The bound covers the time to the head; aborting its signal later cuts the answer.
   */
  send(pass: Pass, nonce: string, request: TrafficRequest, bound: CallBound): Promise<ProviderResult<Response>>;
}

/** The rules of a sandbox that runs. Those of its launch are in the order. */
export interface Network {
  /** In place of the rules before. `web`: connections of other kinds than HTTP and HTTPS follow only at its next start. */
  change(
    target: Target,
    rules: NetworkRules,
    bound: CallBound,
  ): Promise<ProviderResult<{ readonly enforced: "all" | "web" }>>;
  /** Counts of refused connections since the last such call. When the answer is lost, its counts are lost; nothing was let through. */
  denied(target: Target, bound: CallBound): Promise<ProviderResult<readonly DeniedHost[]>>;
}

/** Before the launch of the instance that it names. */
export interface RestoreOrder extends Pick<
  LaunchOrder,
  "sessionId" | "sandboxId" | "container" | "instanceId" | "generation"
> {
  readonly snapshotId: string;
  /** The session that saved it; absent: this one. */
  readonly snapshotOf?: SessionId;
  /** How long to wait for its end before answering how far it is. */
  readonly waitMs: number;
}

export interface Restoring {
  readonly done: boolean;
  readonly doneBytes: number;
  /** null: it has not begun. */
  readonly totalBytes: number | null;
}

/** What saves and forgets the files of a workspace. Names are minted by the session and never used twice. */
export interface Snapshots {
  /**
   * Saves the target's workspace (names, modes, links, contents). Idempotent by name. Acknowledged only after it was read back
   * whole: an acknowledged snapshot can be restored. Refused (`refused_retired`) when the name was removed before. Ends with its
   * bound: five minutes after it nothing of it may land any more, because its deletion is proven by a look from then on.
   */
  save(target: Target, snapshotId: string, bound: CallBound): Promise<ProviderResult<{ readonly bytes: number }>>;
  /**
   * Begins to restore a workspace, or tells how far that is; it goes on when the caller goes away. The launch that follows names
   * the same snapshot and finds it done. `retire` aborts it. Absent: `launch` restores within its own bound.
   */
  restore?(order: RestoreOrder, bound: CallBound): Promise<ProviderResult<Restoring>>;
  /** Durable: a save of that name that lands later is refused. Removing a name that does not exist succeeds. */
  remove(sessionId: SessionId, snapshotId: string, bound: CallBound): Promise<ProviderResult<null>>;
  /** What is stored of it now, whole or not: the proof of a deletion is that nothing is. A doubt is a failure, never "nothing". */
  inspect(sessionId: SessionId, snapshotId: string, bound: CallBound): Promise<ProviderResult<StoredSnapshot>>;
}

export interface StoredSnapshot {
  /** Bytes of every file that belongs to it. */
  readonly bytes: number;
  readonly files: number;
  /** Where it was looked for: a host's id, or a bucket's prefix. */
  readonly asked: string;
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
export interface SandboxLocation {
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
   * evidence, a write that was refused as read-only, or for lack of space although space was measured.
   */
  inspectCapacity(location: SandboxLocation, bound: CallBound): Promise<ProviderResult<Capacity>>;
  /**
   * Removes workspaces that are stale by `protocol/sandbox/stale-workspace.ts`, each judged again right before. When processes
   * cannot be inspected nothing is removed.
   */
  reclaim(location: SandboxLocation, bound: CallBound): Promise<ProviderResult<Reclaimed>>;
}

/** A part of a job's output without a gap in it. */
export interface JobOutput {
  /** Offset of its first byte in the whole output. */
  readonly from: number;
  readonly body: ReadableStream<Uint8Array>;
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
  /**
   * With the last `tailBytes` of its output. With `waitMs` the answer comes when the job has ended, or after that time, and has
   * no tail while the job runs; an older wrapper answers at once, with one.
   */
  job(id: JobId, tailBytes: number, bound: CallBound, waitMs?: number): Promise<ProviderResult<WrapperJobDetail>>;
  /**
   * Bytes from `offset`, or from later when that byte was dropped; follows until the job has ended and all was sent, or until
   * the next byte is one that was dropped. The bound covers the time to the first byte.
   */
  output(id: JobId, offset: number, bound: CallBound): Promise<ProviderResult<JobOutput>>;
  /** TERM to the job's group, grace, KILL. Answers when the job has ended. `as` is the state it gets. */
  endJob(id: JobId, as: "cancelled" | "interrupted", bound: CallBound): Promise<ProviderResult<WrapperJob>>;
  /** Takes all of `bytes` or none. `stdin_full`, `job_ended`, `not_ready`: none, with effect `none`. */
  writeStdin(id: JobId, bytes: Uint8Array, end: boolean, bound: CallBound): Promise<ProviderResult<null>>;
  /** No new job is admitted from now on; answers how many still run. */
  drain(bound: CallBound): Promise<ProviderResult<{ readonly activeJobs: number }>>;
  /** Refuses traffic and breaks off what is open, until `admit`. An older wrapper answers `not_found`: it serves none. */
  cutTraffic(bound: CallBound): Promise<ProviderResult<null>>;
  /** Takes a drain back: jobs and traffic are admitted again. */
  admit(bound: CallBound): Promise<ProviderResult<null>>;
  /**
   * Stops every process of the sandbox where it is, so that no file changes: answered when all stand still. Nothing new is started, and
   * requests wait. It ends by itself after `forMs`, and by a drain; refused while one is under way. A repeat begins that time anew. An
   * older wrapper answers `not_found`.
   */
  freeze(snapshotId: string, forMs: number, bound: CallBound): Promise<ProviderResult<null>>;
  /** Lets everything go on. Harmless when nothing stands still, or does for another snapshot: it may come late. */
  thaw(snapshotId: string, bound: CallBound): Promise<ProviderResult<null>>;
}
