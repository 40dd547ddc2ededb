import { describe, expect, it } from "vitest";
import { clocks } from "../../../src/domain/rules/clocks.ts";
import { chargeFor, costReachedAt, nanosPerUnit, spentBy } from "../../../src/domain/rules/price.ts";
import { noBudget, type Session } from "../../../src/domain/state/session.ts";
import { transition } from "../../../src/domain/machine/transition.ts";
import type { SessionEvent } from "../../../src/domain/machine/events.ts";
import {
  attempt,
  at,
  held,
  hour,
  minute,
  newest,
  policy,
  second,
  session,
  snapshot as sample,
} from "../../support/sessions.ts";

/** A thousandth of the currency a second. */
const rate = nanosPerUnit / 1_000;

function priced(maxCost: number | null): Session {
  const terms = { ttlMs: policy.leaseTtlMs, stopGraceMs: policy.stopGraceMs, nanosPerSecond: rate };
  const maxNanos = maxCost === null ? null : maxCost * nanosPerUnit;
  const endAt = at + 5 * hour;
  return session({
    endAt,
    warnedOfEnd: endAt,
    budget: { ...noBudget, maxNanos },
    newest: held({ heldAt: at, acceptedSentAt: at + 5 * hour, terms }),
  });
}

function move(before: Session, event: SessionEvent, now: number): { session: Session; notes: string[] } {
  const outcome = transition(before, event, { now, policy });
  if (outcome.type !== "moved") throw new Error(`${event.type}: ${outcome.type}`);
  const notes = outcome.effects.flatMap((effect) => (effect.type === "note" ? [effect.note.type] : []));
  return { session: outcome.session, notes };
}
const passed = { type: "timePassed", jitter: 0.5, rule: "due_clock" } as const;

describe("a clock in money", () => {
  it("[EVI-3] counts from the moment it is held, by the price of its launch", () => {
    const one = priced(0.5);
    expect(spentBy(one, at)).toBe(0);
    expect(spentBy(one, at + 90 * second)).toBe(90 * rate);
    expect(clocks.budget.dueAt(one)).toBe(at + 500 * second);
    expect(costReachedAt({ ...one, budget: { ...one.budget, spentNanos: 100 * rate } }, 500 * rate)).toBe(
      at + 400 * second,
    );
    expect(clocks.budget.dueAt(priced(null))).toBeNull();
    expect(chargeFor(1, 999)).toBe(0);
  });

  it("[EVI-3] is overrun by one renewal's worth at most, however late the session comes to look", () => {
    const ttl = policy.leaseTtlMs;
    for (const lateMs of [0, 1, second, minute, ttl, hour, 20 * hour])
      // The last renewal before the outage: long ago, or in the very moment in which the budget was used up.
      for (const before of [0, second, minute, ttl]) {
        const due = at + 500 * second;
        const terms = { ttlMs: ttl, stopGraceMs: policy.stopGraceMs, nanosPerSecond: rate };
        const lease = held({ heldAt: at, acceptedSentAt: due - before, acceptedTtlMs: ttl, terms });
        const spent = move({ ...priced(0.5), newest: lease }, passed, due + lateMs).session;
        const cost = spentBy(spent, due + lateMs + hour);
        expect(cost - 500 * rate, `${lateMs} ms late`).toBeLessThanOrEqual(chargeFor(ttl, rate));
        expect(cost, `${lateMs} ms late`).toBe(500 * rate + chargeFor(Math.min(lateMs, ttl - before), rate));
      }
  });

  it("[EVI-4] tells before, once, and again after the budget was raised", () => {
    const due = at + 400 * second;
    const warned = move(priced(0.5), passed, due);
    expect(warned.notes).toEqual(["budget_warning"]);
    expect(clocks.budget_warning.dueAt(warned.session, policy)).toBeNull();
    const raised = move(warned.session, { type: "budgetSet", maxNanos: nanosPerUnit }, due + second);
    expect(raised.notes).toEqual(["budget_set"]);
    expect(clocks.budget_warning.dueAt(raised.session, policy)).toBe(at + 800 * second);
  });

  it("[EVI-4] pauses with its files when it is used up, and charges nothing for the save", () => {
    const due = at + 500 * second;
    const spent = move(priced(0.5), passed, due);
    expect(spent.session.desired).toMatchObject({ type: "suspended", cause: "pause", by: "clock:budget" });
    expect(spent.session.newest).toMatchObject({ phase: "held", gate: { type: "draining", for: "pause" } });
    expect(spentBy(spent.session, due + 10 * minute)).toBe(500 * rate);
    const draining = move(
      spent.session,
      { type: "drainStarted", generation: newest, attemptId: attempt("drain") },
      due + second,
    );
    const saving = move(
      draining.session,
      { type: "drained", generation: newest, attemptId: attempt("drain"), saveAttemptId: attempt("save") },
      due + 2 * second,
    );
    const snapshot = { ...sample, takenAt: due, generation: newest };
    const saved = move(
      saving.session,
      { type: "saveSucceeded", generation: newest, attemptId: attempt("save"), snapshot },
      due + minute,
    );
    expect(saved.session.newest).toMatchObject({ phase: "stopping", reason: "paused", cause: { by: "clock:budget" } });
    expect(saved.session.newest).toMatchObject({ charge: { ms: 500 * second, nanos: 500 * rate } });
    expect(saved.session.budget.spentNanos).toBe(500 * rate);
    // It starts nothing more until there is more to spend.
    const asked = { type: "resumeRequested", timeoutMs: minute } as const;
    expect(transition(saved.session, asked, { now: due + 2 * minute, policy })).toMatchObject({ type: "rejected" });
    const raised = move(saved.session, { type: "budgetSet", maxNanos: nanosPerUnit }, due + 2 * minute);
    expect(transition(raised.session, asked, { now: due + 2 * minute, policy })).toMatchObject({ type: "moved" });
  });

  it("[EVI-4] is not resumed while it is saved for its budget: what runs on would be ended, and its files lost", () => {
    const due = at + 500 * second;
    const asked = { type: "resumeRequested", timeoutMs: minute } as const;
    for (const spent of [priced(0.5), move(priced(null), { type: "tenantBudgetSpent" }, due).session]) {
      const pausing = move(spent, passed, due).session;
      expect(pausing.desired).toMatchObject({ by: "clock:budget" });
      expect(transition(pausing, asked, { now: due + second, policy })).toMatchObject({ type: "rejected" });
    }
    // With more to spend it runs on.
    const raised = move(move(priced(0.5), passed, due).session, { type: "budgetSet", maxNanos: nanosPerUnit }, due);
    expect(move(raised.session, asked, due + second).session.desired).toMatchObject({ type: "running" });
  });

  it("[EVI-4] ends with the reason budget when it cannot be saved, after one try", () => {
    const due = at + 500 * second;
    const spent = move(priced(0.5), passed, due);
    const draining = move(
      spent.session,
      { type: "drainStarted", generation: newest, attemptId: attempt("drain") },
      due,
    );
    const failed = move(
      draining.session,
      { type: "drainFailed", generation: newest, attemptId: attempt("drain"), why: "no store" },
      due + second,
    );
    expect(failed.notes).toContain("setback");
    const ended = move(failed.session, passed, due + 2 * second);
    expect(ended.session.desired).toMatchObject({ type: "terminated", reason: "budget" });
    expect(ended.notes).toContain("contents_lost");
  });

  it("[EVI-4] the tenant's own budget does the same to every sandbox that costs something", () => {
    const told = move(priced(null), { type: "tenantBudgetSpent" }, at + second);
    expect(clocks.budget.dueAt(told.session)).toBe(at + second);
    expect(move(told.session, passed, at + 2 * second).session.desired).toMatchObject({ by: "clock:budget" });
    const free = session({ newest: held() });
    expect(transition(free, { type: "tenantBudgetSpent" }, { now: at, policy })).toMatchObject({ type: "ignored" });
  });
});
