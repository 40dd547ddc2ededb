/** An error that a person reads: what happened, and the command to run next. */
import {
  ConnectionError,
  isProblem,
  MooringError,
  type ProblemError,
  UnexpectedAnswerError,
  WaitTimeoutError,
} from "../client/mooring.ts";
import type { ProblemCode } from "../protocol/problem.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";

export class CliFault extends Error {
  readonly exitCode: ExitCode;
  /** What to run or do next. */
  readonly next: string | null;
  /** Where the console shows what this is about. */
  readonly page: string | null;

  constructor(exitCode: ExitCode, message: string, next: string | null = null, page: string | null = null) {
    super(message);
    this.exitCode = exitCode;
    this.next = next;
    this.page = page;
  }
}

/** Thrown when a Ctrl-C is noticed. What the command began has been undone by then. */
export class Interrupted extends Error {}

const laterCodes = new Set(["rate_limited", "quota_exhausted", "too_many_jobs", "stdin_full", "lease_not_expired"]);

/** Turns any error into one that the command line prints. A bug keeps its own message: hiding it would help nobody. */
export function faultOf(error: unknown): CliFault {
  if (error instanceof CliFault) return error;
  if (isProblem(error)) return new CliFault(exitCodeOf(error), wordsOf(error), nextStepOf(error), pageOf(error));
  if (error instanceof ConnectionError)
    return new CliFault(
      exitCodes.unreachable,
      error.message,
      "mooring doctor   # says what answers; --url or MOORING_URL names another Mooring",
    );
  if (error instanceof UnexpectedAnswerError)
    return new CliFault(exitCodes.unreachable, error.message, "mooring doctor");
  if (error instanceof WaitTimeoutError) return new CliFault(exitCodes.later, error.message);
  if (error instanceof MooringError) return new CliFault(exitCodes.failed, error.message);
  // The client throws this for a URL or a key that can never work.
  if (error instanceof TypeError) return new CliFault(exitCodes.usage, error.message, "mooring login");
  return new CliFault(exitCodes.failed, error instanceof Error ? error.message : String(error));
}

function exitCodeOf({ status, code }: ProblemError): ExitCode {
  if (status === 401 || status === 403) return exitCodes.unauthorized;
  if (status === 404) return exitCodes.notFound;
  if (status >= 500 || laterCodes.has(code)) return exitCodes.later;
  return exitCodes.refused;
}

function wordsOf({ message, errors, code, retryAt }: ProblemError): string {
  const fields = errors.map(({ pointer, detail }) => `\n  ${pointer}: ${detail}`).join("");
  const when = retryAt === null ? "" : `\n  It can be tried again at ${retryAt.toISOString()}.`;
  return `${message} (${code})${fields}${when}`;
}

const doctorStep = () => "mooring doctor";
const why = (id: string) => `mooring why ${id}`;
/** What to run next, by the problem's code. `id` is the session's, where the request named one. */
const nextSteps: Partial<Record<ProblemCode, (id: string) => string>> = {
  unauthorized: () => "mooring login   # stores a key or the admin token for this Mooring",
  forbidden: () => "mooring keys create --tenant NAME --scope critical   # by Mooring's operator",
  not_found: () => "mooring sessions   # lists what there is",
  session_paused: (id) => `mooring api resume-session ${id}`,
  sandbox_lost: (id) => `mooring rebuild ${id}`,
  quota_exhausted: () => "mooring usage   # what is used of what may be; mooring end ID gives a sandbox back",
  precondition_failed: why,
  not_stuck: why,
  conflict: why,
  lease_not_expired: why,
  session_not_running: why,
  session_ended: why,
  session_gone: why,
  sandbox_unreachable: why,
  job_ended: (id) => `mooring logs ${id}`,
  capacity_unavailable: () => "mooring fleet   # what uses it",
  spawn_breaker_open: doctorStep,
  unavailable: doctorStep,
  secret_missing: doctorStep,
  internal: doctorStep,
  validation_failed: () => "the same command with --help",
  draining: () => "mooring fleet   # since when and why; an operator ends it: mooring drain off --reason 'why'",
};

function nextStepOf({ code, request }: ProblemError): string | null {
  const session = /\/sessions\/([a-z0-9]{20})/.exec(request)?.[1];
  return nextSteps[code]?.(session ?? "ID") ?? null;
}

/** The `instance` of the problem document, when it names a page of the console. */
function pageOf({ problem }: ProblemError): string | null {
  const { instance } = problem as { readonly instance?: unknown };
  return typeof instance === "string" && /^https?:/.test(instance) ? instance : null;
}
