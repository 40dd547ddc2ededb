/**
 * Which Mooring a command talks to, and with which credentials. A flag wins over the environment, which wins over the
 * profile.
 *
 * No flag takes a key or token: every user of a machine can read the command lines of all processes. Credentials come
 * from the environment, a file, a prompt or stdin.
 */
import { readFileSync } from "node:fs";
import { claimsApiKey } from "../../protocol/api-keys.ts";
import { exitCodes } from "../exit-codes.ts";
import { CliFault } from "../fault.ts";
import { type Profile, profilesPath, readProfiles } from "./profiles.ts";

export const usualUrl = "http://127.0.0.1:8787";

export interface Access {
  readonly url: string;
  /** A tenant's API key. */
  readonly key: string | null;
  readonly adminToken: string | null;
  /** Where the credentials are from, for `doctor` and errors. */
  readonly from: string;
}

export interface AccessFlags {
  readonly url?: string | undefined;
  readonly profile?: string | undefined;
  readonly keyFile?: string | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;

export function accessOf(flags: AccessFlags, env: Env): Access {
  const path = profilesPath(env);
  const profiles = readProfiles(path);
  const asked = flags.profile ?? filled(env["MOORING_PROFILE"]);
  const name = asked ?? profiles.current;
  const profile: Partial<Profile> | undefined = profiles.profiles[name];
  if (asked !== undefined && profile === undefined)
    throw new CliFault(
      exitCodes.usage,
      `There is no profile "${asked}" in ${path}.`,
      `mooring login --profile ${asked}`,
    );
  const fromFile = flags.keyFile === undefined ? undefined : secretIn(flags.keyFile);
  const fromEnv = filled(env["MOORING_KEY"]) ?? filled(env["MOORING_ADMIN_TOKEN"]);
  // Take credentials of one source only: with a key from the environment, a profile's admin token must not be used by
  // surprise.
  const own = { key: filled(env["MOORING_KEY"]) ?? null, adminToken: filled(env["MOORING_ADMIN_TOKEN"]) ?? null };
  const chosen =
    fromFile !== undefined
      ? { ...kindOf(fromFile), from: flags.keyFile ?? "" }
      : fromEnv !== undefined && flags.profile === undefined
        ? { ...own, from: "the environment" }
        : {
            key: profile?.key ?? null,
            adminToken: profile?.admin_token ?? null,
            from: profile === undefined ? "nowhere" : `profile ${name}`,
          };
  const url = withoutSlash(flags.url ?? filled(env["MOORING_URL"]) ?? profile?.url ?? usualUrl);
  const usesProfile = fromFile === undefined && (fromEnv === undefined || flags.profile !== undefined);
  const elsewhere = usesProfile && profile?.url !== undefined && withoutSlash(profile.url) !== url;
  // Never send a key that was stored for one Mooring to another.
  return elsewhere
    ? { key: null, adminToken: null, from: `nowhere: profile ${name} is for ${profile.url}`, url }
    : { ...chosen, url };
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, "");
}

/** An API key is known by its form; anything else is taken for the admin token. */
export function kindOf(secret: string): Pick<Access, "key" | "adminToken"> {
  return claimsApiKey(secret) ? { key: secret, adminToken: null } : { key: null, adminToken: secret };
}

/** Refuses a key or token on the command line, because every user of the machine can read it there. */
export function refuseSecretsIn(args: readonly string[]): void {
  if (!args.some((arg) => /(^|=)(mrg|e2b)_[a-z0-9-]+_?[0-9a-z._]{20,}/.test(arg))) return;
  throw new CliFault(
    exitCodes.usage,
    "An API key is on the command line, where every user of this machine can read it. Nothing was done with it.",
    "export MOORING_KEY=…   # or: mooring login   # or: --key-file FILE. Revoke the key if others use this machine.",
  );
}

function secretIn(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8").trim();
  } catch {
    throw new CliFault(exitCodes.usage, `The key could not be read from ${file}.`);
  }
}

function filled(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}
