/**
 * The OpenAPI 3.1 document, generated from the contracts of the routes: the zod schemas in it are the ones that validate.
 * Nothing is described twice, so nothing here names a route. Words for fields come from the schema or from field-words.ts.
 *
 * Answers are left open for more fields (a client must ignore what it does not know); the tests hold live answers to
 * exactly the fields that are described.
 */
import { z } from "zod";
import {
  createDocument,
  type ZodOpenApiMediaTypeObject,
  type ZodOpenApiOperationObject,
  type ZodOpenApiResponseObject,
} from "zod-openapi";
import {
  type Answer,
  type Contract,
  pathParameters,
  problemsOf,
  type RequestBody,
  type Tag,
  rightFor,
} from "../../protocol/contract.ts";
import { schemaNames } from "../../protocol/contracts/schema-names.ts";
import { requestHeaders, type ResponseHeaderName, responseHeaders } from "../../protocol/header-names.ts";
import { problemBody, type ProblemCode, problemStatus } from "../../protocol/problem.ts";
import { describeFields } from "./describe-fields.ts";
import { problemKindOf } from "./problem.ts";

export type OpenApiDocument = ReturnType<typeof createDocument>;
type Schema = NonNullable<ZodOpenApiMediaTypeObject["schema"]>;

/** The version of package.json. */
export const apiVersion = "0.1.0";

const introduction = `Mooring runs agent sandboxes as leased **sessions** and never loses one. Create a session, run jobs in it, walk away:
it ends when you ask, when it idles, or when its time is up, and then keeps a receipt that proves nothing is left running.

**Credentials.** \`Authorization: Bearer <API key>\` for a tenant's routes, the admin token for \`/v1/admin\`, \`/metrics\` and \`/api/sandbox\`.

**Conventions.** Times are RFC 3339 in UTC, durations whole \`*_seconds\`. Unknown fields in requests are refused; ignore unknown fields in answers.
Every answer carries \`X-Request-Id\`.

**Errors** are \`application/problem+json\` (RFC 9457) with a stable \`code\`, a \`detail\` that says what to do, and \`retryable\`:
whether the same request may succeed later, as it is. Wait as long as \`Retry-After\` says.

**Repeating safely.** A create with an \`Idempotency-Key\`, a job with an \`id\` of your own, DELETE and every read may be sent again when an answer is lost.

\`\`\`sh
curl -s $URL/v1/sessions -H "authorization: Bearer $KEY" -H 'prefer: wait=10' -H 'idempotency-key: build-42' --json '{"idle_timeout_seconds": 300}'
curl -s $URL/v1/sessions/$ID/jobs -H "authorization: Bearer $KEY" --json '{"command": "make test"}'
curl -sN $URL/v1/sessions/$ID/jobs/$JOB/output -H "authorization: Bearer $KEY" -H 'accept: text/event-stream'
\`\`\`
`;

const tags: Readonly<Record<Tag, string>> = {
  Sessions: "Create, read, move the clocks, pause, resume, rebuild, end.",
  Jobs: "Run commands, follow their output.",
  Snapshots: "Files of a session kept under a name; sessions that begin with them; forks.",
  Traffic: "Straight to the sandbox: ports of servers that run in it.",
  Files: "Files of a running sandbox: bytes, directories, archives, changes.",
  Processes: "Processes and terminals of a running sandbox, without a record. Jobs are the durable way.",
  Events: "What happened to a session, and who caused it.",
  Webhooks: "Being told instead of asking.",
  Receipts: "Signed proof that sandboxes are gone, and the keys to check it with.",
  Operating: "For the operator: the fleet, and the way out of every stuck state. Admin token.",
  "Cleanup and audits": "Ending what should have ended; comparing records with sandboxes. Admin token.",
  Service: "Health, metrics, this description.",
  Runbook: "The operations runbook's own paths and words. Admin token.",
  E2B: "For the unmodified E2B SDK.",
  CubeSandbox: "For CubeSandbox clients.",
};

export function openApiDocument(contracts: readonly Contract[]): OpenApiDocument {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const each of contracts) {
    const path = each.path.replaceAll(/:([a-zA-Z_]+)/g, "{$1}");
    (paths[path] ??= {})[each.method.toLowerCase()] = operation(each);
  }
  const used = new Set(contracts.map(({ tag }) => tag));
  const document = createDocument(
    {
      openapi: "3.1.1",
      info: {
        title: "Mooring",
        version: apiVersion,
        description: introduction,
        license: { name: "MIT", identifier: "MIT" },
      },
      servers: [{ url: "/", description: "Where this document came from." }],
      tags: Object.entries(tags)
        .filter(([name]) => used.has(name as Tag))
        .map(([name, description]) => ({ name, description })),
      paths,
      components: {
        schemas: schemaNames,
        headers: Object.fromEntries(Object.entries(responseHeaders).map(([name, schema]) => [name, headerOf(schema)])),
        securitySchemes: {
          apiKey: {
            type: "http",
            scheme: "bearer",
            description:
              "A tenant's API key, `mrg_…`. A key that is bound to scopes needs the one that stands beside the route; a key without any may do all but `critical`.",
          },
          keyHeader: {
            type: "apiKey",
            in: "header",
            name: "X-API-KEY",
            description: "The same key, as E2B's SDK sends it.",
          },
          sandboxToken: {
            type: "apiKey",
            in: "header",
            name: "X-Access-Token",
            description: "`envdAccessToken` of one sandbox; opens its health and nothing else.",
          },
          adminToken: { type: "http", scheme: "bearer", description: "The operator's token." },
        },
      },
    },
    {
      override: ({ jsonSchema, zodSchema, io }) => {
        const closed = jsonSchema.additionalProperties === false;
        if (io === "output" && zodSchema._zod.def.type === "object" && closed) delete jsonSchema.additionalProperties;
        // `date-time` says it; the pattern behind it is four lines of digits.
        if (jsonSchema.format === "date-time") delete jsonSchema.pattern;
      },
    },
  );
  describeFields(document);
  return document;
}

function operation(each: Contract): ZodOpenApiOperationObject {
  const { headers = [], query, body } = each;
  const names = [...each.path.matchAll(/:([a-zA-Z_]+)/g)].map(([, name = ""]) => name);
  const path = Object.fromEntries(names.map((name) => [name, parameterOf(each, name)]));
  const required = (name: (typeof headers)[number]) => name === "if-match" || name === "e2b-sandbox-id";
  const header = Object.fromEntries(
    headers.map((name) => {
      const schema = required(name) ? requestHeaders[name] : requestHeaders[name].optional();
      return [titled(name), schema.describe(requestHeaders[name].description ?? "")];
    }),
  );
  return {
    operationId: each.operation,
    tags: [each.tag],
    summary: each.summary,
    ...(each.description === undefined ? {} : { description: each.description }),
    security: securityOf(each),
    requestParams: {
      ...(names.length === 0 ? {} : { path: z.object(path) }),
      ...(query === undefined ? {} : { query }),
      ...(headers.length === 0 ? {} : { header: z.object(header) }),
    },
    ...(body === undefined || body === "no fields" ? {} : { requestBody: requestBody(body) }),
    responses: { ...answers(each), ...problems(each) },
  };
}

/** Any one of them. The compatible surfaces take the key where their clients carry it. */
function securityOf(contract: Contract): Record<string, string[]>[] {
  const { access, tag } = contract;
  // The scope that a key needs, where it is bound to some: OpenAPI 3.1 lets every scheme name roles.
  const scopes = [rightFor(contract)];
  switch (access) {
    case "open":
      return [];
    case "admin":
      return [{ adminToken: [] }];
    case "tenant":
      return tag === "E2B" || tag === "CubeSandbox"
        ? [{ keyHeader: scopes }, { apiKey: scopes }]
        : [{ apiKey: scopes }];
    case "sandbox":
      return [{ sandboxToken: [] }, { keyHeader: scopes }, { apiKey: scopes }];
  }
}

/** As people write them; to machines case means nothing. */
function titled(name: string): string {
  return name.replaceAll(/(^|-)([a-z])/g, (_, dash: string, letter: string) => `${dash}${letter.toUpperCase()}`);
}

function parameterOf(each: Contract, name: string): z.ZodType {
  const schema = each.parameters?.[name] ?? pathParameters[name];
  if (schema === undefined) throw new Error(`${each.operation}: nothing describes :${name}`);
  return schema;
}

function requestBody(body: Exclude<RequestBody, "no fields">) {
  if (body === "bytes" || body === "stream")
    return { required: false, content: { "application/octet-stream": { schema: binary } } };
  const example = body.example === undefined && body.required ? {} : { example: body.example ?? {} };
  return { required: body.required, content: { "application/json": { schema: body.schema, ...example } } };
}

const binary: Schema = { type: "string", format: "binary" };

function answers(each: Contract): Record<string, ZodOpenApiResponseObject> {
  return Object.fromEntries(
    Object.entries(each.answers).map(([status, answer]) => [status, response(answer, each.access)]),
  );
}

function response(answer: Answer, access: Contract["access"]): ZodOpenApiResponseObject {
  const content: Record<string, ZodOpenApiMediaTypeObject> = {};
  if (answer.body !== undefined) content["application/json"] = { schema: answer.body };
  for (const [type, media] of Object.entries(answer.media ?? {})) {
    if (media === "bytes") content[type] = { schema: binary };
    else if (media === "text") content[type] = { schema: { type: "string" } };
    else content[type] = events(media.events);
  }
  return {
    description: answer.means,
    headers: headersOf([
      "x-request-id",
      ...(answer.headers ?? []),
      ...(access === "tenant" || access === "sandbox" ? tenantHeaders : []),
    ]),
    ...(Object.keys(content).length === 0 ? {} : { content }),
  };
}

/** On every answer to a tenant. */
const tenantHeaders: readonly ResponseHeaderName[] = ["ratelimit-policy", "ratelimit"];

/** OpenAPI 3.1 has no words for the events of a stream: an extension names what `data` holds by event name. */
function events(byName: Readonly<Record<string, z.ZodType>>): ZodOpenApiMediaTypeObject {
  const names = Object.keys(byName).map((name) => (name === "message" ? "unnamed events" : `\`${name}\``));
  return {
    schema: {
      type: "string",
      description: `Server-sent events: ${names.join(", ")}. Their \`data\` is JSON: \`x-event-data\` has its schema by event name.`,
    },
    "x-event-data": Object.fromEntries(Object.entries(byName).map(([name, schema]) => [name, refTo(schema)])),
  };
}

function refTo(schema: z.ZodType) {
  const name = nameOf.get(schema);
  if (name === undefined) throw new Error("a schema that is referred to needs a name in schema-names.ts");
  return { $ref: `#/components/schemas/${name}` };
}

const nameOf = new Map(Object.entries(schemaNames).map(([name, schema]) => [schema as z.ZodType, name]));

function headerOf(schema: z.ZodType) {
  const { description = "", ...rest } = z.toJSONSchema(schema);
  delete rest.$schema;
  return { description, schema: rest as Schema };
}

function headersOf(names: readonly ResponseHeaderName[]) {
  return Object.fromEntries([...new Set(names)].map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

function problems(each: Contract): Record<string, ZodOpenApiResponseObject> {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of problemsOf(each)) {
    const status = problemStatus[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [String(status), problemAnswer(codes, each.access)]),
  );
}

function problemAnswer(codes: readonly ProblemCode[], access: Contract["access"]): ZodOpenApiResponseObject {
  const headers: ResponseHeaderName[] = ["x-request-id", ...(access === "tenant" ? tenantHeaders : [])];
  if (codes.includes("unauthorized")) headers.push("www-authenticate");
  if (codes.includes("offset_past_end")) headers.push("content-range");
  // Whatever waits for something may name the time.
  if (codes.some((code) => problemKindOf(code).retryable || problemStatus[code] === 409)) headers.push("retry-after");
  return {
    description: codes.map((code) => `\`${code}\`: ${problemKindOf(code).title}.`).join(" "),
    headers: headersOf(headers),
    content: {
      "application/problem+json": {
        // Beside the reference, not in an `allOf` with it: generators of clients then make one class for all problems, not one for each answer.
        schema: { ...refTo(problemBody), properties: { code: { enum: [...codes] } } },
      },
    },
  };
}
