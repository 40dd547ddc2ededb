/** Everything the client throws, but for an abort: that is thrown as the signal's own reason. */
import type { ProblemBody, ProblemCode } from "../protocol/problem.ts";

/** The base of the three below. */
export abstract class MooringError extends Error {
  /** `GET /v1/sessions/…`: what was asked. */
  readonly request: string;

  constructor(message: string, request: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.request = request;
  }
}

/** Mooring said no, in the words of its problem document. `message` is its `detail`: what happened, and what to do. */
export class ProblemError extends MooringError {
  readonly status: number;
  /** Stable: decide on this one, never on the message. A code of a later Mooring may be none that is known here. */
  readonly code: ProblemCode;
  /** The same request may succeed later, as it is. */
  readonly retryable: boolean;
  /** When to ask again; null when the problem names no time. */
  readonly retryAt: Date | null;
  /** For Mooring's operator. */
  readonly requestId: string;
  /** Which fields were refused, with `validation_failed`. */
  readonly errors: readonly { readonly pointer: string; readonly detail: string }[];
  /** The whole document. */
  readonly problem: ProblemBody;

  constructor(problem: ProblemBody, request: string, retryAt: Date | null) {
    super(problem.detail, request);
    this.status = problem.status;
    this.code = problem.code;
    this.retryable = problem.retryable;
    this.retryAt = retryAt;
    this.requestId = problem.request_id;
    this.errors = problem.errors ?? [];
    this.problem = problem;
  }
}

/** No answer, or a broken one. Unless the request may be repeated safely (then it was), whether it took effect is not known: read to see. */
export class ConnectionError extends MooringError {}

/** An answer that is not Mooring's: a proxy's page, most likely. */
export class UnexpectedAnswerError extends MooringError {
  readonly status: number;
  /** The beginning of the body. */
  readonly text: string;

  constructor(status: number, text: string, request: string) {
    super(`The answer (${status}) is not Mooring's. Is a proxy in between, or the URL another service's?`, request);
    this.status = status;
    this.text = text.slice(0, 500);
  }
}

/** A wait of the client's ended before what it waited for came. Nothing was changed by it. */
export class WaitTimeoutError extends MooringError {}

/** Whether an error is Mooring's "no" with one of these codes; with none given, any. */
export function isProblem(error: unknown, ...codes: readonly ProblemCode[]): error is ProblemError {
  return error instanceof ProblemError && (codes.length === 0 || codes.includes(error.code));
}
