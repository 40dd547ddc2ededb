/**
 * Profiles: the address of a Mooring and a key or token for it. The file holds secrets, so only its owner may read it.
 * A file that others can read is refused, as ssh refuses such a key: nobody knows who has read it already.
 */
import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { exitCodes } from "../exit-codes.ts";
import { CliFault } from "../fault.ts";

const profile = z.strictObject({
  url: z.string(),
  key: z.string().optional(),
  admin_token: z.string().optional(),
});
export type Profile = z.infer<typeof profile>;

const profilesFile = z.strictObject({
  current: z.string(),
  profiles: z.record(z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/), profile),
});
export type Profiles = z.infer<typeof profilesFile>;

type Env = Readonly<Record<string, string | undefined>>;

export function profilesPath(env: Env): string {
  const { MOORING_CONFIG, XDG_CONFIG_HOME } = env;
  if (MOORING_CONFIG !== undefined && MOORING_CONFIG !== "") return MOORING_CONFIG;
  const base = XDG_CONFIG_HOME === undefined || XDG_CONFIG_HOME === "" ? join(homedir(), ".config") : XDG_CONFIG_HOME;
  return join(base, "mooring", "profiles.json");
}

/** No file means no profiles. */
export function readProfiles(path: string): Profiles {
  let text: string;
  try {
    const { mode } = statSync(path);
    if (process.platform !== "win32" && (mode & 0o077) !== 0)
      throw new CliFault(
        exitCodes.failed,
        `${path} holds keys and others can read it (mode ${(mode & 0o777).toString(8)}), so it is not used.`,
        `chmod 600 ${path}   # and replace the keys if you share this machine`,
      );
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof CliFault) throw error;
    return { current: "default", profiles: {} };
  }
  const read = profilesFile.safeParse(jsonOf(text));
  if (read.success) return read.data;
  throw new CliFault(exitCodes.failed, `${path} is not a file of profiles.`, `mv ${path} ${path}.old && mooring login`);
}

/** Write a file beside it, then rename: a reader never finds half a file, and the mode is right from the first byte. */
export function writeProfiles(path: string, profiles: Profiles): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(profiles, null, 2)}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, path);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
