import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { acceptRenewal, newLeaseClock, type LeaseClock } from "../../../src/protocol/sandbox/lease-clock.ts";

const ttlMs = 300_000;

function renewed(clock: LeaseClock, sequence: number, sentAt: number, arrivedAt: number): LeaseClock {
  const next = acceptRenewal(clock, { sequence, sentAt, ttlMs }, arrivedAt);
  if (next === null) throw new Error("stale");
  return next;
}

describe("the fence clock", () => {
  it("lives one TTL without a renewal [PHY-11]", () => {
    expect(newLeaseClock(5_000, ttlMs).deadline).toBe(305_000);
  });

  it("counts from the send: a renewal that was under way for four minutes does not add them", () => {
    const first = renewed(newLeaseClock(0, ttlMs), 1, 1_000_000, 10);
    const late = renewed(first, 2, 1_060_000, 10 + 60_000 + 240_000);
    expect(late.deadline).toBe(first.deadline + 60_000);
  });

  it("refuses a renewal that was overtaken, and leaves the deadline alone", () => {
    const clock = renewed(newLeaseClock(0, ttlMs), 5, 1_000_000, 10);
    expect(acceptRenewal(clock, { sequence: 5, sentAt: 2_000_000, ttlMs }, 20)).toBeNull();
    expect(acceptRenewal(clock, { sequence: 4, sentAt: 2_000_000, ttlMs }, 20)).toBeNull();
  });

  it("a controller whose clock jumped an hour back goes on renewing [CLK-13]", () => {
    const before = renewed(newLeaseClock(0, ttlMs), 1, 10_000_000, 10);
    const after = renewed(before, 2, 10_000_000 + 60_000 - 3_600_000, 60_010);
    expect(after.deadline).toBe(60_010 + ttlMs);
  });

  it("a controller whose clock jumped an hour ahead gains nothing from it [CLK-13]", () => {
    const before = renewed(newLeaseClock(0, ttlMs), 1, 10_000_000, 10);
    const after = renewed(before, 2, 10_000_000 + 60_000 + 3_600_000, 60_010);
    expect(after.deadline).toBe(60_010 + ttlMs);
  });

  it("is never later than a TTL after the arrival, nor, while the controller's clock is steady, later than the true send plus the TTL and the fastest transit", () => {
    const renewal = fc.record({
      pauseMs: fc.integer({ min: 1, max: 120_000 }),
      transitMs: fc.integer({ min: 0, max: 600_000 }),
    });
    fc.assert(
      fc.property(
        fc.array(renewal, { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 0, max: 2 ** 40 }),
        (renewals, skew) => {
          // True time is the wrapper's; the controller is off by `skew`. Sent in order; those overtaken are refused.
          let sentAt = 0;
          const sent = renewals.map(({ pauseMs, transitMs }, index) => {
            sentAt += pauseMs;
            return { sequence: index + 1, trueSend: sentAt, arrivedAt: sentAt + transitMs, transitMs };
          });
          let clock = newLeaseClock(0, ttlMs);
          let fastest = Number.POSITIVE_INFINITY;
          for (const { sequence, trueSend, arrivedAt, transitMs } of sent.toSorted(
            (a, b) => a.arrivedAt - b.arrivedAt,
          )) {
            const next = acceptRenewal(clock, { sequence, sentAt: trueSend + skew, ttlMs }, arrivedAt);
            if (next === null) continue;
            clock = next;
            fastest = Math.min(fastest, transitMs);
            expect(clock.deadline).toBeLessThanOrEqual(arrivedAt + ttlMs);
            expect(clock.deadline).toBe(trueSend + fastest + ttlMs);
          }
        },
      ),
    );
  });
});
