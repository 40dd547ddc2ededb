/** The OpenAPI document: valid, whole, and honest about every route of the table. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Schema, Validator as JsonSchemaValidator } from "@cfworker/json-schema";
import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, it } from "vitest";
import type { Contract } from "../../../../src/protocol/contract.ts";
import { routes } from "../../../../src/http/app.ts";
import { apiVersion, openApiDocument } from "../../../../src/http/answer/openapi-document.ts";
import { repository } from "../../../../scripts/repository.ts";
import { httpClient } from "../../../support/http-client.ts";

const document = openApiDocument(routes);

it("the document is valid OpenAPI 3.1, by the specification's own schema [API-4]", async () => {
  const validator = new Validator();
  const outcome = await validator.validate(structuredClone(document) as unknown as Record<string, unknown>);
  expect(outcome.errors ?? []).toEqual([]);
  expect(outcome.valid).toBe(true);
  expect(validator.version).toBe("3.1");
});

it("is what GET /openapi.json serves, without a key [API-4]", async () => {
  const client = await httpClient();
  const response = await client.send("GET", "/openapi.json", { key: null });
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(await response.json()).toEqual(JSON.parse(JSON.stringify(document)));
  const { version } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as { version: string };
  expect(apiVersion).toBe(version);
});

it("describes every route of the table, each under a name of its own [API-4]", () => {
  const names = routes.map(({ operation }) => operation);
  expect(new Set(names).size).toBe(names.length);
  for (const route of routes) {
    const path = route.path.replaceAll(/:([a-z]+)/g, "{$1}");
    const described = document.paths?.[path]?.[route.method.toLowerCase() as "get"];
    expect(described?.operationId, `${route.method} ${route.path}`).toBe(route.operation);
    // A summary is words for people, not a path again.
    expect(route.summary.length, route.operation).toBeGreaterThan(5);
    expect(Object.keys(route.answers).length, route.operation).toBeGreaterThan(0);
    for (const answer of Object.values(route.answers)) expect(answer.means.length, route.operation).toBeGreaterThan(3);
  }
});

it("every example of a body is one that the route takes, and every body that must be sent has one [API-4]", () => {
  for (const { operation, body, ownErrors } of routes as readonly Contract[]) {
    if (body === undefined || typeof body === "string" || ownErrors === true) continue;
    if (body.required) expect(body.example, `${operation}: what a reader may send as it is`).toBeDefined();
    expect(body.schema.safeParse(body.example ?? {}).error, operation).toBeUndefined();
  }
});

interface SchemaOfBody {
  readonly $ref?: string;
  readonly type?: unknown;
}
type Contents = Readonly<Record<string, { readonly schema?: SchemaOfBody }>>;

it("a generated client has one class for all problems, and a class with fields for every request [API-4]", () => {
  for (const [path, methods] of Object.entries(document.paths ?? {}))
    for (const [method, operation] of Object.entries(methods as Readonly<Record<string, unknown>>)) {
      const where = `${method} ${path}`;
      const { requestBody, responses } = operation as {
        readonly requestBody?: { readonly content: Contents };
        readonly responses: Readonly<Record<string, { readonly content?: Contents }>>;
      };
      for (const { content } of Object.values(responses)) {
        const problem = content?.["application/problem+json"]?.schema;
        if (problem !== undefined) expect(problem.$ref, where).toBe("#/components/schemas/Problem");
      }
      // Generators make a union without fields of what stands in `oneOf` or `anyOf` beside the properties.
      const body = requestBody?.content["application/json"]?.schema;
      if (body === undefined || body.$ref !== undefined) continue;
      expect(body.type, where).toBe("object");
      for (const word of ["oneOf", "anyOf", "allOf"]) expect(body, where).not.toHaveProperty(word);
    }
});

it("a job is described as one of `command` and `argv`, never both [API-4]", () => {
  const body = document.paths?.["/v1/sessions/{id}/jobs"]?.post?.requestBody as { readonly content: Contents };
  const schema = JSON.parse(JSON.stringify(body.content["application/json"]?.schema)) as Schema;
  const fits = (value: unknown): boolean => new JsonSchemaValidator(schema, "2020-12").validate(value).valid;
  expect([{ command: "true" }, { argv: ["true"] }].map(fits)).toEqual([true, true]);
  expect([{}, { command: "true", argv: ["true"] }, { command: "true", what: 1 }].map(fits)).toEqual([
    false,
    false,
    false,
  ]);
});

it("a route that names a segment which nothing describes cannot be put into the document [API-4]", () => {
  const [route] = routes;
  expect(() => openApiDocument([{ ...route!, path: "/v1/things/:thing" }])).toThrow("nothing describes :thing");
});
