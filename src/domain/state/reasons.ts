/**
 * Why a session ends, and why a lease is stopped. Each reason is one row here: schemas, words and clocks derive from it.
 * Two places do not follow by themselves, on purpose: the oracle of the simulation and `recordVersion`. CONTRIBUTING.md says when.
 */
import type { Requester } from "./requester.ts";

export interface TerminateReasonRow {
  /** Who asked for the end when nobody was named. */
  readonly requester: Requester;
  /** The public status once nothing is left: a failure is told apart from an end. */
  readonly endsAs: "terminated" | "failed";
  readonly words: string;
}

export const terminateReasons = {
  requested: { endsAs: "terminated", requester: "client", words: "a client asked for it" },
  idle_timeout: { endsAs: "terminated", requester: "clock:idle", words: "nothing happened for the idle timeout" },
  timeout: { endsAs: "terminated", requester: "clock:end_at", words: "its end_at passed" },
  max_lifetime: {
    endsAs: "terminated",
    requester: "clock:max_lifetime",
    words: "it had a sandbox for its maximum lifetime",
  },
  budget: { endsAs: "terminated", requester: "clock:budget", words: "its budget, or its tenant's, was used up" },
  provision_timeout: {
    endsAs: "failed",
    requester: "clock:provision",
    words: "no sandbox became ready before the provision deadline",
  },
  orphaned: { endsAs: "terminated", requester: "mooring", words: "it was found without a record that owns it" },
  emergency: { endsAs: "terminated", requester: "operator", words: "an emergency cleanup ended it" },
  operator: { endsAs: "terminated", requester: "operator", words: "an operator ended it" },
  retention: {
    endsAs: "terminated",
    requester: "clock:paused_retention",
    words: "it stayed suspended for the whole retention",
  },
  failed: { endsAs: "failed", requester: "mooring", words: "it failed" },
} as const satisfies Record<string, TerminateReasonRow>;

export type TerminateReason = keyof typeof terminateReasons;
/** For schemas. */
export const terminateReasonNames = Object.keys(terminateReasons) as [TerminateReason, ...TerminateReason[]];

/** When nobody was named, the reason tells the kind. */
export function requesterOf(reason: TerminateReason): Requester {
  return terminateReasons[reason].requester;
}

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
