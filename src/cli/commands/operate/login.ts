/**
 * `mooring login`, `logout`, `profiles`: keep the address of a Mooring and the credential for it in a file that only
 * its owner can read.
 */
import type { Command } from "commander";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { Context } from "../../context.ts";
import { askedFor, askedForSecret } from "../../screen/confirm.ts";
import { kindOf, usualUrl } from "../../settings/access.ts";
import { profilesPath, readProfiles, writeProfiles } from "../../settings/profiles.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

export function loginCommand(shell: Shell): Command {
  const made = command("login", "Keep a key or the admin token for a Mooring as a profile", [
    ["mooring login", "asks for the address and the key"],
    ["mooring login --profile prod --url https://mooring.example.com", "a second one, by name"],
    ["printenv MOORING_KEY | mooring login --url https://mooring.example.com", "without a terminal: the key on stdin"],
  ])
    .option("--profile <name>", "name of the profile", "default")
    .option("--url <url>", "where Mooring is");
  return made.action(async (flags: { profile: string; url?: string }) => {
    const context = contextOf(shell, { url: flags.url });
    const { screen } = context;
    const url =
      flags.url ?? (screen.isLive ? await askedFor(screen, "Where is Mooring?", "--url URL", usualUrl) : usualUrl);
    const secret = screen.isLive ? await askedForSecret("API key or admin token") : (await stdinText()).trim();
    if (secret === "")
      throw new CliFault(exitCodes.usage, "There was no key.", "printenv MOORING_KEY | mooring login --url URL");
    const credentials = kindOf(secret);
    // Try the credential before it is stored, so that a wrong one is noticed now and not at the next command.
    const tried = new Context({ url, ...credentials, from: "the prompt" }, screen, shell.env, shell.signal);
    if (credentials.key === null) await tried.admin().stats({ signal: shell.signal });
    else await tried.mooring().page({ limit: 1 }, { signal: shell.signal });
    const path = profilesPath(shell.env);
    const before = readProfiles(path);
    const known = before.profiles[flags.profile];
    const kept = known?.url === url ? known : { url };
    const profile = { ...kept, ...(credentials.key === null ? { admin_token: secret } : { key: secret }) };
    writeProfiles(path, { current: flags.profile, profiles: { ...before.profiles, [flags.profile]: profile } });
    screen.line(
      `Kept as profile ${flags.profile} in ${path}: ${credentials.key === null ? "the admin token" : "an API key"} for ${url}.`,
    );
  });
}

export function logoutCommand(shell: Shell): Command {
  return command("logout", "Forget a profile and its key")
    .option("--profile <name>", "which one; the current one when left out")
    .action((flags: { profile?: string }) => {
      const path = profilesPath(shell.env);
      const before = readProfiles(path);
      const name = flags.profile ?? before.current;
      if (before.profiles[name] === undefined)
        throw new CliFault(exitCodes.notFound, `There is no profile "${name}".`, "mooring profiles");
      const { [name]: _, ...profiles } = before.profiles;
      writeProfiles(path, { current: Object.keys(profiles)[0] ?? "default", profiles });
      process.stdout.write(`Forgot profile ${name}. Its key still works: revoke it if it must not.\n`);
    });
}

export function profilesCommand(shell: Shell): Command {
  const made = command("profiles", "List profiles; with a name, make it the current one").argument(
    "[name]",
    "profile to use from now on",
  );
  return withSharedOptions(made, ["json", "ids"]).action((name: string | undefined, flags: object) => {
    const path = profilesPath(shell.env);
    const all = readProfiles(path);
    if (name !== undefined) {
      if (all.profiles[name] === undefined)
        throw new CliFault(exitCodes.notFound, `There is no profile "${name}".`, `mooring login --profile ${name}`);
      writeProfiles(path, { ...all, current: name });
    }
    const current = name ?? all.current;
    // Leave the secrets out: other people may see this screen.
    const rows = Object.entries(all.profiles).map(([each, { url, key, admin_token: token }]) => ({
      name: each,
      current: each === current,
      url,
      holds: [key === undefined ? "" : "API key", token === undefined ? "" : "admin token"]
        .filter((text) => text !== "")
        .join(" and "),
    }));
    const { screen } = contextOf(shell, { ...flags, profile: undefined });
    screen.rows(
      rows,
      [
        { title: "", text: (row) => (row.current ? "▸" : " ") },
        { title: "name", text: (row) => row.name },
        { title: "url", text: (row) => row.url },
        { title: "holds", text: (row) => row.holds },
      ],
      (row) => row.name,
      "No profiles: `mooring login` makes one.",
    );
  });
}

async function stdinText(): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin) text += String(chunk);
  return text;
}
