import { describe, expect, it } from "vitest";
import { nextDeadline } from "../../../../src/domain/rules/reconcile.ts";
import { statusOf } from "../../../../src/domain/rules/status.ts";
import { closed, move, policy, stopping, terminated, when } from "../../../support/sessions.ts";

describe("a session whose last lease closed while its record could not be read [SIM-8]", () => {
  const undated = {
    type: "terminated",
    reason: "requested",
    at: when().now - 1_000,
    endedAt: null,
    failure: null,
  } as const;

  it("is looked at again at once, and its end is dated", () => {
    const found = terminated({ desired: undated, newest: closed() });
    expect(statusOf(found)).toBe("terminating");
    expect(nextDeadline(found, policy)).toBeLessThanOrEqual(when().now);
    const dated = move(found, { type: "timePassed", jitter: 0.5 });
    expect(statusOf(dated)).toBe("terminated");
    expect(dated.desired).toMatchObject({ endedAt: when().now });
  });

  it("stays undated while anything of it may be left", () => {
    const found = terminated({
      desired: undated,
      newest: stopping({ step: { type: "waiting", nextAttemptAt: when(60_000).now } }),
    });
    expect(statusOf(found)).toBe("terminating");
    expect(nextDeadline(found, policy)).toBeGreaterThan(when().now);
  });
});
