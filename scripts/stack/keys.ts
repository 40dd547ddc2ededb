/**
 * `npm run keys -- create --tenant acme [--scope read|run|manage|critical]… [--expires 30d] [--e2b] [--secrets FILE]`: prints a new API key, and nothing else, on stdout.
 * With `--secrets FILE` the signing secret is that of the file and of nothing else (`npm run secrets` makes one). Without it: from
 * KEY_SIGNING_SECRET in the environment, else from .dev.vars here.
 * Exit 1: the secret is missing or too short. Exit 2: the command line is wrong.
 */
import { type ApiKeyScope, apiKeyScope, apiKeyScopes, e2bFormOf, keyLifetimeMs } from "../../src/protocol/api-keys.ts";
import { readCommandLine } from "../command-line.ts";
import { secretFault } from "../../src/config/config-secrets.ts";
import { drillTenantName, tenantName } from "../../src/protocol/primitives.ts";
import { readSecretFile } from "../deploy/secret-file.ts";
import { freshKey } from "./fresh-key.ts";

const usage = `Usage: npm run keys -- create --tenant <name> [--scope ${apiKeyScopes.join("|")}] [--expires 30d] [--e2b] [--secrets FILE]`;

class Refusal extends Error {
  readonly exitCode: 1 | 2;
  constructor(exitCode: 1 | 2, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

function readOrder(argv: readonly string[]): {
  readonly tenant: string;
  readonly scopes: readonly ApiKeyScope[];
  readonly expiresAt: number | null;
  readonly e2b: boolean;
  readonly secrets: string | null;
} {
  const { values, positionals } = parseOptions(argv);
  if (positionals.length !== 1 || positionals[0] !== "create") throw new Refusal(2, usage);
  if (values.tenant === undefined) throw new Refusal(2, `The tenant is missing. ${usage}`);
  if (!tenantName.safeParse(values.tenant).success) {
    throw new Refusal(2, "A tenant is 1 to 32 lower-case letters, digits and inner hyphens.");
  }
  if (values.tenant === drillTenantName) {
    throw new Refusal(2, `The tenant ${drillTenantName} is Mooring's own, and no key opens it: choose another name.`);
  }
  const scopes = (values.scope ?? []).map((each) => {
    const scope = apiKeyScope.safeParse(each);
    if (!scope.success) throw new Refusal(2, `There is no such scope: choose from ${apiKeyScopes.join(", ")}.`);
    return scope.data;
  });
  const lasts = values.expires === undefined ? null : keyLifetimeMs(values.expires);
  if (lasts === undefined) throw new Refusal(2, "The time after which it ends is written 12h, 30d or 1y.");
  const expiresAt = lasts === null ? null : Date.now() + lasts;
  return { tenant: values.tenant, scopes, expiresAt, e2b: values.e2b, secrets: values.secrets ?? null };
}

function parseOptions(argv: readonly string[]) {
  return readCommandLine(usage, {
    args: [...argv],
    options: {
      tenant: { type: "string" },
      scope: { type: "string", multiple: true },
      expires: { type: "string" },
      e2b: { type: "boolean", default: false },
      secrets: { type: "string" },
    },
    allowPositionals: true,
  });
}

/** `file` null: of development. A deployment's key that was signed with any other secret would look right and open nothing. */
function readSigningSecret(file: string | null): string {
  const secret =
    file === null
      ? (process.env["KEY_SIGNING_SECRET"] ?? readSecretFile(".dev.vars").get("KEY_SIGNING_SECRET"))
      : readSecretFile(file).get("KEY_SIGNING_SECRET");
  if (secret === undefined || secret === "") {
    const mend =
      file === null
        ? "KEY_SIGNING_SECRET is not set: export it, or run `npm run dev` once, which writes .dev.vars."
        : `${file} holds no KEY_SIGNING_SECRET, and no other one was tried: \`npm run secrets -- --file ${file}\` makes what is missing.`;
    throw new Refusal(1, mend);
  }
  const fault = secretFault("KEY_SIGNING_SECRET", secret);
  if (fault !== null) throw new Refusal(1, `KEY_SIGNING_SECRET ${fault}, so Mooring refuses it.`);
  return secret;
}

try {
  const order = readOrder(process.argv.slice(2));
  const key = await freshKey(order, readSigningSecret(order.secrets));
  process.stdout.write(`${order.e2b ? e2bFormOf(key) : key}\n`);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
}
