/**
 * Every number the machine runs on, with the reason for its value. Durations in ms. Injected, so that a test or a
 * var can shorten one; `config.ts` refuses to start when they do not fit together (`policyViolations` below).
 */
import { noPrices, type PriceTable } from "./price.ts";

export interface Policy {
  readonly launchCallMs: number;
  readonly readyWaitMs: number;
  readonly provisionMs: number;
  readonly renewMs: number;
  readonly renewRetryMs: number;
  readonly leaseTtlMs: number;
  readonly observeMs: number;
  readonly passMs: number;
  readonly stopAttemptMs: number;
  readonly stopBackoffBaseMs: number;
  readonly stopBackoffCapMs: number;
  readonly stopBackoffJitter: number;
  readonly stopAttempts: number;
  readonly absenceLookGapMs: number;
  readonly parkedFirstProbeMs: number;
  readonly parkedProbeMs: number;
  readonly parkedProbeSlowAfterMs: number;
  readonly parkedProbeSlowMs: number;
  readonly assertedProbeMs: number;
  readonly launchBackoffBaseMs: number;
  readonly launchBackoffCapMs: number;
  readonly relaunchBudget: number;
  readonly maxGhosts: number;
  readonly jobGraceMs: number;
  readonly stopGraceMs: number;
  readonly alarmSlipMs: number;
  readonly reclaimMs: number;
  /** Bytes, not a time: what must be free before a workspace is prepared. */
  readonly workspaceMinFreeBytes: number;
  readonly drainMs: number;
  readonly snapshotMs: number;
  readonly restoreMs: number;
  readonly pauseTries: number;
  readonly pauseBackoffBaseMs: number;
  readonly pauseBackoffCapMs: number;
  readonly maxDiscarded: number;
  readonly prepareStepMs: number;
  readonly prepareMs: number;
  readonly upgradeRetryMs: number;
  readonly upgradeSpreadMs: number;
  readonly deleteBackoffBaseMs: number;
  readonly deleteBackoffCapMs: number;
  readonly defaultTimeoutMs: number;
  readonly defaultIdleTimeoutMs: number | null;
  readonly maxTimeoutMs: number;
  readonly maxLifetimeMs: number;
  readonly staleActivityMs: number;
  readonly sleepAfterMs: number;
  readonly pausedRetentionMs: number;
  readonly pausedWarningMs: number;
  readonly retentionMs: number;
  readonly unreadableRetryMs: number;
  readonly newerRetryMs: number;
  readonly defaultJobTimeoutMs: number;
  readonly maxActiveJobs: number;
  readonly queuePollMs: number;
  readonly stuckAfterMs: number;
  readonly reportEveryMs: number;
  readonly endingSoonMs: number;
  /** A share of the budget, not a time. */
  readonly budgetWarningShare: number;
  readonly prices: PriceTable;
}

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

export const defaultPolicy: Policy = {
  // A cold container took 0.7 to 1.7 s where measured; a minute covers an image pull on a busy host.
  launchCallMs: minute,
  // From the launch answer to the first accepted renewal.
  readyWaitMs: minute,
  // From the intent: several launches with their backoff, then the client deserves a final answer.
  provisionMs: 10 * minute,
  // Each renewal costs a row and an alarm; four misses fit in the TTL.
  renewMs: minute,
  renewRetryMs: 10 * second,
  // How long work survives without a control plane. Longer: more leaked minutes after a loss. Shorter: an outage ends work.
  leaseTtlMs: 300 * second,
  // A healthy look takes some 10 ms. A frozen container never answers: beyond this it is `unknown`.
  observeMs: 10 * second,
  // How long the Worker sends traffic without asking the session. A retirement ends a pass at once; this bounds what only the session
  // knows, such as a pause that waits for its jobs. Longer: slower to notice. Shorter: more questions.
  passMs: 5 * second,
  // stop grace + four bounded looks + the gap must fit.
  stopAttemptMs: minute,
  stopBackoffBaseMs: 5 * second,
  stopBackoffCapMs: 5 * minute,
  stopBackoffJitter: 0.2,
  stopAttempts: 8,
  // Two looks of one instant would share one wrong answer.
  absenceLookGapMs: second,
  parkedFirstProbeMs: minute,
  parkedProbeMs: 10 * minute,
  parkedProbeSlowAfterMs: hour,
  parkedProbeSlowMs: hour,
  assertedProbeMs: hour,
  launchBackoffBaseMs: 2 * second,
  launchBackoffCapMs: minute,
  // on_loss relaunch: a sandbox that dies three times is not unlucky.
  relaunchBudget: 3,
  maxGhosts: 3,
  jobGraceMs: 5 * second,
  stopGraceMs: 10 * second,
  // The platform may fire an alarm up to a minute late in a failover.
  alarmSlipMs: minute,
  // Removing some gigabytes of small files takes a while; a client that waits hears of it as an event.
  reclaimMs: 30 * second,
  // A clone, its packages and a log; far below the smallest container's disk (2 GB).
  workspaceMinFreeBytes: 256 * 2 ** 20,
  drainMs: 30 * second,
  snapshotMs: 5 * minute,
  // From the opening of the lease. Many small files take twice as long to unpack as to pack.
  restoreMs: 10 * minute,
  // How long an ended session that asked to be paused runs on while it cannot be saved: 75 minutes when saves fail at once,
  // longer than object stores have been seen to be away, and far from a day's bill (docs/decisions/0008).
  pauseTries: 12,
  pauseBackoffBaseMs: 30 * second,
  pauseBackoffCapMs: 10 * minute,
  // A record has room for some hundred; a client that pauses and resumes while nothing can be deleted is told to wait.
  maxDiscarded: 20,
  // One step of a workspace: a clone of a large repository or an install. Longer hides one that hangs.
  prepareStepMs: 10 * minute,
  // All of them together, from the first accepted renewal: somebody waits for it.
  prepareMs: 30 * minute,
  // An older wrapper works: its replacement that failed (a full disk, say) is not tried again at each renewal.
  upgradeRetryMs: 10 * minute,
  // After a deploy every session learns of a newer wrapper within one renewal. Replacing them all at once would empty and
  // refill the whole fleet in a minute; an hour is still soon, because an older wrapper works.
  upgradeSpreadMs: hour,
  // A store that is away for a moment answers soon; one that refuses for good is asked hourly, without end.
  deleteBackoffBaseMs: 5 * second,
  deleteBackoffCapMs: hour,
  defaultTimeoutMs: hour,
  defaultIdleTimeoutMs: 15 * minute,
  maxTimeoutMs: day,
  maxLifetimeMs: day,
  // Renewals come each minute: a report older than two and a half of them says nothing about now.
  staleActivityMs: 150 * second,
  // The platform's own dead-man switch, above our own limits.
  sleepAfterMs: 600 * second,
  pausedRetentionMs: 14 * day,
  pausedWarningMs: day,
  retentionMs: 7 * day,
  // An unreadable row will not heal by being read often.
  unreadableRetryMs: 10 * minute,
  newerRetryMs: 5 * minute,
  defaultJobTimeoutMs: 5 * minute,
  maxActiveJobs: 16,
  // Only while jobs wait for a free place among running ones.
  queuePollMs: 5 * second,
  stuckAfterMs: 600 * second,
  // A held or parked session tells the index this often that its alarm still fires; a lost alarm is noticed that late.
  reportEveryMs: 15 * minute,
  // Long enough for a person, or an agent in its turn, to ask for more time.
  endingSoonMs: 5 * minute,
  budgetWarningShare: 0.8,
  prices: noPrices,
};

/** How long an opening may take until space was measured (quota, then that), or, where it is not, as a whole (quota and a look). */
export function openingMs(policy: Policy): number {
  return 2 * policy.observeMs + second;
}

/** From a measurement on: a look; before it, when there was too little, what is stale and space again. */
export function measuredMs(enough: boolean, policy: Policy): number {
  return (enough ? policy.observeMs : policy.reclaimMs + 2 * policy.observeMs) + second;
}

/** A rule between timers that a set of timers breaks. */
export interface PolicyViolation {
  /** The policy fields it is about, the one to change first. */
  readonly fields: readonly (keyof Policy)[];
  readonly rule: string;
}

/** What the chosen provider declares about itself. */
export interface ProviderTimers {
  readonly launchRetriesMs: number;
  readonly stopGraceMs: number;
}

export function policyViolations(policy: Policy, provider: ProviderTimers): readonly PolicyViolation[] {
  const rules: readonly (PolicyViolation & { readonly holds: boolean })[] = [
    {
      fields: ["leaseTtlMs", "renewMs", "alarmSlipMs", "observeMs"],
      rule: "lease TTL ≥ 3 × renewal + alarm slip + observe bound",
      holds: policy.leaseTtlMs >= 3 * policy.renewMs + policy.alarmSlipMs + policy.observeMs,
    },
    {
      fields: ["jobGraceMs", "stopGraceMs"],
      rule: "job grace < stop grace",
      holds: policy.jobGraceMs < policy.stopGraceMs,
    },
    {
      fields: ["stopGraceMs"],
      rule: `stop grace ≤ the provider's own (${provider.stopGraceMs} ms)`,
      holds: policy.stopGraceMs <= provider.stopGraceMs,
    },
    {
      fields: ["stopAttemptMs", "stopGraceMs", "observeMs"],
      rule: "stop attempt ≥ stop grace + 4 × observe bound + 1 s",
      holds: policy.stopAttemptMs >= policy.stopGraceMs + 4 * policy.observeMs + policy.absenceLookGapMs,
    },
    {
      fields: ["launchCallMs"],
      rule: `the provider's launch retries (${provider.launchRetriesMs} ms) ≤ launch bound`,
      holds: provider.launchRetriesMs <= policy.launchCallMs,
    },
    {
      fields: ["provisionMs", "launchCallMs", "readyWaitMs"],
      rule: "launch bound + ready wait ≤ provision deadline",
      holds: policy.launchCallMs + policy.readyWaitMs <= policy.provisionMs,
    },
    {
      fields: ["prepareStepMs", "prepareMs"],
      rule: "one step of a workspace ≤ all of them",
      holds: policy.prepareStepMs <= policy.prepareMs,
    },
    {
      fields: ["staleActivityMs", "renewMs", "alarmSlipMs", "observeMs"],
      rule: "stale activity ≥ renewal + alarm slip + observe bound",
      holds: policy.staleActivityMs >= policy.renewMs + policy.alarmSlipMs + policy.observeMs,
    },
    {
      fields: ["sleepAfterMs", "leaseTtlMs", "stopGraceMs", "alarmSlipMs"],
      rule: "lease TTL + stop grace + alarm slip ≤ sleepAfter ≤ twice that",
      holds:
        policy.leaseTtlMs + policy.stopGraceMs + policy.alarmSlipMs <= policy.sleepAfterMs &&
        policy.sleepAfterMs <= 2 * (policy.leaseTtlMs + policy.stopGraceMs + policy.alarmSlipMs),
    },
  ];
  return rules.filter((rule) => !rule.holds).map(({ fields, rule }) => ({ fields, rule }));
}
