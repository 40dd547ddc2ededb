/**
 * Takes known secrets out of a text before it is shown: the values of an environment, whole and line by line, and
 * an `authorization` in the forms in which tools print it. A value that was encoded, cut or shorter than four characters
 * is not recognised: output is the client's own, and this is the second line of defence, not the first.
 */
import { fromBase64 } from "../bytes.ts";

const mask = "[secret]";
/** Shorter ones are in every text, and guessed anyway. */
const leastChars = 4;

/** How much of a text's beginning may be the rest of a cut secret. */
export function longestOf(secrets: readonly string[]): number {
  return secrets.reduce((longest, secret) => Math.max(longest, secret.length), 0);
}

/** Longest first, so that one that is part of another does not leave the rest of it standing. */
export function secretsIn(env: Readonly<Record<string, string>>, authorization?: string): readonly string[] {
  const values = Object.values(env).flatMap((value) => [value, ...value.split(/\r?\n/).map((line) => line.trim())]);
  const found = [...values, ...(authorization === undefined ? [] : partsOf(authorization))];
  return [...new Set(found)].filter((value) => value.length >= leastChars).sort((a, b) => b.length - a.length);
}

function partsOf(authorization: string): readonly string[] {
  const encoded = authorization.slice(authorization.indexOf(" ") + 1);
  try {
    const [, password = ""] = /^[^:]*:(.*)$/s.exec(new TextDecoder().decode(fromBase64(encoded))) ?? [];
    return [encoded, password, encodeURIComponent(password)];
  } catch {
    return [encoded];
  }
}

export function redacted(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => rest.split(secret).join(mask), text);
}
