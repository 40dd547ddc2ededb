/**
 * A var that nothing reads changes nothing, and nobody notices: LEASE_TTL_SECOND leaves the lease as it was. So a name that is almost
 * one of Mooring's is refused. Any other name is left alone: it is not Mooring's.
 */
import { editsBetween, nearestName } from "../protocol/nearest-name.ts";
import type { Refuse } from "./config-vars.ts";
import { varNames } from "./var-names.ts";

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
    if (varNames.includes(name) || !looksLikeOurs(name)) continue;
    const nearest = nearestName(name, varNames);
    const next =
      nearest === null
        ? "wrangler.toml lists the vars, src/config/var-names.ts the secrets too."
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
