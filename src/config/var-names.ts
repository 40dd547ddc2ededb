/**
 * The names of all vars and secrets that `config.ts` reads. Env, and the refusal of a misspelt name, derive from these two lists.
 * Each var has a range and a default in config-vars.ts, or a reader of its own.
 */
export const plainVars = [
  "SANDBOX_PROVIDER",
  "PROVISION_TIMEOUT_SECONDS",
  "LAUNCH_TIMEOUT_SECONDS",
  "READY_TIMEOUT_SECONDS",
  "LEASE_RENEW_SECONDS",
  "LEASE_RETRY_SECONDS",
  "LEASE_TTL_SECONDS",
  "OBSERVE_TIMEOUT_SECONDS",
  "STOP_ATTEMPT_SECONDS",
  "STOP_ATTEMPTS",
  "JOB_GRACE_SECONDS",
  "STOP_GRACE_SECONDS",
  "ALARM_SLIP_SECONDS",
  "DEFAULT_TIMEOUT_SECONDS",
  "DEFAULT_IDLE_TIMEOUT_SECONDS",
  "MAX_TIMEOUT_SECONDS",
  "MAX_LIFETIME_SECONDS",
  "PAUSED_RETENTION_SECONDS",
  "RETENTION_SECONDS",
  "WORKSPACE_STEP_SECONDS",
  "WORKSPACE_SECONDS",
  // Some of https, ssh, http, file, separated by commas; by default the first two.
  "WORKSPACE_GIT_SCHEMES",
  "STUCK_AFTER_SECONDS",
  // What a session may reach when its create does not say: open, closed, or allow:HOST,HOST.
  "NETWORK_DEFAULT",
  // What containers start from, by name: a JSON object (config-templates.ts).
  "TEMPLATES",
  "TENANT_MAX_SANDBOXES",
  "TENANT_MAX_PAUSED",
  "TENANT_MAX_SNAPSHOTS",
  "TENANT_MAX_SNAPSHOT_MIB",
  "PRICE_PER_HOUR",
  "PRICE_CURRENCY",
  "TENANT_MAX_COST_PER_MONTH",
  "GLOBAL_MAX_SANDBOXES",
  "FLEET_SHARDS",
  "FLEET_WATCH_SECONDS",
  // `daily`: the deployment plants an orphan of its own and measures how long it lives; `off`.
  "CANARY",
  // How often a saved snapshot is restored to see that it can be; `off`.
  "RESTORE_DRILL_MINUTES",
  "SHARED_MAX_MEMBERS",
  "WORKSPACE_MIN_FREE_MIB",
  "ALERT_TIMEOUT_HIGH_PERCENT",
  "ALERT_TIMEOUT_CLEAR_PERCENT",
  "ALERT_TIMEOUT_MIN_SAMPLES",
  "ALERT_ACTIVE_HIGH",
  "ALERT_ACTIVE_CLEAR",
  "ALERT_ACTIVE_HIGH_SECONDS",
  "ALERT_ACTIVE_VERY_HIGH",
  "ALERT_ACTIVE_VERY_HIGH_SECONDS",
  "LOCAL_HOST_URL",
  "RATE_LIMIT_READS",
  "RATE_LIMIT_WRITES",
  "RATE_LIMIT_TRAFFIC",
  "RATE_LIMIT_AUTH_FAILURES",
  // Origins whose pages may call this API from a browser, separated by commas, or `*`; empty: none.
  "CORS_ORIGINS",
  // Ports of sandboxes are at `{port}-{session id}.` and this; empty: by path alone.
  "TRAFFIC_DOMAIN",
  "WEBHOOK_ALLOW_PRIVATE",
  "WEBHOOK_DISABLE_SECONDS",
  "MAX_BODY_BYTES",
  "MAX_HEADER_BYTES",
  "MAX_COMMAND_BYTES",
  "MAX_LABELS",
  "MAX_LABEL_CHARACTERS",
] as const;

export const secretVars = [
  "ADMIN_TOKEN",
  "ADMIN_TOKEN_PREVIOUS",
  "KEY_SIGNING_SECRET",
  "KEY_SIGNING_SECRET_PREVIOUS",
  "ENV_ENCRYPTION_KEY",
  "ENV_ENCRYPTION_KEY_PREVIOUS",
  "RECEIPT_SIGNING_KEY",
  "RECEIPT_SIGNING_KEY_PREVIOUS",
  "LOCAL_HOST_TOKEN",
  // A secret because it often carries a token.
  "ALERT_WEBHOOK_URL",
] as const;

export const varNames: readonly string[] = [...plainVars, ...secretVars];
