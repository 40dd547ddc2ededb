/**
 * One request to the API of the server that this page came from. The browser adds the cookie; a header says that the
 * console asks.
 */
import { consoleHeader } from "../../protocol/console-address.ts";
import type { ProblemBody } from "../../protocol/problem.ts";
import type { AnswerOf, OperationId } from "../../protocol/contracts/contract-types.ts";

/** What the API refused, in its own words. */
export class CallFailed extends Error {
  readonly problem: ProblemBody;

  constructor(problem: ProblemBody) {
    super(problem.detail);
    this.problem = problem;
  }
}

export interface CallOptions {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent unchanged, in place of `body`. */
  readonly bytes?: Blob;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Called when an answer shows that the sign-in has ended. */
let signedOut: () => void = () => {};
export function onSignedOut(tell: () => void): void {
  signedOut = tell;
}

/** Answers the response, whatever its content type. Throws `CallFailed`. */
export async function send(method: string, path: string, options: CallOptions = {}): Promise<Response> {
  const { body, bytes, headers, signal } = options;
  const sent = await fetch(path, {
    method,
    credentials: "same-origin",
    headers: {
      accept: "application/json",
      [consoleHeader]: "1",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(bytes === undefined ? {} : { body: bytes }),
    ...(signal === undefined ? {} : { signal }),
  }).catch((error: unknown) => {
    if (signal?.aborted === true) throw error;
    throw new CallFailed(unreachable);
  });
  if (sent.ok) return sent;
  const problem = await problemOf(sent);
  if (problem.code === "unauthorized" && path !== "/console/login") signedOut();
  throw new CallFailed(problem);
}

/** A read, typed by its contract. */
export async function read<O extends OperationId>(path: string, signal?: AbortSignal): Promise<AnswerOf<O>> {
  return (await (await send("GET", path, signal === undefined ? {} : { signal })).json()) as AnswerOf<O>;
}

export interface Tagged<T> {
  readonly etag: string;
  readonly body: T;
}

/** A read that also answers the ETag, for a later act that must send it. */
export async function readTagged<O extends OperationId>(
  path: string,
  signal?: AbortSignal,
): Promise<Tagged<AnswerOf<O>>> {
  const answer = await send("GET", path, signal === undefined ? {} : { signal });
  return { etag: answer.headers.get("etag") ?? "", body: (await answer.json()) as AnswerOf<O> };
}

/** A call that changes something. */
export async function act<O extends OperationId>(
  method: "POST" | "PUT" | "DELETE" | "PATCH",
  path: string,
  options: CallOptions = {},
): Promise<AnswerOf<O>> {
  const answer = await send(method, path, options);
  return (answer.status === 204 ? null : await answer.json()) as AnswerOf<O>;
}

async function problemOf(answer: Response): Promise<ProblemBody> {
  const body: unknown = await answer.json().catch(() => null);
  if (typeof body === "object" && body !== null && "code" in body && "detail" in body) return body as ProblemBody;
  return {
    ...unreachable,
    status: answer.status,
    detail: `Something between here and Mooring answered ${answer.status}. Try again in a moment.`,
  };
}

const unreachable: ProblemBody = {
  type: "urn:mooring:problem:unavailable",
  title: "Unreachable",
  status: 0,
  code: "unavailable",
  detail:
    "Mooring cannot be reached from this browser. What you see is as old as it says; it is asked again by itself.",
  retryable: true,
  request_id: "",
  instance: "",
};

/** The problem to show when a call failed. */
export function problemIn(error: unknown): ProblemBody {
  if (error instanceof CallFailed) return error.problem;
  return {
    ...unreachable,
    title: "A mistake of the console",
    code: "internal",
    retryable: false,
    detail: `The console made a mistake: ${error instanceof Error ? error.message : String(error)}. Load the page again.`,
  };
}
