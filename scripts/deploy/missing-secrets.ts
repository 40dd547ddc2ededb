/** Which secrets a deployment lacks, by what `wrangler secret list` says. Names only: no value is ever read. */

/** Without one of them routes refuse; LOCAL_HOST_TOKEN is for development. */
export const requiredSecrets = {
  ADMIN_TOKEN: "openssl rand -hex 32",
  KEY_SIGNING_SECRET: "openssl rand -hex 32",
  ENV_ENCRYPTION_KEY: "openssl rand -base64 32",
  RECEIPT_SIGNING_KEY: "openssl rand -hex 32",
} as const;
export type RequiredSecret = keyof typeof requiredSecrets;

export type SecretsLook =
  | { readonly type: "known"; readonly missing: readonly RequiredSecret[] }
  /** It cannot be told, and why, for a person. */
  | { readonly type: "unknown"; readonly why: string };

export function readSecretList(exitCode: number | null, stdout: string, stderr: string): SecretsLook {
  const said = `${stdout}\n${stderr}`;
  // No Worker of that name yet: it has no secret either.
  if (exitCode !== 0 && /\[code: 10007\]|does not exist/i.test(said)) return { type: "known", missing: names() };
  if (exitCode !== 0 && /CLOUDFLARE_API_TOKEN|not authenticated|wrangler login/i.test(said)) {
    return {
      type: "unknown",
      why: "wrangler is not logged in: run `npx wrangler login`, or set CLOUDFLARE_API_TOKEN.",
    };
  }
  const listed = exitCode === 0 ? namesIn(stdout) : null;
  if (listed === null) {
    const line = said.split("\n").find((each) => /error/i.test(each)) ?? "it said nothing";
    return { type: "unknown", why: `The secrets cannot be listed: ${line.trim()}` };
  }
  return { type: "known", missing: names().filter((name) => !listed.has(name)) };
}

/** One line for each: the name and the command that sets it. */
export function howToSet(missing: readonly RequiredSecret[], worker: readonly string[]): string {
  const flags = worker.length === 0 ? "" : ` ${worker.join(" ")}`;
  return missing
    .map((name) => `  ${name.padEnd(20)} ${requiredSecrets[name]} | npx wrangler secret put ${name}${flags}`)
    .join("\n");
}

function names(): readonly RequiredSecret[] {
  return Object.keys(requiredSecrets) as RequiredSecret[];
}

/** null: that is no list. wrangler may say something before it. */
function namesIn(stdout: string): ReadonlySet<string> | null {
  try {
    const list: unknown = JSON.parse(stdout.slice(stdout.indexOf("[")));
    if (!Array.isArray(list)) return null;
    return new Set(list.flatMap((each: { name?: unknown }) => (typeof each.name === "string" ? [each.name] : [])));
  } catch {
    return null;
  }
}
