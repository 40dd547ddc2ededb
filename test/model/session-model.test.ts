/**
 * The machine against a model of a few facts: which sandboxes exist, what was asked for last, what was ever minted. A random
 * hand asks, breaks, delays, repeats and waits; after every move the facts must agree. Then the provider is well again, and
 * everything must come to rest.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { moveViolations, stateViolations } from "../../src/domain/machine/invariants.ts";
import type { Closed } from "../../src/domain/state/lease.ts";
import { nextDeadline } from "../../src/domain/rules/reconcile.ts";
import { openLeases, type Session } from "../../src/domain/state/session.ts";
import { statusOf } from "../../src/domain/rules/status.ts";
import type { Generation } from "../../src/domain/state/ids.ts";
import type { SessionEvent } from "../../src/domain/machine/events.ts";
import { aboutLease } from "../support/every-event.ts";
import { at, hour, minute, policy, second } from "../support/sessions.ts";
import { TinyWorld, type Change, type Fault } from "./tiny-world.ts";

/** All that the model knows. Its methods throw on the first fact that does not agree. */
class Model {
  highest = 0;
  ended: { readonly reason: string; readonly at: number } | null = null;
  /** Stops begun, and those that an operator or a withdrawn assertion allowed on top. */
  readonly kills = new Map<Generation, number>();
  readonly rounds = new Map<Generation, number>();
  readonly closed = new Set<Generation>();

  watch = ({ event, before, moved }: Change): void => {
    const after = moved.session;
    const wrong = [...stateViolations(after, policy), ...moveViolations(before, after, policy)];
    if (wrong.length > 0) throw new Error(`${event.type}: ${wrong.join("; ")}`);
    this.#opened(before, after);
    this.#closed(event, before, moved);
    this.#stops(event, before, after);
    this.#end(after);
  };

  /** I2: what opens was never open before, and is above all that was. */
  #opened(before: Session, after: Session): void {
    const known = new Set(openLeases(before).map((lease) => lease.generation));
    for (const { generation, phase } of openLeases(after)) {
      if (known.has(generation)) continue;
      if (generation <= this.highest) throw new Error(`generation ${generation} opened after ${this.highest}`);
      if (this.ended !== null && phase !== "stopping") throw new Error("an ended session launched");
      this.highest = generation;
    }
  }

  /** I3: by two absent looks after the retirement, begun after the last effect settled; by nothing else. */
  #closed(event: SessionEvent, before: Session, { session: after, effects }: Change["moved"]): void {
    const open = new Set(openLeases(after).map((lease) => lease.generation));
    const gone = openLeases(before).filter((lease) => !open.has(lease.generation));
    for (const { generation } of gone) {
      if (event.type !== "stopFinished" && event.type !== "probeFinished")
        throw new Error(`${event.type} closed a lease`);
      const stored = effects.find((effect) => effect.type === "storeReceipt")?.lease;
      const receipt = [after.newest, stored].find(
        (lease): lease is Closed => lease?.phase === "closed" && lease.generation === generation,
      )?.receipt;
      if (receipt === undefined) throw new Error(`generation ${generation} vanished without a receipt`);
      const [first, second_] = receipt.observations.slice(-2);
      if (first?.answer !== "absent" || second_?.answer !== "absent")
        throw new Error("closed without two absent looks");
      if (second_.beganAt - first.beganAt < policy.absenceLookGapMs)
        throw new Error("closed by two looks of one instant");
      if (first.beganAt < event.settledAt || first.beganAt < receipt.retired.at)
        throw new Error("closed by an old look");
      this.closed.add(generation);
    }
  }

  /** I7: eight stops, and eight more for each new round that somebody answered for. */
  #stops(event: SessionEvent, before: Session, after: Session): void {
    if (event.type === "stopStarted") this.kills.set(event.generation, (this.kills.get(event.generation) ?? 0) + 1);
    if (event.type === "stopRetryRequested") this.#newRound(event.generation);
    if (event.type === "probeFinished") {
      const asserted = (of: Session) =>
        of.ghosts.find((ghost) => ghost.generation === event.generation)?.assertion ?? null;
      if (asserted(before) !== null && asserted(after) === null) this.#newRound(event.generation);
    }
    for (const [generation, count] of this.kills) {
      if (count > policy.stopAttempts * (1 + (this.rounds.get(generation) ?? 0)))
        throw new Error(`generation ${generation} was stopped ${count} times`);
    }
  }

  #newRound(generation: Generation): void {
    this.rounds.set(generation, (this.rounds.get(generation) ?? 0) + 1);
  }

  /** I10. */
  #end({ desired }: Session): void {
    if (this.ended === null) {
      if (desired.type === "terminated") this.ended = { reason: desired.reason, at: desired.at };
      return;
    }
    if (desired.type !== "terminated" || desired.reason !== this.ended.reason || desired.at !== this.ended.at)
      throw new Error("an end was taken back or rewritten");
  }
}

type Action =
  | { readonly do: "ask"; readonly event: SessionEvent }
  | {
      readonly do: "operate";
      readonly what: "stopRetryRequested" | "absenceAsserted" | "probeRequested";
      readonly pick: number;
    }
  | { readonly do: "step"; readonly pick: number; readonly fault: Fault }
  | { readonly do: "deliver"; readonly pick: number; readonly again: boolean }
  | { readonly do: "oldNews"; readonly pick: number; readonly back: number }
  | { readonly do: "die"; readonly pick: number }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "alarm" }
  /** The same fault for a while: an outage, or a good time. */
  | { readonly do: "drive"; readonly rounds: number; readonly fault: Fault };

const pick = fc.nat(30);
const asked: readonly SessionEvent[] = [
  { type: "pauseRequested" },
  { type: "resumeRequested", timeoutMs: hour },
  { type: "rebuildRequested" },
  { type: "timeoutSet", kind: "timeout", durationMs: 10 * minute },
  { type: "timeoutSet", kind: "refresh", durationMs: hour },
  { type: "activityNoted", activeJobs: 1 },
  { type: "ghostNeeded" },
];

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("step" as const),
      pick,
      fault: fc.constantFrom<Fault>("ok", "ok", "ok", "nothing", "lost", "hang", "haunted"),
    }),
  },
  { weight: 6, arbitrary: fc.constant<Action>({ do: "alarm" }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("ask" as const), event: fc.constantFrom(...asked) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("deliver" as const), pick, again: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      ms: fc.constantFrom(second, 20 * second, 2 * minute, 10 * minute, 2 * hour),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("oldNews" as const),
      pick: fc.nat(60),
      back: fc.integer({ min: -1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("die" as const), pick }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("operate" as const),
      what: fc.constantFrom("stopRetryRequested" as const, "absenceAsserted" as const, "probeRequested" as const),
      pick,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("drive" as const),
      rounds: fc.integer({ min: 1, max: 30 }),
      fault: fc.constantFrom<Fault>("ok", "nothing", "lost", "hang"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constant<Action>({
      do: "ask",
      event: { type: "terminateRequested", reason: "requested", failure: null },
    }),
  },
);

function perform(world: TinyWorld, each: Action): void {
  switch (each.do) {
    case "ask":
      world.tell(each.event);
      return;
    case "operate": {
      const leases = openLeases(world.session);
      const lease = leases[each.pick % Math.max(1, leases.length)];
      if (lease === undefined) return;
      const { generation } = lease;
      if (each.what === "absenceAsserted") world.tell({ type: each.what, generation, by: "ann", reason: "I know" });
      else world.tell({ type: each.what, generation });
      return;
    }
    case "step": {
      const steps = world.steps();
      const step = steps[each.pick % Math.max(1, steps.length)];
      if (step !== undefined && step.type !== "erase") world.run(step, each.fault);
      return;
    }
    case "deliver":
      world.deliver(each.pick, each.again);
      return;
    case "oldNews": {
      // Of a generation that is not open: behind, or one that was never minted.
      const of = (world.session.nextGeneration - 1 - each.back) as Generation;
      if (world.accounted().has(of)) return;
      const news = aboutLease(of);
      const event = news[each.pick % news.length];
      if (event !== undefined && world.tell(event).type === "moved")
        throw new Error(`old news moved it: ${event.type}`);
      return;
    }
    case "die": {
      const alive = world.alive();
      const victim = alive[each.pick % Math.max(1, alive.length)];
      if (victim !== undefined) world.die(victim);
      return;
    }
    case "wait":
      world.pass(each.ms);
      return;
    case "alarm":
      world.toDeadline();
      return;
    case "drive":
      for (let round = 0; round < each.rounds; round += 1) {
        const [step] = world.steps();
        if (step === undefined) world.toDeadline();
        else if (step.type !== "erase") world.run(step, each.fault);
      }
      return;
  }
}

/** The promise itself, and I5. */
function checkFacts(world: TinyWorld): void {
  const accounted = world.accounted();
  for (const generation of world.alive()) {
    if (!accounted.has(generation)) throw new Error(`generation ${generation} lives and no lease says so`);
  }
  const { session } = world;
  // I2: whatever was replaced without a proof can no longer act.
  const acting = world.alive().filter((generation) => generation !== session.newest?.generation);
  if (acting.length > 0) throw new Error(`generation ${acting.join()} may act beside its successor`);
  const finished = session.desired.type === "terminated" && accounted.size === 0;
  if (!finished && nextDeadline(session, policy) === null)
    throw new Error(`nothing says when to look again: ${statusOf(session)}`);
}

/** The provider is well: every step is carried out at once, and time goes on from deadline to deadline. */
function settle(world: TinyWorld, until: () => boolean): void {
  for (let round = 0; round < 3_000 && !until(); round += 1) {
    const [step] = world.steps();
    if (step === undefined) world.toDeadline();
    else world.run(step, "ok");
    checkFacts(world);
  }
  if (!until()) throw new Error(`it does not come to rest: ${statusOf(world.session)}`);
}

function explore(actions: readonly Action[], lifecycle: Session["lifecycle"]): { world: TinyWorld; model: Model } {
  const model = new Model();
  const world = new TinyWorld(model.watch, lifecycle);
  for (const each of actions) {
    perform(world, each);
    checkFacts(world);
  }
  return { world, model };
}

const actions = fc.array(action, { maxLength: 60, size: "max" });
const lifecycle = fc.record({
  onTimeout: fc.constantFrom("kill" as const, "pause" as const),
  onLoss: fc.constantFrom("hold" as const, "relaunch" as const, "terminate" as const),
});

function resting({ session }: TinyWorld): boolean {
  const status = statusOf(session);
  return ["running", "paused", "lost", "terminated", "failed"].includes(status) && session.ghosts.length === 0;
}

describe("a session under a random hand", () => {
  it("keeps every invariant after every move, and no sandbox lives without a lease [LEA-1] [LEA-2] [LEA-13] [LEA-18]", () => {
    fc.assert(
      fc.property(actions, lifecycle, (sequence, how) => void explore(sequence, how)),
      { numRuns: 3_000 },
    );
  });

  it("comes to rest by itself once the provider answers, whatever happened before [LEA-13] [I5]", () => {
    fc.assert(
      fc.property(actions, lifecycle, (sequence, how) => {
        const { world } = explore(sequence, how);
        settle(world, () => resting(world));
        // Every one that is alive is the one that is held.
        expect(world.alive().length).toBeLessThanOrEqual(statusOf(world.session) === "running" ? 1 : 0);
      }),
      { numRuns: 1_000 },
    );
  });

  it("ends when it is asked to: nothing is left, with a receipt for every lease, and then its rows go [LEA-13]", () => {
    fc.assert(
      fc.property(actions, lifecycle, (sequence, how) => {
        const { world, model } = explore(sequence, how);
        world.tell({ type: "terminateRequested", reason: "requested", failure: null });
        settle(world, () => world.erased);
        expect(world.alive()).toEqual([]);
        expect(
          openLeases(world.session).filter((lease) => lease.phase !== "stopping" || lease.assertion === null),
        ).toEqual([]);
        for (const generation of world.retired)
          expect(model.closed.has(generation) || world.accounted().has(generation)).toBe(true);
        // A call that hung all the while lands now: it starts nothing and moves nothing back.
        while (world.pending.length > 0) world.deliver(0, false);
        expect(world.alive()).toEqual([]);
        expect(world.now).toBeGreaterThanOrEqual(at + policy.retentionMs);
      }),
      { numRuns: 1_000 },
    );
  });

  it("reaches, by that hand, every status and every kind of work: the hand is not too gentle", () => {
    const seen = new Set<string>();
    for (const sequence of fc.sample(actions, { numRuns: 600, seed: 7 })) {
      const world = new TinyWorld(
        ({ event, moved }) => {
          seen.add(event.type).add(statusOf(moved.session));
          for (const lease of openLeases(moved.session)) if (lease.phase === "stopping") seen.add(lease.step.type);
          if (moved.session.ghosts.length > 0) seen.add("ghost");
        },
        { onTimeout: "pause", onLoss: "relaunch" },
      );
      for (const each of sequence) perform(world, each);
    }
    for (const what of [
      "provisioning",
      "running",
      "recovering",
      "pausing",
      "paused",
      "lost",
      "terminating",
      "terminated",
      "failed",
    ]) {
      expect(seen).toContain(what);
    }
    for (const what of [
      "parked",
      "ghost",
      "orphanFound",
      "saveSucceeded",
      "saveFailed",
      "absenceAsserted",
      "stopRetryRequested",
      "probeFinished",
    ]) {
      expect(seen).toContain(what);
    }
  });
});
