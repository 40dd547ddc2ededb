/** Every event a session can be told of, in the variants that the machine tells apart; for the states of `sessions.ts`. */
import type { EventType, SessionEvent } from "../../src/domain/machine/events.ts";
import type { ProviderFailure, ProviderFailureCode } from "../../src/domain/state/failure.ts";
import type { Generation } from "../../src/domain/state/ids.ts";
import type { StepReport } from "../../src/domain/state/workspace.ts";
import { wrapperProtocol } from "../../src/domain/state/wrapper-protocol.ts";
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
  shared,
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
    { type: "networkApplied", generation: of, version: 1, enforced: "all" },
    { type: "networkApplied", generation: of, version: 1, enforced: "web" },
    { type: "hostsDenied", generation: of, hosts: [{ host: "example.com", count: 2 }] },
    { type: "hostsDenied", generation: of, hosts: [] },
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
        jitter: 0.5,
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
    { type: "wrapperFailed", generation: of },
    { type: "preparationAsked", generation: of, attemptId: attempt("prepare-2") },
    ...[[], [step("running")], [step("succeeded")], [step("failed")], [step("timed_out")]].map(
      (steps): SessionEvent => ({
        type: "preparationReported",
        generation: of,
        attemptId: attempt("prepare-1"),
        steps,
      }),
    ),
    ...[failure("timed_out", "unknown"), failure("invalid"), failure("foreign_instance")].map((why): SessionEvent => ({
      type: "preparationUnanswered",
      generation: of,
      attemptId: attempt("prepare-1"),
      failure: why,
    })),
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
    { type: "probeStarted", generation: of, attemptId: attempt("probe-2") },
    { type: "probeRequested", generation: of },
    { type: "probeFinished", generation: of, attemptId: attempt("probe-1"), ...goneEvidence(0, that) },
    {
      type: "probeFinished",
      generation: of,
      attemptId: attempt("probe-1"),
      retired: null,
      looks: [look("present", 0, that)],
      settledAt: at,
    },
    { type: "drainStarted", generation: of, attemptId: attempt("drain-2") },
    { type: "drained", generation: of, attemptId: attempt("drain-1"), saveAttemptId: attempt("save-1") },
    { type: "drainFailed", generation: of, attemptId: attempt("drain-1"), why: "jobs still ran" },
    {
      type: "saveSucceeded",
      generation: of,
      attemptId: attempt("save-1"),
      snapshot: { id: "snapshot-2", provider: "memory", takenAt: at, generation: of },
    },
    { type: "saveFailed", generation: of, attemptId: attempt("save-1"), failure: failure("insufficient_space") },
    { type: "copySucceeded", generation: of, snapshotId: "snapshot-2", bytes: 1_024 },
    { type: "copyFailed", generation: of, snapshotId: "snapshot-2", failure: failure("unavailable") },
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
  { type: "containerGone", container: shared },
  { type: "activityNoted", activeJobs: null },
  { type: "activityNoted", activeJobs: 2 },
  { type: "activityNoted", activeJobs: 0, at: at - second },
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
  { type: "spaceMeasured", attemptId, freeBytes: 1, totalBytes: 3, neededBytes: 2 },
  { type: "spaceReclaimed", attemptId, removed: 1, freedBytes: 1, kept: 0, failed: null },
  { type: "reservationCancelled", generation: next },
  { type: "ghostNeeded" },
  ...[next, newest, past, asserted, ghostly].map((of): SessionEvent => ({
    type: "orphanFound",
    candidate: candidate(of),
    observation: look("present", 0, candidate(of)),
  })),
  { type: "orphanFound", candidate: candidate(next), observation: look("absent", 0, candidate(next)) },
  { type: "copyRequested", snapshotId: "snapshot-2" },
  { type: "copySettled", snapshotId: "snapshot-2" },
  { type: "snapshotDeletionStarted", snapshotId: "snapshot-1", attemptId: attempt("delete-2") },
  {
    type: "snapshotDeletionFailed",
    snapshotId: "snapshot-1",
    attemptId: attempt("delete-1"),
    failure: failure("unavailable"),
    jitter: 0.5,
  },
  { type: "snapshotsForgotten", by: "operator", reason: "its bucket is gone" },
  { type: "restoreDrilled", snapshotId: "snapshot-1", found: { files: 2, bytes: 10, manifest: "ab".repeat(32) } },
  { type: "restoreDrilled", snapshotId: "snapshot-1", found: { failed: "it is damaged" } },
  { type: "snapshotDeleted", snapshotId: "snapshot-1" },
  { type: "snapshotDeleted", snapshotId: "snapshot-0" },
  { type: "networkChanged", network: { mode: "allow", allow: ["example.com"], inject: [] } },
  { type: "networkChanged", network: { mode: "open", allow: [], inject: [] } },
  { type: "budgetSet", maxNanos: 1_000_000_000 },
  { type: "budgetSet", maxNanos: null },
  { type: "tenantBudgetSpent" },
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
  budgetSet: true,
  tenantBudgetSpent: true,
  containerGone: true,
  networkChanged: true,
  networkApplied: true,
  hostsDenied: true,
  activityNoted: true,
  wrapperFailed: true,
  stopRetryRequested: true,
  absenceAsserted: true,
  openingStarted: true,
  openingFailed: true,
  leaseOpened: true,
  spaceMeasured: true,
  spaceReclaimed: true,
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
  drainStarted: true,
  drained: true,
  drainFailed: true,
  saveSucceeded: true,
  saveFailed: true,
  copyRequested: true,
  copySucceeded: true,
  copyFailed: true,
  copySettled: true,
  snapshotDeletionStarted: true,
  snapshotDeleted: true,
  snapshotDeletionFailed: true,
  snapshotsForgotten: true,
  restoreDrilled: true,
  timePassed: true,
};

/** By the compiler all there are. */
export const eventTypes = Object.keys(named) as readonly EventType[];
