/** Why a session ends, and why a lease is stopped. One row each: adding a reason is adding a row. */

export interface TerminateReasonRow {
  /** The public status once nothing is left: a failure is told apart from an end. */
  readonly endsAs: "terminated" | "failed";
  readonly words: string;
}

export const terminateReasons = {
  requested: { endsAs: "terminated", words: "a client asked for it" },
  idle_timeout: { endsAs: "terminated", words: "nothing happened for the idle timeout" },
  timeout: { endsAs: "terminated", words: "its end_at passed" },
  max_lifetime: { endsAs: "terminated", words: "it had a sandbox for its maximum lifetime" },
  provision_timeout: { endsAs: "failed", words: "no sandbox became ready before the provision deadline" },
  orphaned: { endsAs: "terminated", words: "it was found without a record that owns it" },
  emergency: { endsAs: "terminated", words: "an emergency cleanup ended it" },
  operator: { endsAs: "terminated", words: "an operator ended it" },
  retention: { endsAs: "terminated", words: "it stayed suspended for the whole retention" },
  failed: { endsAs: "failed", words: "it failed" },
} as const satisfies Record<string, TerminateReasonRow>;

export type TerminateReason = keyof typeof terminateReasons;

/** Why one lease is stopped; the session may go on in another. */
export const stopReasons = {
  terminated: "the session ended",
  paused: "its contents are saved and the session pauses",
  rebuilt: "its contents are saved and the session is rebuilt",
  lost: "its sandbox was seen absent",
  lapsed: "its lease was not renewed in time",
  foreign: "another instance answered in its place",
  launch_failed: "its launch failed",
  launch_timeout: "it did not accept a lease in time",
  no_capacity: "its provider had no instance for it in all that time",
  upgraded: "its wrapper was older than the deployment; its contents are saved",
  unprepared: "its workspace could not be prepared",
  protocol: "its wrapper speaks a protocol that is not supported",
  orphaned: "something was found where no lease was open",
} as const satisfies Record<string, string>;

export type StopReason = keyof typeof stopReasons;
