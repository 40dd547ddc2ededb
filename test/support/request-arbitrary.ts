/**
 * Requests made from the OpenAPI document: for each operation its path, query, headers and body, each fitting most of the
 * time and odd the rest, so that a request passes most checks and fails at one.
 */
import fc, { type Arbitrary } from "fast-check";
import { fitting, type JsonSchema, nearly, oddText } from "./schema-arbitrary.ts";

interface Parameter {
  readonly in: "path" | "query" | "header";
  readonly name: string;
  readonly required?: boolean;
  readonly schema: JsonSchema;
}
export interface DescribedOperation {
  readonly method: string;
  readonly path: string;
  readonly operationId: string;
  readonly admin: boolean;
  readonly parameters: readonly Parameter[];
  readonly body: JsonSchema | "bytes" | null;
  /** Server-sent events may come. */
  readonly streams: boolean;
}

export interface FuzzRequest {
  readonly operation: DescribedOperation;
  /** Values of the path's segments. null: one that exists, if there is one; the runner chooses. */
  readonly segments: Readonly<Record<string, string | null>>;
  readonly query: readonly (readonly [string, string])[];
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | null;
  /** Which of the things that exist `null` means, and whose key is sent. */
  readonly pick: number;
  readonly credential: "right" | "other kind" | "none" | "odd";
  /** Nothing odd was put into it. */
  readonly fits: boolean;
}

interface Piece<T> {
  readonly value: T;
  readonly fits: boolean;
}
const right = <T>(value: T): Piece<T> => ({ value, fits: true });
const odd = <T>(value: T): Piece<T> => ({ value, fits: false });

/** Header values are what fetch lets through: Latin-1 without line breaks. */
const headerSafe = (value: string) => value.replaceAll(/[^\x20-\x7e]/g, "?").trim();

function segment({ schema }: Parameter): Arbitrary<Piece<string | null>> {
  return fc.oneof(
    { weight: 8, arbitrary: fc.constant(right<string | null>(null)) },
    { weight: 1, arbitrary: fitting(schema).map((value) => right<string | null>(String(value))) },
    { weight: 1, arbitrary: oddText.map((value) => odd<string | null>(value.toWellFormed())) },
  );
}

function parameter({ name, schema, required }: Parameter): Arbitrary<Piece<readonly (readonly [string, string])[]>> {
  const written = (value: unknown): readonly (readonly [string, string])[] =>
    value !== null && typeof value === "object"
      ? Object.entries(value).map(([key, each]) => [`${name}[${key}]`, String(each)] as const)
      : [[name, String(value)]];
  return fc.oneof(
    { weight: required === true ? 1 : 6, arbitrary: fc.constant(required === true ? odd([]) : right([])) },
    { weight: required === true ? 8 : 3, arbitrary: fitting(schema).map((value) => right(written(value))) },
    { weight: 1, arbitrary: oddText.map((value) => odd([[name, value.toWellFormed()] as const])) },
    { weight: 1, arbitrary: oddText.map((value) => odd([[value.toWellFormed().slice(0, 40), "x"] as const])) },
  );
}

function bodyOf(body: DescribedOperation["body"]): Arbitrary<Piece<string | null>> {
  if (body === null) {
    return fc.oneof({ weight: 9, arbitrary: fc.constant(right(null)) }, { weight: 1, arbitrary: oddText.map(odd) });
  }
  if (body === "bytes") return fc.string({ unit: "binary", maxLength: 200 }).map((text) => right(text.toWellFormed()));
  return fc.oneof(
    { weight: 6, arbitrary: fitting(body).map((value) => right(JSON.stringify(value))) },
    { weight: 4, arbitrary: nearly(body).map((value) => odd(JSON.stringify(value) ?? "")) },
    { weight: 1, arbitrary: oddText.map(odd) },
    { weight: 1, arbitrary: fc.constantFrom(...brokenJson).map(odd) },
  );
}

const brokenJson = [
  '{"a":',
  "{]",
  "[".repeat(5_000),
  `${'{"a":'.repeat(500)}1${"}".repeat(500)}`,
  '{"__proto__": {"a": 1}}',
  '{"timeout_seconds": 1e999}',
  '{"timeout_seconds": 1, "timeout_seconds": -1}',
  "\ufeff{}",
];

export function requestTo(operation: DescribedOperation): Arbitrary<FuzzRequest> {
  const of = (where: Parameter["in"]) => operation.parameters.filter((each) => each.in === where);
  const accepts = operation.streams
    ? ["text/event-stream", "application/octet-stream", "*/*", "text/html"]
    : ["*/*", "text/html"];
  return fc
    .record({
      segments: fc.record(Object.fromEntries(of("path").map((each) => [each.name, segment(each)]))),
      query: fc.tuple(...of("query").map(parameter)),
      headers: fc.tuple(...of("header").map(parameter)),
      accept: fc.constantFrom(...accepts),
      type: fc.constantFrom("application/json", "application/json", "application/json; charset=utf-8", "text/plain"),
      body: bodyOf(operation.body),
      pick: fc.nat(1_000),
      credential: fc.constantFrom(
        ...Array.from({ length: 17 }, () => "right" as const),
        "other kind" as const,
        "none" as const,
        "odd" as const,
      ),
    })
    .map(({ segments, query, headers, accept, type, body, pick, credential }) => {
      const typed = body.value === null ? [] : [["content-type", type] as const];
      const pieces = [...Object.values(segments), ...query, ...headers, body];
      return {
        operation,
        segments: Object.fromEntries(Object.entries(segments).map(([name, { value }]) => [name, value])),
        query: query.flatMap(({ value }) => value),
        headers: [...headers.flatMap(({ value }) => value), ["accept", accept] as const, ...typed].flatMap(
          ([name, value]) => (/^[a-z-]+$/i.test(name) ? [[name, headerSafe(value)] as const] : []),
        ),
        body: body.value,
        pick,
        credential,
        fits:
          pieces.every((piece) => piece.fits) &&
          credential === "right" &&
          type !== "text/plain" &&
          accept !== "text/html",
      };
    });
}
