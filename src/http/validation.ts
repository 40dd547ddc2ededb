/** From a zod error to `errors[]`: which field, what is wrong, and for a duration what would be allowed. */
import type { z } from "zod";
import type { Policy } from "../domain/policy.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import { refused } from "./problem.ts";

type FieldError = NonNullable<Problem["errors"]>[number];

/** Field name → the words for its allowed range, as configured here. */
export type Ranges = Readonly<Record<string, string>>;

/** More would help nobody, and a body can hold thousands of wrong fields. */
const maxErrors = 20;

export function sessionRanges(policy: Policy): Ranges {
  const upTo = (ms: number) => `a whole number of seconds from 1 to ${Math.floor(ms / 1_000)}`;
  return {
    timeout_seconds: upTo(policy.maxTimeoutMs),
    duration_seconds: upTo(policy.maxTimeoutMs),
    idle_timeout_seconds: `${upTo(policy.maxTimeoutMs)}, or null to switch the idle clock off`,
    max_lifetime_seconds: upTo(policy.maxLifetimeMs),
  };
}

export const jobRanges: Ranges = { timeout_seconds: "a whole number of seconds from 1 to 86400" };

/** `where`: "" for a body (JSON pointers), else the prefix of `query.x` and `header.x`. */
export function validate<S extends z.ZodType>(
  schema: S,
  input: unknown,
  where: "" | "query" | "header" | "path",
  ranges: Ranges = {},
): Reply<z.output<S>> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return { ok: true, value: parsed.data };
  const errors = new Map<string, FieldError>();
  for (const issue of parsed.error.issues) {
    for (const error of fieldErrors(issue, { input, where, ranges })) {
      // A number can be both fractional and too big: the first word on a field is enough.
      if (!errors.has(error.pointer)) errors.set(error.pointer, error);
    }
  }
  return validationFailed([...errors.values()]);
}

export function validationFailed(errors: readonly FieldError[]): Reply<never> {
  const shown = errors.slice(0, maxErrors);
  const fields = shown.map((error) => error.pointer || "the body").join(", ");
  return refused({
    code: "validation_failed",
    detail: `The request was not accepted and nothing was changed. Correct ${fields} (see errors) and send it again.`,
    errors: shown,
  });
}

interface Checked {
  readonly input: unknown;
  readonly where: string;
  readonly ranges: Ranges;
}

function fieldErrors(issue: z.core.$ZodIssue, checked: Checked): readonly FieldError[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      pointer: pointer([...issue.path, key], checked.where),
      detail: "This field is not known here. Remove it.",
    }));
  }
  const last = issue.path.at(-1);
  const range = typeof last === "string" && Object.hasOwn(checked.ranges, last) ? checked.ranges[last] : undefined;
  const what = valueAt(checked.input, issue.path) === undefined ? "This field is required." : words(issue);
  const detail = range === undefined ? what : `${what} Allowed: ${range}.`;
  return [{ pointer: pointer(issue.path, checked.where), detail }];
}

function words(issue: z.core.$ZodIssue): string {
  // A record's key fails inside an issue of its own; the outer message only says "Invalid key".
  if (issue.code === "invalid_key") return issue.issues.map((inner) => inner.message).join(" ");
  return issue.message;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const segment of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[segment];
  }
  return value;
}

function pointer(path: readonly PropertyKey[], where: string): string {
  const segments = path.map((segment) => String(segment).slice(0, 100));
  if (where !== "") return [where, ...segments].join(".");
  return segments.map((segment) => `/${segment.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
