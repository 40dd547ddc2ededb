/** The OpenAPI document: valid, whole, and honest about every route of the table. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
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

it("a route that names a segment which nothing describes cannot be put into the document [API-4]", () => {
  const [route] = routes;
  expect(() => openApiDocument([{ ...route!, path: "/v1/things/:thing" }])).toThrow("nothing describes :thing");
});
