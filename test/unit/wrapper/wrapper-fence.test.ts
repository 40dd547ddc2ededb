import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Fence, type EndCause } from "../../../wrapper/agent/fence.ts";
import type { WrapperNews } from "../../../wrapper/agent/guardian/guardian-link.ts";
import { steadyClock } from "../../../wrapper/agent/steady-clock.ts";

const ttlMs = 1_000;

// The clock moves and the timers do not: what a process sees that was frozen and is thawed by a request.
beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function fence() {
  let now = 0;
  const causes: EndCause[] = [];
  const news: WrapperNews[] = [];
  const made = new Fence({
    clock: { now: () => now },
    startedAt: 0,
    ttlMs,
    tell: (message) => news.push(message),
    end: (cause) => causes.push(cause),
  });
  const at = (instant: number): void => {
    now = instant;
  };
  return { fence: made, causes, news, at };
}

describe("the right to act", () => {
  it("is not held before the first renewal, is held after it, and the guardian knows both deadlines [I2]", () => {
    const { fence: own, news, at } = fence();
    expect(own.mayAct()).toBe(false);
    at(100);
    expect(own.renew({ sequence: 1, sent_at: 5_000, ttl_ms: ttlMs })).toEqual({ type: "accepted", expiresInMs: ttlMs });
    expect(own.mayAct()).toBe(true);
    expect(news).toEqual([
      { type: "deadline", at: 1_000 },
      { type: "deadline", at: 1_100 },
    ]);
  });

  it("is lost at the deadline although no timer has fired, and a renewal that was waiting does not bring it back [I8]", () => {
    const { fence: own, causes, at } = fence();
    own.renew({ sequence: 1, sent_at: 5_000, ttl_ms: ttlMs });
    at(1_000);
    expect(own.renew({ sequence: 2, sent_at: 5_900, ttl_ms: ttlMs })).toEqual({ type: "ending" });
    expect(own.mayAct()).toBe(false);
    expect(causes).toEqual(["lease_expired"]);
  });

  it("is lost by a timer when nobody asks [I8]", () => {
    const { causes, at } = fence();
    at(1_000);
    vi.advanceTimersByTime(1_000);
    expect(causes).toEqual(["lease_expired"]);
  });

  it("a renewal that was under way for longer than its TTL does not extend the lease", () => {
    const { fence: own, at } = fence();
    own.renew({ sequence: 1, sent_at: 5_000, ttl_ms: 10_000 });
    at(5_000);
    expect(own.renew({ sequence: 2, sent_at: 5_500, ttl_ms: ttlMs })).toEqual({ type: "ending" });
    expect(own.lost).toBe("lease_expired");
  });

  it("a stop that was asked for still runs into its deadline, which ends it harder; nothing ends twice", () => {
    const { fence: own, causes, at } = fence();
    own.renew({ sequence: 1, sent_at: 5_000, ttl_ms: ttlMs });
    own.lose("stop_requested");
    own.lose("stop_requested");
    expect(own.renew({ sequence: 2, sent_at: 5_100, ttl_ms: ttlMs })).toEqual({ type: "ending" });
    at(1_000);
    vi.advanceTimersByTime(1_000);
    own.lose("guardian_gone");
    expect(causes).toEqual(["stop_requested", "lease_expired"]);
  });
});

describe("the steady clock", () => {
  it("counts the time a machine was suspended, and does not shake with the rounding of the uptime", () => {
    let monotonic = 1_000;
    let uptime: number | null = 61_000;
    const clock = steadyClock(
      () => monotonic,
      () => uptime,
    );
    expect(clock.now()).toBe(61_000);
    monotonic += 5;
    uptime += 10;
    expect(clock.now()).toBe(61_005);
    // An hour asleep: the monotonic clock stood still.
    monotonic += 10;
    uptime += 3_600_000;
    expect(clock.now()).toBe(61_010 + 3_600_000);
    // Without /proc/uptime it goes on from there.
    uptime = null;
    monotonic += 20;
    expect(clock.now()).toBe(61_030 + 3_600_000);
  });
});
