import { describe, expect, it } from "vitest";
import { defaultPolicy, policyViolations, type Policy } from "../../../../src/domain/rules/policy.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const provider = { launchRetriesMs: minute, stopGraceMs: 10 * second };

function misfits(changes: Partial<Policy>, of = provider): readonly string[] {
  return policyViolations({ ...defaultPolicy, ...changes }, of).map(({ fields }) => fields.join());
}

describe("the default policy", () => {
  it("is the table of the design", () => {
    expect(defaultPolicy).toMatchObject({
      launchCallMs: minute,
      readyWaitMs: minute,
      provisionMs: 10 * minute,
      renewMs: minute,
      renewRetryMs: 10 * second,
      leaseTtlMs: 300 * second,
      observeMs: 10 * second,
      stopAttemptMs: minute,
      stopBackoffBaseMs: 5 * second,
      stopBackoffCapMs: 5 * minute,
      stopBackoffJitter: 0.2,
      stopAttempts: 8,
      absenceLookGapMs: second,
      parkedFirstProbeMs: minute,
      parkedProbeMs: 10 * minute,
      parkedProbeSlowAfterMs: hour,
      parkedProbeSlowMs: hour,
      assertedProbeMs: hour,
      relaunchBudget: 3,
      maxGhosts: 3,
      jobGraceMs: 5 * second,
      stopGraceMs: 10 * second,
      alarmSlipMs: minute,
      defaultTimeoutMs: hour,
      defaultIdleTimeoutMs: 15 * minute,
      maxLifetimeMs: day,
      staleActivityMs: 150 * second,
      sleepAfterMs: 600 * second,
      pausedRetentionMs: 14 * day,
      pausedWarningMs: day,
      retentionMs: 7 * day,
      stuckAfterMs: 600 * second,
    });
  });

  it("fits together", () => {
    expect(misfits({})).toEqual([]);
  });
});

describe("timers that do not fit are named, the one to change first [LEA-24]", () => {
  const ttl = "leaseTtlMs,renewMs,alarmSlipMs,observeMs";
  const sleep = "sleepAfterMs,leaseTtlMs,stopGraceMs,alarmSlipMs";
  const cases: readonly (readonly [Partial<Policy>, string | null])[] = [
    // 3 renewals + slip + observe bound = 250 s; the limits of sleepAfter follow from the TTL.
    [{ leaseTtlMs: 249_999 }, ttl],
    [{ leaseTtlMs: 250_000 }, null],
    [{ jobGraceMs: 10 * second }, "jobGraceMs,stopGraceMs"],
    [{ jobGraceMs: 9_999 }, null],
    [{ stopGraceMs: 10_001 }, "stopGraceMs"],
    [{ stopAttemptMs: 50_999 }, "stopAttemptMs,stopGraceMs,observeMs"],
    [{ stopAttemptMs: 51_000 }, null],
    [{ launchCallMs: 59_999 }, "launchCallMs"],
    [{ provisionMs: 119_999 }, "provisionMs,launchCallMs,readyWaitMs"],
    [{ provisionMs: 120_000 }, null],
    [{ staleActivityMs: 129_999 }, "staleActivityMs,renewMs,alarmSlipMs,observeMs"],
    [{ staleActivityMs: 130_000 }, null],
    // TTL + stop grace + slip = 370 s.
    [{ sleepAfterMs: 369_999 }, sleep],
    [{ sleepAfterMs: 370_000 }, null],
    [{ sleepAfterMs: 740_000 }, null],
    [{ sleepAfterMs: 740_001 }, sleep],
  ];
  for (const [changes, expected] of cases) {
    it(`${JSON.stringify(changes)}: ${expected ?? "fits"}`, () => {
      expect(misfits(changes)).toEqual(expected === null ? [] : [expected]);
    });
  }

  it("also against what the provider declares of itself", () => {
    expect(misfits({}, { ...provider, stopGraceMs: 9_999 })).toEqual(["stopGraceMs"]);
    expect(misfits({}, { ...provider, launchRetriesMs: 60_001 })).toEqual(["launchCallMs"]);
    const rules = policyViolations(defaultPolicy, { stopGraceMs: 5, launchRetriesMs: hour }).map(({ rule }) => rule);
    expect(rules).toEqual([
      "stop grace ≤ the provider's own (5 ms)",
      "the provider's launch retries (3600000 ms) ≤ launch bound",
    ]);
  });
});
