/** A zod issue in words for people: what was expected and what came. Values are shown only where they cannot be a secret. */
import type { z } from "zod";
import { nearestName } from "../../protocol/nearest-name.ts";

type Issue = z.core.$ZodIssue;

const required = "This field is required.";

/** `inBody`: elsewhere everything is text, so its kind says nothing. */
export function issueWords(issue: Issue, inBody: boolean): string {
  // The message of a record's key or entry is in an issue of its own; the outer one only says that something is invalid.
  if (issue.code === "invalid_key" || issue.code === "invalid_element")
    return issue.issues.map((inner) => issueWords(inner, inBody)).join(" ");
  if (issue.input === undefined && missingWhenUndefined.has(issue.code)) return required;
  const own = !zodsOwn.test(issue.message);
  switch (issue.code) {
    case "invalid_type":
      if (!own) return `Expected ${typeWords[issue.expected] ?? issue.expected}, but this is ${kindOf(issue.input)}.`;
      return inBody ? `${issue.message} This is ${kindOf(issue.input)}.` : issue.message;
    case "invalid_value": {
      if (own) return issue.message;
      const values = issue.values.map((value) => (typeof value === "string" ? `\`${value}\`` : String(value)));
      const nearest = typeof issue.input === "string" ? nearestName(issue.input, issue.values.map(String)) : null;
      const meant = nearest === null ? "" : ` Did you mean \`${nearest}\`?`;
      const came = typeof issue.input === "string" ? "something else" : kindOf(issue.input);
      return `Expected ${values.length === 1 ? "" : "one of "}${values.join(", ")}, but this is ${came}.${meant}`;
    }
    case "invalid_union": {
      if (own) return issue.message;
      const expected = issue.errors.flatMap(([first]) =>
        first?.code === "invalid_type" ? [typeWords[first.expected] ?? first.expected] : [],
      );
      const what = expected.length === 0 ? "another form" : [...new Set(expected)].join(" or ");
      return `Expected ${what}, but this is ${kindOf(issue.input)}.`;
    }
    case "too_big":
      return own ? issue.message : `At most ${issue.maximum}${unitOf(issue.origin)}; this ${sizeOf(issue.input)}.`;
    case "too_small":
      return own ? issue.message : `At least ${issue.minimum}${unitOf(issue.origin)}; this ${sizeOf(issue.input)}.`;
    case "invalid_format":
    case "not_multiple_of":
    case "unrecognized_keys":
    case "custom":
      return issue.message;
  }
}

/** Anything else about a field that is not there (a rule between fields, say) has its own words. */
const missingWhenUndefined: ReadonlySet<Issue["code"]> = new Set(["invalid_type", "invalid_value", "invalid_union"]);
/** How the library's own messages begin; a schema of ours says it better. */
const zodsOwn = /^(Invalid |Too (big|small): )/;

const typeWords: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "an object",
  record: "an object with named values",
  array: "a list",
  null: "null",
};

function kindOf(input: unknown): string {
  if (input === null) return "null";
  if (Array.isArray(input)) return "a list";
  if (typeof input === "object") return "an object";
  if (typeof input === "number") return Number.isInteger(input) ? "a number" : "a number that is not whole";
  return typeof input === "boolean" ? String(input) : "text";
}

function unitOf(origin: string): string {
  if (origin === "string") return " characters";
  return origin === "array" || origin === "set" ? " entries" : "";
}

function sizeOf(input: unknown): string {
  if (typeof input === "string") return `has ${input.length}`;
  if (Array.isArray(input)) return `has ${input.length}`;
  return typeof input === "number" ? `is ${input}` : "is not";
}
