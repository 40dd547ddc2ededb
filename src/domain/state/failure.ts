/**
 * The two closed sets of things that go wrong.
 *
 * A `ProviderFailure` says what a call to a provider did not do, and above all whether it may have had an effect:
 * `none` (certainly nothing happened: may be sent again) or `unknown` (it may still happen: observe, never repeat blindly).
 * A `Rejection` is Mooring's own "no" to a request; http maps each code to one status, in one total table.
 */

export const providerFailureCodes = [
  "timed_out", // our bound passed, or the reply was lost
  "unavailable", // cannot be reached, 5xx, still scanning after its restart
  "malformed", // it answered something that is not its protocol
  "restoring", // its workspace is still being restored: nothing was launched, and the same order finds it further
  "no_capacity", // "no instance available": the provider is full, the session is innocent
  "start_failed", // its container did not come up: another place may do, so the next try is a new generation
  "refused_retired", // the generation is retired there: nothing of it may start
  "refused_late", // it arrived after launchNotAfter
  "foreign_instance", // another instance answered, or the proof of identity was wrong
  "not_found", // nothing by that name: for a stop this is success
  "damaged", // what it kept of a snapshot is not what was saved: no later try finds it whole
  "insufficient_space",
  "space_unmeasurable",
  "filesystem_unusable",
  "protocol_unsupported", // the wrapper speaks a version we do not
  "unsupported", // the provider cannot do this at all
  "not_ready", // it answered and did nothing: not renewed yet, preparing its workspace, or draining
  "stdin_full", // the job does not read, and nothing of the input was taken
  "job_ended", // the job takes no more input
  "invalid", // it says our request is wrong: a bug of ours
] as const;
export type ProviderFailureCode = (typeof providerFailureCodes)[number];

export interface ProviderFailure {
  readonly code: ProviderFailureCode;
  /** For operators and logs: no secrets, no stack. */
  readonly message: string;
  readonly effect: "none" | "unknown";
  readonly retryAfterMs?: number;
  /** With `restoring`: how far it is. */
  readonly progress?: RestoreProgress;
}

/** How far the unpacking of a saved archive into a workspace is. */
export interface RestoreProgress {
  readonly doneBytes: number;
  /** null: it has not begun. */
  readonly totalBytes: number | null;
}

export type ProviderResult<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: ProviderFailure };

export function failed(
  code: ProviderFailureCode,
  message: string,
  effect: "none" | "unknown",
  retryAfterMs?: number,
): { readonly ok: false; readonly failure: ProviderFailure } {
  return {
    ok: false,
    failure: retryAfterMs === undefined ? { code, message, effect } : { code, message, effect, retryAfterMs },
  };
}

export function succeeded<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}
