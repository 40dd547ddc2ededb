/** The API reference, from the same document that /openapi.json serves: every operation with its fields, answers, problems and a curl line. */
import { routes } from "../../../src/http/app.ts";
import { openApiDocument } from "../../../src/http/answer/openapi-document.ts";
import { anchorOf, type DocsPage, type Heading } from "./pages.ts";
import MarkdownIt from "markdown-it";

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly additionalProperties?: Schema | boolean;
  readonly format?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
}
interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema?: Schema;
}
interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly security: readonly Readonly<Record<string, unknown>>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema?: Schema; readonly example?: unknown }>>;
  };
  readonly responses: Readonly<
    Record<
      string,
      { readonly description: string; readonly content?: Readonly<Record<string, { readonly schema?: Schema }>> }
    >
  >;
}
interface Document {
  readonly info: { readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

const markdown = new MarkdownIt({ html: false });

export function referencePage(): DocsPage {
  const document = openApiDocument(routes) as unknown as Document;
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const headings: Heading[] = [];
  const sections = document.tags.map(({ name, description }) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(name));
    headings.push({ level: 2, anchor: anchorOf(name), title: name });
    for (const { operation } of own)
      headings.push({ level: 3, anchor: operation.operationId, title: operation.summary });
    return `<h2 id="${anchorOf(name)}">${escape(name)}</h2><p>${escape(description)}</p>${own.map((each) => operationHtml(each.method, each.path, each.operation)).join("")}`;
  });
  headings.push({ level: 2, anchor: "schemas", title: "Schemas" });
  const schemas = Object.entries(document.components.schemas)
    .map(
      ([name, schema]) =>
        `<details class="schema" id="schema-${name}"><summary><code>${name}</code></summary>${fieldsHtml(schema)}</details>`,
    )
    .join("");
  const html = `<h1>API reference</h1>${markdown.render(document.info.description)}<p>The same for machines: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>${sections.join("")}<h2 id="schemas">Schemas</h2>${schemas}`;
  return { slug: "reference", title: "API reference", group: "Guide", html, headings, searched: true };
}

function operationHtml(method: string, path: string, operation: Operation): string {
  const { operationId, summary, description, parameters = [], requestBody, responses } = operation;
  const successes = Object.entries(responses).filter(([status]) => Number(status) < 400);
  const problems = Object.entries(responses).filter(([status]) => Number(status) >= 400);
  const json = requestBody?.content["application/json"];
  return `<details class="operation" id="${operationId}"><summary><span class="method ${method.toLowerCase()}">${method}</span> <code>${escape(path)}</code> <span>${escape(summary)}</span></summary><div>
${description === undefined ? "" : markdown.render(description)}
<p class="small">${accessOf(operation)} Operation <code>${operationId}</code>.</p>
${parameters.length === 0 ? "" : `<h4>Parameters</h4><dl class="fields">${parameters.map(parameterHtml).join("")}</dl>`}
${json?.schema === undefined ? "" : `<h4>Body</h4>${fieldsHtml(json.schema)}`}
<h4>Answers</h4><dl class="fields">${successes.map(([status, answer]) => `<dt>${status}</dt><dd>${escape(answer.description)} ${bodyOf(answer.content)}</dd>`).join("")}</dl>
${problems.length === 0 ? "" : `<h4>Problems</h4><dl class="fields">${problems.map(([status, answer]) => `<dt>${status}</dt><dd>${markdown.renderInline(answer.description)}</dd>`).join("")}</dl>`}
<pre><code>${escape(curlOf(method, path, operation))}</code></pre></div></details>`;
}

function accessOf({ security }: Operation): string {
  if (security.length === 0) return "Open to anybody.";
  return security.some((each) => "adminToken" in each) ? "Needs the admin token." : "Needs an API key.";
}

function parameterHtml({ name, in: place, required = false, description = "", schema }: Parameter): string {
  return `<dt><code>${escape(name)}</code> <span class="small">${place}${required ? ", required" : ""}</span></dt><dd>${markdown.renderInline(description)} ${schema === undefined ? "" : `<span class="small">${typeOf(schema)}</span>`}</dd>`;
}

function bodyOf(content: Readonly<Record<string, { readonly schema?: Schema }>> | undefined): string {
  return Object.entries(content ?? {})
    .map(([type, { schema }]) =>
      type === "application/json" && schema !== undefined ? typeOf(schema) : `<code>${type}</code>`,
    )
    .join(", ");
}

function fieldsHtml(schema: Schema): string {
  if (schema.$ref !== undefined) return `<p>${typeOf(schema)}</p>`;
  const properties = {
    ...schema.properties,
    ...Object.assign({}, ...(schema.allOf ?? []).map((each) => each.properties ?? {})),
  } as Readonly<Record<string, Schema>>;
  const names = Object.keys(properties);
  if (names.length === 0)
    return `<p>${markdown.renderInline(schema.description ?? "")} <span class="small">${typeOf(schema)}</span></p>`;
  const required = new Set(schema.required);
  return `<dl class="fields">${names
    .map((name) => {
      const field = properties[name] as Schema;
      return `<dt><code>${escape(name)}</code>${required.has(name) ? "" : ' <span class="small">optional</span>'}</dt><dd>${markdown.renderInline(field.description ?? "")} <span class="small">${typeOf(field)}</span></dd>`;
    })
    .join("")}</dl>`;
}

function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split("/").at(-1) ?? "";
    return `<a href="#schema-${name}"><code>${name}</code></a>`;
  }
  if (schema.const !== undefined) return `<code>${escape(JSON.stringify(schema.const))}</code>`;
  if (schema.enum !== undefined) return schema.enum.map((each) => `<code>${escape(String(each))}</code>`).join(" ");
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return options.map(typeOf).join(" or ");
  if (schema.items !== undefined) return `array of ${typeOf(schema.items)}`;
  const type = [schema.type ?? "object"].flat().join(" or ");
  const bounds = [
    ...(schema.format === undefined ? [] : [schema.format]),
    ...(schema.minimum === undefined ? [] : [`from ${schema.minimum}`]),
    ...(schema.maximum === undefined || schema.maximum > 9e14 ? [] : [`to ${schema.maximum}`]),
    ...(schema.default === undefined ? [] : [`${JSON.stringify(schema.default)} when left out`]),
  ];
  return escape([type, ...bounds].join(", "));
}

function curlOf(method: string, path: string, operation: Operation): string {
  const url = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => `$${name.toUpperCase()}`);
  const credential =
    operation.security.length === 0
      ? ""
      : ` -H "authorization: Bearer $${accessOf(operation).includes("admin") ? "ADMIN_TOKEN" : "KEY"}"`;
  const example = operation.requestBody?.content["application/json"]?.example;
  const body = example === undefined || JSON.stringify(example) === "{}" ? "" : ` --json '${JSON.stringify(example)}'`;
  const verb = method === "GET" || (method === "POST" && body !== "") ? "" : ` -X ${method}`;
  return `curl -s${verb} "$URL${url}"${credential}${body}`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
