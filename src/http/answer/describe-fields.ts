/** Puts the words of field-words.ts to every field and parameter of the OpenAPI document that has no description of its own. */
import { fieldWords, parameterWords } from "./field-words.ts";

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type JsonObject = { [name: string]: Json };

/** The fields without a description, and the rows of words that were used. Tests read it. */
export interface DescribedFields {
  readonly bare: readonly string[];
  readonly used: ReadonlySet<string>;
}

/** Changes `document` in place. A description that stands at the schema itself is kept. */
export function describeFields(document: object): DescribedFields {
  const bare: string[] = [];
  const used = new Set<string>();
  const { components, paths } = document as { components: JsonObject; paths: JsonObject };

  const describe = (target: JsonObject, words: Readonly<Record<string, string>>, names: readonly string[]) => {
    if (target["description"] !== undefined) return;
    const name = names.find((each) => words[each] !== undefined);
    const text = name === undefined ? undefined : words[name];
    if (name === undefined || text === undefined) return void bare.push(names[0] ?? "");
    used.add(name);
    target["description"] = text;
  };
  const walk = (value: Json | undefined, owner: string): void => {
    if (Array.isArray(value)) for (const each of value) walk(each, owner);
    if (!isObject(value)) return;
    for (const [key, below] of Object.entries(value)) {
      if (key === "example" || key === "examples" || key === "enum") continue;
      if (key === "properties" && isObject(below)) {
        for (const [name, field] of Object.entries(below)) {
          if (!isObject(field)) continue;
          describe(field, fieldWords, [`${owner}.${name}`, name]);
          walk(field, owner);
        }
      } else walk(below, owner);
    }
  };

  for (const [name, schema] of Object.entries(components["schemas"] as JsonObject)) walk(schema, name);
  for (const [path, operations] of Object.entries(paths)) {
    for (const operation of Object.values(operations as JsonObject) as JsonObject[]) {
      const owner = operation["operationId"] as string;
      walk(operation["requestBody"], owner);
      walk(operation["responses"], owner);
      for (const parameter of (operation["parameters"] ?? []) as JsonObject[]) {
        const name = parameter["name"] as string;
        const thing = /([a-z]+)\/\{id\}/.exec(path)?.[1] ?? "";
        describe(parameter, parameterWords, [...(name === "id" ? [`${thing}.id`] : []), name]);
      }
    }
  }
  return { bare, used };
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
