/** What is found running although no lease is open for it, where the session's place is free and where a newer lease is open. */
import { describe, expect, it } from "vitest";
import type { Generation } from "../../../../src/domain/state/ids.ts";
import { moveViolations, stateViolations } from "../../../../src/domain/machine/invariants.ts";
import type { Stopping } from "../../../../src/domain/state/lease.ts";
import { reconcile } from "../../../../src/domain/rules/reconcile.ts";
import { generation } from "../../../support/reports.ts";
import {
  apply,
  asserted,
  at,
  attempt,
  candidate,
  closed,
  ghostly,
  goneEvidence,
  held,
  hour,
  launching,
  look,
  lost,
  move,
  moveWith,
  newest,
  noted,
  parked,
  policy,
  provisioning,
  session,
  stopping,
  terminated,
  when,
} from "../../../support/sessions.ts";

function ghost(of: Generation, changes: Partial<Stopping> = {}): Stopping {
  return stopping({ ...parked, generation: of, ...changes });
}

describe("something found where no lease is open", () => {
  const found = (of: Generation, answer: "present" | "absent" | "unknown" = "present") =>
    ({ type: "orphanFound", candidate: candidate(of), observation: look(answer, 0, candidate(of)) }) as const;

  it("is stopped like any other, whatever the session wants; its end stays as it was [I10]", () => {
    const state = terminated();
    const moved = moveWith(state, found(newest));
    expect(moved.session.desired).toEqual(state.desired);
    expect(moved.session.newest).toEqual({
      ...stopping({
        reason: "orphaned",
        requestedAt: at,
        certainExpiry: at + policy.launchCallMs + 2 * policy.leaseTtlMs,
        observations: [look("present", 0)],
        cause: { by: "client", terminateReason: "requested" },
      }),
      host: look("present", 0).host,
      openedAt: at,
    });
    expect(noted(moved)).toEqual(["orphan_found"]);
    const reaped = move(
      move(moved.session, { type: "stopStarted", generation: newest, attemptId: attempt("x") }),
      { type: "stopFinished", generation: newest, attemptId: attempt("x"), ...goneEvidence(), error: null, jitter: 0 },
      when(hour),
    );
    expect(reaped.desired).toEqual(state.desired);
    expect(reaped.newest?.phase).toBe("closed");
    expect(reaped.alive).toEqual(state.alive);
  });

  it("makes the next opening mint above it [LEA-2]", () => {
    const state = provisioning({ candidate: candidate(generation(8)) }, { nextGeneration: generation(8) });
    const after = move(state, found(generation(8)));
    expect(after.nextGeneration).toBe(generation(9));
    expect(after.desired).toMatchObject({
      provision: { candidate: null, failures: 1, step: { type: "waiting", notBefore: at } },
    });
    expect(after.cancellations).toEqual([]);
    expect(move(state, found(newest)).nextGeneration).toBe(generation(8));
  });

  it("in another generation than the opening's gives that one's reservation back", () => {
    const state = provisioning({ candidate: candidate(generation(6)) }, { nextGeneration: generation(7) });
    expect(move(state, found(newest)).cancellations).toEqual([generation(6)]);
  });

  it("is nobody's news when nothing was seen, or when a lease is open for it", () => {
    expect(apply(terminated(), found(newest, "absent"))).toEqual({ type: "ignored", why: "nothing was found" });
    expect(apply(terminated(), found(newest, "unknown")).type).toBe("ignored");
    expect(apply(session({ newest: held() }), found(newest)).type).toBe("ignored");
    expect(apply(session({ newest: held(), ghosts: [ghost(ghostly)] }), found(ghostly)).type).toBe("ignored");
    expect(apply(lost({ newest: null, ghosts: [ghost(ghostly)] }), found(ghostly)).type).toBe("ignored");
    expect(apply(lost({ newest: null, ghosts: [ghost(ghostly)] }), found(asserted)).type).toBe("moved");
  });
});

describe("something found of an older generation than the session's newest", () => {
  const found = (of: Generation, answer: "present" | "absent" | "unknown" = "present") =>
    ({ type: "orphanFound", candidate: candidate(of), observation: look(answer, 0, candidate(of)) }) as const;
  const places = {
    launching: provisioning({}, { newest: launching() }),
    held: session(),
    stopping: provisioning({}, { newest: stopping() }),
    closed: lost({ newest: closed() }),
    "held with ghosts around it": session({ ghosts: [ghost(generation(1)), ghost(asserted)] }),
    "held with all the ghosts there may be": session({
      ghosts: [ghost(generation(1)), ghost(asserted), ghost(generation(4))],
    }),
    terminated: terminated(),
  };

  it.each(Object.entries(places))(
    "(%s) is stopped as a ghost of its own; the newest is not touched [I6] [I11]",
    (_, state) => {
      const moved = moveWith(state, found(ghostly));
      expect(moved.session.newest).toEqual(state.newest);
      expect(moved.session.desired).toEqual(state.desired);
      expect(moved.session.alive).toEqual(state.alive);
      expect(moved.session.ghosts.map((each) => each.generation)).toEqual(
        [...state.ghosts.map((each) => each.generation), ghostly].toSorted((a, b) => a - b),
      );
      const adopted = moved.session.ghosts.find((each) => each.generation === ghostly);
      expect(adopted).toMatchObject({
        phase: "stopping",
        reason: "orphaned",
        step: { type: "waiting", nextAttemptAt: at },
      });
      expect(noted(moved)).toEqual(["orphan_found"]);
      expect([...stateViolations(moved.session, policy), ...moveViolations(state, moved.session, policy)]).toEqual([]);
      expect(reconcile(moved.session, at, policy)).toContainEqual({ type: "stop", generation: ghostly });
    },
  );

  it("closes by proof, with a receipt of its own", () => {
    const adopted = move(session(), found(ghostly));
    const attemptId = attempt("stop-1");
    const evidence = goneEvidence(0, candidate(ghostly));
    const moved = moveWith(move(adopted, { type: "stopStarted", generation: ghostly, attemptId }), {
      type: "stopFinished",
      generation: ghostly,
      attemptId,
      ...evidence,
      error: null,
      jitter: 0,
    });
    expect(moved.session).toEqual(session());
    expect(moved.effects).toContainEqual({
      type: "storeReceipt",
      lease: expect.objectContaining({ generation: ghostly, phase: "closed" }) as unknown,
    });
  });

  it("that only somebody's look did not see changes nothing; nor does what is newer than the open lease, but its number is passed", () => {
    for (const answer of ["absent", "unknown"] as const)
      expect(apply(session(), found(ghostly, answer)).type).toBe("ignored");
    const state = session();
    const after = move(state, found(generation(9)));
    expect(after).toEqual({ ...state, nextGeneration: generation(10) });
    expect(apply(state, found(generation(6))).type).toBe("ignored");
  });
});
