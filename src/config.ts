/**
 * The environment, read once: the only reader of vars and secrets. A value out of range or a set of timers that does not
 * fit is refused as a whole (the Worker then answers 503 to everything but /healthz), with one message per fault that
 * names the var, its value and the rule. A secret's value is never in a message. An unset secret is no fault of the
 * config: the routes that need it refuse by themselves, and /readyz says so.
 *
 * What a provider leaves less time for has its own default (`providerPolicy`).
 * Three values have no var of their own, so that a test which shortens the lease need not know them:
 * - `renewRetryMs` is LEASE_RETRY_SECONDS, but never above the renewal itself (a retry later than the next turn is none);
 * - `staleActivityMs` is two and a half renewals, but at least renewal + slip + observe bound;
 * - `sleepAfterMs` is the default, moved as little as needed to lie between TTL + stop grace + slip and twice that.
 */
import { z } from "zod";
import { defaultPolicy, type Policy, type ProviderTimers, policyMisfits } from "./domain/policy.ts";
import { type ProviderName, providerNames } from "./domain/provider-names.ts";
import type { ConfigEnv } from "./env.ts";
import { type AlertTerms, defaultAlertTerms } from "./fleet/alerts/alert-terms.ts";
import { limits } from "./protocol/primitives.ts";
import { seatCount } from "./protocol/toolbox.ts";
import { type GitScheme, gitSchemes, safeGitSchemes } from "./protocol/workspace.ts";
import { providerTimers } from "./sandbox/provider-timers.ts";

/** A secret and those it replaced: the first is used for what is new, and all are accepted until they are removed. */
export type RotatingSecret = readonly [current: string, ...previous: string[]];

export interface Secrets {
  readonly adminToken: RotatingSecret | null;
  readonly keySigning: RotatingSecret | null;
  readonly envEncryption: RotatingSecret | null;
}

export interface Config {
  readonly policy: Policy;
  readonly provider: ProviderName;
  readonly tenantMaxSandboxes: number;
  readonly globalMaxSandboxes: number;
  /** Sessions in one shared container. */
  readonly sharedMaxMembers: number;
  readonly fleetShards: number;
  readonly localHost: { readonly url: string; readonly token: string | null };
  readonly secrets: Secrets;
  /** The schedule of the layers is its own (schedule.ts). */
  readonly alerts: Omit<AlertTerms, "layerEveryMs">;
  /** How often the fleet is looked at for alerts. */
  readonly watchMs: number;
  /** Where alerts are posted; null: only the log and /v1/admin/alerts tell them. */
  readonly alertWebhookUrl: string | null;
  /** Requests in one window, of a tenant or (failures) of an address; null: no limit. */
  readonly rates: {
    readonly reads: number | null;
    readonly writes: number | null;
    readonly authFailures: number | null;
  };
  readonly webhooks: { readonly allowPrivate: boolean; readonly disableAfterMs: number };
  /** What a request may weigh. */
  readonly sizes: {
    readonly bodyBytes: number;
    /** Names and values together. */
    readonly headerBytes: number;
    readonly commandBytes: number;
    readonly labelCount: number;
    readonly labelChars: number;
  };
  /** From where a workspace may be fetched. */
  readonly gitSchemes: readonly GitScheme[];
}

/** One reason not to start. */
export interface ConfigMisfit {
  /** The var or secret to change first. */
  readonly name: string;
  /** For operators: the var, its value and the rule. */
  readonly message: string;
}

/**
 * `fallback`: what the objects go on with, so that a bad deploy loses no alarm of a session that exists: default timers,
 * and of the rest whatever could be read. Nothing new is started on it, because HTTP serves nothing.
 */
export type ConfigReading =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly misfits: readonly ConfigMisfit[]; readonly fallback: Config };

const day = 86_400;
const year = 365 * day;

interface TimerVar {
  readonly field: keyof Policy;
  readonly min: number;
  readonly max: number;
  /** The word `off` is allowed and means null. */
  readonly off?: true;
}

/** Var → the policy field it sets (whole seconds there, ms in the policy), and the range that makes sense at all. */
export const timerVars = {
  PROVISION_TIMEOUT_SECONDS: { field: "provisionMs", min: 1, max: day },
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
type TimerVarName = keyof typeof timerVars;

/** Var → its range and default, for what is a count. */
export const countVars = {
  TENANT_MAX_SANDBOXES: { min: 1, max: 100_000, default: 10 },
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

/** Var → its default, for what may be `off`: requests in one window (http/rate-limits.ts). */
export const rateVars = {
  RATE_LIMIT_READS: 1_000,
  RATE_LIMIT_WRITES: 300,
  RATE_LIMIT_AUTH_FAILURES: 30,
} as const satisfies Partial<Record<keyof ConfigEnv, number>>;
const maxRate = 1_000_000;

/** Guessing a shorter one is within reach of an attacker who holds one signed key. */
const minSecretLength = 16;

type SecretName =
  | "ADMIN_TOKEN"
  | "ADMIN_TOKEN_PREVIOUS"
  | "KEY_SIGNING_SECRET"
  | "KEY_SIGNING_SECRET_PREVIOUS"
  | "ENV_ENCRYPTION_KEY"
  | "ENV_ENCRYPTION_KEY_PREVIOUS"
  | "LOCAL_HOST_TOKEN";

export function readConfig(env: ConfigEnv): ConfigReading {
  const misfits: ConfigMisfit[] = [];
  const refuse = (name: string, message: string) => {
    misfits.push({ name, message });
  };

  const provider = readProvider(env, refuse);
  const workspaceMinFreeBytes = readCount(env, "WORKSPACE_MIN_FREE_MIB", refuse) * 2 ** 20;
  const policy: Policy = { ...readPolicy(env, provider, refuse), workspaceMinFreeBytes };
  const timers = provider === null ? null : providerTimers[provider];
  // Rules between values say nothing useful while a value itself is wrong.
  if (misfits.length === 0 && timers !== null) misfits.push(...timerMisfits(policy, timers));

  const config: Config = {
    policy,
    provider: provider ?? "local",
    tenantMaxSandboxes: readCount(env, "TENANT_MAX_SANDBOXES", refuse),
    globalMaxSandboxes: readCount(env, "GLOBAL_MAX_SANDBOXES", refuse),
    sharedMaxMembers: readCount(env, "SHARED_MAX_MEMBERS", refuse),
    fleetShards: readCount(env, "FLEET_SHARDS", refuse),
    localHost: { url: readHostUrl(env, refuse), token: readSecret(env, "LOCAL_HOST_TOKEN", refuse) },
    secrets: {
      adminToken: readRotating(env, "ADMIN_TOKEN", refuse),
      keySigning: readRotating(env, "KEY_SIGNING_SECRET", refuse),
      envEncryption: readRotating(env, "ENV_ENCRYPTION_KEY", refuse),
    },
    alerts: readAlertTerms(env, refuse),
    watchMs: readCount(env, "FLEET_WATCH_SECONDS", refuse) * 1_000,
    alertWebhookUrl: readWebhookUrl(env, refuse),
    rates: {
      reads: readRate(env, "RATE_LIMIT_READS", refuse),
      writes: readRate(env, "RATE_LIMIT_WRITES", refuse),
      authFailures: readRate(env, "RATE_LIMIT_AUTH_FAILURES", refuse),
    },
    webhooks: {
      allowPrivate: readFlag(env, "WEBHOOK_ALLOW_PRIVATE", refuse),
      disableAfterMs: readCount(env, "WEBHOOK_DISABLE_SECONDS", refuse) * 1_000,
    },
    sizes: {
      bodyBytes: readCount(env, "MAX_BODY_BYTES", refuse),
      headerBytes: readCount(env, "MAX_HEADER_BYTES", refuse),
      commandBytes: readCount(env, "MAX_COMMAND_BYTES", refuse),
      labelCount: readCount(env, "MAX_LABELS", refuse),
      labelChars: readCount(env, "MAX_LABEL_CHARACTERS", refuse),
    },
    gitSchemes: readGitSchemes(env, refuse),
  };
  refuseSharedSecrets(config, refuse);
  if (config.provider === "cloudflare") refuseTooManyMembers(config, refuse);
  if (misfits.length === 0) return { ok: true, config };
  return { ok: false, misfits, fallback: { ...config, policy: defaultPolicy } };
}

/** The rules of DESIGN §5 that these timers break, in the words of an operator. */
export function timerMisfits(policy: Policy, provider: ProviderTimers): readonly ConfigMisfit[] {
  const broken = policyMisfits(policy, provider).map(({ fields, rule }) => {
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

/** One that ended has its seat until its files are removed: as many as live must have room beside them. */
function refuseTooManyMembers({ sharedMaxMembers }: Config, refuse: Refuse): void {
  if (2 * sharedMaxMembers <= seatCount) return;
  refuse(
    "SHARED_MAX_MEMBERS",
    `SHARED_MAX_MEMBERS=${sharedMaxMembers} with SANDBOX_PROVIDER=cloudflare breaks the rule: members ≤ half the ${seatCount} seats of a container.`,
  );
}

type Refuse = (name: string, message: string) => void;

function wordsFor(field: keyof Policy, policy: Policy): { readonly name: string; readonly text: string } {
  const seconds = (policy[field] ?? 0) / 1_000;
  for (const [name, timer] of Object.entries(timerVars)) {
    if (timer.field === field) return { name, text: `${name}=${seconds}` };
  }
  return { name: field, text: `${field} (no var: ${seconds} s)` };
}

/** Where a provider leaves less time than the defaults take. */
const providerPolicy: { readonly [Name in ProviderName]?: Partial<Policy> } = {
  cloudflare: { jobGraceMs: 3_000, stopGraceMs: 5_000 },
};

function readPolicy(env: ConfigEnv, provider: ProviderName | null, refuse: Refuse): Policy {
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

function readCount(env: ConfigEnv, name: keyof typeof countVars, refuse: Refuse): number {
  const range = countVars[name];
  const raw = env[name];
  if (raw === undefined) return range.default;
  const count = wholeNumber(range.min, range.max).safeParse(String(raw));
  if (count.success) return count.data;
  refuse(name, `${name}=${shown(raw)} must be a whole number from ${range.min} to ${range.max}.`);
  return range.default;
}

function readRate(env: ConfigEnv, name: keyof typeof rateVars, refuse: Refuse): number | null {
  const raw = env[name];
  if (raw === undefined) return rateVars[name];
  if (raw === "off") return null;
  const count = wholeNumber(1, maxRate).safeParse(String(raw));
  if (count.success) return count.data;
  refuse(name, `${name}=${shown(raw)} must be a whole number from 1 to ${maxRate}, or \`off\`.`);
  return rateVars[name];
}

function readFlag(env: ConfigEnv, name: "WEBHOOK_ALLOW_PRIVATE", refuse: Refuse): boolean {
  const raw = env[name] ?? "false";
  if (raw === "true" || raw === "false") return raw === "true";
  refuse(name, `${name}=${shown(raw)} must be \`true\` or \`false\`.`);
  return false;
}

function readAlertTerms(env: ConfigEnv, refuse: Refuse): Config["alerts"] {
  const count = (name: keyof typeof countVars) => readCount(env, name, refuse);
  const terms = {
    ...defaultAlertTerms,
    timeoutHighPercent: count("ALERT_TIMEOUT_HIGH_PERCENT"),
    timeoutClearPercent: count("ALERT_TIMEOUT_CLEAR_PERCENT"),
    timeoutMinSamples: count("ALERT_TIMEOUT_MIN_SAMPLES"),
    activeHigh: count("ALERT_ACTIVE_HIGH"),
    activeClear: count("ALERT_ACTIVE_CLEAR"),
    activeHighMs: count("ALERT_ACTIVE_HIGH_SECONDS") * 1_000,
    activeVeryHigh: count("ALERT_ACTIVE_VERY_HIGH"),
    activeVeryHighMs: count("ALERT_ACTIVE_VERY_HIGH_SECONDS") * 1_000,
  };
  return {
    ...terms,
    // One that clears above where it fires would do both at every look.
    timeoutClearPercent: Math.min(terms.timeoutClearPercent, terms.timeoutHighPercent),
    activeClear: Math.min(terms.activeClear, terms.activeHigh),
  };
}

function readWebhookUrl(env: ConfigEnv, refuse: Refuse): string | null {
  const raw = env.ALERT_WEBHOOK_URL;
  if (raw === undefined || raw === "") return null;
  const url = z.url({ protocol: /^https?$/ }).safeParse(raw);
  if (url.success) return url.data;
  // It may carry a token: its value is not shown.
  refuse("ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_URL (not shown) must be an http URL.");
  return null;
}

function readProvider(env: ConfigEnv, refuse: Refuse): ProviderName | null {
  const raw = env.SANDBOX_PROVIDER ?? "local";
  const name = z.enum(providerNames).safeParse(raw);
  if (name.success) return name.data;
  refuse("SANDBOX_PROVIDER", `SANDBOX_PROVIDER=${shown(raw)} must be one of ${providerNames.join(", ")}.`);
  return null;
}

function readGitSchemes(env: ConfigEnv, refuse: Refuse): readonly GitScheme[] {
  const raw = env.WORKSPACE_GIT_SCHEMES;
  if (raw === undefined) return safeGitSchemes;
  const schemes = z.array(z.enum(gitSchemes)).min(1).safeParse(String(raw).split(/[ ,]+/));
  if (schemes.success) return schemes.data;
  refuse("WORKSPACE_GIT_SCHEMES", `WORKSPACE_GIT_SCHEMES=${shown(raw)} must be some of ${gitSchemes.join(", ")}.`);
  return safeGitSchemes;
}

const defaultHostUrl = "http://127.0.0.1:8788";

function readHostUrl(env: ConfigEnv, refuse: Refuse): string {
  const raw = env.LOCAL_HOST_URL ?? defaultHostUrl;
  const url = z.url({ protocol: /^https?$/ }).safeParse(raw);
  if (url.success) return url.data.replace(/\/+$/, "");
  refuse("LOCAL_HOST_URL", `LOCAL_HOST_URL=${shown(raw)} must be an http URL such as ${defaultHostUrl}.`);
  return defaultHostUrl;
}

function readSecret(env: ConfigEnv, name: SecretName, refuse: Refuse): string | null {
  return readOneSecret(name, env[name] ?? "", refuse);
}

function readOneSecret(name: SecretName, raw: string, refuse: Refuse): string | null {
  if (raw === "") return null;
  if (typeof raw === "string" && raw.length >= minSecretLength) return raw;
  refuse(name, `${name} is too short (its value is not shown): at least ${minSecretLength} characters.`);
  return null;
}

function readRotating(
  env: ConfigEnv,
  name: "ADMIN_TOKEN" | "KEY_SIGNING_SECRET" | "ENV_ENCRYPTION_KEY",
  refuse: Refuse,
): RotatingSecret | null {
  const current = readSecret(env, name, refuse);
  const previous = (env[`${name}_PREVIOUS`] ?? "")
    .split(",")
    .map((each) => readOneSecret(`${name}_PREVIOUS`, each.trim(), refuse))
    .filter((each) => each !== null);
  // With only the old one set the secret counts as unset: removing the current one must close the route.
  return current === null ? null : [current, ...previous];
}

/** One value for two purposes would let the holder of one pass for the other (SEC-2). */
function refuseSharedSecrets(config: Config, refuse: Refuse): void {
  const owners = new Map<string, string>();
  const values: readonly (readonly [string, string | null])[] = [
    ...(config.secrets.adminToken ?? []).map((value) => ["ADMIN_TOKEN", value] as const),
    ...(config.secrets.keySigning ?? []).map((value) => ["KEY_SIGNING_SECRET", value] as const),
    ...(config.secrets.envEncryption ?? []).map((value) => ["ENV_ENCRYPTION_KEY", value] as const),
    ["LOCAL_HOST_TOKEN", config.localHost.token],
  ];
  for (const [name, value] of values) {
    if (value === null) continue;
    const owner = owners.get(value);
    if (owner !== undefined && owner !== name)
      refuse(name, `${name} has the same value as ${owner} (not shown): each secret must be its own.`);
    owners.set(value, name);
  }
}

function wholeNumber(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,12}$/)
    .transform(Number)
    .pipe(z.int().min(min).max(max));
}

/** A var is no secret, but it may be anything: bounded, and quoted so that nothing in it forges a log line. */
function shown(raw: string | number): string {
  return typeof raw === "number" ? String(raw) : JSON.stringify(raw.slice(0, 80));
}
