/** The secrets of a stack, kept in a file that only its owner reads and that wrangler reads too (`KEY=value` lines). */
import { randomBytes } from "node:crypto";
import { appendFileSync, chmodSync, readFileSync } from "node:fs";

const names = ["ADMIN_TOKEN", "KEY_SIGNING_SECRET", "ENV_ENCRYPTION_KEY", "LOCAL_HOST_TOKEN"] as const;
export type StackSecrets = Readonly<Record<(typeof names)[number], string>>;

/** Reads the file, adding a random value for each secret that it lacks. What is there is never changed. `written`: which were added. */
export function ensureSecrets(file: string): { readonly secrets: StackSecrets; readonly written: readonly string[] } {
  const present = parse(read(file));
  const written = names.filter((name) => (present.get(name) ?? "") === "");
  if (written.length > 0) {
    for (const name of written) present.set(name, fresh(name));
    const lines = written.map((name) => `${name}=${present.get(name)}\n`).join("");
    appendFileSync(file, lines, { mode: 0o600 });
    chmodSync(file, 0o600);
  }
  return { secrets: Object.fromEntries(names.map((name) => [name, present.get(name)])) as StackSecrets, written };
}

/** ENV_ENCRYPTION_KEY is an AES-256 key in base64; the others are only ever compared or hashed. */
function fresh(name: (typeof names)[number]): string {
  return randomBytes(32).toString(name === "ENV_ENCRYPTION_KEY" ? "base64" : "hex");
}

function read(file: string): string {
  try {
    const text = readFileSync(file, "utf8");
    if (text !== "" && !text.endsWith("\n")) appendFileSync(file, "\n");
    return text;
  } catch {
    return "";
  }
}

function parse(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const [, key, value] = /^\s*(?:export\s+)?([A-Z_]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) found.set(key, value.replace(/^(["'])(.*)\1$/, "$2"));
  }
  return found;
}
