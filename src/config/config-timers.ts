/**
 * The timers: read from their vars, and held against the rules between them.
 *
 * What a provider leaves less time for has its own default (`providerPolicy`).
 * Three values are derived, so that a test which shortens the lease need not know them:
 * - `renewRetryMs` is LEASE_RETRY_SECONDS, but never above the renewal itself (a retry later than the next turn is none);
 * - `staleActivityMs` is two and a half renewals, but at least renewal + slip + observe bound;
 * - `sleepAfterMs` is the default, moved as little as needed to lie between TTL + stop grace + slip and twice that.
 */
import { type Refuse, shown, timerVars, type TimerVar, type TimerVarName, wholeNumber } from "./config-vars.ts";
import { defaultPolicy, type Policy, type ProviderTimers, policyViolations } from "../domain/rules/policy.ts";
import type { ProviderName } from "../domain/state/provider-names.ts";
import type { ConfigEnv } from "./env.ts";

/** One reason not to start. */
export interface ConfigMisfit {
  /** The var or secret to change first. */
  readonly name: string;
  /** For operators: the var, its value and the rule. */
  readonly message: string;
}

/** The rules between timers that these break, in the words of an operator. */
export function timerMisfits(policy: Policy, provider: ProviderTimers): readonly ConfigMisfit[] {
  const broken = policyViolations(policy, provider).map(({ fields, rule }) => {
    const [first, ...others] = fields.map((field) => wordsFor(field, policy));
    const beside = others.length === 0 ? "" : ` with ${others.map((each) => each.text).join(", ")}`;
    return { name: first?.name ?? "policy", message: `${first?.text ?? "policy"}${beside} breaks the rule: ${rule}.` };
  });
  if (policy.defaultTimeoutMs > policy.maxTimeoutMs) {
    const name = "DEFAULT_TIMEOUT_SECONDS";
    const text = `${wordsFor("defaultTimeoutMs", policy).text} with ${wordsFor("maxTimeoutMs", policy).text}`;
    broken.push({ name, message: `${text} breaks the rule: default timeout ≤ maximum timeout.` });
  }
  return broken;
}

function wordsFor(field: keyof Policy, policy: Policy): { readonly name: string; readonly text: string } {
  const value = policy[field];
  const seconds = (typeof value === "number" ? value : 0) / 1_000;
  for (const [name, timer] of Object.entries(timerVars)) {
    if (timer.field === field) return { name, text: `${name}=${seconds}` };
  }
  return { name: field, text: `${field} (no var: ${seconds} s)` };
}

/** Where a provider leaves less time than the defaults take. */
const providerPolicy: { readonly [Name in ProviderName]?: Partial<Policy> } = {
  cloudflare: { jobGraceMs: 3_000, stopGraceMs: 5_000 },
  "sandbox-sdk": { jobGraceMs: 3_000, stopGraceMs: 5_000 },
};

export function readPolicy(env: ConfigEnv, provider: ProviderName | null, refuse: Refuse): Policy {
  const read: [keyof Policy, number | null][] = [];
  for (const name of Object.keys(timerVars) as TimerVarName[]) {
    const timer: TimerVar = timerVars[name];
    const raw = env[name];
    if (raw === undefined) continue;
    if (timer.off === true && raw === "off") {
      read.push([timer.field, null]);
      continue;
    }
    const seconds = wholeNumber(timer.min, timer.max).safeParse(String(raw));
    const orOff = timer.off === true ? ", or `off`" : "";
    if (seconds.success) read.push([timer.field, seconds.data * 1_000]);
    else
      refuse(
        name,
        `${name}=${shown(raw)} must be a whole number of seconds from ${timer.min} to ${timer.max}${orOff}.`,
      );
  }
  const defaults = { ...defaultPolicy, ...(provider === null ? {} : providerPolicy[provider]) };
  const asked: Policy = { ...defaults, ...Object.fromEntries(read) };
  const turn = asked.renewMs + asked.alarmSlipMs + asked.observeMs;
  const fenced = asked.leaseTtlMs + asked.stopGraceMs + asked.alarmSlipMs;
  return {
    ...asked,
    renewRetryMs: Math.min(asked.renewRetryMs, asked.renewMs),
    staleActivityMs: Math.max(2.5 * asked.renewMs, turn),
    sleepAfterMs: Math.min(Math.max(defaultPolicy.sleepAfterMs, fenced), 2 * fenced),
  };
}
