/** What an instance was told at its launch and with each renewal bounds its life, whatever a deploy has changed since. */
import { describe, expect, it } from "vitest";
import { sendIsCovered } from "../../../../src/domain/machine/lifetime/on-renewal.ts";
import type { Held } from "../../../../src/domain/state/lease.ts";
import { certainExpiry, ghostFrom, lapsesAt } from "../../../../src/domain/rules/lease-times.ts";
import { stoppingFrom } from "../../../../src/domain/machine/stop/begin-stop.ts";
import { wrapperProtocol } from "../../../../src/domain/state/wrapper-protocol.ts";
import {
  at,
  candidate,
  held,
  host,
  launching,
  minute,
  move,
  newest,
  policy,
  provisioning,
  second,
  session,
  stopping,
  when,
} from "../../../support/sessions.ts";

const shorter = { ...policy, leaseTtlMs: 120 * second, stopGraceMs: 6 * second };
const longer = { ...policy, leaseTtlMs: 600 * second };

function heldOf(of: { readonly newest: unknown }): Held {
  return of.newest as Held;
}

describe("a deploy that lowers the lease TTL", () => {
  it("[BUG-5] leaves certain expiry where the last renewal put it", () => {
    const lease = held();
    expect(certainExpiry(lease, shorter)).toBe(at - 10 * second + policy.leaseTtlMs);
    expect(certainExpiry(lease, shorter)).toBe(certainExpiry(lease, policy));
    expect(lapsesAt({ ...lease, terms: { ttlMs: policy.leaseTtlMs, stopGraceMs: 10 * second } }, shorter)).toBe(
      at - 10 * second + policy.leaseTtlMs + 10 * second,
    );
  });

  it("[BUG-5] is taken over by the next renewal without forgetting what the one before allowed", () => {
    const context = { now: at, policy: shorter };
    const sent = heldOf(move(session(), { type: "renewalStarted", generation: newest, sequence: 8 }, context));
    expect(certainExpiry(sent, shorter)).toBe(at - 10 * second + policy.leaseTtlMs);
    const later = { now: at + 10 * minute, policy: shorter };
    const again = heldOf(move(session(), { type: "renewalStarted", generation: newest, sequence: 8 }, later));
    expect(certainExpiry(again, shorter)).toBe(later.now + shorter.leaseTtlMs);
  });

  it("[BUG-5] does not shorten a launch that was sent before: its wrapper lives by the TTL of its order", () => {
    const terms = { ttlMs: policy.leaseTtlMs, stopGraceMs: policy.stopGraceMs };
    const lease = launching({ terms });
    expect(certainExpiry(lease, shorter)).toBe(lease.launchNotAfter + policy.leaseTtlMs);
    const waiting = provisioning({}, { newest: launching({ terms, step: { type: "waiting", notBefore: at } }) });
    const relaunched = move(
      waiting,
      { type: "launchStarted", generation: newest, attemptId: "l" as never },
      { now: at, policy: shorter },
    );
    expect(relaunched.newest).toMatchObject({ terms });
  });

  it("[BUG-5] leaves the grace in which a guardian ends the jobs as it was given", () => {
    const terms = { ttlMs: policy.leaseTtlMs, stopGraceMs: policy.stopGraceMs };
    expect(ghostFrom(stopping({ terms }), shorter)).toBe(ghostFrom(stopping({ terms }), policy));
  });
});

describe("a deploy that raises the lease TTL", () => {
  it("[BUG-5] covers no send by what is stored: the longer TTL is stored before it is given", () => {
    const accepted = { type: "renewalAccepted", generation: newest, sequence: 7, sentAt: at } as const;
    const renewed = move(
      session(),
      { ...accepted, protocol: wrapperProtocol, activeJobs: 0, idleMs: 0, jitter: 0 },
      when(),
    );
    expect(sendIsCovered(renewed, at + second, policy)).toBe(true);
    expect(sendIsCovered(renewed, at + second, longer)).toBe(false);
    const sent = { type: "renewalStarted", generation: newest, sequence: 8 } as const;
    const stored = heldOf(move(renewed, sent, { now: at + second, policy: longer }));
    expect(certainExpiry(stored, policy)).toBe(at + second + longer.leaseTtlMs);
  });
});

describe("a teardown of which only the identity is known", () => {
  it("[BUG-13] waits for the longest delay with which a first renewal can have been read", () => {
    const identity = { ...candidate(), host, openedAt: at };
    const lease = launching({
      openedAt: at,
      launchNotAfter: at + policy.launchCallMs,
      renewals: { sequence: 1, lastSentAt: at, sendsUntil: null },
    });
    expect(stoppingFrom(identity, at, policy).certainExpiry).toBeGreaterThanOrEqual(certainExpiry(lease, policy));
  });
});
