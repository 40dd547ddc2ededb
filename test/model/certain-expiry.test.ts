import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { certainExpiry } from "../../src/domain/rules/lease-times.ts";
import { defaultPolicy as policy } from "../../src/domain/rules/policy.ts";
import { acceptRenewal, newLeaseClock } from "../../src/protocol/sandbox/lease-clock.ts";
import { launching } from "../support/sessions.ts";

const openedAt = 1_000_000;
const launchNotAfter = openedAt + policy.launchCallMs;

/** Each renewal's send after the one before, and how long after its send it is read, ms: longer than any bound when frozen. */
const renewals = fc.array(fc.tuple(fc.integer({ min: 0, max: 120_000 }), fc.integer({ min: 0, max: 600_000 })), {
  minLength: 1,
  maxLength: 8,
});

describe("a wrapper whose renewals nobody ever heard accepted", () => {
  it("cannot act past the certain expiry of its lease, however late a frozen one reads them [LEA-18] [I2]", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: policy.launchCallMs }), renewals, (startedAfter, sends) => {
        // The wrapper's own clock has an origin of its own.
        const own = (at: number) => at - 7_777;
        let clock = newLeaseClock(own(openedAt + startedAfter), policy.leaseTtlMs);
        let sentAt = openedAt;
        let sequence = 0;
        const queue = sends.map(([gap, delay]) => ({ sentAt: (sentAt += gap), sequence: (sequence += 1), delay }));
        let readUntil = openedAt + startedAfter;
        for (const renewal of queue) {
          // Read in their order: a later one does not overtake an earlier one within one socket.
          readUntil = Math.max(readUntil, renewal.sentAt + renewal.delay);
          if (own(readUntil) >= clock.deadline) break;
          clock = acceptRenewal(clock, { ...renewal, ttlMs: policy.leaseTtlMs }, own(readUntil)) ?? clock;
        }
        const lease = launching({
          openedAt,
          launchNotAfter,
          renewals: { sequence, lastSentAt: sentAt, sendsUntil: null },
        });
        expect(clock.deadline).toBeLessThanOrEqual(own(certainExpiry(lease, policy)));
      }),
      { numRuns: 2_000 },
    );
  });

  it("and one to which none was sent ends one TTL after the last instant at which it can have started [LEA-18]", () => {
    const lease = launching({
      openedAt,
      launchNotAfter,
      renewals: { sequence: 0, lastSentAt: null, sendsUntil: null },
    });
    expect(certainExpiry(lease, policy)).toBe(launchNotAfter + policy.leaseTtlMs);
  });
});
