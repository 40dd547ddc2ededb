/** Secrets, read once. A value is never in a message; an unset one is no fault of the config: its routes refuse by themselves. */
import { limits } from "../protocol/primitives.ts";
import type { Refuse } from "./config-vars.ts";
import type { ConfigEnv } from "./env.ts";
import type { secretVars } from "./var-names.ts";

/** A secret and those it replaced: the first is used for what is new, and all are accepted until they are removed. */
export type RotatingSecret = readonly [current: string, ...previous: string[]];

export interface Secrets {
  readonly adminToken: RotatingSecret | null;
  readonly keySigning: RotatingSecret | null;
  readonly envEncryption: RotatingSecret | null;
  /** null: receipts are kept and not signed. */
  readonly receiptSigning: RotatingSecret | null;
}

/** Guessing a shorter one is within reach of an attacker who holds one signed key. */
const minSecretLength = 16;

type SecretName = Exclude<(typeof secretVars)[number], "ALERT_WEBHOOK_URL">;

export function readSecret(env: ConfigEnv, name: SecretName, refuse: Refuse): string | null {
  return readOneSecret(name, env[name] ?? "", refuse);
}

function readOneSecret(name: SecretName, raw: string, refuse: Refuse): string | null {
  if (raw === "") return null;
  const fault = secretFault(name, raw);
  if (fault === null) return raw;
  refuse(name, `${name} ${fault} (its value is not shown).`);
  return null;
}

/** Sent in a header by whoever has it, so only what a header can carry would ever work. */
const sentInHeaders: ReadonlySet<SecretName> = new Set(["ADMIN_TOKEN", "ADMIN_TOKEN_PREVIOUS", "LOCAL_HOST_TOKEN"]);

/** What keeps a value from working, in words; null: nothing does. A secret that is accepted and never works locks its owner out. */
export function secretFault(name: SecretName, value: string): string | null {
  if (value.length < minSecretLength) return `is too short: at least ${minSecretLength} characters`;
  // `…_PREVIOUS` lists secrets with commas in between, so one with a comma could never be rotated out.
  if (value.includes(","))
    return "holds a comma, which separates the secrets of its _PREVIOUS list: choose one without";
  if (!sentInHeaders.has(name)) return null;
  if (value.length > limits.credential) return `is too long: at most ${limits.credential} characters`;
  if (!/^[\x21-\x7e]+$/.test(value))
    return "holds a space or a character outside ASCII, which an Authorization header cannot carry";
  return null;
}

export function readRotating(
  env: ConfigEnv,
  name: "ADMIN_TOKEN" | "KEY_SIGNING_SECRET" | "ENV_ENCRYPTION_KEY" | "RECEIPT_SIGNING_KEY",
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

/** One value for two purposes would let the holder of one pass for the other. */
export function refuseSharedSecrets(secrets: Secrets, hostToken: string | null, refuse: Refuse): void {
  const owners = new Map<string, string>();
  const values: readonly (readonly [string, string | null])[] = [
    ...(secrets.adminToken ?? []).map((value) => ["ADMIN_TOKEN", value] as const),
    ...(secrets.keySigning ?? []).map((value) => ["KEY_SIGNING_SECRET", value] as const),
    ...(secrets.envEncryption ?? []).map((value) => ["ENV_ENCRYPTION_KEY", value] as const),
    ...(secrets.receiptSigning ?? []).map((value) => ["RECEIPT_SIGNING_KEY", value] as const),
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
