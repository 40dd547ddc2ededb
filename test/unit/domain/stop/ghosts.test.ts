import { describe, expect, it } from "vitest";
import type { Stopping } from "../../../../src/domain/state/lease.ts";
import { ghostFrom } from "../../../../src/domain/rules/lease-times.ts";
import { moveViolations, stateViolations } from "../../../../src/domain/machine/invariants.ts";
import { nextDeadline, reconcile } from "../../../../src/domain/rules/reconcile.ts";
import type { Generation } from "../../../../src/domain/state/ids.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import { generation } from "../../../support/reports.ts";
import {
  acting,
  apply,
  asserted,
  assertedGhost,
  at,
  attempt,
  candidate,
  closed,
  ghostly,
  goneEvidence,
  hour,
  look,
  lost,
  minute,
  move,
  moveWith,
  newest,
  noted,
  parked,
  paused,
  policy,
  provisioning,
  second,
  session,
  stopping,
  terminated,
  when,
} from "../../../support/sessions.ts";

const replaceable = stopping({ ...parked, certainExpiry: at });
/** TTL is over at `at`; then stop grace and alarm slip. */
const expiry = 10 * second + minute;

function ghost(of: Generation, changes: Partial<Stopping> = {}): Stopping {
  return stopping({ ...parked, generation: of, ...changes });
}

const threeGhosts = [ghost(generation(1)), ghost(ghostly), ghost(asserted)];

describe("a sandbox that cannot be proven gone", () => {
  const waiting = provisioning({ purpose: "relaunch" }, { newest: replaceable, nextGeneration: generation(6) });

  it("is replaced only once its lease has certainly expired, grace and slip included [LEA-18]", () => {
    expect(ghostFrom(replaceable, policy)).toBe(at + expiry);
    expect(reconcile(waiting, at + expiry - 1, policy).map((step) => step.type)).toEqual(["probe"]);
    expect(apply(waiting, { type: "ghostNeeded" }, when(expiry - 1)).type).toBe("ignored");
    expect(reconcile(waiting, at + expiry, policy).map((step) => step.type)).toEqual(["probe", "becomeGhost"]);
    const moved = moveWith(waiting, { type: "ghostNeeded" }, when(expiry));
    expect(moved.session).toEqual({
      ...waiting,
      newest: null,
      ghosts: [replaceable],
      alive: { totalMs: 5 * minute + expiry, since: null },
    });
    expect(noted(moved)).toEqual(["became_ghost"]);
  });

  it("is looked at again when it may be replaced, and not before the next launch is due [LEA-18]", () => {
    const patient = { ...waiting, newest: { ...replaceable, step: { ...parked.step, nextProbeAt: at + hour } } };
    expect(nextDeadline(patient, policy)).toBe(at + expiry);
    const later = provisioning({ step: { type: "waiting", notBefore: at + 2 * minute } }, { newest: patient.newest });
    expect(nextDeadline(later, policy)).toBe(at + 2 * minute);
    expect(reconcile(later, at + 2 * minute - 1, policy)).toEqual([]);
  });

  it("makes way for a new generation and a new sandbox id, never the same [LEA-18] [LEA-2]", () => {
    const free = move(waiting, { type: "ghostNeeded" }, when(expiry));
    const start = (of: Generation) =>
      apply(
        free,
        { type: "openingStarted", attemptId: attempt("o"), candidate: candidate(of), deadline: at + hour },
        when(expiry),
      );
    expect(start(newest)).toEqual({ type: "ignored", why: "another generation is minted" });
    expect(start(generation(6)).type).toBe("moved");
  });

  it("is left behind at most three times [LEA-18]", () => {
    const full = { ...waiting, ghosts: threeGhosts };
    expect(reconcile(full, at + hour, policy).map((step) => step.type)).not.toContain("becomeGhost");
    expect(apply(full, { type: "ghostNeeded" }, when(hour)).type).toBe("ignored");
    const asleep = (of: Stopping): Stopping => ({ ...of, step: { ...parked.step, nextProbeAt: at + hour } });
    const patient = { ...waiting, newest: asleep(replaceable) };
    expect(nextDeadline({ ...patient, ghosts: threeGhosts.slice(1).map(asleep) }, policy)).toBe(at + expiry);
    expect(nextDeadline({ ...patient, ghosts: threeGhosts.map(asleep) }, policy)).toBe(at + 9 * minute);
    const asked = apply(lost({ newest: replaceable, ghosts: threeGhosts }), { type: "rebuildRequested" }, when(hour));
    expect(asked).toMatchObject({ type: "rejected", rejection: { code: "conflict", retryAt: null } });
    expect(
      move(lost({ newest: replaceable, ghosts: threeGhosts.slice(1) }), { type: "rebuildRequested" }, when(hour))
        .ghosts,
    ).toHaveLength(3);
  });

  it("refuses a rebuild until then, naming the instant [LEA-18]", () => {
    const outcome = apply(lost({ newest: replaceable }), { type: "rebuildRequested" }, when(expiry - 1));
    expect(outcome).toMatchObject({ type: "rejected", rejection: { code: "lease_not_expired", retryAt: at + expiry } });
    const after = move(lost({ newest: replaceable }), { type: "rebuildRequested" }, when(expiry));
    expect(after).toMatchObject({
      newest: null,
      ghosts: [replaceable],
      desired: { type: "running", provision: { purpose: "rebuild" } },
    });
  });

  it("is not replaced while nobody wants a sandbox", () => {
    for (const state of [
      lost({ newest: replaceable }),
      paused({ newest: replaceable }),
      terminated({ newest: replaceable }),
    ]) {
      expect(apply(state, { type: "ghostNeeded" }, when(hour)).type).toBe("ignored");
      expect(reconcile(state, at + hour, policy).map((step) => step.type)).toEqual(["probe"]);
    }
  });
});

describe("a ghost", () => {
  const state = session({ ghosts: [ghost(ghostly), assertedGhost] });

  it("goes on stopping and being probed beside its successor [LEA-18]", () => {
    expect(reconcile(state, at, policy)).toEqual([
      { type: "probe", generation: ghostly },
      { type: "probe", generation: asserted },
    ]);
    const going = session({ ghosts: [ghost(ghostly, { step: { type: "waiting", nextAttemptAt: at }, attempts: [] })] });
    expect(reconcile(going, at, policy)).toEqual([{ type: "stop", generation: ghostly }]);
    const started = move(going, { type: "stopStarted", generation: ghostly, attemptId: attempt("g") });
    expect(started.newest).toBe(going.newest);
    expect(nextDeadline(started, policy)).toBe(at + 50 * second);
    const abandoned = moveWith(started, { type: "timePassed", jitter: 0.5 }, when(minute));
    expect(abandoned.session.ghosts[0]?.step).toEqual({ type: "waiting", nextAttemptAt: at + minute + 5 * second });
    expect(abandoned.session.newest).toBe(going.newest);
  });

  it("closes by proof only, into a receipt of its own, and the others stay [LEA-18]", () => {
    const probed = moveWith(state, {
      type: "probeFinished",
      generation: ghostly,
      attemptId: attempt("probe-1"),
      ...goneEvidence(0, candidate(ghostly)),
    });
    expect(probed.session).toEqual({ ...state, ghosts: [assertedGhost] });
    const stored = probed.effects.find((effect) => effect.type === "storeReceipt");
    expect(stored).toMatchObject({
      lease: { generation: ghostly, phase: "closed", receipt: { verifiedAbsentAt: at + second } },
    });
    expect(probed.effects).toContainEqual({ type: "settleJobs", generation: ghostly, as: "lost" });
    const wrong = moveWith(state, {
      type: "probeFinished",
      generation: ghostly,
      attemptId: attempt("probe-1"),
      ...goneEvidence(0, candidate(newest)),
    });
    expect(wrong.session.ghosts).toHaveLength(2);
  });

  it("keeps an ended session from being done, until it is proven gone or asserted", () => {
    const ending = move(
      session({ newest: null, desired: provisioning().desired, ghosts: [ghost(ghostly), assertedGhost] }),
      {
        type: "terminateRequested",
        reason: "requested",
        failure: null,
      },
    );
    expect(ending.desired).toMatchObject({ endedAt: null });
    const done = move(
      ending,
      {
        type: "probeFinished",
        generation: ghostly,
        attemptId: attempt("probe-1"),
        ...goneEvidence(0, candidate(ghostly)),
      },
      when(minute),
    );
    expect(done.desired).toMatchObject({ endedAt: at + minute });
  });
});

describe("an operator", () => {
  const retry = (of: Generation) => ({ type: "stopRetryRequested", generation: of }) as const;
  const word = (of: Generation) =>
    ({ type: "absenceAsserted", generation: of, by: "ann", reason: "burned down" }) as const;

  it("opens a new round of attempts for a parked lease, newest or ghost, keeping the old ones counted [LEA-20]", () => {
    const state = lost({ newest: stopping(parked), ghosts: [ghost(ghostly)] });
    for (const of of [newest, ghostly]) {
      const moved = moveWith(state, retry(of));
      expect(noted(moved)).toEqual(["stop_retried"]);
      const lease = of === newest ? moved.session.newest : moved.session.ghosts[0];
      expect(lease).toMatchObject({ attempts: [], earlierAttempts: 8, step: { type: "waiting", nextAttemptAt: at } });
      expect(reconcile(moved.session, at, policy)).toContainEqual({ type: "stop", generation: of });
    }
    const twice = stopping({ ...parked, earlierAttempts: 8 });
    expect(move(lost({ newest: twice }), retry(newest)).newest).toMatchObject({ earlierAttempts: 16 });
  });

  it("cannot hurry a stop that goes on by itself, nor one that is not [LEA-20] [LEA-5]", () => {
    for (const state of [
      lost({ newest: stopping() }),
      lost({ newest: stopping(acting) }),
      lost(),
      session(),
      lost({ newest: null }),
    ]) {
      expect(apply(state, retry(newest))).toMatchObject({ type: "rejected", rejection: { code: "not_stuck" } });
      expect(apply(state, retry(ghostly))).toMatchObject({ type: "rejected", rejection: { code: "not_stuck" } });
    }
  });

  it("may assert absence only of an expired lease, and never of one that lives [LEA-20]", () => {
    const state = lost({ newest: replaceable });
    expect(apply(state, word(newest), when(expiry - 1))).toMatchObject({
      type: "rejected",
      rejection: { code: "lease_not_expired", retryAt: at + expiry },
    });
    for (const other of [session(), lost(), lost({ newest: null })]) {
      expect(apply(other, word(newest), when(hour))).toMatchObject({
        type: "rejected",
        rejection: { code: "not_stuck" },
      });
    }
  });

  it("leaves a ghost with an assertion, probed hourly: never a verification [LEA-20]", () => {
    const state = lost({ newest: replaceable, alive: { totalMs: 0, since: at } });
    const moved = moveWith(state, word(newest), when(hour));
    const assertion = { at: at + hour, by: "ann", reason: "burned down" };
    const step = { type: "parked", since: at + hour, nextProbeAt: at + 2 * hour, hastened: true, attemptId: null };
    expect(moved.session).toEqual({
      ...state,
      newest: null,
      ghosts: [{ ...replaceable, assertion, step }],
      alive: { totalMs: hour, since: null },
    });
    expect(noted(moved)).toEqual(["absence_asserted"]);
    const probed = move(
      moved.session,
      { type: "probeStarted", generation: newest, attemptId: attempt("probe-1") },
      when(2 * hour),
    );
    expect(probed.ghosts[0]?.step).toMatchObject({ nextProbeAt: at + 3 * hour });
    expect(apply(moved.session, word(newest), when(hour))).toEqual({
      type: "ignored",
      why: "its absence is asserted already",
    });
  });

  it("may say so from the very instant of certain expiry on, and is on record with it [LEA-20]", () => {
    const moved = moveWith(lost({ newest: replaceable }), word(newest), when(expiry));
    const said = { type: "absence_asserted", cause: "burned down", generation: newest, facts: { by: "ann" } };
    expect(moved.effects).toEqual([
      { type: "note", note: said },
      { type: "settleJobs", generation: newest, as: "lost" },
    ]);
  });

  it("asserts a ghost where it stands, and no other [LEA-20]", () => {
    const state = lost({ ghosts: [ghost(generation(1)), ghost(ghostly)] });
    const after = move(state, word(ghostly), when(0));
    expect(after.newest).toBe(state.newest);
    expect(after.ghosts.map((each) => each.assertion?.by ?? null)).toEqual([null, "ann"]);
    expect(after.ghosts[0]).toBe(state.ghosts[0]);
  });

  it("ends a session by word: it counts as ended, and is forgotten with its retention [LEA-20]", () => {
    const state = terminated({ newest: replaceable });
    const after = moveWith(state, word(newest), when(hour));
    expect(after.session.desired).toMatchObject({ endedAt: at + hour, reason: "requested" });
    expect(noted(after)).toEqual(["absence_asserted", "terminated"]);
    expect(reconcile(after.session, at + hour + policy.retentionMs - 1, policy).map((step) => step.type)).not.toContain(
      "erase",
    );
    expect(reconcile(after.session, at + hour + policy.retentionMs, policy).map((step) => step.type)).toContain(
      "erase",
    );
  });

  it("whose word meets an attempt in flight ends that attempt: no receipt shows one without an end", () => {
    const flying = stopping({ ...acting, certainExpiry: at - hour });
    const after = move(lost({ newest: flying }), word(newest));
    expect(after.ghosts[0]?.attempts).toMatchObject([{ outcome: "abandoned", endedAt: at }]);
    const finished = {
      type: "stopFinished",
      generation: newest,
      attemptId: attempt("stop-1"),
      ...goneEvidence(),
      error: null,
      jitter: 0,
    } as const;
    expect(apply(after, finished).type).toBe("ignored");
  });

  it("whose word frees the place lets a queued resume go on [LEA-13] [DEL-9]", () => {
    const state = paused({
      newest: stopping({ ...parked, reason: "paused", certainExpiry: at - hour }),
      desired: { type: "suspended", cause: "pause", since: at - hour, resumeQueued: true },
      endAt: at + 5 * minute,
      refreshedAt: at - minute,
    });
    const after = move(state, word(newest));
    expect(after.desired).toMatchObject({
      type: "running",
      provision: { purpose: "resume", deadline: at + policy.provisionMs },
    });
    expect(after).toMatchObject({ endAt: at + 5 * minute, refreshedAt: at - minute, newest: null });
    expect(reconcile(after, at, policy)).toContainEqual({ type: "openLease" });
  });
});

describe("an asserted ghost seen alive", () => {
  it("withdraws the assertion and reopens the stop [LEA-20]", () => {
    const state = lost({ ghosts: [assertedGhost] });
    const looks = [look("present", 0, candidate(asserted))];
    const moved = moveWith(state, {
      type: "probeFinished",
      generation: asserted,
      attemptId: attempt("probe-1"),
      retired: null,
      looks,
      settledAt: at,
    });
    expect(moved.session.ghosts[0]).toMatchObject({
      assertion: null,
      attempts: [],
      earlierAttempts: 8,
      step: { type: "waiting", nextAttemptAt: at },
    });
    expect(noted(moved)).toEqual(["assertion_withdrawn"]);
  });

  it("only seen alive: a probe that saw nothing clear keeps the word and its hourly pace [LEA-20] [I4]", () => {
    const state = lost({ ghosts: [assertedGhost] });
    const looks = [look("unknown", 0, candidate(asserted))];
    const after = move(state, {
      type: "probeFinished",
      generation: asserted,
      attemptId: attempt("probe-1"),
      retired: null,
      looks,
      settledAt: at,
    });
    expect(after.ghosts[0]).toMatchObject({
      assertion: assertedGhost.assertion,
      step: assertedGhost.step,
      attempts: parked.attempts,
    });
    const fresh = { ...assertedGhost, step: { ...parked.step, since: at } };
    const probed = move(lost({ ghosts: [fresh] }), {
      type: "probeStarted",
      generation: asserted,
      attemptId: attempt("probe-1"),
    });
    expect(probed.ghosts[0]?.step).toMatchObject({ nextProbeAt: at + hour });
  });

  it("by a stop that an operator asked for loses the assertion too [LEA-20]", () => {
    const state = lost({ ghosts: [{ ...assertedGhost, ...acting }] });
    const looks = [look("present", 0, candidate(asserted))];
    const finished = {
      type: "stopFinished",
      generation: asserted,
      attemptId: attempt("stop-1"),
      looks,
      settledAt: at,
      jitter: 0.5,
    } as const;
    const moved = moveWith(state, { ...finished, retired: null, error: null });
    expect(moved.session.ghosts[0]).toMatchObject({ assertion: null, step: { type: "waiting" } });
    expect(noted(moved)).toContain("assertion_withdrawn");
    const unknown = { ...finished, looks: [look("unknown", 0, candidate(asserted))], retired: null, error: null };
    expect(move(state, unknown).ghosts[0]?.assertion).toEqual(assertedGhost.assertion);
  });

  it("is stored even when it is one more than may be left behind [LEA-20] [LEA-18]", () => {
    const fourth = stopping({ ...parked, assertion: { at, by: "ann", reason: "gone" } });
    const state = lost({ newest: closed(generation(6)), ghosts: [...threeGhosts, fourth] });
    expect(stateViolations(state, policy)).toEqual([]);
    const looks = [look("present", 0)];
    const after = move(state, {
      type: "probeFinished",
      generation: newest,
      attemptId: attempt("probe-1"),
      retired: null,
      looks,
      settledAt: at,
    });
    expect(after.ghosts.filter((each) => each.assertion === null)).toHaveLength(4);
    expect([...stateViolations(after, policy), ...moveViolations(state, after, policy)]).toEqual([]);
  });
});

describe("a resume that waits for a stop that cannot be proven", () => {
  const queued = (changes: Partial<Session> = {}) =>
    paused({
      newest: stopping({ ...parked, reason: "paused", certainExpiry: at }),
      desired: { type: "suspended", cause: "pause", since: at - hour, resumeQueued: true },
      endAt: at + hour,
      ...changes,
    });

  it("goes on in a new generation once the old lease has certainly expired; its end stays as it was set [LEA-18] [DEL-9]", () => {
    const state = queued();
    const slow = {
      ...state,
      newest: stopping({ ...state.newest, step: { ...parked.step, nextProbeAt: at + hour } } as Stopping),
    };
    expect(nextDeadline(slow, policy)).toBe(at + expiry);
    expect(apply(state, { type: "ghostNeeded" }, when(expiry - 1)).type).toBe("ignored");
    expect(reconcile(slow, at + expiry - 1, policy)).toEqual([]);
    expect(reconcile(slow, at + expiry, policy)).toEqual([{ type: "becomeGhost" }]);
    const moved = moveWith(state, { type: "ghostNeeded" }, when(expiry));
    expect(moved.session).toMatchObject({
      desired: { type: "running", provision: { purpose: "resume" } },
      newest: null,
      endAt: at + hour,
      snapshot: state.snapshot,
    });
    expect(moved.session.ghosts.map((each) => each.generation)).toEqual([newest]);
    expect(noted(moved)).toEqual(["became_ghost", "resuming"]);
    expect(reconcile(moved.session, at + expiry, policy)).toContainEqual({ type: "openLease" });
  });

  it("is not made way for when nobody asked for it, nor past the bound of ghosts [LEA-18]", () => {
    const asleep = queued({ desired: { type: "suspended", cause: "pause", since: at - hour, resumeQueued: false } });
    expect(apply(asleep, { type: "ghostNeeded" }, when(hour)).type).toBe("ignored");
    expect(reconcile(asleep, at + hour, policy).map((step) => step.type)).toEqual(["probe"]);
    const full = queued({ ghosts: threeGhosts });
    expect(apply(full, { type: "ghostNeeded" }, when(hour)).type).toBe("ignored");
    expect(reconcile(full, at + hour, policy).map((step) => step.type)).not.toContain("becomeGhost");
  });
});
