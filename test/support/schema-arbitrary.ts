/** From the JSON Schema of the OpenAPI document to fast-check: values that fit it, and values that nearly do. */
import fc, { type Arbitrary } from "fast-check";

export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly if?: JsonSchema;
  readonly else?: JsonSchema;
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly propertyNames?: JsonSchema;
}

export function fitting(schema: JsonSchema): Arbitrary<unknown> {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined && schema.properties === undefined) return fc.oneof(...choices.map(fitting));
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case "null":
      return fc.constant(null);
    case "boolean":
      return fc.boolean();
    case "number":
      return fc.double({ min: schema.minimum ?? -1e6, max: schema.maximum ?? 1e9, noNaN: true });
    case "integer":
      return fc.integer({ min: schema.minimum ?? -1_000_000, max: Math.min(schema.maximum ?? 2 ** 31, 2 ** 31 - 1) });
    case "string":
      return text(schema);
    case "array":
      return fc.array(fitting(schema.items ?? {}), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 4, 4),
      });
    case "object":
      return object(schema);
    case undefined:
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

function text({ pattern, format, minLength = 0, maxLength = 40 }: JsonSchema): Arbitrary<string> {
  if (format === "date-time") {
    const range = { min: new Date("1990-01-01"), max: new Date("2090-01-01"), noInvalidDate: true } as const;
    return fc.date(range).map((date) => date.toISOString());
  }
  if (pattern === undefined) return fc.string({ minLength, maxLength: Math.min(maxLength, 40), unit: "grapheme" });
  return fc.stringMatching(new RegExp(pattern), { size: "small" }).map((each) => each.slice(0, maxLength));
}

function object(schema: JsonSchema): Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties, propertyNames } = schema;
  if (Object.keys(properties).length === 0 && typeof additionalProperties === "object") {
    const names = propertyNames === undefined ? fc.string() : (fitting(propertyNames) as Arbitrary<string>);
    return fc.dictionary(names, fitting(additionalProperties), { maxKeys: 4 });
  }
  // Alternatives by what must be there (`if` and `else` with `required`): one of them is, and nothing of the other.
  const alternatives = [schema.if?.required ?? [], schema.else?.required ?? []].filter((names) => names.length > 0);
  if (alternatives.length > 0) {
    const without = (names: readonly string[]) =>
      Object.fromEntries(Object.entries(properties).filter(([name]) => !names.includes(name)));
    const choices = alternatives.map((names) =>
      object({
        properties: without(alternatives.flat().filter((name) => !names.includes(name))),
        required: [...required, ...names],
      }),
    );
    return fc.oneof(...choices);
  }
  const fields = Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, fitting(each)]));
  return fc.record(fields, { requiredKeys: required.filter((name) => name in fields) });
}

/** What has broken parsers before. */
export const oddText = fc.oneof(
  fc.constantFrom("", " ", "null", "undefined", "true", "-1", "0", "1e999", "NaN", "0x10", "../../etc/passwd", "..%2f"),
  fc.constantFrom(
    "__proto__",
    "constructor",
    "\u0000",
    "a\nb",
    "\u202e",
    "\ud800",
    "🦀",
    "%00",
    "%zz",
    "' OR 1=1 --",
    "<x>",
  ),
  fc.string({ unit: "binary", maxLength: 30 }),
  fc.integer({ min: 200, max: 20_000 }).map((length) => "a".repeat(length)),
);

const oddValue = fc.oneof(
  oddText,
  fc.constantFrom<unknown>(null, true, 0, -1, 1.5, 2 ** 53, -(2 ** 53), 1e308, [], {}, [[]], { a: { b: { c: {} } } }),
  fc.jsonValue({ maxDepth: 3 }),
);

/** A fitting value with one thing wrong in it, if it is an object; else anything at all. */
export function nearly(schema: JsonSchema): Arbitrary<unknown> {
  return fc
    .tuple(fitting(schema), fc.nat(), oddText, oddValue, fc.constantFrom("change", "drop", "add", "replace"))
    .map(([value, at, name, odd, how]) => {
      if (value === null || typeof value !== "object" || Array.isArray(value) || how === "replace") return odd;
      const names = Object.keys(value);
      if (how === "add" || names.length === 0) return { ...value, [name]: odd };
      const chosen = names[at % names.length] ?? "";
      const changed: Record<string, unknown> = { ...value, [chosen]: odd };
      if (how === "drop") delete changed[chosen];
      return changed;
    });
}
