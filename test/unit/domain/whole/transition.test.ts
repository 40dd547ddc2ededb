import { describe, expect, it } from "vitest";
import { moveViolations, stateViolations } from "../../../../src/domain/machine/invariants.ts";
import { openLeases } from "../../../../src/domain/state/session.ts";
import { transition } from "../../../../src/domain/machine/transition.ts";
import type { SessionEvent } from "../../../../src/domain/machine/events.ts";
import type { Outcome } from "../../../../src/domain/machine/outcome.ts";
import { everyEvent, eventTypes, isAboutLease } from "../../../support/every-event.ts";
import { at, everySession, hour, minute, policy, saidWhy, second, type Sample } from "../../../support/sessions.ts";

const samples = everySession();
/** Before anything is due, at the present, past every bound, past every clock. */
const instants = [at - 10 * minute, at, at + 2 * minute, at + 6 * minute, at + 30 * hour];

interface Trial {
  readonly sample: Sample;
  readonly event: SessionEvent;
  readonly outcome: Outcome;
  readonly label: () => string;
}

function* trials(): Generator<Trial> {
  for (const sample of samples) {
    for (const event of everyEvent) {
      for (const now of instants) {
        const label = () => `${sample.name} / ${JSON.stringify(event).slice(0, 160)} / at ${(now - at) / second} s`;
        yield { sample, event, outcome: transition(sample.session, event, { now, policy }), label };
      }
    }
  }
}

/** One assertion over some ten thousand trials: what was wrong, and where first. */
function expectNothingWrong(judge: (trial: Trial) => readonly string[]): void {
  const wrong: string[] = [];
  for (const trial of trials()) {
    for (const what of judge(trial)) if (wrong.length < 10) wrong.push(`${what}: ${trial.label()}`);
  }
  expect(wrong).toEqual([]);
}

describe("the transition table", () => {
  it("is tried in every cell: each desired × phase with each type of event", () => {
    expect(new Set(samples.map(({ desired, phase }) => `${desired} × ${phase}`)).size).toBe(20);
    expect(new Set(everyEvent.map(({ type }) => type))).toEqual(new Set(eventTypes));
    const moved = new Set<string>();
    for (const { event, outcome } of trials()) if (outcome.type === "moved") moved.add(event.type);
    // Neither look is more than evidence beside a stop; everything else is of use somewhere.
    expect(eventTypes.filter((type) => !moved.has(type))).toEqual(["observedPresent", "observedUnknown"]);
  });

  it("starts from states in which every invariant holds", () => {
    for (const { name, session, reachable } of samples) {
      if (reachable) expect(stateViolations(session, policy), name).toEqual([]);
    }
  });

  it("answers every event in every state, and says why when nothing moves [LEA-3] [LEA-21]", () => {
    expectNothingWrong(({ outcome }) => {
      if (outcome.type === "moved") return [];
      if ("session" in outcome) return ["a state beside a refusal"];
      return saidWhy(outcome).length > 8 ? [] : ["no reason given"];
    });
  });

  it("never writes into the state it was given: an event that does not fit leaves it identical [LEA-3]", () => {
    // The samples are frozen all the way down, so a write throws; this shows that the freeze is real.
    for (const { session } of samples) expect(Object.isFrozen(session.desired)).toBe(true);
    const before = JSON.stringify(samples);
    expectNothingWrong(() => []);
    expect(JSON.stringify(samples)).toBe(before);
  });

  it("never moves from a sound state to one that breaks an invariant [LEA-1] [LEA-2]", () => {
    expectNothingWrong(({ sample, outcome }) =>
      outcome.type === "moved" && sample.reachable
        ? [...stateViolations(outcome.session, policy), ...moveViolations(sample.session, outcome.session, policy)]
        : [],
    );
  });

  it("moves nothing on news of a generation that is not open, however well its attempt or sequence fits [LEA-8]", () => {
    expectNothingWrong(({ sample, event, outcome }) => {
      if (outcome.type !== "moved" || !isAboutLease(event) || event.type === "reservationCancelled") return [];
      const open = openLeases(sample.session).some((lease) => lease.generation === event.generation);
      return open ? [] : ["an old result moved it"];
    });
  });

  it("touches no lease but the one an event is about [LEA-8]", () => {
    expectNothingWrong(({ sample, event, outcome }) => {
      if (outcome.type !== "moved" || !isAboutLease(event)) return [];
      const others = openLeases(sample.session).filter((lease) => lease.generation !== event.generation);
      return others.every((lease) => openLeases(outcome.session).includes(lease)) ? [] : ["another lease moved"];
    });
  });
});
