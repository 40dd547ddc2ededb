/**
 * `npm run keys -- create --tenant acme [--scope critical]`: prints a new API key, and nothing else, on stdout.
 * The signing secret comes from KEY_SIGNING_SECRET in the environment, else from .dev.vars here.
 * Exit 1: the secret is missing or too short. Exit 2: the command line is wrong.
 */
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type ApiKeyScope, apiKeyScope, apiKeyScopes, signApiKey } from "../src/protocol/api-keys.ts";
import { tenantName } from "../src/protocol/primitives.ts";

const usage = `Usage: npm run keys -- create --tenant <name> [--scope ${apiKeyScopes.join("|")}]`;

class Refusal extends Error {
  readonly exitCode: 1 | 2;
  constructor(exitCode: 1 | 2, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

function readOrder(argv: readonly string[]): { readonly tenant: string; readonly scopes: readonly ApiKeyScope[] } {
  const { values, positionals } = parseOptions(argv);
  if (positionals.length !== 1 || positionals[0] !== "create") throw new Refusal(2, usage);
  if (values.tenant === undefined) throw new Refusal(2, `The tenant is missing. ${usage}`);
  if (!tenantName.safeParse(values.tenant).success) {
    throw new Refusal(2, "A tenant is 1 to 32 lower-case letters, digits and inner hyphens.");
  }
  const scopes = (values.scope ?? []).map((each) => {
    const scope = apiKeyScope.safeParse(each);
    if (!scope.success) throw new Refusal(2, `There is no such scope: choose from ${apiKeyScopes.join(", ")}.`);
    return scope.data;
  });
  return { tenant: values.tenant, scopes };
}

function parseOptions(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: { tenant: { type: "string" }, scope: { type: "string", multiple: true } },
      allowPositionals: true,
    });
  } catch {
    throw new Refusal(2, usage);
  }
}

function readSigningSecret(): string {
  const secret = process.env["KEY_SIGNING_SECRET"] ?? fromDevVars("KEY_SIGNING_SECRET");
  if (secret === undefined || secret === "") {
    throw new Refusal(
      1,
      "KEY_SIGNING_SECRET is not set: export it, or run `npm run dev` once, which writes .dev.vars.",
    );
  }
  if (secret.length < 16)
    throw new Refusal(1, "KEY_SIGNING_SECRET is shorter than 16 characters, so Mooring refuses it.");
  return secret;
}

function fromDevVars(name: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(".dev.vars", "utf8");
  } catch {
    return undefined;
  }
  for (const line of text.split(/\r?\n/)) {
    const [, key, value] = /^\s*(?:export\s+)?([A-Z_]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (key === name && value !== undefined) return value.replace(/^(["'])(.*)\1$/, "$2");
  }
  return undefined;
}

try {
  const order = readOrder(process.argv.slice(2));
  const nonce = Array.from({ length: 10 }, () => randomInt(36).toString(36)).join("");
  process.stdout.write(`${await signApiKey({ ...order, issuedAt: Date.now(), nonce }, readSigningSecret())}\n`);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
}
