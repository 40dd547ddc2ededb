/** The wire types that users of the client name, derived from the route contracts. Types only: nothing of the server is bundled. */
import type { AnswerOf, BodyFor } from "../protocol/contracts/contract-types.ts";

export type { AnswerOf, BodyFor, OperationId, QueryFor } from "../protocol/contracts/contract-types.ts";

export type SessionView = AnswerOf<"getSession">;
export type SessionListItem = AnswerOf<"listSessions">["data"][number];
export type SessionStatus = SessionView["status"];
export type CreateSession = BodyFor<"createSession">;
export type Snapshot = AnswerOf<"getSnapshot">;
/** A fork that was not made, and why. */
export interface ForkProblem {
  readonly problem: NonNullable<AnswerOf<"forkSession">["forks"][number]["problem"]>;
}
export type Teardown = AnswerOf<"getTeardown">;
/** A signed receipt; `verifyReceipts` checks it. */
export type SignedReceipt = AnswerOf<"listReceipts">["data"][number];
export type JobView = AnswerOf<"getJob">;
/** A job in a list: without the end of its output. */
export type JobListItem = AnswerOf<"listJobs">["data"][number];
export type CreateJob = BodyFor<"createJob">;
export type SessionEvent = AnswerOf<"listEvents">["data"][number];
export type FileEntry = AnswerOf<"statFile">;
/** What happened to an entry of a watched directory. */
export interface FileChange {
  readonly kind: "created" | "modified" | "attributes" | "removed" | "renamed";
  readonly name: string;
  readonly raw_name?: string;
  readonly entry?: FileEntry;
}
export type StartProcess = BodyFor<"startProcess">;
export type SignalProcess = BodyFor<"signalProcess">;
export type ProcessView = AnswerOf<"getProcess">;
export type ProcessExit = Pick<ProcessView, "exit_code" | "signal" | "timed_out">;
/** A piece of a job's output: `offset` is the byte at which it begins. */
export interface OutputChunk {
  readonly offset: number;
  readonly text: string;
  /** Only where bytes are no longer kept: then `text` is empty, and these are missing, `to` not included. */
  readonly gap?: { readonly from: number; readonly to: number };
}
/** How a stream of output ended: the job's state, and why there is no more. */
export interface OutputEnd {
  readonly state: JobView["state"];
  readonly exit_code: number | null;
  readonly reason: "finished" | "sandbox_replaced" | "session_ended" | "disconnected";
}
