import { describe, expect, it } from "vitest";
import { attemptsAtMost, nextAttemptIn, cooldownAfter } from "../../../src/tenant/webhooks/retry.ts";

const hour = 3_600_000;

describe("the retries of a delivery", () => {
  it("come later each time, for three days, and then end", () => {
    const waits: number[] = [];
    for (let attempts = 1; ; attempts += 1) {
      const wait = nextAttemptIn(attempts, null, 0);
      if (wait === null) break;
      waits.push(wait);
    }
    expect(waits).toHaveLength(attemptsAtMost - 1);
    expect(waits).toEqual([...waits].sort((one, other) => one - other));
    expect(waits[0]).toBe(5_000);
    const whole = waits.reduce((sum, wait) => sum + wait, 0);
    expect(whole).toBeGreaterThan(72 * hour);
    // Within the week for which a session's events and a delivery's row are kept.
    expect(whole * 1.2).toBeLessThan(7 * 24 * hour);
    expect(nextAttemptIn(attemptsAtMost + 50, null, 0)).toBeNull();
  });

  it("are spread by jitter, never earlier than planned and at most a fifth later", () => {
    for (let attempts = 1; attempts < attemptsAtMost; attempts += 1) {
      const plain = nextAttemptIn(attempts, null, 0) ?? 0;
      expect(nextAttemptIn(attempts, null, 0.999_999)).toBeLessThanOrEqual(plain * 1.2 + 1);
      expect(nextAttemptIn(attempts, null, 0.5)).toBeGreaterThan(plain);
    }
  });

  it("wait as long as the receiver asks, up to an hour; it cannot make them come sooner", () => {
    expect(nextAttemptIn(1, 60_000, 0)).toBe(60_000);
    expect(nextAttemptIn(1, 1_000, 0)).toBe(5_000);
    expect(nextAttemptIn(1, 100 * hour, 0)).toBe(hour);
    expect(nextAttemptIn(attemptsAtMost, 1_000, 0)).toBeNull();
  });
});

describe("an endpoint that fails", () => {
  it("rests after the third failure in a row, longer each time, up to five minutes", () => {
    expect([0, 1, 2].map(cooldownAfter)).toEqual([0, 0, 0]);
    expect([3, 4, 5].map(cooldownAfter)).toEqual([1_000, 2_000, 4_000]);
    expect(cooldownAfter(1_000_000)).toBe(300_000);
  });
});
