/**
 * The options of a generated command: one for each field of the operation's query and body, and one for each header
 * that a caller may choose.
 */
import { Option } from "commander";
import { z } from "zod";
import { fieldWords, parameterWords } from "../../http/answer/field-words.ts";
import type { Contract } from "../../protocol/contract.ts";
import { exitCodes } from "../exit-codes.ts";
import { CliFault } from "../fault.ts";
import { kebab } from "../../client/wire/command-of.ts";

/** The part of JSON Schema that options are made of. */
interface Field {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly description?: string;
  readonly anyOf?: readonly Field[];
  readonly items?: Field;
  readonly properties?: Readonly<Record<string, Field>>;
  readonly additionalProperties?: Field | boolean;
}

export interface ApiOption {
  readonly name: string;
  readonly place: "query" | "body" | "header";
  readonly option: Option;
  /** Turns the text of the command line into the value that is sent. */
  readonly read: (given: unknown) => unknown;
}

const headers: Readonly<Record<string, { flag: string; words: string }>> = {
  "if-match": { flag: "--if-match <etag>", words: "the ETag of what you decided on; `*` takes whatever is there" },
  "idempotency-key": { flag: "--idempotency-key <key>", words: "the same key with the same order is done once" },
  "last-event-id": { flag: "--last-event-id <id>", words: "go on after this event" },
  prefer: { flag: "--wait <seconds>", words: "hold the answer until it is done, for so long at most" },
};

export function optionsOf({ operation, query, body, headers: taken = [] }: Contract): readonly ApiOption[] {
  const options: ApiOption[] = [];
  const add = (
    place: ApiOption["place"],
    fields: Readonly<Record<string, Field>>,
    words: Readonly<Record<string, string>>,
  ) => {
    for (const [name, field] of Object.entries(fields)) {
      const help = field.description ?? words[`${operation}.${name}`] ?? words[name] ?? "";
      options.push({ name, place, ...optionOf(name, field, help) });
    }
  };
  add("query", query === undefined ? {} : fieldsOf(query), parameterWords);
  if (body !== undefined && typeof body === "object") add("body", fieldsOf(body.schema), fieldWords);
  for (const name of taken) {
    const known = headers[name];
    if (known === undefined) continue;
    const read = name === "prefer" ? (given: unknown) => `wait=${String(given)}` : (given: unknown) => given;
    options.push({ name, place: "header", option: new Option(known.flag, known.words), read });
  }
  return options;
}

function fieldsOf(schema: z.ZodType): Readonly<Record<string, Field>> {
  const { properties = {} } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Field;
  return properties;
}

function optionOf(name: string, field: Field, help: string): Pick<ApiOption, "option" | "read"> {
  const kind = kindOf(field);
  const flag = `--${kebab(name)}`;
  const words = help.replace(/\s+/g, " ");
  switch (kind) {
    case "boolean":
      return { option: new Option(`${flag} [true|false]`, words), read: (given) => given === true || given === "true" };
    case "number":
      return { option: new Option(`${flag} <number>`, words), read: (given) => numberOf(flag, String(given)) };
    case "choice": {
      const choices = choicesOf(field);
      return { option: new Option(`${flag} <word>`, words).choices(choices), read: (given) => given };
    }
    case "pairs":
      return {
        option: new Option(`${flag} <name=value...>`, words),
        read: (given) => Object.fromEntries((given as string[]).map((each) => pairOf(flag, each))),
      };
    case "texts":
      return { option: new Option(`${flag} <text...>`, words), read: (given) => given };
    case "json":
      return { option: new Option(`${flag} <json>`, words), read: (given) => jsonOf(flag, String(given)) };
    case "text":
      return { option: new Option(`${flag} <text>`, words), read: (given) => given };
  }
}

function kindOf(field: Field): "boolean" | "number" | "choice" | "pairs" | "texts" | "json" | "text" {
  if (choicesOf(field).length > 0) return "choice";
  const types = [field.type ?? []].flat().filter((type) => type !== "null");
  if (field.anyOf !== undefined) {
    const kinds = new Set(field.anyOf.filter(({ type }) => type !== "null").map(kindOf));
    const [only] = kinds;
    // A field that is a number or null is given as JSON, so that `null` can be given.
    return only === undefined || kinds.size > 1 || only === "number" || only === "boolean" ? "json" : only;
  }
  if (types.includes("boolean") || typeof field.const === "boolean") return "boolean";
  if (types.includes("integer") || types.includes("number")) return "number";
  if (types.includes("array")) return field.items?.type === "string" ? "texts" : "json";
  if (types.includes("object")) {
    const { additionalProperties: each } = field;
    return typeof each === "object" && each.type === "string" ? "pairs" : "json";
  }
  return types.includes("string") || typeof field.const === "string" ? "text" : "json";
}

function choicesOf({ enum: values = [] }: Field): readonly string[] {
  return values.filter((value) => typeof value === "string");
}

function numberOf(flag: string, text: string): number {
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  throw new CliFault(exitCodes.usage, `${flag} must be a whole number, not "${text}".`);
}

function pairOf(flag: string, text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new CliFault(exitCodes.usage, `${flag} takes name=value, not "${text}".`);
}

export function jsonOf(flag: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new CliFault(exitCodes.usage, `${flag} must be JSON, and this is none: ${text.slice(0, 80)}`);
  }
}
