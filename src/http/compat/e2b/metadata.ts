/**
 * E2B's metadata and template are stored as labels of the session. A metadata key that is also a valid label key is
 * kept, so that both APIs can filter by it. Any other key (spaces, colons, unicode) becomes `e2b/` and its UTF-8 bytes:
 * letters and digits as they are, every other byte as `.` and two hex digits. Such a key is never `e2b/template`,
 * because a key of letters and digits alone is kept as it is.
 */
import { type Problem, type Reply } from "../../../protocol/problem.ts";
import { labels, limits } from "../../../protocol/primitives.ts";
import { validationFailed } from "../../request/validation.ts";

export const templateLabel = "e2b/template";
const written = "e2b/";
const labelKey = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;

export function labelKeyOf(key: string): string {
  if (labelKey.test(key) && !key.startsWith(written)) return key;
  const bytes = Array.from(new TextEncoder().encode(key), (byte) => {
    const char = String.fromCharCode(byte);
    return /[A-Za-z0-9]/.test(char) ? char : `.${byte.toString(16).padStart(2, "0")}`;
  });
  return `${written}${bytes.join("")}`;
}

function metadataKeyOf(key: string): string {
  if (!/^e2b\/([A-Za-z0-9]|\.[0-9a-f]{2})+$/.test(key)) return key;
  const percent = key.slice(written.length).replaceAll(".", "%");
  try {
    return decodeURIComponent(percent);
  } catch {
    // Not written by this code: somebody's own label that begins alike.
    return key;
  }
}

/**
 * Metadata that cannot be a label is refused by name. If it were dropped, a filter by it would silently find nothing.
 */
export function labelsOf(
  metadata: Readonly<Record<string, string>>,
  template: string,
): Reply<Readonly<Record<string, string>>> {
  const errors: NonNullable<Problem["errors"]>[number][] = [];
  const made = Object.fromEntries(
    Object.entries(metadata).map(([key, value]) => {
      const label = labelKeyOf(key);
      const parsed = labels.safeParse({ [label]: value });
      if (!parsed.success) {
        const detail =
          label.length > limits.labelKey || key === ""
            ? `A key is 1 to ${limits.labelKey} characters, of which every one but letters and digits may count as three.`
            : (parsed.error.issues[0]?.message ?? "Not to be had here.");
        errors.push({ pointer: `/metadata/${key.slice(0, 100)}`, detail });
      }
      return [label, value];
    }),
  );
  if (Object.keys(made).length >= limits.labelCount)
    errors.push({ pointer: "/metadata", detail: `At most ${limits.labelCount - 1} entries.` });
  return errors.length > 0 ? validationFailed(errors) : { ok: true, value: { ...made, [templateLabel]: template } };
}

export function metadataOf(labels: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(labels).filter(([key]) => key !== templateLabel);
  return Object.fromEntries(entries.map(([key, value]) => [metadataKeyOf(key), value]));
}

/**
 * Parses `user=abc&app=prod`. The SDK encodes every key and value once more before it puts this text into the query. A
 * client that encodes once (curl) is understood too, as long as no value contains a percent sign.
 */
export function metadataFilter(text: string): Record<string, string> {
  const pairs = [...new URLSearchParams(text)];
  return Object.fromEntries(pairs.map(([key, value]) => [labelKeyOf(decoded(key)), decoded(value)]));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
