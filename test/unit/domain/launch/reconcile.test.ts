import { describe, expect, it } from "vitest";
import type { SessionEvent } from "../../../../src/domain/machine/events.ts";
import { nextDeadline, reconcile, type Step } from "../../../../src/domain/rules/reconcile.ts";
import { laneOf } from "../../../../src/session/steps/step-table.ts";
import { openLeases, type Session } from "../../../../src/domain/state/session.ts";
import { generation } from "../../../support/reports.ts";
import {
  apply,
  assertedGhost,
  at,
  attempt,
  candidate,
  closed,
  everySession,
  held,
  hour,
  launching,
  minute,
  newest,
  opening,
  policy,
  provisioning,
  second,
  session,
  discarded,
  stopping,
  terminated,
} from "../../../support/sessions.ts";

const samples = everySession().filter(({ reachable }) => reachable);

describe("reconcile", () => {
  it("only reads, and answers the same to the same", () => {
    for (const { session: state, name } of samples) {
      expect(reconcile(state, at, policy), name).toEqual(reconcile(state, at, policy));
    }
  });

  it("opens a lease when one is wanted, its time has come and nothing is in its place", () => {
    for (const free of [null, closed()]) {
      expect(reconcile(provisioning({}, { newest: free }), at, policy)).toEqual([{ type: "openLease" }]);
      expect(reconcile(provisioning({}, { newest: free }), at - 1, policy)).toEqual([]);
      expect(
        reconcile(session({ desired: { type: "running", provision: opening }, newest: free }), at, policy),
      ).toEqual([]);
    }
  });

  it("names each lease's own step, ghosts first", () => {
    const state = provisioning(
      {},
      {
        newest: launching({ step: { type: "waiting", notBefore: at } }),
        ghosts: [assertedGhost],
        cancellations: [generation(6)],
      },
    );
    expect(reconcile(state, at, policy)).toEqual([
      { type: "probe", generation: assertedGhost.generation },
      { type: "launch", generation: newest },
      { type: "cancelReservation", generation: generation(6) },
    ]);
    const flying = launching({ step: { type: "acting", attemptId: attempt("a"), deadline: at } });
    expect(reconcile(provisioning({}, { newest: flying }), at + hour, policy)).toEqual([]);
    expect(reconcile(provisioning({}, { newest: launching() }), at - 1, policy)).toEqual([]);
  });

  it("names only steps that the machine accepts at that instant", () => {
    const start: Readonly<Partial<Record<Step["type"], (step: Step) => SessionEvent>>> = {
      openLease: () => ({
        type: "openingStarted",
        attemptId: attempt("o"),
        candidate: candidate(generation(7)),
        deadline: at,
      }),
      launch: () => ({ type: "launchStarted", generation: newest, attemptId: attempt("l") }),
      stop: (step) => ({
        type: "stopStarted",
        generation: "generation" in step ? step.generation : newest,
        attemptId: attempt("s"),
      }),
      probe: (step) => ({
        type: "probeStarted",
        generation: "generation" in step ? step.generation : newest,
        attemptId: attempt("p"),
      }),
      becomeGhost: () => ({ type: "ghostNeeded" }),
      drain: () => ({
        type: "drained",
        generation: newest,
        attemptId: attempt("drain-1"),
        saveAttemptId: attempt("d"),
      }),
    };
    const tried = new Set<string>();
    for (const { session: state, name } of samples) {
      for (const now of [at, at + 2 * minute, at + 10 * hour]) {
        for (const step of reconcile(state, now, policy)) {
          const event = start[step.type]?.(step);
          if (event === undefined) continue;
          tried.add(step.type);
          expect(apply(state, event, { now, policy }).type, `${name}: ${step.type}`).toBe("moved");
        }
      }
    }
    expect(tried).toEqual(new Set(Object.keys(start)));
  });

  it("runs a lease's stop and probe in one lane, and lets no launch that hangs hold them up, nor one lease another", () => {
    const g = newest;
    const lanes = (
      [
        { type: "launch", generation: g },
        { type: "stop", generation: g },
        { type: "probe", generation: g },
        { type: "renew", generation: g },
        { type: "drain", generation: g },
        { type: "save", generation: g, attemptId: attempt("save-1") },
        { type: "cancelReservation", generation: g },
        { type: "openLease" },
        { type: "becomeGhost" },
        { type: "deleteSnapshot", snapshotId: "snapshot-1" },
        { type: "erase" },
      ] as const
    ).map(laneOf);
    expect(lanes).toEqual([
      `launch:${g}`,
      `lease:${g}`,
      `lease:${g}`,
      `renew:${g}`,
      `drain:${g}`,
      `save:${g}:${attempt("save-1")}`,
      `cancel:${g}`,
      "open",
      "open",
      "snapshots",
      "erase",
    ]);
    expect(laneOf({ type: "stop", generation: generation(1) })).not.toBe(
      laneOf({ type: "stop", generation: generation(2) }),
    );
  });
});

const owes = (state: Session) => state.discarded.length > 0 || state.cancellations.length > 0;

describe("the next deadline", () => {
  it("is there in every state that is not finished [I5]", () => {
    for (const { session: state, name } of samples) {
      // Past its end, a session is finished when its rows may go.
      const finished = state.desired.type === "terminated" && openLeases(state).length === 0 && !owes(state);
      if (!finished) expect(nextDeadline(state, policy), name).not.toBeNull();
    }
  });

  it("is there for an ended session as long as something is to be given back or deleted [I5]", () => {
    for (const state of [
      terminated({ discarded: [discarded()] }),
      terminated({ cancellations: [generation(6)] }),
      terminated({ discarded: [discarded()], cancellations: [generation(6)] }),
    ]) {
      // Not done yet, and without a date of its own: due since the end.
      expect(nextDeadline(state, policy)).toBe(at - minute);
      expect(reconcile(state, at, policy)).not.toEqual([]);
    }
  });

  it("is no later than any step: nothing becomes due between now and then [I5]", () => {
    for (const { session: state, name } of samples) {
      const deadline = nextDeadline(state, policy);
      if (deadline === null || deadline <= at) continue;
      const steps = (now: number) => reconcile(state, now, policy).map((step) => JSON.stringify(step));
      const already = steps(at);
      expect(
        steps(deadline - 1).filter((step) => !already.includes(step)),
        name,
      ).toEqual([]);
      expect(apply(state, { type: "timePassed", jitter: 0 }, { now: deadline - 1, policy }).type, name).toBe("ignored");
    }
  });

  it("is the deadline of each kind of work [I5]", () => {
    const acting = { type: "acting", attemptId: attempt("a"), deadline: at + 9 * second } as const;
    const far = { endAt: at + 100 * hour, limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: 500 * hour } };
    const cases = [
      [provisioning({}, { ...far, newest: launching({ step: { type: "confirming", nextAt: at + 4 } }) }), at + 4],
      [
        provisioning(
          {},
          { ...far, newest: launching({ step: { type: "confirming", nextAt: at + hour }, deadline: at + 8 }) },
        ),
        at + 8,
      ],
      [provisioning({}, { ...far, newest: launching({ step: acting }) }), at + 9 * second],
      [
        provisioning({}, { ...far, newest: launching({ step: { type: "waiting", notBefore: at + 6 }, deadline: at }) }),
        at + 6,
      ],
      [provisioning({ step: { type: "waiting", notBefore: at + 3 } }, { ...far, newest: closed() }), at + 3],
      [session({ ...far, desired: { type: "running", provision: opening }, newest: null }), at + 20 * second],
      [session({ ...far, newest: held({ nextRenewalAt: at + 7 }) }), at + 7],
      [
        session({
          ...far,
          newest: held({ gate: { type: "draining", for: "rebuild", deadline: at + 2, attemptId: attempt("drain-1") } }),
        }),
        at + 2,
      ],
      [session({ ...far, newest: held({ failures: 1, acceptedSentAt: at - 309 * second }) }), at + second],
      [terminated({ newest: stopping({ step: acting }) }), at + 9 * second],
      [terminated({ newest: stopping({ step: { type: "waiting", nextAttemptAt: at + 1 } }) }), at + 1],
      [terminated({ ghosts: [assertedGhost] }), at],
      [terminated(), at - second + policy.retentionMs],
    ] as const;
    for (const [state, expected] of cases) expect(nextDeadline(state, policy)).toBe(expected);
  });
});
