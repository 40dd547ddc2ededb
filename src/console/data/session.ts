/**
 * One session as its page needs it: read by the tenant's routes when it is the reader's own, else by the operator's
 * routes.
 */
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import { CallFailed, read, readTagged } from "./call.ts";
import { identity } from "./identity.ts";

export type SessionView = AnswerOf<"getSession">;
export type Explanation = AnswerOf<"explainSession">;
export type SessionEvent = AnswerOf<"listEvents">["data"][number];
export type Teardown = AnswerOf<"getTeardown">;
export type JobItem = AnswerOf<"listJobs">["data"][number];

export interface Subject {
  readonly id: string;
  readonly etag: string;
  readonly record: "readable" | "unreadable" | "newer";
  /** null: the record cannot be read. */
  readonly session: SessionView | null;
  readonly teardowns: readonly Teardown[];
  readonly explanation: Explanation | null;
  /** The path of the routes that answer for this session. */
  readonly base: string;
  /** The reader is signed in as the session's tenant, so jobs can be run and cancelled. */
  readonly own: boolean;
}

const operatorBase = "/v1/admin/sessions";
const tenantBase = "/v1/sessions";

/** Two calls. With both sign-ins the tenant's route is used, because it allows more. */
export async function readSubject(id: string, signal: AbortSignal): Promise<Subject> {
  const who = identity.peek();
  if (who?.tenant != null) {
    try {
      return await readOwn(id, signal);
    } catch (error) {
      const elsewhere = error instanceof CallFailed && error.problem.code === "not_found" && who.operator !== null;
      if (!elsewhere) throw error;
    }
  }
  return await readAny(id, signal);
}

async function readOwn(id: string, signal: AbortSignal): Promise<Subject> {
  const base = `${tenantBase}/${id}`;
  const [{ etag, body }, explanation] = await Promise.all([
    readTagged<"getSession">(base, signal),
    read<"explainSession">(`${base}/explain`, signal),
  ]);
  const teardowns = body.teardown === null ? [] : [body.teardown];
  return { id, etag, record: "readable", session: body, teardowns, explanation, base, own: true };
}

async function readAny(id: string, signal: AbortSignal): Promise<Subject> {
  const base = `${operatorBase}/${id}`;
  const [{ etag, body }, explanation] = await Promise.all([
    readTagged<"inspectSession">(base, signal),
    // An unreadable record cannot be explained. The page still shows what is known.
    read<"explainAnySession">(`${base}/explain`, signal).catch((error: unknown) => {
      if (signal.aborted) throw error;
      return null;
    }),
  ]);
  const last = body.session?.teardown ?? null;
  const known = new Set(body.teardowns.map(({ generation }) => generation));
  const teardowns = last === null || known.has(last.generation) ? body.teardowns : [last, ...body.teardowns];
  return { id, etag, record: body.record, session: body.session, teardowns, explanation, base, own: false };
}

/** How many pages of events are read at most: the whole history, or the newest part of a long one. */
const eventPages = 5;

export async function readEvents(base: string, after: number, signal: AbortSignal): Promise<readonly SessionEvent[]> {
  const events: SessionEvent[] = [];
  let from = after;
  for (let page = 0; page < eventPages; page += 1) {
    const { data, next_after } = await read<"listEvents">(`${base}/events?limit=100&after=${from}`, signal);
    events.push(...data);
    if (next_after === null) break;
    from = next_after;
  }
  return events;
}
