import { describe, expect, it } from "vitest";
import { containerId } from "../../../../src/domain/state/ids.ts";
import { moveViolations, stateViolations } from "../../../../src/domain/machine/invariants.ts";
import { desiredKey, openLeases, phaseKey, type Session } from "../../../../src/domain/state/session.ts";
import { generation } from "../../../support/reports.ts";
import {
  acting,
  asserted,
  at,
  candidate,
  closed,
  everySession,
  ghostly,
  held,
  launching,
  lost,
  newest,
  parked,
  paused,
  policy,
  provisioning,
  session,
  stopping,
  terminated,
} from "../../../support/sessions.ts";

const ghost = (count: number) => stopping({ ...parked, generation: generation(count) });
const state = (changes: Partial<Session>) => stateViolations(session(changes), policy);
const moved = (before: Session, after: Session) => moveViolations(before, after, policy);

describe("a stored state that cannot be sound is named", () => {
  it("when generations repeat, fall or could be minted again [LEA-2]", () => {
    const repeats = "I2: generations of the open leases do not increase";
    expect(state({ ghosts: [ghost(5)] })).toEqual([repeats]);
    expect(state({ ghosts: [ghost(6)] })).toEqual([repeats]);
    expect(state({ ghosts: [ghost(3), ghost(2)] })).toEqual([repeats]);
    expect(state({ nextGeneration: newest })).toEqual(["I2: a lease's generation could be minted again"]);
    expect(state({ nextGeneration: generation(6) })).toEqual([]);
  });

  it("when a sandbox id serves another generation, in a container of its own or in a shared one [I6]", () => {
    const elsewhere = { newest: held({ sandboxId: candidate(ghostly).sandboxId }) };
    for (const isolation of ["session", "shared"] as const)
      expect(state({ ...elsewhere, isolation })).toEqual(["I6: a sandbox id serves another generation"]);
  });

  it("when an isolated session is a member of a shared container [I6]", () => {
    const member = { newest: held({ container: containerId(candidate(ghostly).sandboxId) }) };
    expect(state({ ...member, isolation: "shared" })).toEqual([]);
    expect(state(member)).toEqual(["I6: an isolated session is a member of a shared container"]);
  });

  it("when what is wanted and what is held cannot be together [I10]", () => {
    const told = (of: Session) => stateViolations(of, policy);
    expect(told(terminated({ newest: held() }))).toEqual(["I10: a terminated session holds a lease"]);
    expect(told(terminated({ newest: launching() }))).toEqual(["I10: a launch that nobody wants"]);
    expect(told(lost({ newest: launching() }))).toEqual(["I10: a launch that nobody wants"]);
    expect(told(paused({ newest: held() }))).toEqual(["a suspended session holds an open lease"]);
    expect(told(provisioning({}, { newest: held() }))).toEqual(["a held session is still provisioning"]);
    expect(state({ newest: closed() })).toEqual(["I5: running is wanted and nothing is on the way"]);
    expect(state({ newest: null })).toContain("I5: running is wanted and nothing is on the way");
  });

  it("and every state that can be reached is sound", () => {
    for (const sample of everySession()) {
      if (sample.reachable) expect(stateViolations(sample.session, policy), sample.name).toEqual([]);
    }
  });
});

describe("a move that cannot be right is named", () => {
  it("when the creation time changes or the generation counter falls [CLK-5] [LEA-2]", () => {
    expect(moved(session(), session({ createdAt: at }))).toEqual(["CLK-5: created_at changed"]);
    expect(moved(session(), session({ nextGeneration: generation(6) }))).toEqual(["I2: the generation counter fell"]);
    expect(moved(session(), session({ nextGeneration: generation(9) }))).toEqual([]);
  });

  it("when an end is taken back or rewritten [I10]", () => {
    const ended = (changes: object) => {
      const before = terminated();
      return { ...before, desired: { ...before.desired, ...changes } } as Session;
    };
    expect(moved(terminated(), lost())).toEqual(["I10: a terminated session came back"]);
    expect(moved(terminated(), ended({ reason: "operator" }))).toEqual(["I10: the reason or time of an end changed"]);
    expect(moved(terminated(), ended({ at }))).toEqual(["I10: the reason or time of an end changed"]);
    expect(moved(terminated(), ended({ endedAt: at }))).toEqual(["I10: the time of an end changed"]);
    expect(moved(ended({ endedAt: null }), terminated())).toEqual([]);
  });

  it("when a lease closes without having been stopped, or without a proof [I3]", () => {
    expect(moved(session(), lost())).toEqual([`I3: generation ${newest} closed without having been stopped`]);
    const beside = { ghosts: [ghost(2)] };
    const vanished = [`I3: generation ${newest} closed without having been stopped`];
    expect(moved(session(beside), lost(beside))).toEqual(vanished);
    expect(moved(lost({ newest: stopping() }), lost())).toEqual([]);
    const receipt = closed();
    const unproven = {
      ...receipt,
      receipt: { ...receipt.receipt, verifiedAbsentAt: null },
    } as unknown as typeof receipt;
    expect(moved(lost({ newest: stopping() }), lost({ newest: unproven }))).toEqual(["I3: closed without a proof"]);
  });

  it("when a stop is taken back or begun twice [LEA-5]", () => {
    expect(moved(lost({ newest: stopping() }), session())).toEqual(["I7: a stop was taken back"]);
    const twice = stopping({ requestedAt: at });
    expect(moved(lost({ newest: stopping() }), lost({ newest: twice }))).toEqual(["LEA-5: a stop began twice"]);
    expect(moved(lost({ newest: stopping() }), lost({ newest: stopping(acting) }))).toEqual([]);
  });

  it("when a lease opens over an open one [LEA-1]", () => {
    const successor = launching({ ...candidate(generation(6)) });
    const over = provisioning({}, { newest: successor });
    expect(moved(lost({ newest: stopping() }), over)).toEqual(["LEA-1: a lease opened over an open one"]);
    const beside = { ghosts: [ghost(2)] };
    expect(moved(lost({ newest: stopping(), ...beside }), { ...over, ...beside })).toEqual([
      "LEA-1: a lease opened over an open one",
    ]);
    expect(moved(lost({ newest: stopping() }), { ...over, ghosts: [stopping()] })).toEqual([]);
    expect(moved(lost(), over)).toEqual([]);
  });

  it("when one ghost too many is left behind; one whose assertion proved wrong is no such move [LEA-18]", () => {
    const three = [ghost(1), ghost(2), ghost(3)];
    const before = lost({ newest: stopping({ generation: generation(4) }), ghosts: three });
    const after = lost({ newest: null, ghosts: [...three, ghost(4)] });
    expect(moved(before, after)).toEqual(["LEA-18: more ghosts than allowed"]);
    expect(
      moved(
        lost({ newest: stopping(), ghosts: three.slice(1) }),
        lost({ newest: null, ghosts: [...three.slice(1), ghost(5)] }),
      ),
    ).toEqual([]);
    const word = { at, by: "ann", reason: "gone" };
    const four = (assertion: typeof word | null) => lost({ ghosts: [...three, { ...ghost(4), assertion }] });
    expect(moved(four(word), four(null))).toEqual([]);
    expect(moved(before, lost({ newest: null, ghosts: [...three, { ...ghost(4), assertion: word }] }))).toEqual([]);
  });
});

describe("the words for a state", () => {
  it("cover every desired and every phase", () => {
    for (const { session: of, desired, phase } of everySession()) {
      expect(desiredKey(of.desired)).toBe(desired);
      expect(phaseKey(of)).toBe(phase);
    }
  });

  it("count every open lease once: the ghosts, and the newest unless it is closed", () => {
    const ghosts = [ghost(2), ghost(asserted - generation(0))];
    expect(openLeases(session({ ghosts })).map((lease) => lease.generation)).toEqual([ghostly, asserted, newest]);
    expect(openLeases(lost({ ghosts }))).toHaveLength(2);
    expect(openLeases(lost({ newest: null }))).toEqual([]);
  });
});
