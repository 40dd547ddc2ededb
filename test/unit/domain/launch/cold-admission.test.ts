/** The two rules of cold admission as tables: when there is room, and what is stale. */
import { describe, expect, it } from "vitest";
import { admitCold, type Measured } from "../../../../src/domain/rules/cold-admission.ts";
import { providerFailureCodes } from "../../../../src/domain/state/failure.ts";
import { keptBecause, untouchedForMs, type WorkspaceSeen } from "../../../../src/protocol/sandbox/stale-workspace.ts";

const needed = 1_000;
const room = (freeBytes: number): Measured => ({ type: "space", freeBytes, totalBytes: 5_000 });
const nothing = { removed: 0, freedBytes: 0, failed: null };

describe("room for a workspace", () => {
  it("is there at exactly the threshold, and one byte below it is not [CAP-1]", () => {
    expect(admitCold(room(needed), null, needed)).toEqual({ type: "admit" });
    expect(admitCold(room(needed + 1), null, needed)).toEqual({ type: "admit" });
    expect(admitCold(room(needed - 1), null, needed)).toEqual({ type: "reclaim" });
    expect(admitCold(room(0), null, needed)).toEqual({ type: "reclaim" });
  });

  it("is measured again after reclaiming, by the same threshold, and reclaimed once only [CAP-1]", () => {
    const reclaimed = { removed: 2, freedBytes: 300, failed: null };
    expect(admitCold(room(needed), reclaimed, needed)).toEqual({ type: "admit" });
    expect(admitCold(room(needed - 1), reclaimed, needed)).toMatchObject({
      type: "refuse",
      code: "insufficient_space",
    });
  });

  it("is refused with every number that a person needs to mend it [CAP-4]", () => {
    const refused = admitCold(room(999), { removed: 1, freedBytes: 40, failed: null }, needed);
    expect(refused).toMatchObject({
      words:
        "999 of 5000 bytes are free where the workspace would be; 1000 are needed. Removing 1 stale workspace freed 40 bytes.",
    });
    const blind = admitCold(room(1), { ...nothing, failed: "timed_out: no answer" }, needed);
    expect(blind).toMatchObject({ words: expect.stringContaining("Nothing could be reclaimed: timed_out") });
  });

  it("that cannot be measured, and a filesystem that refuses writes, are two other refusals; neither is reclaimed for [CAP-4]", () => {
    const said = (code: (typeof providerFailureCodes)[number]) =>
      admitCold({ type: "failed", failure: { code, message: "why", effect: "none" } }, null, needed);
    expect(said("space_unmeasurable")).toEqual({ type: "refuse", code: "space_unmeasurable", words: "why" });
    expect(said("filesystem_unusable")).toEqual({ type: "refuse", code: "filesystem_unusable", words: "why" });
    expect(said("insufficient_space")).toEqual({ type: "refuse", code: "insufficient_space", words: "why" });
    expect(said("malformed")).toMatchObject({ code: "space_unmeasurable" });
  });

  it("is asked about again when nobody answered: that says nothing of the disk [CAP-4]", () => {
    for (const code of ["timed_out", "unavailable", "no_capacity"] as const) {
      const failure = { code, message: "why", effect: "none" } as const;
      expect(admitCold({ type: "failed", failure }, null, needed), code).toMatchObject({ type: "ask_later" });
    }
  });

  it("unusable is said on a provider's explicit word only: no other failure comes to it [CAP-3]", () => {
    const unusable = providerFailureCodes.filter((code) => {
      const step = admitCold({ type: "failed", failure: { code, message: "", effect: "none" } }, null, needed);
      return step.type === "refuse" && step.code === "filesystem_unusable";
    });
    expect(unusable).toEqual(["filesystem_unusable"]);
  });
});

const session = "aaaaaaaaaaaaaaaaaaaa";
const stale: WorkspaceSeen = {
  name: `${session}-g1700000000000`,
  recorded: true,
  untouchedMs: untouchedForMs,
  processes: "none",
};

describe("a workspace is stale", () => {
  const asker = "bbbbbbbbbbbbbbbbbbbb";

  it("when it was untouched for exactly twenty minutes, and not a millisecond before [CAP-2]", () => {
    expect(keptBecause(stale, asker)).toBeNull();
    expect(keptBecause({ ...stale, untouchedMs: untouchedForMs - 1 }, asker)).toContain("20 minutes");
  });

  it("never when something of it lives, starts or cannot be inspected [CAP-2]", () => {
    for (const processes of ["live", "starting", "unknown"] as const) {
      expect(keptBecause({ ...stale, processes }, asker), processes).not.toBeNull();
    }
  });

  it("never when it is of the session that asks, of nobody we know, or of an age that cannot be told [CAP-2]", () => {
    expect(keptBecause(stale, session)).toContain("session that asks");
    expect(keptBecause({ ...stale, recorded: false }, asker)).not.toBeNull();
    expect(keptBecause({ ...stale, untouchedMs: null }, asker)).not.toBeNull();
  });

  it("never by a name that is not exactly one of ours [CAP-2]", () => {
    for (const name of [
      "",
      ".",
      "..",
      "workspace",
      session,
      `${session}-g`,
      `${session}-g1 `,
      `${session}-g1-backup`,
      `x${session}-g1`,
      `${session.toUpperCase()}-g1`,
      `${session}-g-1`,
      `${session.slice(1)}-g1`,
      `${session}-g1/../..`,
    ]) {
      expect(keptBecause({ ...stale, name }, asker), name).toBe("its name is not one of ours");
    }
  });

  it("a session whose id begins alike is another one [CAP-2] [PHY-3]", () => {
    expect(keptBecause(stale, session.slice(0, 19))).toBeNull();
  });
});
