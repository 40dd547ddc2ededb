/** Prose on a terminal, and what the end of a session is called. */
import { describe, expect, it } from "vitest";
import type { Teardown } from "../../../src/client/mooring.ts";
import { wrapped } from "../../../src/cli/screen/wrap.ts";
import { proofOf } from "../../../src/cli/sessions/own-session.ts";

describe("prose", () => {
  it("is broken between words and indented below its first line; a pipe gets one line", () => {
    const text = "it ends, with the reason idle_timeout";
    expect(wrapped(text, 20, 4)).toBe("it ends, with\n    the reason\n    idle_timeout");
    expect(wrapped(text, 20, 10, 2)).toBe("it ends,\n  with the reason\n  idle_timeout");
    expect(wrapped(text, null, 4)).toBe(text);
  });

  it("keeps a word whole that is longer than a line", () => {
    expect(wrapped("see https://example.com/sessions/1 there", 10, 0)).toBe(
      "see\nhttps://example.com/sessions/1\nthere",
    );
  });
});

describe("the end of a session", () => {
  const receipt = (verified: string | null, asserted: string | null) =>
    ({
      verified_absent_at: verified,
      asserted_absent_at: asserted,
      attempts: [{}],
      observations: [{ answer: "unknown" }, { answer: "absent" }, { answer: "absent" }],
    }) as unknown as Teardown;
  const at = "2026-11-30T12:00:00Z";

  it("is called proven only by a proof: an operator's word is told apart", () => {
    expect(proofOf(receipt(at, null))).toEqual({
      outcome: "proven gone",
      evidence: "1 stop attempt, 2 looks found nothing",
    });
    expect(proofOf(receipt(at, at)).outcome).toBe("proven gone");
    expect(proofOf(receipt(null, at)).outcome).toBe("asserted gone");
    expect(proofOf(receipt(null, null)).outcome).toBe("not proven yet");
    expect(proofOf(null).outcome).toBe("ended");
  });
});
