/**
 * What the platform binds to the Worker: namespaces, vars, secrets. Only `config.ts` reads vars and secrets; only the
 * composition root and the objects' shells read bindings, and CONTAINER_IMAGE. Everyone else gets what they need handed in.
 * The namespaces are untyped here: an adapter casts a stub to its API once, so that this file depends on no object.
 */

/** `--var` and wrangler.toml give text; a test may bind a number. */
type Var = string | number | undefined;
type Secret = string | undefined;

export interface Env {
  readonly SESSIONS: DurableObjectNamespace;
  readonly TENANTS: DurableObjectNamespace;
  readonly SHARDS: DurableObjectNamespace;
  readonly CONTROL: DurableObjectNamespace;
  /** The files of the docs page. */
  readonly ASSETS?: Fetcher;
  /** One object per container of the `cloudflare` provider. Without it, or without ASSETS, that provider is not wired. */
  readonly CONTAINERS?: DurableObjectNamespace;
  /** What containers of the `cloudflare` provider start from: the platform's managed image, or on a developer's machine one of the local engine. */
  readonly CONTAINER_IMAGE?: Var;
  /** One object per container of the `sandbox-sdk` provider. Without it that provider is not wired. */
  readonly SANDBOXES?: DurableObjectNamespace;
  /** Optional: the R2 bucket for snapshots of both container providers; without it their sessions cannot be paused. */
  readonly SNAPSHOTS?: R2Bucket;
  /** Optional: an Analytics Engine dataset. */
  readonly ANALYTICS?: AnalyticsEngineDataset;

  /** Optional: the platform's rate limits, which count over the isolates of one location (http/guard/rate-limits.ts). */
  readonly RATE_READS?: RateLimit;
  readonly RATE_WRITES?: RateLimit;
  readonly RATE_TRAFFIC?: RateLimit;
  readonly RATE_AUTH_FAILURES?: RateLimit;

  readonly SANDBOX_PROVIDER?: Var;
  readonly PROVISION_TIMEOUT_SECONDS?: Var;
  readonly LAUNCH_TIMEOUT_SECONDS?: Var;
  readonly READY_TIMEOUT_SECONDS?: Var;
  readonly LEASE_RENEW_SECONDS?: Var;
  readonly LEASE_RETRY_SECONDS?: Var;
  readonly LEASE_TTL_SECONDS?: Var;
  readonly OBSERVE_TIMEOUT_SECONDS?: Var;
  readonly STOP_ATTEMPTS?: Var;
  readonly STOP_ATTEMPT_SECONDS?: Var;
  readonly JOB_GRACE_SECONDS?: Var;
  readonly STOP_GRACE_SECONDS?: Var;
  readonly ALARM_SLIP_SECONDS?: Var;
  readonly DEFAULT_TIMEOUT_SECONDS?: Var;
  readonly DEFAULT_IDLE_TIMEOUT_SECONDS?: Var;
  readonly MAX_TIMEOUT_SECONDS?: Var;
  readonly MAX_LIFETIME_SECONDS?: Var;
  readonly PAUSED_RETENTION_SECONDS?: Var;
  readonly RETENTION_SECONDS?: Var;
  readonly WORKSPACE_STEP_SECONDS?: Var;
  readonly WORKSPACE_SECONDS?: Var;
  /** Some of https, ssh, http, file, separated by commas; by default the first two. */
  readonly WORKSPACE_GIT_SCHEMES?: Var;
  readonly STUCK_AFTER_SECONDS?: Var;
  /** What a session may reach when its create does not say: open, closed, or allow:HOST,HOST. */
  readonly NETWORK_DEFAULT?: Var;
  /** What containers start from, by name: a JSON object (config-templates.ts). */
  readonly TEMPLATES?: Var;
  readonly TENANT_MAX_SANDBOXES?: Var;
  readonly TENANT_MAX_PAUSED?: Var;
  readonly TENANT_MAX_SNAPSHOTS?: Var;
  readonly TENANT_MAX_SNAPSHOT_MIB?: Var;
  readonly PRICE_PER_HOUR?: Var;
  readonly PRICE_CURRENCY?: Var;
  readonly TENANT_MAX_COST_PER_MONTH?: Var;
  readonly GLOBAL_MAX_SANDBOXES?: Var;
  readonly FLEET_SHARDS?: Var;
  readonly FLEET_WATCH_SECONDS?: Var;
  /** `daily`: the deployment plants an orphan of its own and measures how long it lives; `off`. */
  readonly CANARY?: Var;
  /** How often a saved snapshot is restored to see that it can be; `off`. */
  readonly RESTORE_DRILL_MINUTES?: Var;
  readonly SHARED_MAX_MEMBERS?: Var;
  readonly WORKSPACE_MIN_FREE_MIB?: Var;
  readonly ALERT_TIMEOUT_HIGH_PERCENT?: Var;
  readonly ALERT_TIMEOUT_CLEAR_PERCENT?: Var;
  readonly ALERT_TIMEOUT_MIN_SAMPLES?: Var;
  readonly ALERT_ACTIVE_HIGH?: Var;
  readonly ALERT_ACTIVE_CLEAR?: Var;
  readonly ALERT_ACTIVE_HIGH_SECONDS?: Var;
  readonly ALERT_ACTIVE_VERY_HIGH?: Var;
  readonly ALERT_ACTIVE_VERY_HIGH_SECONDS?: Var;
  readonly LOCAL_HOST_URL?: Var;
  readonly RATE_LIMIT_READS?: Var;
  readonly RATE_LIMIT_WRITES?: Var;
  readonly RATE_LIMIT_TRAFFIC?: Var;
  readonly RATE_LIMIT_AUTH_FAILURES?: Var;
  /** Origins whose pages may call this API from a browser, separated by commas, or `*`; empty: none. */
  readonly CORS_ORIGINS?: Var;
  /** Ports of sandboxes are at `{port}-{session id}.` and this; empty: by path alone. */
  readonly TRAFFIC_DOMAIN?: Var;
  readonly WEBHOOK_ALLOW_PRIVATE?: Var;
  readonly WEBHOOK_DISABLE_SECONDS?: Var;
  readonly MAX_BODY_BYTES?: Var;
  readonly MAX_HEADER_BYTES?: Var;
  readonly MAX_COMMAND_BYTES?: Var;
  readonly MAX_LABELS?: Var;
  readonly MAX_LABEL_CHARACTERS?: Var;

  readonly ADMIN_TOKEN?: Secret;
  readonly ADMIN_TOKEN_PREVIOUS?: Secret;
  readonly KEY_SIGNING_SECRET?: Secret;
  readonly KEY_SIGNING_SECRET_PREVIOUS?: Secret;
  readonly ENV_ENCRYPTION_KEY?: Secret;
  readonly ENV_ENCRYPTION_KEY_PREVIOUS?: Secret;
  readonly RECEIPT_SIGNING_KEY?: Secret;
  readonly RECEIPT_SIGNING_KEY_PREVIOUS?: Secret;
  readonly LOCAL_HOST_TOKEN?: Secret;
  /** A secret because it often carries a token. */
  readonly ALERT_WEBHOOK_URL?: Secret;
}

/** What `config.ts` reads: everything but the bindings and CONTAINER_IMAGE. */
export type ConfigEnv = Omit<
  Env,
  | "SESSIONS"
  | "TENANTS"
  | "SHARDS"
  | "CONTROL"
  | "SANDBOXES"
  | "CONTAINERS"
  | "CONTAINER_IMAGE"
  | "SNAPSHOTS"
  | "ANALYTICS"
  | "ASSETS"
  | "RATE_READS"
  | "RATE_WRITES"
  | "RATE_TRAFFIC"
  | "RATE_AUTH_FAILURES"
>;
