/** Every field and every parameter of the OpenAPI document says what it means, and no words are left over. */
import { expect, it } from "vitest";
import { routes } from "../../../../src/http/app.ts";
import { describeFields } from "../../../../src/http/answer/describe-fields.ts";
import { fieldWords, parameterWords } from "../../../../src/http/answer/field-words.ts";
import { openApiDocument } from "../../../../src/http/answer/openapi-document.ts";

interface Described {
  readonly description?: string;
}
const document = JSON.parse(JSON.stringify(openApiDocument(routes))) as {
  readonly components: {
    readonly schemas: Readonly<Record<string, { properties: Readonly<Record<string, Described>> }>>;
  };
};

it("every field and parameter has a description [API-4] [PEO-7]", () => {
  expect(describeFields(structuredClone(document)).bare).toEqual([]);
});

it("a field without words is found", () => {
  const changed = { components: { schemas: { Thing: { properties: { nobody_described_this: {} } } } }, paths: {} };
  expect(describeFields(changed).bare).toEqual(["Thing.nobody_described_this"]);
});

it("a name with two meanings has the narrower one where it belongs", () => {
  const { Job, Alert, Webhook, Session } = document.components.schemas;
  expect(Job?.properties["command"]?.description).toBe(fieldWords["Job.command"]);
  expect(Alert?.properties["command"]?.description).toBe(fieldWords["Alert.command"]);
  expect(Webhook?.properties["status"]?.description).toBe(fieldWords["Webhook.status"]);
  expect(Session?.properties["status"]?.description).toBe(fieldWords["status"]);
});

it("no words are left over", () => {
  const bare = JSON.parse(JSON.stringify(document)) as { components: object; paths: object };
  const forget = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const each = value as Record<string, unknown>;
    const words = [...Object.values(fieldWords), ...Object.values(parameterWords)];
    if (typeof each["description"] === "string" && words.includes(each["description"])) delete each["description"];
    Object.values(each).forEach(forget);
  };
  forget(bare);
  const { used } = describeFields(bare);
  const known = [...Object.keys(fieldWords), ...Object.keys(parameterWords)];
  expect(known.filter((name) => !used.has(name))).toEqual([]);
});
