/**
 * Holds answers against the OpenAPI document: the status, the problem code, the media type, every header and every field must
 * be described, and every field that is described as always there must be there. The document leaves answers open for
 * fields of later versions; here it is closed, so that an undescribed field fails.
 *
 * No `eval`, unlike most validators of JSON Schema: this also runs inside workerd.
 */
import { dereference, type Schema, validate } from "@cfworker/json-schema";
import { routes } from "../../src/http/app.ts";
import { openApiDocument } from "../../src/http/answer/openapi-document.ts";
import { surfaceOf } from "../../src/http/guard/surface.ts";

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
interface ResponseObject {
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<
    Record<string, { readonly schema: Json; readonly "x-event-data"?: Readonly<Record<string, Json>> }>
  >;
}
interface OperationObject {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, ResponseObject>>;
}

const document = closed(JSON.parse(JSON.stringify(openApiDocument(routes))) as Json) as unknown as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: { readonly schemas: { readonly Problem: Json; readonly E2bError: Json } };
};
/** Where each reference in it leads; found once, for all answers. */
const lookup = dereference(document);

/** On every answer, so the document does not repeat them. */
const everywhere = new Set([
  ...["content-type", "content-length", "cache-control", "content-security-policy", "referrer-policy"],
  ...["x-content-type-options", "x-request-id"],
]);

/** `operation status`, and for problems also `operation status code`, of every answer that was held against the document. */
export const seenAnswers = new Set<string>();

/** What the document says can come when all goes well, as `operation status`. */
export function documentedSuccesses(): readonly string[] {
  return Object.values(document.paths).flatMap((operations) =>
    Object.values(operations).flatMap(({ operationId, responses }) =>
      Object.keys(responses)
        .filter((status) => Number(status) < 400)
        .map((status) => `${operationId} ${status}`),
    ),
  );
}

export function operationOf(method: string, url: string): OperationObject | null {
  const { pathname } = new URL(url, "https://mooring.test");
  const given = pathname.split("/");
  for (const [template, operations] of Object.entries(document.paths)) {
    const operation = operations[method === "HEAD" ? "get" : method.toLowerCase()];
    const names = template.split("/");
    const fits =
      names.length === given.length &&
      names.every((name, at) => name === given[at] || (name.startsWith("{") && given[at] !== ""));
    if (operation !== undefined && fits) return operation;
  }
  return null;
}

/** Throws, saying all that is wrong, when the answer is not what the document describes. Reads a copy of the body, but not of a stream. */
export async function holdToDocument(method: string, url: string, response: Response): Promise<void> {
  const operation = operationOf(method, url);
  const wrong = operation === null ? await strayFaults(url, response) : await faults(operation, method, response);
  if (wrong.length > 0) {
    throw new Error(`${method} ${url} answered ${response.status}, unlike the document:\n  ${wrong.join("\n  ")}`);
  }
}

/** A path or method that no route has; on E2B's surface said in its shape. */
async function strayFaults(url: string, response: Response): Promise<readonly string[]> {
  const { Problem, E2bError } = document.components.schemas;
  const e2b = surfaceOf(new URL(url, "https://mooring.test").pathname) === surfaceOf("/sandboxes");
  if (e2b && [405, 501].includes(response.status)) return violations(E2bError, await response.clone().json());
  if (![401, 404, 405, 422].includes(response.status)) return ["no route is described for it"];
  return violations(Problem, await response.clone().json());
}

async function faults(operation: OperationObject, method: string, response: Response): Promise<readonly string[]> {
  const name = `${operation.operationId} ${response.status}`;
  const described = operation.responses[String(response.status)];
  if (described === undefined) return [`the status is not described: ${(await response.clone().text()).slice(0, 500)}`];
  seenAnswers.add(name);
  const headers = [...response.headers.keys()]
    .filter((header) => !everywhere.has(header) && !(header in (described.headers ?? {})))
    .map((header) => `the header ${header} is not described`);
  return [...headers, ...(await bodyFaults(name, described, method, response))];
}

async function bodyFaults(name: string, described: ResponseObject, method: string, response: Response) {
  const content = described.content ?? {};
  const type = (response.headers.get("content-type") ?? "").split(";")[0] ?? "";
  const media = content[type];
  if (method === "HEAD") return [];
  if (Object.keys(content).length === 0) {
    return (await response.clone().text()) === "" ? [] : ["it has a body, and none is described"];
  }
  if (media === undefined) return [`the media type ${type} is not described`];
  // Envelopes of JSON are no JSON.
  if (!type.endsWith("json") || type === "application/connect+json") return [];
  const body = (await response.clone().json()) as Json;
  if (type === "application/problem+json") seenAnswers.add(`${name} ${(body as { readonly code: string }).code}`);
  return violations(media.schema, body);
}

/** An event of a stream, by the schema that the document gives for its name. */
export function eventViolations(operationId: string, event: string, data: Json): readonly string[] {
  for (const operations of Object.values(document.paths))
    for (const operation of Object.values(operations)) {
      if (operation.operationId !== operationId) continue;
      const schema = operation.responses["200"]?.content?.["text/event-stream"]?.["x-event-data"]?.[event];
      return schema === undefined ? [`no event ${event} is described`] : violations(schema, data);
    }
  return [`no operation ${operationId} is described`];
}

function violations(schema: Json, value: Json): readonly string[] {
  const { valid, errors } = validate(value, schema as Schema, "2020-12", lookup, false);
  if (valid) return [];
  // The innermost ones say what is wrong; the others only that something in them is.
  return errors
    .slice(-6)
    .map(({ instanceLocation, error }) => `${instanceLocation}: ${error}`)
    .concat(JSON.stringify(value).slice(0, 300));
}

/** Every object refuses what it does not describe, except a part of a whole (in `allOf`, or beside `$ref`), which cannot know the rest. */
function closed(schema: Json, part = false): Json {
  if (Array.isArray(schema)) return schema.map((each: Json) => closed(each, part));
  if (schema === null || typeof schema !== "object") return schema;
  const walked = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, closed(value, key === "allOf")]),
  );
  const open = "properties" in walked && !("additionalProperties" in walked) && !("$ref" in walked) && !part;
  return open ? { ...walked, additionalProperties: false } : walked;
}
