import { describe, expect, it } from "vitest";
import type { Observation } from "../../../../src/domain/state/observation.ts";
import { judgeAbsence } from "../../../../src/domain/rules/proof.ts";
import type { SandboxId } from "../../../../src/domain/state/ids.ts";
import { at, boot, candidate, host, look, newest, past, policy, second, stopping } from "../../../support/sessions.ts";

const retired = { at, host, boot };
const settled = at + 3 * second;

function judge(
  looks: readonly Observation[],
  changes: { lease?: Partial<Parameters<typeof judgeAbsence>[0]>; retired?: typeof retired | null } = {},
) {
  return judgeAbsence(
    stopping(changes.lease),
    changes.retired === undefined ? retired : changes.retired,
    looks,
    settled,
    policy,
  );
}

/** A look that is good proof together with another, unless changed. */
function good(offset: number, changes: Partial<Observation> = {}): Observation {
  return look("absent", 3 * second + offset, candidate(), changes);
}

describe("absence is proven", () => {
  it("by two looks, a second apart, after retirement and after the last effect, dated at the second [I3]", () => {
    expect(judge([good(0), good(second)])).toEqual({ type: "proven", at: at + 4 * second });
  });

  it("also by the last two of more, whatever the first could not say", () => {
    const looks = [look("unknown", 0), good(0), good(second)];
    expect(judge(looks)).toEqual({ type: "proven", at: at + 4 * second });
  });

  it("by the host that retired it, where none was recorded", () => {
    expect(judge([good(0), good(second)], { lease: { host: null } }).type).toBe("proven");
    const elsewhere = { host: "host-b" };
    const why = "a look was answered by host host-b";
    expect(judge([good(0), good(second, elsewhere)], { lease: { host: null } })).toEqual({ type: "unproven", why });
  });
});

describe("absence is not proven", () => {
  const pairs = (changes: Partial<Observation>): readonly (readonly Observation[])[] => [
    [good(0, changes), good(second)],
    [good(0), good(second, changes)],
  ];
  const cases: readonly (readonly [string, Partial<Observation>, string])[] = [
    ["by another provider", { provider: "local" }, "a look was answered by provider local"],
    ["by another host", { host: "host-b" }, "a look was answered by host host-b"],
    ["by nobody", { host: null }, "a look was answered by host nobody"],
    [
      "by another boot of the host",
      { boot: "boot-2" },
      "a look was answered by another boot than the one that retired it",
    ],
    ["at another sandbox", { sandboxId: "other" as SandboxId }, "a look was at another sandbox or generation"],
    ["at another generation", { generation: past }, "a look was at another sandbox or generation"],
    ["when one look is unknown", { answer: "unknown", detail: "timed out" }, "one look said unknown: timed out"],
  ];
  for (const [name, changes, why] of cases) {
    it(`${name} [PHY-16]`, () => {
      for (const looks of pairs(changes)) expect(judge(looks)).toEqual({ type: "unproven", why });
    });
  }

  it("by a look that began before the last effect settled [PHY-16] [I3]", () => {
    const why = "a look began before the last effect settled";
    expect(judge([good(-1), good(second)])).toEqual({ type: "unproven", why });
    expect(judge([good(0), good(second)], { retired: { ...retired, at: settled + 1 } })).toEqual({
      type: "unproven",
      why,
    });
    expect(judge([good(0), good(second)], { retired: { ...retired, at: settled } }).type).toBe("proven");
  });

  it("by one look, or none [I3]", () => {
    for (const looks of [[], [good(0)]]) expect(judge(looks)).toEqual({ type: "unproven", why: "it takes two looks" });
  });

  it("by two looks of one instant [I3]", () => {
    const why = "the two looks began less than 1000 ms apart";
    expect(judge([good(0), good(second - 1)])).toEqual({ type: "unproven", why });
    expect(judge([good(second), good(0)])).toEqual({ type: "unproven", why });
  });

  it("before its generation is retired [I3]", () => {
    const why = "its generation is not retired at the provider yet";
    expect(judge([good(0), good(second)], { retired: null })).toEqual({ type: "unproven", why });
  });

  it("when any look saw something of it, retired or not [I4]", () => {
    const seen = look("present", 0);
    const why = "something of it is still there";
    expect(judge([seen, good(0), good(second)])).toEqual({ type: "present", why });
    expect(judge([good(0), look("present", 4 * second)], { retired: null })).toEqual({ type: "present", why });
  });

  it("but what belongs to another generation in the same place is not called its own", () => {
    const other = look("present", 4 * second, { ...candidate(), generation: past });
    expect(judge([good(0), other])).toEqual({ type: "unproven", why: "one look said present: said present" });
    const elsewhere = look("present", 4 * second, { ...candidate(past), generation: newest });
    expect(judge([good(0), elsewhere]).type).toBe("unproven");
  });
});
