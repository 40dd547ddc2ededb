import { describe, expect, it } from "vitest";
import type { Note, SessionEvent } from "../../../../src/domain/machine/events.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import { wrapperProtocol } from "../../../../src/domain/state/wrapper-protocol.ts";
import { failure } from "../../../support/every-event.ts";
import { generation } from "../../../support/reports.ts";
import {
  acting,
  at,
  attempt,
  candidate,
  closed,
  held,
  hour,
  launching,
  look,
  minute,
  moveWith,
  newest,
  opening,
  paused,
  provisioning,
  second,
  session,
  snapshot,
  stopping,
  when,
} from "../../../support/sessions.ts";

const next = generation(6);
const flying = provisioning(
  {},
  { newest: launching({ step: { type: "acting", attemptId: attempt("a"), deadline: at + second } }) },
);
const opened = session({ desired: { type: "running", provision: opening }, newest: closed() });
const asked = provisioning(
  { purpose: "rebuild" },
  { newest: launching({ renewals: { sequence: 1, lastSentAt: at, sendsUntil: null } }) },
);
const launchFailed = (code: "timed_out" | "unavailable" | "malformed", effect: "none" | "unknown" = "none") =>
  ({
    type: "launchFailed",
    generation: newest,
    attemptId: attempt("a"),
    failure: failure(code, effect),
    jitter: 0.5,
  }) as const;

const lines: readonly (readonly [string, Session, SessionEvent, Partial<Note>])[] = [
  [
    "an end, with its reason and what failed",
    session(),
    { type: "terminateRequested", reason: "failed", failure: "it broke" },
    { type: "terminating", generation: newest, facts: { reason: "failed", failure: "it broke" } },
  ],
  [
    "an end of what never had a sandbox, with no generation",
    provisioning(),
    { type: "terminateRequested", reason: "requested", failure: null },
    { type: "terminating", generation: null, facts: { reason: "requested", failure: null } },
  ],
  [
    "a loss, with the reason of the stop",
    session(),
    { type: "observedAbsent", generation: newest, observation: look("absent", 0) },
    { type: "sandbox_lost", generation: newest, cause: "said absent", facts: { reason: "lost" } },
  ],
  [
    "a moved end, with the new one",
    session(),
    { type: "timeoutSet", kind: "timeout", durationMs: hour },
    { type: "timeout_set", generation: null, facts: { end_at: new Date(at + hour).toISOString() } },
  ],
  [
    "an opening that waits, with the code and the generation it waits for",
    opened,
    {
      type: "openingFailed",
      attemptId: attempt("open-1"),
      failure: { code: "no_capacity", message: "full" },
      jitter: 0.5,
    },
    { type: "provision_waits", generation: next, cause: "full", facts: { code: "no_capacity" } },
  ],
  [
    "a launch, with its sandbox",
    opened,
    {
      type: "leaseOpened",
      attemptId: attempt("open-1"),
      launchAttemptId: attempt("l"),
      observation: look("absent", 0, candidate(next)),
    },
    { type: "launching", generation: next, cause: "create", facts: { sandbox_id: candidate(next).sandboxId } },
  ],
  [
    "a launch of which nothing was heard, with the code",
    flying,
    launchFailed("timed_out", "unknown"),
    { type: "launch_unknown", generation: newest, facts: { code: "timed_out" } },
  ],
  [
    "a launch that waits, with the code",
    flying,
    launchFailed("unavailable"),
    { type: "launch_waits", generation: newest, facts: { code: "unavailable" } },
  ],
  [
    "a launch that failed, with the code",
    flying,
    launchFailed("malformed"),
    { type: "launch_failed", generation: newest, cause: "it said malformed", facts: { code: "malformed" } },
  ],
  [
    "a launch that a foreign instance answered, with the code",
    asked,
    { type: "renewalFailed", generation: newest, sequence: 1, failure: failure("foreign_instance"), jitter: 0.5 },
    {
      type: "launch_failed",
      generation: newest,
      cause: "it said foreign_instance",
      facts: { code: "foreign_instance" },
    },
  ],
  [
    "a start, with what it was for and how many launches it took",
    asked,
    {
      type: "renewalAccepted",
      generation: newest,
      sequence: 1,
      sentAt: at,
      protocol: wrapperProtocol,
      activeJobs: 0,
      idleMs: 0,
      jitter: 0,
    },
    { type: "running", generation: newest, facts: { purpose: "rebuild", launches: 1 } },
  ],
  [
    "a save, with its snapshot",
    session({
      newest: held({ gate: { type: "saving", for: "rebuild", attemptId: attempt("s"), deadline: at + minute } }),
    }),
    { type: "saveSucceeded", generation: newest, attemptId: attempt("s"), snapshot },
    { type: "saved", generation: newest, facts: { snapshot: snapshot.id } },
  ],
  [
    "a resume that waits for the stop, with what it waits for",
    paused({ newest: stopping(acting) }),
    { type: "resumeRequested", timeoutMs: hour },
    { type: "resume_queued", generation: newest },
  ],
];

describe("a session's history tells of", () => {
  for (const [what, state, event, expected] of lines) {
    it(what, () => {
      const [first] = moveWith(state, event).effects;
      expect(first).toMatchObject({ type: "note", note: expected });
    });
  }

  it("a provision that came to nothing, with what it was for, and the last error in words", () => {
    const lastError = { code: "no_capacity", message: "full", at };
    const state = provisioning({ purpose: "resume", deadline: at, lastError }, { newest: launching(), snapshot });
    const [first] = moveWith(state, { type: "timePassed", jitter: 0.5 }, when()).effects;
    const expected = {
      type: "provision_failed",
      cause: "no_capacity: full",
      generation: newest,
      facts: { purpose: "resume" },
    };
    expect(first).toMatchObject({ note: expected });
  });

  it("a resume without quota, in words", () => {
    const state = { ...opened, desired: { type: "running", provision: { ...opening, purpose: "resume" } } } as const;
    const full = { code: "quota_exhausted", message: "10 of 10" } as const;
    const [first] = moveWith(state, {
      type: "openingFailed",
      attemptId: attempt("open-1"),
      failure: full,
      jitter: 0.5,
    }).effects;
    expect(first).toMatchObject({ note: { type: "provision_failed", cause: "quota_exhausted: 10 of 10" } });
  });

  it("a clock that went back, with the lease it concerned, if one was open", () => {
    const told = (of: Session) => moveWith(of, { type: "timePassed", jitter: 0.5 }).effects[0];
    expect(told(session({ newest: held({ nextRenewalAt: at + hour }) }))).toMatchObject({
      note: { generation: newest },
    });
    expect(told(provisioning({ deadline: at + hour }))).toMatchObject({
      note: { type: "clock_went_back", generation: null },
    });
  });
});
