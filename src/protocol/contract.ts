/**
 * A route's contract, once: what it takes, what it answers, who may call it. The server adds a handler to it, the typed client
 * takes its types from it, the OpenAPI document is generated from it, and tests hold every live response against it.
 *
 * A contract names only what is its own. What every route of its kind can answer (a bad key, a bug of ours, a body that is
 * no JSON) is added by `problemsOf`, so that no route can forget it.
 */
import type { z } from "zod";
import { jobIdText, processIdText, sessionIdText, tenantName } from "./primitives.ts";
import type { ProblemCode } from "./problem.ts";
import { keyIdText, type KeyRight } from "./api-keys.ts";
import type { RequestHeaderName, ResponseHeaderName } from "./header-names.ts";

/** `open`: anyone. `tenant`: an API key. `admin`: the admin token. `sandbox`: an API key, or an E2B client's token for that one sandbox. */
export type Access = "open" | "tenant" | "admin" | "sandbox";

export type Tag =
  | "Sessions"
  | "Jobs"
  | "Snapshots"
  | "Traffic"
  | "Files"
  | "Processes"
  | "Events"
  | "Webhooks"
  | "Receipts"
  | "Operating"
  | "Cleanup and audits"
  | "Service"
  | "Runbook"
  | "E2B"
  | "CubeSandbox";

export interface Answer {
  /** When this status is answered, in a sentence. */
  readonly means: string;
  /** The JSON body; left out with `media`, and where there is no body. */
  readonly body?: z.ZodType;
  /** Anything but JSON, by media type; server-sent events give the schemas of `data` by event name. */
  readonly media?: Readonly<
    Record<string, "text" | "bytes" | { readonly events: Readonly<Record<string, z.ZodType>> }>
  >;
  /** Beyond those that every answer carries. Each may be left out of a single answer. */
  readonly headers?: readonly ResponseHeaderName[];
}

export type RequestBody =
  /** No field may be sent; an empty body, or `{}`. */
  | "no fields"
  /** Any bytes, read whole within the limit for bodies. */
  | "bytes"
  /** Any bytes, however many: passed on while they come. */
  | "stream"
  | {
      readonly schema: z.ZodType;
      /** false: an empty body means `{}`. */
      readonly required: boolean;
      /** An example that a reader may send as it is. */
      readonly example?: unknown;
      /** A JSON body of any Content-Type is taken. */
      readonly lenient?: true;
    };

export interface Contract<A extends Access = Access> {
  /** The name of the operation: unique, camelCase, the name of the client's method. */
  readonly operation: string;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With `:name` for each segment that varies. */
  readonly path: string;
  readonly access: A;
  /** What a tenant's key needs; left out: as `rightFor` says. */
  readonly right?: KeyRight;
  readonly tag: Tag;
  /** A few words for a list. */
  readonly summary: string;
  /** What a caller must know beyond the fields. Markdown. */
  readonly description?: string;
  /** Only for segments that `pathParameters` does not know. */
  readonly parameters?: Readonly<Record<string, z.ZodType>>;
  readonly query?: z.ZodObject;
  readonly headers?: readonly RequestHeaderName[];
  readonly body?: RequestBody;
  /** By status. Successes; and for a surface with its own errors, those too. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** The codes of its own problems, beyond those of its kind. */
  readonly problems?: readonly ProblemCode[];
  /** A compatible surface that answers errors in another shape: all of them are in `answers`. */
  readonly ownErrors?: true;
}

/** Keeps the literal types, for the client's sake. */
export function contract<const A extends Access, const C extends Contract<A>>(described: C & Contract<A>): C {
  return described;
}

/** The schema of a path segment of this name, unless a contract gives its own. */
export const pathParameters: Readonly<Record<string, z.ZodType>> = {
  id: sessionIdText,
  job: jobIdText,
  tenant: tenantName,
  key: keyIdText,
  pid: processIdText,
};

/** For a session that cannot be found or read. */
export const sessionProblems = [
  "not_found",
  "newer_record",
  "unreadable_record",
] as const satisfies readonly ProblemCode[];
/** For a read that asks the running sandbox. */
export const liveReadProblems = [
  "session_gone",
  "session_paused",
  "sandbox_lost",
  "session_not_running",
  "sandbox_unreachable",
  ...sessionProblems,
] as const satisfies readonly ProblemCode[];
/** For a change of one. */
export const changeProblems = [...sessionProblems, "storage_failed"] as const satisfies readonly ProblemCode[];

/** Tags of the routes that go into a sandbox, whatever they do there. */
const intoSandboxes: ReadonlySet<Tag> = new Set(["Files", "Processes", "Traffic"]);

/** `read`: what Mooring knows. `run`: what goes into a sandbox, or comes out of it. `manage`: all that changes a session or the tenant's things. */
export function rightFor({
  access,
  right,
  tag,
  method,
}: Pick<Contract, "access" | "right" | "tag" | "method">): KeyRight {
  if (right !== undefined) return right;
  if (access === "sandbox" || intoSandboxes.has(tag)) return "run";
  if (method === "GET") return "read";
  return tag === "Jobs" ? "run" : "manage";
}

const always: readonly ProblemCode[] = ["validation_failed", "headers_too_large", "internal"];
const byAccess: Readonly<Record<Access, readonly ProblemCode[]>> = {
  open: [],
  tenant: ["unauthorized", "forbidden", "secret_missing", "unavailable", "rate_limited"],
  admin: ["unauthorized", "secret_missing", "unavailable", "rate_limited"],
  sandbox: ["unauthorized", "forbidden", "secret_missing", "unavailable", "rate_limited"],
};
const ofBodies: readonly ProblemCode[] = ["malformed_json", "payload_too_large"];

/** Every problem code that this route may answer. */
export function problemsOf({ access, body, problems = [], ownErrors }: Contract): readonly ProblemCode[] {
  if (ownErrors === true) return [];
  const json =
    body === undefined || body === "bytes" || body === "stream" || (body !== "no fields" && body.lenient === true);
  const ofBody = body === undefined ? [] : json ? ofBodies : [...ofBodies, "unsupported_media_type" as const];
  return [...new Set([...always, ...byAccess[access], ...ofBody, ...problems])];
}
