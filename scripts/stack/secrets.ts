/** The secrets of a stack, kept in a file that only its owner reads and that wrangler reads too (`KEY=value` lines). */
import { appendFileSync, chmodSync, existsSync, readFileSync } from "node:fs";
import { readSecretFile } from "../deploy/secret-file.ts";
import { deployedSecrets, freshSecret } from "../deploy/secret-values.ts";

const names = [...deployedSecrets, "LOCAL_HOST_TOKEN"] as const;
export type StackSecrets = Readonly<Record<(typeof names)[number], string>>;

/** Reads the file, adding a random value for each secret that it lacks. What is there is never changed. `written`: which were added. */
export function ensureSecrets(file: string): { readonly secrets: StackSecrets; readonly written: readonly string[] } {
  const present = readSecretFile(file);
  const written = names.filter((name) => (present.get(name) ?? "") === "");
  if (written.length > 0) {
    for (const name of written) present.set(name, freshSecret(name));
    const lines = written.map((name) => `${name}=${present.get(name)}\n`).join("");
    appendFileSync(file, (endsOpen(file) ? "\n" : "") + lines, { mode: 0o600 });
    chmodSync(file, 0o600);
  }
  return { secrets: Object.fromEntries(names.map((name) => [name, present.get(name)])) as StackSecrets, written };
}

/** Its last line was written by hand, without an end of line. */
function endsOpen(file: string): boolean {
  return existsSync(file) && /[^\n]$/.test(readFileSync(file, "utf8"));
}
