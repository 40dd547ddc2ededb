/** `explain` over every state the machine can be in: always an answer in words, the clocks as they stand, and what to call. */
import { describe, expect, it } from "vitest";
import { clocks, expiresAt, type ClockName } from "../../../../src/domain/rules/clocks.ts";
import { explain } from "../../../../src/explain/explain.ts";
import type { ExplainContext, Explanation } from "../../../../src/explain/explanation.ts";
import { nextDeadline } from "../../../../src/domain/rules/reconcile.ts";
import { openLeases, type Session } from "../../../../src/domain/state/session.ts";
import { failingDeletions } from "../../../../src/domain/rules/saved-files.ts";
import { blockedBy, statusOf } from "../../../../src/domain/rules/status.ts";
import {
  at,
  closed,
  everySession,
  ghostly,
  held,
  hour,
  lost,
  minute,
  newest,
  parked,
  paused,
  policy,
  provisioning,
  second,
  session,
  snapshot,
  stopping,
  terminated,
} from "../../../support/sessions.ts";

const about = (of: Session, changes: Partial<ExplainContext> = {}): Explanation =>
  explain(of, { now: at, policy, adapterMissing: false, canSave: true, queuedJobs: 0, etag: "7", ...changes });
const paths = (calls: readonly { method: string; path: string }[]) =>
  calls.map(({ method, path }) => `${method} ${path.replace(/[a-z0-9]{20}/, "{id}")}`);
const next = (of: Session, changes: Partial<ExplainContext> = {}) => {
  const { next: call } = about(of, changes);
  return call === null ? null : { ...call, path: paths([call])[0] };
};
const ghost = stopping({ ...parked, generation: ghostly });

describe("explain", () => {
  it("says of every state the same as everything else does: status, block, clocks, deadline, sandboxes", () => {
    for (const { session: state, name } of everySession()) {
      const said = about(state);
      expect(said.status, name).toBe(statusOf(state));
      expect(said.nextLookAt, name).toBe(nextDeadline(state, policy));
      expect(said.blocked?.code ?? null, name).toBe(blockedBy(state, false)?.code ?? null);
      expect(
        said.clocks.map((clock) => clock.name),
        name,
      ).toEqual(Object.keys(clocks));
      for (const clock of said.clocks) expect(clock.dueAt, `${name} ${clock.name}`).toBe(dueOf(state, clock.name));
      // A warning changes nothing, so it is never what comes next.
      const acting = said.clocks.filter((clock) => clocks[clock.name].action.type !== "announce");
      const soonest = Math.min(...acting.flatMap(({ dueAt }) => (dueAt === null ? [] : [dueAt])));
      expect(said.nextClock?.dueAt ?? Infinity, name).toBe(soonest);
      expect(said.sandboxes.map((each) => each.generation)).toEqual(openLeases(state).map((lease) => lease.generation));
      // Whole sentences, of this state, without a hole in them.
      for (const words of [said.summary, said.alive, ...said.clocks.map((clock) => clock.says)]) {
        expect(words.length, name).toBeGreaterThan(10);
        expect(words, name).not.toMatch(/undefined|null|NaN|\[object|\{|\s{2}/);
        expect(words, name).toMatch(/[.:]$/);
      }
    }
  });

  it("names an operator's call, with its ETag, wherever a sandbox is parked or a snapshot is not deleted, and nowhere else", () => {
    for (const { session: state, name } of everySession()) {
      const isParked = openLeases(state).some(
        (lease) => lease.phase === "stopping" && lease.step.type === "parked" && lease.assertion === null,
      );
      const said = about(state);
      const calls = [...(said.next === null ? [] : [said.next]), ...said.others];
      const admin = calls.filter((call) => call.access === "admin");
      expect(admin.length > 0, name).toBe(isParked || failingDeletions(state).length > 0);
      for (const call of admin) expect(call.headers, name).toEqual({ "if-match": '"7"' });
      expect(new Set(calls.map((call) => `${call.method} ${call.path} ${JSON.stringify(call.body)}`)).size).toBe(
        calls.length,
      );
    }
  });

  it("running: what keeps it, which clock comes first, and the call that moves that one", () => {
    const working = session({ activity: { lastAt: at, activeJobs: 2, reportedAt: at } });
    expect(about(working)).toMatchObject({ alive: "2 jobs run.", nextClock: { name: "end_at" } });
    expect(about(working).clocks.find((clock) => clock.name === "idle")).toMatchObject({
      dueAt: null,
      says: "It stands while a job runs.",
    });
    expect(next(working)).toMatchObject({ path: "POST /v1/sessions/{id}/timeout", body: { timeout_seconds: 3_600 } });
    const idle = session({ endAt: at + 10 * hour });
    expect(about(idle).nextClock?.name).toBe("idle");
    expect(next(idle)?.path).toBe("POST /v1/sessions/{id}/keepalive");
    expect(about(idle, { queuedJobs: 1 }).alive).toContain("A job waits to be handed over.");
    const old = session({
      endAt: at + 100 * hour,
      limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: hour },
    });
    expect(about(old).nextClock?.name).toBe("max_lifetime");
    expect(next(old)?.path).toBe("POST /v1/sessions/{id}/pause");
    expect(next(old, { canSave: false })).toBeNull();
  });

  it("a pause that could not save: how often it was tried, and when it is tried again", () => {
    const tried = session({
      endAt: at - minute,
      pauseTries: { since: at - minute, tries: 3, notBefore: at + minute, error: "the disk is full" },
    });
    const clock = about(tried).clocks.find((each) => each.name === "end_at");
    expect(clock).toMatchObject({ dueAt: at + minute });
    expect(clock?.says).toContain("tried 3 times and did not save anything (the disk is full)");
  });

  it("provisioning: what it waits for; without quota, how to make room", () => {
    expect(next(provisioning())?.path).toBe("GET /v1/sessions/{id}");
    const full = provisioning({
      purpose: "relaunch",
      failures: 2,
      step: { type: "waiting", notBefore: at + minute },
      lastError: { code: "quota_exhausted", message: "10 of 10", at },
    });
    expect(next(full)?.path).toBe("GET /v1/sessions");
    expect(about(full)).toMatchObject({
      blocked: { code: "quota_exhausted", retryAt: at + minute },
      alive: expect.stringContaining("2 tries failed (10 of 10)") as string,
    });
  });

  it("paused: resume; without room, how to make it; without its files, how to give it up", () => {
    expect(next(paused())).toMatchObject({ path: "POST /v1/sessions/{id}/resume", body: {}, notBefore: null });
    const setback = (code: string) => paused({ setback: { code, message: "no snapshot s-1", at } });
    expect(next(setback("quota_exhausted"))?.path).toBe("GET /v1/sessions");
    expect(next(setback("budget_spent"))?.path).toBe("GET /v1/usage");
    expect(next(setback("snapshot_missing"))?.path).toBe("DELETE /v1/sessions/{id}");
    expect(next(setback("snapshot_damaged"))?.path).toBe("DELETE /v1/sessions/{id}");
    expect(about(setback("snapshot_missing")).alive).toContain("The last try to start it failed: no snapshot s-1.");
    expect(next(setback("provision_timeout"))?.path).toBe("POST /v1/sessions/{id}/resume");
  });

  it("lost: rebuild, and from when on; what it will begin with", () => {
    expect(next(lost())).toMatchObject({ path: "POST /v1/sessions/{id}/rebuild", body: { confirm: true } });
    expect(next(lost())?.why).toContain("empty");
    expect(next(lost({ snapshot }))?.why).toContain("with what is saved");
    const unproven = stopping({ certainExpiry: at + minute });
    expect(next(lost({ newest: unproven }))).toMatchObject({
      path: "POST /v1/sessions/{id}/rebuild",
      notBefore: at + minute + policy.stopGraceMs + policy.alarmSlipMs,
    });
    const full = lost({ newest: stopping(parked), ghosts: [ghost, ghost, ghost] });
    expect(next(full)).toMatchObject({ path: "POST /v1/admin/sessions/{id}/resolve", access: "admin" });
  });

  it("a resume behind a stop that cannot be proven: wait, or, past the bound of ghosts, an operator", () => {
    const queued = (changes: Partial<Session>) =>
      paused({
        newest: stopping(parked),
        desired: { type: "suspended", cause: "pause", since: at - hour, resumeQueued: true },
        ...changes,
      });
    expect(next(queued({}))).toMatchObject({ path: "GET /v1/sessions/{id}" });
    expect(next(queued({ ghosts: [ghost, ghost, ghost] }))).toMatchObject({
      path: "POST /v1/admin/sessions/{id}/resolve",
      body: { action: "retry_stop" },
    });
  });

  it("ending and parked: what only an operator can do, from when on; ended: the receipt and another", () => {
    const stuck = terminated({ newest: stopping({ ...parked, certainExpiry: at + minute }) });
    expect(next(stuck)).toMatchObject({ path: "POST /v1/admin/sessions/{id}/resolve", body: { action: "retry_stop" } });
    const asserting = about(stuck).others.find((call) => call.body?.["action"] === "assert_absent");
    expect(asserting?.notBefore).toBe(at + minute + policy.stopGraceMs + policy.alarmSlipMs);
    expect(about(terminated()).others.map((call) => call.why)).toEqual(["This is its receipt."]);
    expect(next(terminated())?.path).toBe("POST /v1/sessions");
  });

  it("a ghost beside a healthy session: shown, with the operator's call, and not what the client is to do", () => {
    const said = about(session({ ghosts: [ghost] }));
    expect(said.sandboxes).toMatchObject([
      { generation: ghostly, ghost: true, phase: "stopping", says: expect.stringContaining("used up") as string },
      { generation: newest, ghost: false, phase: "held" },
    ]);
    expect(said.next?.access).toBe("tenant");
    expect(paths(said.others)).toContain("POST /v1/admin/sessions/{id}/resolve");
  });

  it("without an adapter: says so, and whose move it is", () => {
    const said = about(session({ newest: held() }), { adapterMissing: true });
    expect(said.blocked).toMatchObject({ code: "adapter_missing", says: expect.stringContaining("memory") as string });
    expect(paths(said.others)).toContain("GET /v1/admin/sessions/{id}");
  });

  it.each(["the host is away", "The host is away."])(
    "is punctuated as prose is, whatever the errors in it end with: %s",
    (words) => {
      const setback = { code: "provision_timeout", message: words, at };
      const failing = (code: string) =>
        provisioning({
          failures: 2,
          step: { type: "waiting", notBefore: at + minute },
          lastError: { code, message: words, at },
        });
      const states = [
        ...everySession().map((sample) => sample.session),
        ...[session({ setback }), paused({ setback }), lost({ setback, snapshot })],
        ...[...waitingCodes, "restoring", "insufficient_space", "provider_error"].map(failing),
        session({ pauseTries: { since: at - minute, tries: 2, notBefore: at + minute, error: words } }),
        session({ newest: held({ failures: 1 }) }),
        session({ newest: held({ failures: 3 }) }),
      ];
      for (const state of states) {
        for (const adapterMissing of [false, true]) {
          const told = about(withWords(state, words), { adapterMissing, queuedJobs: 1 });
          const calls = told.next === null ? told.others : [told.next, ...told.others];
          const said = [
            told.summary,
            told.blocked?.says ?? "It is not blocked.",
            ...told.clocks.flatMap(({ does, says }) => [`It does: ${does}.`, says]),
            ...told.sandboxes.map(({ says }) => says),
            ...calls.map(({ why }) => why),
          ];
          for (const text of said) {
            // Two stops, a stop within brackets, nothing between, a sentence that begins small, a sentence in three parts.
            expect(text).not.toMatch(/[.,;:]\s*[.,;:]|\.\)|\s[.,;:)]|\s{2}|[.!?] [a-z]|;[^.]*;/);
            expect(text).toMatch(/^[A-Z].*[.!?]$/s);
          }
        }
      }
    },
  );

  it("is the same twice, and ends with what is over", () => {
    const state = lost({ newest: closed(), endAt: at + second });
    expect(about(state)).toEqual(about(state));
    expect(about(state).nextClock?.dueAt).toBe(expiresAt(state, policy));
  });
});

const waitingCodes = ["no_capacity", "quota_exhausted", "budget_spent", "unavailable"];

/** The same session with these words wherever something failed. */
function withWords<T>(value: T, words: string): T {
  if (Array.isArray(value)) return value.map((each: unknown) => withWords(each, words)) as T;
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).map(([name, each]: [string, unknown]) => [
    name,
    typeof each === "string" && ["message", "error", "lastError", "failure"].includes(name)
      ? words
      : withWords(each, words),
  ]);
  return Object.fromEntries(fields) as T;
}

function dueOf(state: Session, name: ClockName): number | null {
  const works =
    name === "idle" && state.activity.activeJobs > 0 && at < state.activity.reportedAt + policy.staleActivityMs;
  return works ? null : clocks[name].dueAt(state, policy);
}
