/** From a zod error to `errors[]`: which field, what is wrong, and for a duration what would be allowed. */
import type { z } from "zod";
import type { Policy } from "../../domain/rules/policy.ts";
import type { Problem, Reply } from "../../protocol/problem.ts";
import { refused } from "../answer/problem.ts";
import { issueWords } from "./issue-words.ts";
import { nearestName } from "../../protocol/nearest-name.ts";

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
  const parsed = schema.safeParse(input, { reportInput: true });
  if (parsed.success) return { ok: true, value: parsed.data };
  const errors = new Map<string, FieldError>();
  for (const issue of parsed.error.issues) {
    for (const error of fieldErrors(issue, { schema, where, ranges })) {
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
  readonly schema: z.ZodType;
  readonly where: string;
  readonly ranges: Ranges;
}

function fieldErrors(issue: z.core.$ZodIssue, checked: Checked): readonly FieldError[] {
  if (issue.code === "unrecognized_keys") {
    const known = fieldsAt(checked.schema, issue.path);
    return issue.keys.map((key) => {
      const meant = nearestName(key, known);
      const detail =
        meant === null
          ? "This field is not known here. Remove it."
          : `This field is not known here. Did you mean \`${meant}\`?`;
      return { pointer: pointer([...issue.path, key], checked.where), detail };
    });
  }
  const last = issue.path.at(-1);
  const range = typeof last === "string" && Object.hasOwn(checked.ranges, last) ? checked.ranges[last] : undefined;
  const what = issueWords(issue, checked.where === "");
  const detail = range === undefined ? what : `${what} Allowed: ${range}.`;
  return [{ pointer: pointer(issue.path, checked.where), detail }];
}

/** The names of the fields that may stand at this place of a body. */
function fieldsAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): readonly string[] {
  const [first, ...rest] = path;
  return objectsIn(schema).flatMap(({ def: { shape } }) => {
    if (first === undefined) return Object.keys(shape);
    const field = shape[String(first)];
    return field === undefined ? [] : fieldsAt(field, rest);
  });
}

/** The objects that a schema may take, behind what wraps them. */
function objectsIn(schema: z.core.$ZodType): readonly z.core.$ZodObject["_zod"][] {
  const { def } = schema._zod as z.core.$ZodTypes["_zod"];
  if (def.type === "object") return [schema._zod as z.core.$ZodObject["_zod"]];
  if (def.type === "union") return def.options.flatMap(objectsIn);
  if (def.type === "pipe") return objectsIn(def.in);
  return "innerType" in def ? objectsIn(def.innerType) : [];
}

function pointer(path: readonly PropertyKey[], where: string): string {
  const segments = path.map((segment) => String(segment).slice(0, 100));
  if (where !== "") return [where, ...segments].join(".");
  return segments.map((segment) => `/${segment.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
