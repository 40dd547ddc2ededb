import { describe, expect, it } from "vitest";
import type { ProviderFailure } from "../../../../src/domain/state/failure.ts";
import { firstGeneration, isolatedSandboxId } from "../../../../src/domain/state/ids.ts";
import type { Launching } from "../../../../src/domain/state/lease.ts";
import { nextDeadline, reconcile } from "../../../../src/domain/rules/reconcile.ts";
import type { Provision, Session } from "../../../../src/domain/state/session.ts";
import { statusOf } from "../../../../src/domain/rules/status.ts";
import { failure } from "../../../support/every-event.ts";
import { born, generation, sessionId } from "../../../support/reports.ts";
import {
  apply,
  at,
  attempt,
  candidate,
  closed,
  host,
  hour,
  launching,
  look,
  minute,
  move,
  moveWith,
  newest,
  noted,
  opening,
  policy,
  provisioning,
  second,
  session,
  snapshot,
  stopping,
  when,
} from "../../../support/sessions.ts";

const next = generation(6);
const launch1 = attempt("launch-1");

function provisionOf(of: Session): Provision {
  if (of.desired.type !== "running" || of.desired.provision === null) throw new Error("nothing is provisioned");
  return of.desired.provision;
}

function launchingOf(of: Session): Launching {
  if (of.newest?.phase !== "launching") throw new Error(`it is ${of.newest?.phase}`);
  return of.newest;
}

const open = session({ desired: { type: "running", provision: opening }, newest: closed() });
const opened = (of = look("absent", 0, candidate(next)), attemptId = attempt("open-1")) =>
  ({ type: "leaseOpened", attemptId, launchAttemptId: launch1, observation: of }) as const;

const acting = launching({
  host: null,
  step: { type: "acting", attemptId: launch1, deadline: at + 59 * second },
  attempts: [{ attemptId: launch1, sentAt: at - second, outcome: "acting", error: null }],
});
const flying = provisioning({}, { newest: acting });
const failed = (why: ProviderFailure, jitter = 0.5) =>
  ({ type: "launchFailed", generation: newest, attemptId: launch1, failure: why, jitter }) as const;

describe("opening a lease", () => {
  const start = (of = generation(7)) =>
    ({
      type: "openingStarted",
      attemptId: attempt("o"),
      candidate: candidate(of),
      deadline: at + 21 * second,
    }) as const;

  it("mints a generation above all before, once, and keeps it through retries [LEA-2]", () => {
    const state = provisioning({}, { newest: closed() });
    expect(apply(state, start(generation(6)))).toEqual({ type: "ignored", why: "another generation is minted" });
    const begun = move(state, start());
    expect(begun.nextGeneration).toBe(generation(8));
    expect(provisionOf(begun).step).toEqual({ type: "opening", attemptId: "o", deadline: at + 21 * second });
    const full = { code: "quota_exhausted", message: "full" } as const;
    const waiting = move(begun, { type: "openingFailed", attemptId: attempt("o"), failure: full, jitter: 0.5 });
    expect(provisionOf(waiting)).toMatchObject({
      failures: 1,
      candidate: candidate(generation(7)),
      step: { type: "waiting", notBefore: at + 2 * second },
      lastError: { ...full, at },
    });
    expect(apply(waiting, start(generation(8)), when(2 * second)).type).toBe("ignored");
    expect(move(waiting, start(), when(2 * second)).nextGeneration).toBe(generation(8));
    expect(apply(waiting, start(), when(2 * second - 1))).toEqual({
      type: "ignored",
      why: "it is not time to open a lease",
    });
  });

  it("tells what its own last launch met while the tenant's launches are paused, however often it asks", () => {
    const met = {
      code: "unavailable",
      message: "It cannot prepare a workspace.",
      at: at - second,
      since: at - second,
    } as const;
    const pause = { code: "no_capacity", message: "Launches are paused.", retryAfterMs: 30 * second } as const;
    const refuse = { type: "openingFailed", attemptId: attempt("o"), failure: pause, jitter: 0.5 } as const;
    let state = provisioning({ failures: 3, lastError: met });
    for (const later of [0, 600 * second]) {
      state = move(move(state, start(), when(later)), refuse, when(later));
      expect(provisionOf(state).lastError).toMatchObject({
        code: "no_capacity",
        message: "Launches are paused. This session's last try said: It cannot prepare a workspace.",
      });
    }
    const first = move(move(provisioning({}), start()), refuse);
    expect(provisionOf(first).lastError?.message).toBe("Launches are paused.");
  });

  it("mints above what the registry remembers, and at once, when its own is stale [LEA-2]", () => {
    const stale = { code: "stale_generation", message: "stale", above: generation(40) } as const;
    const after = move(open, { type: "openingFailed", attemptId: attempt("open-1"), failure: stale, jitter: 0.5 });
    expect(provisionOf(after)).toMatchObject({ candidate: null, step: { type: "waiting", notBefore: at } });
    expect(after.nextGeneration).toBe(generation(41));
    const again = { ...open, desired: { type: "running", provision: { ...opening, failures: 1 } } } as const;
    const asked = move(again, { type: "openingFailed", attemptId: attempt("open-1"), failure: stale, jitter: 0.5 });
    expect(provisionOf(asked).step).toEqual({ type: "waiting", notBefore: at + 4 * second });
    const low = move(open, {
      type: "openingFailed",
      attemptId: attempt("open-1"),
      failure: { ...stale, above: 3 },
      jitter: 0.5,
    });
    expect(low.nextGeneration).toBe(open.nextGeneration);
    expect(firstGeneration(born, 0)).toBe(born);
    expect(firstGeneration(born, born)).toBe(born + 1);
    expect(isolatedSandboxId(sessionId("s"), generation(1))).toBe(`${sessionId("s")}-g${born + 1}`);
  });

  it("backs off, and waits as long as it was told to when that is longer [LEA-22]", () => {
    const fail = (retryAfterMs?: number) =>
      provisionOf(
        move(open, {
          type: "openingFailed",
          attemptId: attempt("open-1"),
          failure: { code: "no_capacity", message: "full", ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
          jitter: 0.5,
        }),
      ).step;
    expect(fail()).toEqual({ type: "waiting", notBefore: at + 2 * second });
    // A little later than told: others were told the same.
    expect(fail(30 * second)).toEqual({ type: "waiting", notBefore: at + 33 * second });
    expect(fail(second)).toEqual({ type: "waiting", notBefore: at + 2 * second });
  });

  it("for a resume or rebuild that gets no quota goes back at once: its client is told, and nothing saved is lost", () => {
    const full = {
      type: "openingFailed",
      attemptId: attempt("open-1"),
      failure: { code: "quota_exhausted", message: "full" },
      jitter: 0.5,
    } as const;
    const of = (purpose: Provision["purpose"]) =>
      session({ desired: { type: "running", provision: { ...opening, purpose } }, newest: closed(), snapshot });
    for (const [purpose, cause] of [
      ["resume", "pause"],
      ["rebuild", "loss"],
    ] as const) {
      const after = move(of(purpose), full);
      expect(after.desired).toEqual({ type: "suspended", cause, since: at, resumeQueued: false });
      expect(after).toMatchObject({ snapshot, cancellations: [next] });
    }
    const slow = { ...full, failure: { code: "unavailable", message: "slow" } } as const;
    expect(provisionOf(move(of("resume"), slow))).toMatchObject({ purpose: "resume", failures: 1 });
    for (const purpose of ["create", "relaunch"] as const)
      expect(provisionOf(move(of(purpose), full)).failures).toBe(1);
  });

  it("is done once at a time, and hears no failure but its own [LEA-8]", () => {
    expect(apply(open, start(next), when(hour))).toEqual({ type: "ignored", why: "it is not time to open a lease" });
    const full = { code: "unavailable", message: "slow" } as const;
    const old = { type: "openingFailed", attemptId: attempt("older"), failure: full, jitter: 0.5 } as const;
    expect(apply(open, old)).toEqual({ type: "ignored", why: "an older opening" });
    expect(apply(provisioning(), { ...old, attemptId: attempt("open-1") }).type).toBe("ignored");
    expect(apply(session({ newest: null }), old).type).toBe("ignored");
    expect(apply(session({ newest: null }), opened()).type).toBe("ignored");
  });

  it("happens only after the new sandbox id was seen absent, by its own provider [LEA-1]", () => {
    const that = candidate(next);
    const wrong = [
      look("present", 0, that),
      look("unknown", 0, that),
      look("unknown", 0, that, { host: look("absent", 0).host }),
      look("absent", 0, candidate(newest)),
      look("absent", 0, that, { provider: "local" }),
    ];
    for (const each of wrong) expect(apply(open, opened(each)).type).toBe("ignored");
    // Nobody could prove its absence later.
    expect(apply(open, opened(look("absent", 0, candidate(next), { host: null }))).type).toBe("ignored");
    expect(apply(open, opened(undefined, attempt("older"))).type).toBe("ignored");
    const moved = moveWith(open, opened());
    expect(moved.session.newest).toEqual({
      ...that,
      host: look("absent", 0).host,
      openedAt: at,
      terms: { ttlMs: policy.leaseTtlMs, stopGraceMs: policy.stopGraceMs },
      phase: "launching",
      step: { type: "acting", attemptId: launch1, deadline: at + minute },
      attempts: [{ attemptId: launch1, sentAt: at, outcome: "acting", error: null }],
      launchNotAfter: at + minute,
      deadline: at + 2 * minute,
      renewals: { sequence: 0, lastSentAt: null, sendsUntil: null },
    });
    expect(provisionOf(moved.session)).toMatchObject({ candidate: null, step: { type: "waiting", notBefore: at } });
    expect(noted(moved)).toEqual(["launching"]);
  });

  it("starts the time with a sandbox, unless it runs already", () => {
    const idle = { totalMs: 7, since: null };
    expect(move({ ...open, alive: idle }, opened()).alive).toEqual({ totalMs: 7, since: at });
    expect(move(open, opened()).alive).toEqual(open.alive);
  });

  it("never happens while another lease is open [LEA-1]", () => {
    for (const lease of [launching(), stopping()]) {
      const state = session({ desired: { type: "running", provision: opening }, newest: lease });
      for (const event of [opened(), start()]) {
        expect(apply(state, event)).toEqual({ type: "ignored", why: "the session went on without this opening" });
      }
      const full = {
        type: "openingFailed",
        attemptId: attempt("open-1"),
        failure: { code: "no_capacity", message: "" },
        jitter: 0,
      } as const;
      expect(apply(state, full).type).toBe("ignored");
    }
  });

  it("is given up at its deadline, and tried again with the same generation", () => {
    expect(apply(open, { type: "timePassed", jitter: 0.5 }, when(20 * second - 1)).type).toBe("ignored");
    const after = move(open, { type: "timePassed", jitter: 0.5 }, when(20 * second));
    expect(provisionOf(after)).toMatchObject({
      failures: 1,
      candidate: candidate(next),
      step: { type: "waiting", notBefore: at + 22 * second },
    });
    expect(apply(after, opened(), when(21 * second)).type).toBe("ignored");
  });

  it("that will not happen gives its reservation back, and that is repeated until it is done", () => {
    const ended = move(open, { type: "terminateRequested", reason: "requested", failure: null });
    expect(ended.cancellations).toEqual([next]);
    expect(reconcile(ended, at, policy)).toContainEqual({ type: "cancelReservation", generation: next });
    expect(apply(ended, { type: "reservationCancelled", generation: newest }).type).toBe("ignored");
    const two = { ...ended, cancellations: [newest, next] };
    expect(move(two, { type: "reservationCancelled", generation: next }).cancellations).toEqual([newest]);
    expect(reconcile({ ...ended, cancellations: [] }, at, policy)).toEqual([]);
  });
});

describe("a launch", () => {
  it("whose answer came is confirmed by renewals, at the host that answered", () => {
    const event = { type: "launchSucceeded", generation: newest, attemptId: launch1, host: "host-z" } as const;
    const after = launchingOf(move(flying, event));
    expect(after).toEqual({
      ...acting,
      host: "host-z",
      step: { type: "confirming", nextAt: at },
      attempts: [{ ...acting.attempts[0], outcome: "launched" }],
    });
    expect(reconcile(move(flying, event), at, policy)).toEqual([{ type: "renew", generation: newest }]);
    expect(apply(flying, { ...event, attemptId: attempt("launch-0") }).type).toBe("ignored");
    expect(apply(provisioning({}, { newest: launching() }), event).type).toBe("ignored");
  });

  it("whose outcome is unknown is never sent again: only the instance can say [I4]", () => {
    const moved = moveWith(flying, failed(failure("timed_out", "unknown")));
    const lease = launchingOf(moved.session);
    expect(lease.step).toEqual({ type: "confirming", nextAt: at + second });
    expect(lease.attempts).toMatchObject([{ outcome: "unknown", error: "it said timed_out" }]);
    for (const offset of [0, minute, hour]) {
      const steps = reconcile(moved.session, at + offset, policy).map((step) => step.type);
      expect(steps).not.toContain("launch");
    }
    expect(provisionOf(moved.session).failures).toBe(0);
    expect(noted(moved)).toEqual(["launch_unknown"]);
  });

  it("whose answer did not come within its bound is unknown too", () => {
    expect(apply(flying, { type: "timePassed", jitter: 0.5 }, when(59 * second - 1)).type).toBe("ignored");
    const lease = launchingOf(move(flying, { type: "timePassed", jitter: 0.5 }, when(59 * second)));
    expect(lease.step).toEqual({ type: "confirming", nextAt: at + 59 * second });
    expect(lease.attempts).toMatchObject([{ outcome: "unknown" }]);
  });

  it("that certainly did nothing is repeated after a delay, when that can help [LEA-22]", () => {
    for (const code of ["no_capacity", "unavailable", "insufficient_space"] as const) {
      const moved = moveWith(flying, failed(failure(code)));
      const after = moved.session;
      expect(launchingOf(after)).toMatchObject({
        step: { type: "waiting", notBefore: at + 2 * second },
        attempts: [{ outcome: "failed" }],
      });
      expect(provisionOf(after)).toMatchObject({
        failures: 1,
        lastError: { code, at },
        step: { notBefore: at + 2 * second },
      });
      expect(noted(moved)).toEqual(["launch_waits"]);
      expect(reconcile(after, at + 2 * second - 1, policy)).toEqual([]);
      expect(reconcile(after, at + 2 * second, policy)).toEqual([{ type: "launch", generation: newest }]);
      expect(nextDeadline(after, policy)).toBe(at + 2 * second);
    }
  });

  it("repeated is a new attempt with new bounds, and what may land later moves certain expiry", () => {
    const waiting = provisioning(
      {},
      { newest: launching({ step: { type: "waiting", notBefore: at }, launchNotAfter: at + hour }) },
    );
    const event = { type: "launchStarted", generation: newest, attemptId: attempt("launch-2") } as const;
    const after = launchingOf(move(waiting, event, when(5 * second)));
    expect(after).toMatchObject({
      step: { type: "acting", attemptId: "launch-2", deadline: at + 65 * second },
      deadline: at + 125 * second,
      launchNotAfter: at + hour,
    });
    expect(after.attempts.at(-1)).toEqual({
      attemptId: "launch-2",
      sentAt: at + 5 * second,
      outcome: "acting",
      error: null,
    });
    const early = provisioning(
      {},
      { newest: launching({ step: { type: "waiting", notBefore: at }, launchNotAfter: at }) },
    );
    expect(launchingOf(move(early, event)).launchNotAfter).toBe(at + minute);
    expect(apply(waiting, event, when(-1))).toEqual({ type: "ignored", why: "it is not time to launch" });
    expect(apply(flying, event).type).toBe("ignored");
    const many = Array.from({ length: 25 }, () => acting.attempts[0]).filter((each) => each !== undefined);
    const long = provisioning({}, { newest: launching({ step: { type: "waiting", notBefore: at }, attempts: many }) });
    expect(launchingOf(move(long, event)).attempts).toHaveLength(20);
  });

  it("leaves the words about earlier attempts alone, and backs off further with each failure [LEA-22]", () => {
    const first = {
      attemptId: attempt("launch-0"),
      sentAt: at - minute,
      outcome: "failed",
      error: "it said no",
    } as const;
    const second_ = launching({ ...acting, attempts: [first, ...acting.attempts] });
    const state = provisioning({ failures: 3 }, { newest: second_ });
    const succeeded = { type: "launchSucceeded", generation: newest, attemptId: launch1, host } as const;
    const told = [succeeded, failed(failure("timed_out", "unknown")), failed(failure("unavailable"))] as const;
    for (const event of told) expect(launchingOf(move(state, event)).attempts[0]).toBe(first);
    const late = move(state, { type: "timePassed", jitter: 0.5 }, when(59 * second));
    expect(launchingOf(late).attempts[0]).toBe(first);
    for (const code of ["unavailable", "malformed"] as const) {
      expect(provisionOf(move(state, failed(failure(code))))).toMatchObject({
        failures: 4,
        step: { notBefore: at + 16 * second },
      });
    }
    const seen = { type: "observedAbsent", generation: newest, observation: look("absent", hour) } as const;
    const silent = provisioning({ failures: 3 }, { newest: launching() });
    expect(provisionOf(move(silent, seen, when(hour))).step).toEqual({
      type: "waiting",
      notBefore: at + hour + 16 * second,
    });
  });

  it("that cannot help in the same place is stopped, and another generation follows after a delay [LEA-22] [CON-7]", () => {
    for (const code of ["refused_late", "refused_retired", "foreign_instance", "malformed", "start_failed"] as const) {
      const moved = moveWith(flying, failed(failure(code)));
      expect(moved.session.newest).toMatchObject({ phase: "stopping", reason: "launch_failed" });
      expect(provisionOf(moved.session)).toMatchObject({
        failures: 1,
        lastError: { code },
        step: { notBefore: at + 2 * second },
      });
      expect(noted(moved)).toEqual(["launch_failed"]);
    }
  });

  it("that can never succeed ends a create as failed, and a resume as paused with its snapshot [LEA-22]", () => {
    for (const code of ["invalid", "unsupported", "protocol_unsupported"] as const) {
      const created = moveWith(flying, failed(failure(code)));
      expect(created.session).toMatchObject({
        desired: { type: "terminated", reason: "failed" },
        newest: { phase: "stopping" },
      });
      expect(created.session.desired).toMatchObject({
        failure: `The sandbox could not be started. ${code}: it said ${code}`,
      });
      expect(noted(created)).toEqual(["launch_failed", "terminating"]);
      const resumed = move(provisioning({ purpose: "resume" }, { newest: acting, snapshot }), failed(failure(code)));
      expect(resumed).toMatchObject({ desired: { type: "suspended", cause: "pause", since: at }, snapshot });
    }
  });

  it("ignores the failure of an older attempt [LEA-8]", () => {
    for (const code of ["timed_out", "invalid", "unavailable"] as const) {
      expect(apply(flying, { ...failed(failure(code)), attemptId: attempt("launch-0") }).type).toBe("ignored");
      expect(apply(provisioning({}, { newest: launching() }), failed(failure(code))).type).toBe("ignored");
    }
  });

  it("not confirmed by its deadline is stopped, and backs off", () => {
    const lease = launching({ deadline: at + 10 * second });
    const state = provisioning({ failures: 2 }, { newest: lease });
    expect(apply(state, { type: "timePassed", jitter: 0.5 }, when(10 * second - 1)).type).toBe("ignored");
    const moved = moveWith(state, { type: "timePassed", jitter: 0.5 }, when(10 * second));
    expect(moved.session.newest).toMatchObject({ phase: "stopping", reason: "launch_timeout" });
    expect(provisionOf(moved.session)).toMatchObject({
      failures: 3,
      lastError: { code: "timed_out", at: at + 10 * second },
      step: { notBefore: at + 18 * second },
    });
    const resting = provisioning(
      {},
      { newest: launching({ deadline: at, step: { type: "waiting", notBefore: at + second } }) },
    );
    expect(apply(resting, { type: "timePassed", jitter: 0.5 }).type).toBe("ignored");
  });

  it("seen absent stays until it can no longer land, and is believed of its own sandbox and host only [LEA-1] [PHY-16]", () => {
    const state = provisioning({}, { newest: launching({ launchNotAfter: at + 10 * second }) });
    const seen = (beganAt: number, changes = {}) =>
      ({
        type: "observedAbsent",
        generation: newest,
        observation: look("absent", beganAt, candidate(), changes),
      }) as const;
    expect(apply(state, seen(10 * second), when(11 * second))).toEqual({
      type: "ignored",
      why: "the launch may still land",
    });
    const moved = moveWith(state, seen(10 * second + 1), when(11 * second));
    expect(moved.session.newest).toMatchObject({ phase: "stopping", reason: "launch_failed" });
    expect(provisionOf(moved.session)).toMatchObject({
      failures: 1,
      lastError: { code: "not_found" },
      step: { notBefore: at + 13 * second },
    });
    for (const changes of [
      { provider: "local" as const },
      { host: "host-b" },
      { sandboxId: candidate(next).sandboxId },
      { generation: next },
    ]) {
      expect(apply(state, seen(minute, changes), when(hour)).type).toBe("ignored");
    }
    const nobody = provisioning({}, { newest: launching({ host: null, launchNotAfter: at }) });
    expect(apply(nobody, seen(1, { host: "host-b" })).type).toBe("moved");
    expect(apply(flying, seen(hour), when(hour)).type).toBe("ignored");
  });
});

describe("provisioning", () => {
  const due = (purpose: Provision["purpose"], changes: Partial<Session> = {}) =>
    moveWith(
      provisioning({ purpose, candidate: candidate(next), deadline: at + 5 }, changes),
      { type: "timePassed", jitter: 0.5 },
      when(5),
    );

  it("ends at its deadline: a create fails [LEA-22]", () => {
    expect(apply(provisioning({ deadline: at + 5 }), { type: "timePassed", jitter: 0.5 }, when(4)).type).toBe(
      "ignored",
    );
    const { session: after } = due("create");
    expect(after.desired).toEqual({
      type: "terminated",
      reason: "provision_timeout",
      at: at + 5,
      endedAt: at + 5,
      failure: "The sandbox could not be started. no launch succeeded",
    });
    expect(statusOf(after)).toBe("failed");
    expect(after.cancellations).toEqual([next]);
    expect(due("create", { newest: acting }).session.newest).toMatchObject({ phase: "stopping", reason: "terminated" });
  });

  it("a resume goes back to paused, a rebuild or relaunch to lost, with the snapshot and the reservation back [LEA-22]", () => {
    for (const [purpose, cause] of [
      ["resume", "pause"],
      ["rebuild", "loss"],
      ["relaunch", "loss"],
    ] as const) {
      const moved = due(purpose, { snapshot });
      expect(moved.session).toMatchObject({ snapshot, cancellations: [next] });
      expect(moved.session.desired).toEqual({ type: "suspended", cause, since: at + 5, resumeQueued: false });
      expect(noted(moved)).toEqual(["provision_failed", "setback"]);
      const stopped = due(purpose, { newest: acting, snapshot }).session.newest;
      expect(stopped).toMatchObject({ phase: "stopping", reason: "launch_timeout" });
    }
  });

  it("in a loop backs off each time a little longer, until its deadline [LEA-22]", () => {
    let state = provisioning({ deadline: at + policy.provisionMs });
    let now = at;
    const starts: number[] = [];
    for (let count = 0; count < 100 && statusOf(state) === "provisioning"; count += 1) {
      const { step } = provisionOf(state);
      if (step.type !== "waiting") throw new Error("it is opening");
      now = Math.min(step.notBefore, provisionOf(state).deadline);
      if (now === provisionOf(state).deadline) {
        state = move(state, { type: "timePassed", jitter: 0.5 }, when(now - at));
        break;
      }
      starts.push((now - at) / second);
      const that = provisionOf(state).candidate ?? candidate(state.nextGeneration);
      const attemptId = attempt(`o-${count}`);
      state = move(
        state,
        { type: "openingStarted", attemptId, candidate: that, deadline: now + minute },
        when(now - at),
      );
      const full = { code: "no_capacity", message: "full" } as const;
      state = move(state, { type: "openingFailed", attemptId, failure: full, jitter: 0.5 }, when(now - at));
    }
    expect(starts).toEqual([0, 2, 6, 14, 30, 62, 122, 182, 242, 302, 362, 422, 482, 542]);
    expect(statusOf(state)).toBe("failed");
  });
});
