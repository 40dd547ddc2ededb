/**
 * The environment, read once: the only reader of vars and secrets. A value out of range or a set of timers that does not
 * fit is refused as a whole (the Worker then answers 503 to everything but /healthz), with one message per fault that
 * names the var, its value and the rule. A secret's value is never in a message. An unset secret is no fault of the
 * config: the routes that need it refuse by themselves, and /readyz says so.
 *
 * The timers and the rules between them are in config-timers.ts.
 */
import { z } from "zod";
import { readRotating, readSecret, refuseSharedSecrets, type Secrets } from "./config-secrets.ts";
import {
  type countVars,
  readCount,
  readFlag,
  readCanary,
  readMonthlyBudget,
  readRestoreDrill,
  readPrices,
  readRate,
  type Refuse,
  shown,
} from "./config-vars.ts";
import { type ConfigMisfit, readPolicy, timerMisfits } from "./config-timers.ts";
import { defaultPolicy, type Policy } from "../domain/rules/policy.ts";
import type { ProviderName } from "../domain/state/provider-names.ts";
import type { ConfigEnv } from "./env.ts";
import { type AlertTerms, defaultAlertTerms } from "../fleet/alerts/alert-terms.ts";
import { seatCount } from "../protocol/sandbox/toolbox.ts";
import { networkOrder } from "../protocol/resources/session/network.ts";
import { type GitScheme, gitSchemes, safeGitSchemes } from "../protocol/sandbox/workspace.ts";
import { readTemplates, type Templates } from "./config-templates.ts";
import { refuseMisspelt } from "./misspelt-vars.ts";
import { providerTimers } from "../sandbox/provider-timers.ts";

export interface Config {
  readonly policy: Policy;
  readonly provider: ProviderName;
  readonly tenantMaxSandboxes: number;
  /** What may be paused, and what its snapshots may take, of one tenant. */
  readonly tenantPauses: {
    readonly maxPaused: number;
    readonly maxSnapshots: number;
    readonly maxSnapshotBytes: number;
  };
  /** What a tenant may spend in a month (UTC), in billionths of the currency; null: no bound. */
  readonly tenantMonthlyNanos: number | null;
  /** CANARY. */
  readonly canary: boolean;
  /** RESTORE_DRILL_MINUTES, in ms; null: none. */
  readonly restoreDrillMs: number | null;
  readonly globalMaxSandboxes: number;
  /** Sessions in one shared container. */
  readonly sharedMaxMembers: number;
  readonly fleetShards: number;
  readonly localHost: { readonly url: string; readonly token: string | null };
  readonly secrets: Secrets;
  /** The schedule of the layers is its own (run-layers.ts). */
  readonly alerts: Omit<AlertTerms, "layerEveryMs">;
  /** How often the fleet is looked at for alerts. */
  readonly watchMs: number;
  /** Where alerts are posted; null: only the log and /v1/admin/alerts tell them. */
  readonly alertWebhookUrl: string | null;
  /** Requests in one window, of a tenant or (failures) of an address; null: no limit. */
  readonly rates: {
    readonly reads: number | null;
    readonly writes: number | null;
    /** To files, processes and terminals in sandboxes. */
    readonly traffic: number | null;
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
  /** Whose pages may call this API from a browser; empty: nobody's. */
  readonly corsOrigins: readonly string[];
  /** Below it every port of a sandbox has a host name, and so an origin, of its own; null: ports are reached by path alone. */
  readonly trafficDomain: string | null;
  /** From where a workspace may be fetched. */
  readonly gitSchemes: readonly GitScheme[];
  /** What a session may reach when its create does not say. */
  readonly defaultNetwork:
    { readonly mode: "open" | "closed" } | { readonly mode: "allow"; readonly allow: readonly string[] };
  /** What containers start from, by the names that clients use. */
  readonly templates: Templates;
}

/**
 * `fallback`: what the objects go on with, so that a bad deploy loses no alarm of a session that exists: default timers,
 * and of the rest whatever could be read. Nothing new is started on it, because HTTP serves nothing.
 */
export type ConfigReading =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly misfits: readonly ConfigMisfit[]; readonly fallback: Config };

/** `built`: the providers that this build of the Worker has. */
export function readConfig(env: ConfigEnv, built: readonly ProviderName[]): ConfigReading {
  const misfits: ConfigMisfit[] = [];
  const refuse = (name: string, message: string) => {
    misfits.push({ name, message });
  };

  const provider = readProvider(env, built, refuse);
  const workspaceMinFreeBytes = readCount(env, "WORKSPACE_MIN_FREE_MIB", refuse) * 2 ** 20;
  const prices = readPrices(env, refuse);
  const stopAttempts = readCount(env, "STOP_ATTEMPTS", refuse);
  const policy: Policy = { ...readPolicy(env, provider, refuse), stopAttempts, workspaceMinFreeBytes, prices };
  const timers = provider === null ? null : providerTimers[provider];
  // Rules between values say nothing useful while a value itself is wrong.
  if (misfits.length === 0 && timers !== null) misfits.push(...timerMisfits(policy, timers));

  const config: Config = {
    policy,
    provider: provider ?? "local",
    tenantMaxSandboxes: readCount(env, "TENANT_MAX_SANDBOXES", refuse),
    tenantPauses: {
      maxPaused: readCount(env, "TENANT_MAX_PAUSED", refuse),
      maxSnapshots: readCount(env, "TENANT_MAX_SNAPSHOTS", refuse),
      maxSnapshotBytes: readCount(env, "TENANT_MAX_SNAPSHOT_MIB", refuse) * 2 ** 20,
    },
    tenantMonthlyNanos: readMonthlyBudget(env, refuse),
    canary: readCanary(env, refuse),
    restoreDrillMs: readRestoreDrill(env, refuse),
    globalMaxSandboxes: readCount(env, "GLOBAL_MAX_SANDBOXES", refuse),
    sharedMaxMembers: readCount(env, "SHARED_MAX_MEMBERS", refuse),
    fleetShards: readCount(env, "FLEET_SHARDS", refuse),
    localHost: { url: readHostUrl(env, refuse), token: readSecret(env, "LOCAL_HOST_TOKEN", refuse) },
    secrets: {
      adminToken: readRotating(env, "ADMIN_TOKEN", refuse),
      keySigning: readRotating(env, "KEY_SIGNING_SECRET", refuse),
      envEncryption: readRotating(env, "ENV_ENCRYPTION_KEY", refuse),
      receiptSigning: readRotating(env, "RECEIPT_SIGNING_KEY", refuse),
    },
    alerts: readAlertTerms(env, refuse),
    watchMs: readCount(env, "FLEET_WATCH_SECONDS", refuse) * 1_000,
    alertWebhookUrl: readWebhookUrl(env, refuse),
    rates: {
      reads: readRate(env, "RATE_LIMIT_READS", refuse),
      writes: readRate(env, "RATE_LIMIT_WRITES", refuse),
      traffic: readRate(env, "RATE_LIMIT_TRAFFIC", refuse),
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
    corsOrigins: readOrigins(env, refuse),
    trafficDomain: readTrafficDomain(env, refuse),
    gitSchemes: readGitSchemes(env, refuse),
    defaultNetwork: readDefaultNetwork(env, refuse),
    templates: readTemplates(env, refuse),
  };
  refuseMisspelt(env, refuse);
  refuseSharedSecrets(config.secrets, config.localHost.token, refuse);
  if (config.provider === "cloudflare") refuseTooManyMembers(config, refuse);
  if (misfits.length === 0) return { ok: true, config };
  return { ok: false, misfits, fallback: { ...config, policy: defaultPolicy } };
}

/** An ended member keeps its seat until its files are removed, so a container needs more seats than members that may live. */
function refuseTooManyMembers({ sharedMaxMembers }: Config, refuse: Refuse): void {
  if (2 * sharedMaxMembers <= seatCount) return;
  refuse(
    "SHARED_MAX_MEMBERS",
    `SHARED_MAX_MEMBERS=${sharedMaxMembers} with SANDBOX_PROVIDER=cloudflare breaks the rule: members ≤ half the ${seatCount} slots of a container.`,
  );
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
    // An alert that clears above its own firing threshold would fire and clear at every look.
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

function readProvider(env: ConfigEnv, built: readonly ProviderName[], refuse: Refuse): ProviderName | null {
  const raw = env.SANDBOX_PROVIDER ?? "local";
  const name = z.enum(built).safeParse(raw);
  if (name.success) return name.data;
  refuse("SANDBOX_PROVIDER", `SANDBOX_PROVIDER=${shown(raw)} must be one of ${built.join(", ")}.`);
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

function readDefaultNetwork(env: ConfigEnv, refuse: Refuse): Config["defaultNetwork"] {
  const raw = String(env.NETWORK_DEFAULT ?? "open");
  if (raw === "open" || raw === "closed") return { mode: raw };
  const named = raw.startsWith("allow:") ? raw.slice("allow:".length).split(/[ ,]+/) : [];
  const order = networkOrder.safeParse({ mode: "allow", allow: named });
  if (order.success && named.length > 0) return { mode: "allow", allow: named };
  refuse(
    "NETWORK_DEFAULT",
    `NETWORK_DEFAULT=${shown(raw)} must be \`open\`, \`closed\`, or \`allow:\` and host names, such as allow:api.example.com,*.pypi.org.`,
  );
  return { mode: "closed" };
}

/** An origin as a browser sends it: scheme, host, and a port that is not the usual one; no path. */
function readOrigins(env: ConfigEnv, refuse: Refuse): readonly string[] {
  const named = String(env.CORS_ORIGINS ?? "")
    .split(/[ ,]+/)
    .filter((each) => each !== "");
  const isOrigin = (each: string) => each === "*" || (URL.canParse(each) && new URL(each).origin === each);
  for (const each of named.filter((one) => !isOrigin(one))) {
    const example = "https://app.example.com";
    refuse(
      "CORS_ORIGINS",
      `CORS_ORIGINS holds ${shown(each)}, which is no origin: write it like ${example}, or \`*\`.`,
    );
  }
  return named.filter(isOrigin);
}

const defaultHostUrl = "http://127.0.0.1:8788";

function readHostUrl(env: ConfigEnv, refuse: Refuse): string {
  const raw = env.LOCAL_HOST_URL ?? defaultHostUrl;
  const url = z.url({ protocol: /^https?$/ }).safeParse(raw);
  if (url.success) return url.data.replace(/\/+$/, "");
  refuse("LOCAL_HOST_URL", `LOCAL_HOST_URL=${shown(raw)} must be an http URL such as ${defaultHostUrl}.`);
  return defaultHostUrl;
}

/** A name of its own, without a scheme or a port. */
function readTrafficDomain(env: ConfigEnv, refuse: Refuse): string | null {
  const domain = String(env.TRAFFIC_DOMAIN ?? "").toLowerCase();
  if (domain === "") return null;
  if (/^(localhost|([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63})$/.test(domain)) return domain;
  refuse(
    "TRAFFIC_DOMAIN",
    `TRAFFIC_DOMAIN=${shown(domain)} is no host name: write it like sandboxes.example.net, without a scheme, a port or \`*.\`.`,
  );
  return null;
}
