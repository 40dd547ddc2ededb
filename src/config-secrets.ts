/** Secrets, read once. A value is never in a message; an unset one is no fault of the config: its routes refuse by themselves. */
import type { Refuse } from "./config-vars.ts";
import type { ConfigEnv } from "./env.ts";

/** A secret and those it replaced: the first is used for what is new, and all are accepted until they are removed. */
export type RotatingSecret = readonly [current: string, ...previous: string[]];

export interface Secrets {
  readonly adminToken: RotatingSecret | null;
  readonly keySigning: RotatingSecret | null;
  readonly envEncryption: RotatingSecret | null;
}

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

export function readSecret(env: ConfigEnv, name: SecretName, refuse: Refuse): string | null {
  return readOneSecret(name, env[name] ?? "", refuse);
}

function readOneSecret(name: SecretName, raw: string, refuse: Refuse): string | null {
  if (raw === "") return null;
  if (typeof raw === "string" && raw.length >= minSecretLength) return raw;
  refuse(name, `${name} is too short (its value is not shown): at least ${minSecretLength} characters.`);
  return null;
}

export function readRotating(
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
export function refuseSharedSecrets(secrets: Secrets, hostToken: string | null, refuse: Refuse): void {
  const owners = new Map<string, string>();
  const values: readonly (readonly [string, string | null])[] = [
    ...(secrets.adminToken ?? []).map((value) => ["ADMIN_TOKEN", value] as const),
    ...(secrets.keySigning ?? []).map((value) => ["KEY_SIGNING_SECRET", value] as const),
    ...(secrets.envEncryption ?? []).map((value) => ["ENV_ENCRYPTION_KEY", value] as const),
    ["LOCAL_HOST_TOKEN", hostToken],
  ];
  for (const [name, value] of values) {
    if (value === null) continue;
    const owner = owners.get(value);
    if (owner !== undefined && owner !== name)
      refuse(name, `${name} has the same value as ${owner} (not shown): each secret must be its own.`);
    owners.set(value, name);
  }
}
