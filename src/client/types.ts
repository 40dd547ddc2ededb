/** The wire types that users of the client name, derived from the route contracts. Types only: nothing of the server is bundled. */
import type { AnswerOf, BodyFor } from "../protocol/contracts/contract-types.ts";

export type { AnswerOf, BodyFor, OperationId, QueryFor } from "../protocol/contracts/contract-types.ts";

export type SessionView = AnswerOf<"getSession">;
export type SessionListItem = AnswerOf<"listSessions">["data"][number];
export type SessionStatus = SessionView["status"];
export type CreateSession = BodyFor<"createSession">;
export type Teardown = AnswerOf<"getTeardown">;
export type JobView = AnswerOf<"getJob">;
export type CreateJob = BodyFor<"createJob">;
export type SessionEvent = AnswerOf<"listEvents">["data"][number];
/** A piece of a job's output: `offset` is the byte at which it begins. */
export interface OutputChunk {
  readonly offset: number;
  readonly text: string;
}
/** How a stream of output ended: the job's state, and why there is no more. */
export interface OutputEnd {
  readonly state: JobView["state"];
  readonly exit_code: number | null;
  readonly reason: "finished" | "sandbox_replaced" | "session_ended" | "disconnected";
}
