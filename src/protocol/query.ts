/** Pieces of query strings. The text of a parameter becomes a value here; the OpenAPI document shows what the value may be. */
import { z } from "zod";
import { labels, limits } from "./primitives.ts";

interface Whole {
  readonly min: number;
  readonly max: number;
  /** What leaving it out means. */
  readonly usual: number;
}

/** A whole number in a query: text here, a JSON integer in the document. */
export function wholeNumber({ min, max, usual }: Whole) {
  const words = `A whole number from ${min} to ${max}.`;
  return z
    .string()
    .regex(/^\d{1,6}$/, words)
    .transform(Number)
    .refine((count) => count >= min && count <= max, words)
    .default(usual)
    .meta({
      override: ({ jsonSchema }: Rendered) => toInteger(jsonSchema, { minimum: min, maximum: max, default: usual }),
    });
}

interface Rendered {
  readonly jsonSchema: Record<string, unknown>;
}

function toInteger(schema: Record<string, unknown>, bounds: object): void {
  delete schema["pattern"];
  Object.assign(schema, { type: "integer", ...bounds });
}

/** Where in a stream or history to go on: a byte offset or a sequence. */
export const position = z
  .string()
  .regex(/^\d{1,15}$/, "A whole number from 0.")
  .meta({
    override: ({ jsonSchema }: Rendered) => toInteger(jsonSchema, { minimum: 0, maximum: 999_999_999_999_999 }),
  });

export const pageLimit = wholeNumber({ min: 1, max: limits.pageSize, usual: 20 }).describe("How many at most.");

export const trueOrFalse = z.enum(["true", "false"], "true or false.");
export const labelFilter = labels.optional().meta({
  description: "Only sessions that carry each of these labels: `label[team]=web&label[stage]=test`.",
  param: { style: "deepObject", explode: true, example: {} },
});

/** A list's position: opaque, checked when it is read. */
export const cursor = z.string().max(100).describe("`next_cursor` of the page before, unchanged.");
export const timeParameter = z.iso.datetime({ offset: true, error: "An RFC 3339 time, such as 2026-01-31T12:00:00Z." });
