/** What a SessionObject answers over object RPC. Plain data in, plain data out: `Reply` instead of exceptions. */
import type { ContainerId, SessionId, TenantId } from "../domain/state/ids.ts";
import type { RestoreProof } from "../domain/state/session.ts";
import type { EventView } from "../protocol/resources/session/events.ts";
import type { ExplainView } from "../protocol/resources/session/explain.ts";
import type { LogsView, ResourcesView } from "../protocol/resources/session/insight.ts";
import type { CreateJob, JobListItem, JobView } from "../protocol/resources/session/jobs.ts";
import type { UsageView } from "../protocol/resources/operator/fleet.ts";
import type { Pass } from "../protocol/sandbox/traffic.ts";
import type { NetworkOrder } from "../protocol/resources/session/network.ts";
import type { Reply } from "../protocol/problem.ts";
import type { CreateSession, SessionView, TeardownView } from "../protocol/resources/session/sessions.ts";
import type { SnapshotView } from "../protocol/resources/tenant/snapshots.ts";

/** Who asks. The object checks that the session is this tenant's: another's is `not_found`. */
export interface Caller {
  readonly tenant: TenantId;
  readonly requestId: string;
  readonly scopes: readonly string[];
  /** The id inside the API key that asks, or that signed in; absent: the caller is no key. */
  readonly keyId?: string;
  /** W3C Trace Context, checked; absent: nobody outside asked. */
  readonly traceparent?: string;
}

export interface RestorePoint {
  /** As a create takes it, although no registry knows it by that. */
  readonly snapshot: SnapshotView;
  readonly tenant: TenantId;
  /** What the last drill of this very snapshot found; null: there was none. */
  readonly proof: RestoreProof | null;
}

export type DrillFinding = Omit<RestoreProof, "at" | "snapshotId"> | { readonly failed: string };

/** Who ends it, why, and on what condition. */
export interface EndOrder {
  readonly actor: "maintenance" | "operator";
  readonly reason: "orphaned" | "emergency" | "operator" | "failed";
  /** For the session's history: what was asked, by whom. */
  readonly words: string;
  readonly guard: EndGuard;
}

export type EndGuard =
  | { readonly type: "none" }
  /** Not `critical`, or past its max lifetime. */
  | { readonly type: "notCritical" }
  /** A clock of it is past by at least this long, or it sits in one transition for at least this long. ms */
  | { readonly type: "stuck"; readonly forMs: number }
  /** A clock of it is past by at least this long: it should have ended, or paused, by itself. ms */
  | { readonly type: "overdue"; readonly byMs: number }
  /** Nothing ran and nothing was asked of it for at least this long. ms */
  | { readonly type: "idle"; readonly forMs: number }
  /** At least this old. ms */
  | { readonly type: "age"; readonly atLeastMs: number }
  /** Its public status is one of these. */
  | { readonly type: "status"; readonly anyOf: readonly SessionView["status"][] }
  /** Each of them. */
  | { readonly type: "all"; readonly guards: readonly EndGuard[] };

export interface EndReply {
  readonly ended: boolean;
  /** When not: what spoke against it. */
  readonly why: string;
  readonly session: SessionView;
}

/** Who resolves. */
export interface Operator {
  readonly by: string;
  readonly requestId: string;
}

export interface Resolution {
  readonly action: "retry_stop" | "assert_absent" | "abandon" | "forget_snapshots";
  /** For the log: why the operator believes it. */
  readonly reason: string;
}

/** `session` is null when the record cannot be read; the teardowns are all that can be told then. */
export interface Inspection {
  readonly etag: string;
  readonly record: "readable" | "unreadable" | "newer";
  readonly session: SessionView | null;
  /** Of every lease that is not closed and can be read. */
  readonly teardowns: readonly TeardownView[];
}

/** The session with its ETag (the row version). */
export interface Tagged<T> {
  readonly etag: string;
  readonly body: T;
}

/** The view of a session as the JSON that a client gets, with the whole entity tag of it: a text crosses between objects for less. */
export interface WrittenView {
  readonly etag: string;
  readonly text: string;
}

/** What a request found: false in `changed` means that it was so, or on its way there, already. */
export interface ChangeReply extends Tagged<SessionView> {
  readonly changed: boolean;
}

/** How somebody who wants to use the sandbox asks for it. */
export interface AttachOrder {
  /** Its end is at least this far off afterwards; never nearer than before. 0: as it is, and a paused one is refused. */
  readonly seconds: number;
  /** `if_auto`: a paused one is resumed when it is `auto_resume`, as by a job; `always`: whatever it says. */
  readonly resumes: "if_auto" | "always";
}

export interface SnapshotRequest {
  readonly name: string | null;
  /** An older one of that name is deleted once this one is saved. */
  readonly replace: boolean;
  readonly purpose: "kept" | "fork";
}

export interface CreateOutcome extends Tagged<SessionView> {
  /** The same Idempotency-Key with the same body was answered before. */
  readonly replayed: boolean;
}

/** Counted over the sealed rows of one object. */
export interface SealCount {
  /** Nothing to hide, or sealed with the newest key. */
  readonly current: number;
  readonly renewed: number;
  /** No configured key opens it; left as it is. */
  readonly unreadable: number;
}

export interface SessionApi {
  /**
   * `requestHash` is of the canonical body (null without an Idempotency-Key). Waits up to `waitMs` for the session to leave
   * `provisioning`. Problems: idempotency_mismatch, idempotency_in_flight, quota_exhausted, validation_failed, capacity_unavailable.
   */
  create(
    id: SessionId,
    caller: Caller,
    body: CreateSession,
    requestHash: string | null,
    waitMs: number,
    /** For drills only: begins with this snapshot of any session, instead of what `body` names. */
    drilled?: SnapshotView | null,
  ): Promise<Reply<CreateOutcome>>;
  get(caller: Caller): Promise<Reply<Tagged<SessionView>>>;
  /** As `get`, for a caller that only passes the answer on. */
  read(caller: Caller): Promise<Reply<WrittenView>>;
  /**
   * Accepted in every state. `done`: the session was already terminated and proven gone. With reason `operator` an admin
   * asks: the session's tenant is not known to the caller and `caller.tenant` is not compared. `changed`: this request ended it.
   */
  delete(
    caller: Caller,
    reason: "requested" | "operator",
  ): Promise<Reply<{ readonly session: SessionView; readonly done: boolean; readonly changed: boolean }>>;
  /** The one way to move the end, under every API: `timeout` sets it, `refresh` only extends. 0: now. Problems: session_ended, session_paused, validation_failed. */
  timeout(caller: Caller, kind: "timeout" | "refresh", seconds: number): Promise<Reply<Tagged<SessionView>>>;
  /** What its sandbox may reach from now on. Problems: unsupported_by_provider, session_ended, secret_missing. */
  setNetwork(caller: Caller, order: NetworkOrder): Promise<Reply<Tagged<SessionView>>>;
  /** `maxCost` in whole units of the currency, counted from the session's beginning; null: without. Problems: session_ended, validation_failed. */
  budget(caller: Caller, maxCost: number | null): Promise<Reply<Tagged<SessionView>>>;
  /** The tenant's budget for the month is used up: what costs money pauses with its files, or ends. */
  tenantBudgetSpent(): Promise<{ readonly known: boolean }>;
  /**
   * Saves, stops, and keeps what was saved; waits up to `waitMs` (none: not at all) for the session to leave `pausing`. When it is `running`
   * then, it could not be saved. Problems: unsupported_by_provider, session_not_running, sandbox_lost, session_ended.
   */
  pause(caller: Caller, waitMs?: number): Promise<Reply<ChangeReply>>;
  /** `seconds` null: the session's own timeout. Problems: quota_exhausted (it stays paused), sandbox_lost, session_ended. */
  resume(caller: Caller, seconds: number | null, waitMs: number): Promise<Reply<Tagged<SessionView>>>;
  /**
   * Makes it usable: resumes a paused one once however many ask at once, and moves its end out. `changed`: it did not run.
   * Waits up to `waitMs` for it to run. Problems: session_paused, quota_exhausted, sandbox_lost, session_gone, validation_failed.
   */
  attach(caller: Caller, order: AttachOrder, waitMs: number): Promise<Reply<ChangeReply>>;
  /** A live one is saved first; a lost one begins empty. Problems: unsupported_by_provider, lease_not_expired, session_paused, session_ended. */
  rebuild(caller: Caller, waitMs: number): Promise<Reply<Tagged<SessionView>>>;
  keepalive(caller: Caller): Promise<Reply<Tagged<SessionView>>>;
  interrupt(
    caller: Caller,
  ): Promise<Reply<{ readonly interrupted: readonly string[]; readonly queued: readonly string[] }>>;
  teardown(caller: Caller): Promise<Reply<TeardownView | null>>;
  /** Why it is as it is and what to call; null asks as the operator, of any tenant's session. */
  explain(caller: Caller | null): Promise<Reply<ExplainView>>;
  /** Time in each status, in whole seconds; they add up to the session's age. */
  usage(caller: Caller | null): Promise<Reply<UsageView>>;
  /**
   * What its sandbox uses, with a short history and hints; null asks as the operator, of any tenant's session. Takes a second
   * when nobody asked lately: it looks twice. Problems: session_not_running and its like, sandbox_unreachable.
   */
  resources(caller: Caller | null): Promise<Reply<ResourcesView>>;
  /** The sandbox's log and the newest jobs' last words, with hints; without a sandbox what is stored of the jobs. */
  logs(caller: Caller | null, tailBytes: number): Promise<Reply<LogsView>>;
  /** With `waitMs` > 0: answers early when something new happened. Here and in the reads of jobs, null asks as the operator. */
  events(caller: Caller | null, after: number, limit: number, waitMs: number): Promise<Reply<readonly EventView[]>>;

  /** `replayed`: a job of this id and body was there already. */
  createJob(caller: Caller, body: CreateJob): Promise<Reply<{ readonly job: JobView; readonly replayed: boolean }>>;
  /** Without their tails. */
  jobs(caller: Caller | null, after: string | null, limit: number): Promise<Reply<readonly JobListItem[]>>;
  /** Waits up to `waitMs` for the job to end. */
  job(caller: Caller | null, id: string, waitMs: number): Promise<Reply<JobView>>;
  cancelJob(caller: Caller, id: string): Promise<Reply<JobView>>;
  /** A queued job's input waits for it to begin; on a paused session it is a use, as a job is. Problems: job_ended, session_paused, session_not_running. */
  writeStdin(caller: Caller, id: string, bytes: Uint8Array, end: boolean): Promise<Reply<null>>;
  /**
   * Raw output from a byte offset, live while the sandbox lives; afterwards the stored tail (whose first byte may lie
   * past `offset`: `from` says where the body begins). The stream ends when the job has ended, or the sandbox is replaced or stopped.
   */
  jobOutput(
    caller: Caller | null,
    id: string,
    offset: number,
  ): Promise<Reply<{ readonly from: number; readonly body: ReadableStream<Uint8Array> }>>;

  /**
   * The right to send traffic to its sandbox, for some seconds. A paused session that is `auto_resume` is resumed once, however many
   * ask at once. Waits up to `waitMs` for it to be usable. null asks for whoever has a signed address of it, which names no tenant.
   * `resumes` false, for whoever only looks on: a paused session stays paused, and the answer is session_paused.
   * Problems: session_paused, sandbox_lost, session_gone, session_not_running, quota_exhausted and its like, unsupported_by_provider.
   */
  pass(caller: Caller | null | "anyone", waitMs: number, resumes?: boolean): Promise<Reply<Pass>>;

  /**
   * Saves its files as a snapshot of the tenant; the session runs on. A paused one that is `auto_resume` is resumed first. Waits up to
   * `waitMs` for the end of it. Problems: those of `pass`, snapshot_failed, already_exists, quota_exhausted, conflict, unavailable.
   */
  snapshot(caller: Caller, request: SnapshotRequest, waitMs: number): Promise<Reply<SnapshotView>>;
  /** What a session like this one is made of, secrets included: for a fork, and for nobody outside. */
  recipe(caller: Caller): Promise<Reply<CreateSession>>;

  /**
   * Ends any tenant's session for maintenance or an operator, if `guard` still holds at this very moment: the index that
   * chose it may be minutes old. Never an error when it does not: `ended` is false and `why` says so. Ending what has
   * ended is `ended: true`. Problems: not_found, newer_record, unreadable_record, storage_failed.
   */
  end(order: EndOrder): Promise<Reply<EndReply>>;
  /**
   * An operator's way out of a stuck teardown, logged in the session's events. `retry_stop`: a new round of attempts for
   * everything parked. `assert_absent`: the operator's word that it is gone, kept apart from any verification; needs a
   * lease that has certainly expired. `abandon`: terminate, then assert. `forget_snapshots`: snapshots that the provider has not
   * deleted are taken off the session; its history and its reports name them. Works on unreadable records too.
   * Problems: not_found, precondition_failed, not_stuck, lease_not_expired (with retryAt), newer_record.
   */
  resolve(operator: Operator, resolution: Resolution, ifMatch: string): Promise<Reply<Inspection>>;
  /** Whose it is; null: there is no such session. For addresses that name no tenant. */
  owner(): Promise<TenantId | null>;
  /** What an operator sees of any tenant's session, readable or not. */
  inspect(): Promise<Reply<Inspection>>;

  /** What a resume of this paused session would restore; null: it is not paused, or nothing is saved. For drills only. */
  restorePoint(): Promise<RestorePoint | null>;
  /** What a drill found. `current` false: it is not what would be restored any more, and nothing was stored. Throws when it could not be stored. */
  restoreDrilled(snapshotId: string, found: DrillFinding): Promise<{ readonly current: boolean }>;

  /** Seals anew what an older key sealed. Problems: not_found, newer_record, unreadable_record, storage_failed. */
  reseal(): Promise<Reply<SealCount>>;

  /** Maintenance: look again now and re-arm. Answers the next deadline, or null when there is none. Writes nothing when there is no session. */
  /** `gone`: a shared container that was just proven gone; a stop that waits for its next try in it comes at once. */
  poke(
    actor: "maintenance" | "operator",
    gone?: ContainerId,
  ): Promise<{ readonly known: boolean; readonly nextDeadline: number | null }>;
}
