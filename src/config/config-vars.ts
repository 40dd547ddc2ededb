/**
 * The vars with a range of their own, and how one value is read. What is wrong with a value is said with the var, the value and
 * the range; the rules between values are config.ts's.
 */
import { z } from "zod";
import { defaultPolicy, type Policy } from "../domain/rules/policy.ts";
import { nanosPerUnit, type PriceTable } from "../domain/rules/price.ts";
import { type ProviderName, providerNames } from "../domain/state/provider-names.ts";
import type { ConfigEnv } from "./env.ts";
import { limits } from "../protocol/primitives.ts";

/** Says one reason not to start: the var to change first, and the words for an operator. */
export type Refuse = (name: string, message: string) => void;

const day = 86_400;
const year = 365 * day;

export interface TimerVar {
  readonly field: keyof Policy;
  readonly min: number;
  readonly max: number;
  /** The word `off` is allowed and means null. */
  readonly off?: true;
}

/** Var → the policy field it sets (whole seconds there, ms in the policy), and the range that makes sense at all. */
export const timerVars = {
  PROVISION_TIMEOUT_SECONDS: { field: "provisionMs", min: 1, max: day },
  // A launch is called from an alarm, and the platform ends an alarm after 15 minutes.
  LAUNCH_TIMEOUT_SECONDS: { field: "launchCallMs", min: 1, max: 600 },
  READY_TIMEOUT_SECONDS: { field: "readyWaitMs", min: 1, max: 600 },
  LEASE_RENEW_SECONDS: { field: "renewMs", min: 1, max: 3_600 },
  LEASE_RETRY_SECONDS: { field: "renewRetryMs", min: 1, max: 3_600 },
  LEASE_TTL_SECONDS: { field: "leaseTtlMs", min: 1, max: day },
  OBSERVE_TIMEOUT_SECONDS: { field: "observeMs", min: 1, max: 600 },
  STOP_ATTEMPT_SECONDS: { field: "stopAttemptMs", min: 1, max: 3_600 },
  JOB_GRACE_SECONDS: { field: "jobGraceMs", min: 1, max: 600 },
  STOP_GRACE_SECONDS: { field: "stopGraceMs", min: 1, max: 600 },
  ALARM_SLIP_SECONDS: { field: "alarmSlipMs", min: 0, max: 3_600 },
  DEFAULT_TIMEOUT_SECONDS: { field: "defaultTimeoutMs", min: 1, max: year },
  DEFAULT_IDLE_TIMEOUT_SECONDS: { field: "defaultIdleTimeoutMs", min: 1, max: year, off: true },
  MAX_TIMEOUT_SECONDS: { field: "maxTimeoutMs", min: 1, max: year },
  MAX_LIFETIME_SECONDS: { field: "maxLifetimeMs", min: 1, max: year },
  PAUSED_RETENTION_SECONDS: { field: "pausedRetentionMs", min: 1, max: year },
  RETENTION_SECONDS: { field: "retentionMs", min: 1, max: year },
  WORKSPACE_STEP_SECONDS: { field: "prepareStepMs", min: 1, max: day },
  WORKSPACE_SECONDS: { field: "prepareMs", min: 1, max: day },
  STUCK_AFTER_SECONDS: { field: "stuckAfterMs", min: 1, max: day },
} as const satisfies Partial<Record<keyof ConfigEnv, TimerVar>>;
export type TimerVarName = keyof typeof timerVars;

/** Var → its range and default, for what is a count. */
export const countVars = {
  STOP_ATTEMPTS: { min: 1, max: 20, default: defaultPolicy.stopAttempts },
  TENANT_MAX_SANDBOXES: { min: 1, max: 100_000, default: 10 },
  TENANT_MAX_PAUSED: { min: 0, max: 1_000_000, default: 1_000 },
  TENANT_MAX_SNAPSHOTS: { min: 0, max: 1_000_000, default: 1_000 },
  TENANT_MAX_SNAPSHOT_MIB: { min: 0, max: 1_000_000_000, default: 102_400 },
  GLOBAL_MAX_SANDBOXES: { min: 1, max: 1_000_000, default: 100 },
  FLEET_SHARDS: { min: 1, max: 256, default: 4 },
  SHARED_MAX_MEMBERS: { min: 1, max: 1_000, default: 20 },
  WORKSPACE_MIN_FREE_MIB: { min: 0, max: 1_000_000, default: 256 },
  FLEET_WATCH_SECONDS: { min: 1, max: 3_600, default: 60 },
  ALERT_TIMEOUT_HIGH_PERCENT: { min: 1, max: 100, default: 5 },
  ALERT_TIMEOUT_CLEAR_PERCENT: { min: 0, max: 100, default: 2 },
  ALERT_TIMEOUT_MIN_SAMPLES: { min: 1, max: 1_000_000, default: 20 },
  ALERT_ACTIVE_HIGH: { min: 1, max: 1_000_000, default: 20 },
  ALERT_ACTIVE_CLEAR: { min: 1, max: 1_000_000, default: 5 },
  ALERT_ACTIVE_HIGH_SECONDS: { min: 0, max: day, default: 300 },
  ALERT_ACTIVE_VERY_HIGH: { min: 1, max: 1_000_000, default: 50 },
  ALERT_ACTIVE_VERY_HIGH_SECONDS: { min: 0, max: day, default: 1_800 },
  // The ceilings are the protocol's own (primitives.ts); a deployment may set less.
  MAX_BODY_BYTES: { min: 1_024, max: limits.bodyBytes, default: limits.bodyBytes },
  // The platform's own bound on headers is 128 kB.
  MAX_HEADER_BYTES: { min: 4_096, max: 131_072, default: 32_768 },
  MAX_COMMAND_BYTES: { min: 256, max: limits.commandBytes, default: limits.commandBytes },
  MAX_LABELS: { min: 0, max: limits.labelCount, default: limits.labelCount },
  WEBHOOK_DISABLE_SECONDS: { min: 1, max: 30 * day, default: 5 * day },
  MAX_LABEL_CHARACTERS: { min: 1, max: limits.labelValue, default: limits.labelValue },
} as const satisfies Partial<Record<keyof ConfigEnv, { min: number; max: number; default: number }>>;

/** Var → its default, for what may be `off`: requests in one window (http/guard/rate-limits.ts). */
export const rateVars = {
  RATE_LIMIT_READS: 1_000,
  RATE_LIMIT_WRITES: 300,
  RATE_LIMIT_TRAFFIC: 6_000,
  RATE_LIMIT_AUTH_FAILURES: 30,
} as const satisfies Partial<Record<keyof ConfigEnv, number>>;
const maxRate = 1_000_000;

export function readCount(env: ConfigEnv, name: keyof typeof countVars, refuse: Refuse): number {
  const range = countVars[name];
  const raw = env[name];
  if (raw === undefined) return range.default;
  const count = wholeNumber(range.min, range.max).safeParse(String(raw));
  if (count.success) return count.data;
  refuse(name, `${name}=${shown(raw)} must be a whole number from ${range.min} to ${range.max}.`);
  return range.default;
}

export function readRate(env: ConfigEnv, name: keyof typeof rateVars, refuse: Refuse): number | null {
  const raw = env[name];
  if (raw === undefined) return rateVars[name];
  if (raw === "off") return null;
  const count = wholeNumber(1, maxRate).safeParse(String(raw));
  if (count.success) return count.data;
  refuse(name, `${name}=${shown(raw)} must be a whole number from 1 to ${maxRate}, or \`off\`.`);
  return rateVars[name];
}

export function readFlag(env: ConfigEnv, name: "WEBHOOK_ALLOW_PRIVATE", refuse: Refuse): boolean {
  const raw = env[name] ?? "false";
  if (raw === "true" || raw === "false") return raw === "true";
  refuse(name, `${name}=${shown(raw)} must be \`true\` or \`false\`.`);
  return false;
}

export function readCanary(env: ConfigEnv, refuse: Refuse): boolean {
  const raw = env.CANARY ?? "off";
  if (raw !== "daily" && raw !== "off") refuse("CANARY", `CANARY=${shown(raw)} must be \`daily\` or \`off\`.`);
  return raw === "daily";
}

/** From one drill to the next, ms; null: `off`. A tick comes every five minutes. */
export function readRestoreDrill(env: ConfigEnv, refuse: Refuse): number | null {
  const raw = String(env.RESTORE_DRILL_MINUTES ?? "off");
  if (raw === "off") return null;
  const minutes = wholeNumber(5, 10_080).safeParse(raw);
  if (minutes.success) return minutes.data * 60_000;
  refuse(
    "RESTORE_DRILL_MINUTES",
    `RESTORE_DRILL_MINUTES=${shown(raw)} must be a whole number from 5 to 10080, or \`off\`.`,
  );
  return null;
}

export function wholeNumber(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,12}$/)
    .transform(Number)
    .pipe(z.int().min(min).max(max));
}

/** A var is no secret, but it may be anything: bounded, and quoted so that nothing in it forges a log line. */
export function shown(raw: string | number): string {
  return typeof raw === "number" ? String(raw) : JSON.stringify(raw.slice(0, 80));
}

/** `cloudflare=0.09,sandbox-sdk=0.12`: what an hour of a sandbox costs, by provider. Kept as whole billionths per second. */
export function readPrices(env: ConfigEnv, refuse: Refuse): PriceTable {
  const currency = String(env.PRICE_CURRENCY ?? "USD");
  if (!/^[A-Z]{3}$/.test(currency))
    refuse("PRICE_CURRENCY", `PRICE_CURRENCY=${shown(currency)} must be three capital letters, such as USD.`);
  const nanosPerSecond: Partial<Record<ProviderName, number>> = {};
  for (const each of String(env.PRICE_PER_HOUR ?? "").split(/[ ,]+/)) {
    if (each === "") continue;
    const [, name, amount] = /^([a-z-]+)=(\d{1,6}(?:\.\d{1,9})?)$/.exec(each) ?? [];
    const provider = providerNames.find((one) => one === name);
    if (provider === undefined || amount === undefined) {
      refuse(
        "PRICE_PER_HOUR",
        `PRICE_PER_HOUR holds ${shown(each)}; write provider=price, such as cloudflare=0.09, separated by commas. Providers: ${providerNames.join(", ")}.`,
      );
      continue;
    }
    nanosPerSecond[provider] = Math.round((Number(amount) * nanosPerUnit) / 3_600);
  }
  return { currency, nanosPerSecond };
}

/** The budget of one tenant for one month, in billionths of the currency. null: `off`. */
export function readMonthlyBudget(env: ConfigEnv, refuse: Refuse): number | null {
  const raw = String(env.TENANT_MAX_COST_PER_MONTH ?? "off");
  if (raw === "off") return null;
  if (/^\d{1,6}(\.\d{1,6})?$/.test(raw)) return Math.round(Number(raw) * nanosPerUnit);
  refuse(
    "TENANT_MAX_COST_PER_MONTH",
    `TENANT_MAX_COST_PER_MONTH=${shown(raw)} must be an amount such as 250 or 0.5, or \`off\`.`,
  );
  return null;
}
