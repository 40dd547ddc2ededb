/** Every event a session can be told of, in the variants that the machine tells apart; for the states of `sessions.ts`. */
import type { EventType, SessionEvent } from "../../src/domain/events.ts";
import type { ProviderFailure, ProviderFailureCode } from "../../src/domain/failure.ts";
import type { Generation } from "../../src/domain/ids.ts";
import type { StepReport } from "../../src/domain/workspace.ts";
import { wrapperProtocol } from "../../src/domain/wrapper-protocol.ts";
import {
  asserted,
  at,
  attempt,
  candidate,
  ghostly,
  goneEvidence,
  host,
  look,
  newest,
  past,
  second,
} from "./sessions.ts";
import { generation } from "./reports.ts";

export function failure(
  code: ProviderFailureCode,
  effect: "none" | "unknown" = "none",
  retryAfterMs?: number,
): ProviderFailure {
  return { code, message: `it said ${code}`, effect, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** The one step of the workspace that the states of `sessions.ts` prepare. */
export function step(state: StepReport["state"]): StepReport {
  return {
    name: "setup 1",
    state,
    startedAt: at - second,
    endedAt: state === "running" ? null : at,
    exitCode: state === "succeeded" ? 0 : state === "failed" ? 7 : null,
    diskFull: false,
    lastOutput: "it said something\n",
  };
}

/** What a result about `of` looks like. Attempts and sequences are those that the states of `sessions.ts` wait for. */
export function aboutLease(of: Generation): readonly SessionEvent[] {
  const that = candidate(of);
  const attemptId = attempt("launch-1");
  return [
    { type: "launchStarted", generation: of, attemptId: attempt("launch-2") },
    { type: "launchSucceeded", generation: of, attemptId, host },
    { type: "launchFailed", generation: of, attemptId, failure: failure("timed_out", "unknown"), jitter: 0.5 },
    { type: "launchFailed", generation: of, attemptId, failure: failure("unavailable"), jitter: 0.5 },
    { type: "launchFailed", generation: of, attemptId, failure: failure("refused_late"), jitter: 0.5 },
    { type: "launchFailed", generation: of, attemptId, failure: failure("invalid"), jitter: 0.5 },
    ...[1, 7, 8].flatMap((sequence): SessionEvent[] => {
      const accepted = {
        type: "renewalAccepted",
        generation: of,
        sequence,
        sentAt: at,
        activeJobs: 0,
        idleMs: 0,
      } as const;
      return [
        { type: "renewalStarted", generation: of, sequence },
        { ...accepted, protocol: wrapperProtocol },
        { ...accepted, protocol: 99 },
        { type: "renewalFailed", generation: of, sequence, failure: failure("timed_out", "unknown"), jitter: 0.5 },
        { type: "renewalFailed", generation: of, sequence, failure: failure("foreign_instance"), jitter: 0.5 },
        { type: "renewalFailed", generation: of, sequence, failure: failure("protocol_unsupported"), jitter: 0.5 },
      ];
    }),
    { type: "preparationAsked", generation: of },
    { type: "preparationReported", generation: of, steps: [] },
    { type: "preparationReported", generation: of, steps: [step("running")] },
    { type: "preparationReported", generation: of, steps: [step("succeeded")] },
    { type: "preparationReported", generation: of, steps: [step("failed")] },
    { type: "preparationReported", generation: of, steps: [step("timed_out")] },
    { type: "preparationUnanswered", generation: of, failure: failure("timed_out", "unknown") },
    { type: "preparationUnanswered", generation: of, failure: failure("invalid") },
    { type: "preparationUnanswered", generation: of, failure: failure("foreign_instance") },
    { type: "observedPresent", generation: of, observation: look("present", 0, that) },
    { type: "observedUnknown", generation: of, observation: look("unknown", 0, that) },
    { type: "observedAbsent", generation: of, observation: look("absent", 0, that) },
    { type: "observedAbsent", generation: of, observation: look("absent", 60 * second, that) },
    { type: "stopStarted", generation: of, attemptId: attempt("stop-9") },
    {
      type: "stopFinished",
      generation: of,
      attemptId: attempt("stop-1"),
      ...goneEvidence(0, that),
      error: null,
      jitter: 0.5,
    },
    {
      type: "stopFinished",
      generation: of,
      attemptId: attempt("stop-1"),
      retired: null,
      looks: [look("unknown", 0, that)],
      settledAt: at,
      error: "timed out",
      jitter: 0.5,
    },
    { type: "probeStarted", generation: of },
    { type: "probeRequested", generation: of },
    { type: "probeFinished", generation: of, ...goneEvidence(0, that) },
    { type: "probeFinished", generation: of, retired: null, looks: [look("present", 0, that)], settledAt: at },
    { type: "drained", generation: of, attemptId: attempt("save-1") },
    { type: "drainFailed", generation: of, why: "jobs still ran" },
    {
      type: "saveSucceeded",
      generation: of,
      attemptId: attempt("save-1"),
      snapshot: { id: "snapshot-2", provider: "memory", takenAt: at, generation: of },
    },
    { type: "saveFailed", generation: of, attemptId: attempt("save-1"), failure: failure("insufficient_space") },
    { type: "stopRetryRequested", generation: of },
    { type: "absenceAsserted", generation: of, by: "operator", reason: "the host burned down" },
  ];
}

const attemptId = attempt("open-1");
const next = generation(6);

const aboutSession: readonly SessionEvent[] = [
  { type: "terminateRequested", reason: "requested", failure: null },
  { type: "pauseRequested" },
  { type: "resumeRequested", timeoutMs: 600 * second },
  { type: "rebuildRequested" },
  { type: "timeoutSet", kind: "timeout", durationMs: second },
  { type: "timeoutSet", kind: "refresh", durationMs: second },
  { type: "activityNoted", activeJobs: null },
  { type: "activityNoted", activeJobs: 2 },
  { type: "openingStarted", attemptId: attempt("open-2"), candidate: candidate(generation(7)), deadline: at + second },
  { type: "openingStarted", attemptId: attempt("open-2"), candidate: candidate(past), deadline: at + second },
  ...(
    [
      "quota_exhausted",
      "stale_generation",
      "no_capacity",
      "not_absent",
      "unavailable",
      "adapter_missing",
      "insufficient_space",
    ] as const
  ).map((code): SessionEvent => ({
    type: "openingFailed",
    attemptId,
    failure: { code, message: `it said ${code}`, ...(code === "stale_generation" ? { above: generation(9) } : {}) },
    jitter: 0.5,
  })),
  ...(["absent", "present", "unknown"] as const).map((answer): SessionEvent => ({
    type: "leaseOpened",
    attemptId,
    launchAttemptId: attempt("launch-1"),
    observation: look(answer, 0, candidate(next)),
  })),
  { type: "roomMeasured", attemptId, freeBytes: 1, totalBytes: 3, neededBytes: 2 },
  { type: "roomReclaimed", attemptId, removed: 1, freedBytes: 1, kept: 0, failed: null },
  { type: "reservationCancelled", generation: next },
  { type: "ghostNeeded" },
  ...[next, newest, past, asserted, ghostly].map((of): SessionEvent => ({
    type: "orphanFound",
    candidate: candidate(of),
    observation: look("present", 0, candidate(of)),
  })),
  { type: "orphanFound", candidate: candidate(next), observation: look("absent", 0, candidate(next)) },
  { type: "snapshotDeleted", snapshotId: "snapshot-1" },
  { type: "snapshotDeleted", snapshotId: "snapshot-0" },
  { type: "timePassed", jitter: 0.5 },
];

export const everyEvent: readonly SessionEvent[] = [
  ...aboutSession,
  ...[newest, past, ghostly, asserted].flatMap((of) => aboutLease(of)),
];

/** These are about one lease: they name a generation, and must not move anything but that. */
export type LeaseEvent = Extract<SessionEvent, { readonly generation: Generation }>;

export function isAboutLease(event: SessionEvent): event is LeaseEvent {
  return "generation" in event;
}

const named: Readonly<Record<EventType, true>> = {
  terminateRequested: true,
  pauseRequested: true,
  resumeRequested: true,
  rebuildRequested: true,
  timeoutSet: true,
  activityNoted: true,
  stopRetryRequested: true,
  absenceAsserted: true,
  openingStarted: true,
  openingFailed: true,
  leaseOpened: true,
  roomMeasured: true,
  roomReclaimed: true,
  reservationCancelled: true,
  launchStarted: true,
  launchSucceeded: true,
  launchFailed: true,
  renewalStarted: true,
  renewalAccepted: true,
  renewalFailed: true,
  observedPresent: true,
  observedUnknown: true,
  observedAbsent: true,
  stopStarted: true,
  stopFinished: true,
  probeStarted: true,
  probeRequested: true,
  probeFinished: true,
  ghostNeeded: true,
  orphanFound: true,
  preparationAsked: true,
  preparationReported: true,
  preparationUnanswered: true,
  drained: true,
  drainFailed: true,
  saveSucceeded: true,
  saveFailed: true,
  snapshotDeleted: true,
  timePassed: true,
};

/** By the compiler all there are. */
export const eventTypes = Object.keys(named) as readonly EventType[];
