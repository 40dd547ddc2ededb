/**
 * The names of all vars and secrets that `config.ts` reads. A var that nothing reads changes nothing, and nobody notices: LEASE_TTL_SECOND leaves the
 * lease as it was. So a name that is almost one of these is refused. Any other name is left alone: it is not Mooring's.
 */
import { editsBetween, nearestName } from "../protocol/nearest-name.ts";
import type { Refuse } from "./config-vars.ts";
import type { ConfigEnv } from "./env.ts";

/** A record, so that a var of `env.ts` that is missing here does not compile. */
const known: Readonly<Record<keyof ConfigEnv, true>> = {
  SANDBOX_PROVIDER: true,
  PROVISION_TIMEOUT_SECONDS: true,
  LAUNCH_TIMEOUT_SECONDS: true,
  READY_TIMEOUT_SECONDS: true,
  LEASE_RENEW_SECONDS: true,
  LEASE_RETRY_SECONDS: true,
  LEASE_TTL_SECONDS: true,
  OBSERVE_TIMEOUT_SECONDS: true,
  STOP_ATTEMPTS: true,
  STOP_ATTEMPT_SECONDS: true,
  JOB_GRACE_SECONDS: true,
  STOP_GRACE_SECONDS: true,
  ALARM_SLIP_SECONDS: true,
  DEFAULT_TIMEOUT_SECONDS: true,
  DEFAULT_IDLE_TIMEOUT_SECONDS: true,
  MAX_TIMEOUT_SECONDS: true,
  MAX_LIFETIME_SECONDS: true,
  PAUSED_RETENTION_SECONDS: true,
  RETENTION_SECONDS: true,
  WORKSPACE_STEP_SECONDS: true,
  WORKSPACE_SECONDS: true,
  WORKSPACE_GIT_SCHEMES: true,
  STUCK_AFTER_SECONDS: true,
  TENANT_MAX_SANDBOXES: true,
  PRICE_PER_HOUR: true,
  PRICE_CURRENCY: true,
  TENANT_MAX_COST_PER_MONTH: true,
  TENANT_MAX_PAUSED: true,
  TENANT_MAX_SNAPSHOTS: true,
  TENANT_MAX_SNAPSHOT_MIB: true,
  GLOBAL_MAX_SANDBOXES: true,
  NETWORK_DEFAULT: true,
  TEMPLATES: true,
  FLEET_SHARDS: true,
  FLEET_WATCH_SECONDS: true,
  CANARY: true,
  RESTORE_DRILL_MINUTES: true,
  SHARED_MAX_MEMBERS: true,
  WORKSPACE_MIN_FREE_MIB: true,
  ALERT_TIMEOUT_HIGH_PERCENT: true,
  ALERT_TIMEOUT_CLEAR_PERCENT: true,
  ALERT_TIMEOUT_MIN_SAMPLES: true,
  ALERT_ACTIVE_HIGH: true,
  ALERT_ACTIVE_CLEAR: true,
  ALERT_ACTIVE_HIGH_SECONDS: true,
  ALERT_ACTIVE_VERY_HIGH: true,
  ALERT_ACTIVE_VERY_HIGH_SECONDS: true,
  LOCAL_HOST_URL: true,
  RATE_LIMIT_READS: true,
  RATE_LIMIT_WRITES: true,
  RATE_LIMIT_TRAFFIC: true,
  RATE_LIMIT_AUTH_FAILURES: true,
  CORS_ORIGINS: true,
  TRAFFIC_DOMAIN: true,
  WEBHOOK_ALLOW_PRIVATE: true,
  WEBHOOK_DISABLE_SECONDS: true,
  MAX_BODY_BYTES: true,
  MAX_HEADER_BYTES: true,
  MAX_COMMAND_BYTES: true,
  MAX_LABELS: true,
  MAX_LABEL_CHARACTERS: true,
  ADMIN_TOKEN: true,
  ADMIN_TOKEN_PREVIOUS: true,
  KEY_SIGNING_SECRET: true,
  KEY_SIGNING_SECRET_PREVIOUS: true,
  ENV_ENCRYPTION_KEY: true,
  ENV_ENCRYPTION_KEY_PREVIOUS: true,
  RECEIPT_SIGNING_KEY: true,
  RECEIPT_SIGNING_KEY_PREVIOUS: true,
  LOCAL_HOST_TOKEN: true,
  ALERT_WEBHOOK_URL: true,
};
export const varNames = Object.keys(known);

/** Nobody but Mooring would begin a name like this. Prefixes that anybody may use (MAX_, DEFAULT_, ENV_, KEY_) are not here. */
const ownPrefixes = [
  "LEASE_",
  "TENANT_MAX_",
  "GLOBAL_MAX_",
  "FLEET_",
  "SHARED_MAX_",
  "WORKSPACE_",
  "ALERT_",
  "RATE_LIMIT_",
  "WEBHOOK_",
  "LOCAL_HOST_",
  "ADMIN_TOKEN",
  "KEY_SIGNING_",
  "ENV_ENCRYPTION_",
  "RECEIPT_SIGNING_",
];

/** Three edits make another word out of a short name. */
const maxEdits = 2;
/** Longer than any name: comparing it would only cost time. */
const maxCompared = 64;

/** `env` holds whatever the platform binds: only texts and numbers are vars. */
export function refuseMisspelt(env: object, refuse: Refuse): void {
  for (const [name, value] of Object.entries(env)) {
    if (typeof value !== "string" && typeof value !== "number") continue;
    if (Object.hasOwn(known, name) || !looksLikeOurs(name)) continue;
    const nearest = nearestName(name, varNames);
    const next =
      nearest === null
        ? "wrangler.toml lists the vars, src/config/env.ts the secrets too."
        : `did you mean ${nearest}?`;
    // The value may be a secret: it is not shown.
    refuse(name, `${name} is no var of Mooring's, so it would change nothing: ${next}`);
  }
}

function looksLikeOurs(name: string): boolean {
  if (name.length > maxCompared) return false;
  const upper = name.toUpperCase().replaceAll(/[-\s.]/g, "_");
  return (
    ownPrefixes.some((prefix) => upper.startsWith(prefix)) ||
    varNames.some((each) => editsBetween(upper, each) <= maxEdits)
  );
}
