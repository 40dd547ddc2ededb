/** A provider that has no instance to give is no failure of the session that waits for one (CAP-9). */
import { describe, expect, it } from "vitest";
import { failedTry } from "../../../../src/domain/state/session.ts";
import { blockedBy } from "../../../../src/domain/rules/status.ts";
import { at, attempt, launching, minute, moveWith, provisioning, second, when } from "../../../support/sessions.ts";

const full = { code: "no_capacity", message: "full" };
const unsent = launching({ step: { type: "waiting", notBefore: at + minute } });
const sent = launching({ step: { type: "acting", attemptId: attempt("a"), deadline: at + 59 * second } });

describe("a session that waits for an instance", () => {
  it.each([
    ["nothing was started", unsent, full, "no_capacity"],
    ["its last launch may have been", sent, full, "launch_timeout"],
    ["it met something else", unsent, { code: "unavailable", message: "away" }, "launch_timeout"],
  ] as const)("past its deadline: %s [CAP-9] [CAP-8]", (_, newest, why, reason) => {
    const lastError = failedTry(null, why, at);
    const waiting = provisioning({ purpose: "resume", deadline: at + 5, lastError }, { newest });
    expect(moveWith(waiting, { type: "timePassed", jitter: 0.5 }, when(5)).session).toMatchObject({
      newest: { phase: "stopping", reason },
      setback: { ...why, at },
    });
  });

  it("says since when it is the same that stands in the way, however often it tried [CAP-9]", () => {
    const first = failedTry(null, full, at);
    const again = failedTry(first, { ...full, message: "still full" }, at + minute);
    expect(again).toEqual({ code: "no_capacity", message: "still full", at: at + minute, since: at });
    const other = failedTry(again, { code: "unavailable", message: "away" }, at + 2 * minute);
    expect(other.since).toBe(at + 2 * minute);
    // As older code wrote it.
    const { since: _, ...old } = first;
    expect(failedTry(old, full, at + minute).since).toBe(at);
    const blocked = provisioning({ lastError: again, step: { type: "waiting", notBefore: at + 2 * minute } });
    expect(blockedBy(blocked, false)).toMatchObject({ since: at, retryAt: at + 2 * minute });
  });
});
