/**
 * What each error of `@cloudflare/sandbox`, of the container runtime and of object RPC means to a session.
 *
 * Errors are recognised by `code` (own, or of `errorResponse`) and by name, because classes and getters do not survive
 * RPC; last by message, because errors of the runtime have nothing else. Effect `none` only where the call certainly
 * never reached the container; everything unrecognised is `unavailable` with effect `unknown`.
 * test/unit/sandbox/cloudflare-failures.test.ts compares this table with every code and class of the installed SDK.
 */
import type { ProviderFailure, ProviderFailureCode } from "../../../domain/state/failure.ts";
import { startRefused } from "../fence/start-gate.ts";

interface Meaning {
  readonly code: ProviderFailureCode;
  readonly effect: "none" | "unknown";
}

const refused = (code: ProviderFailureCode): Meaning => ({ code, effect: "none" });
const midway = (code: ProviderFailureCode): Meaning => ({ code, effect: "unknown" });

/** By the SDK's error code. A refusal that the container sends before it acts has no effect. */
export const codeMeanings: Readonly<Record<string, Meaning>> = {
  CONTAINER_UNAVAILABLE: refused("unavailable"),
  OPERATION_INTERRUPTED: midway("unavailable"),
  RPC_TRANSPORT_ERROR: midway("unavailable"),
  PROCESS_NOT_FOUND: refused("not_found"),
  FILE_NOT_FOUND: refused("not_found"),
  BACKUP_NOT_FOUND: refused("not_found"),
  BACKUP_EXPIRED: refused("not_found"),
  CONTEXT_NOT_FOUND: refused("not_found"),
  WATCH_NOT_FOUND: refused("not_found"),
  PORT_NOT_EXPOSED: refused("not_found"),
  GIT_REPOSITORY_NOT_FOUND: refused("not_found"),
  GIT_BRANCH_NOT_FOUND: refused("not_found"),
  NO_SPACE: midway("insufficient_space"),
  READ_ONLY: refused("filesystem_unusable"),
  FILESYSTEM_ERROR: midway("unavailable"),
  TOO_MANY_FILES: midway("unavailable"),
  TOO_MANY_LINKS: midway("unavailable"),
  RESOURCE_BUSY: refused("unavailable"),
  SERVICE_NOT_RESPONDING: midway("unavailable"),
  SESSION_DESTROYED: midway("unavailable"),
  SESSION_TERMINATED: midway("unavailable"),
  SESSION_ALREADY_EXISTS: refused("unavailable"),
  INTERPRETER_NOT_READY: refused("unavailable"),
  PROCESS_READY_TIMEOUT: midway("timed_out"),
  PROCESS_EXITED_BEFORE_READY: midway("unavailable"),
  PROCESS_ERROR: midway("unavailable"),
  COMMAND_EXECUTION_ERROR: midway("unavailable"),
  STREAM_START_ERROR: midway("unavailable"),
  INVALID_JSON_RESPONSE: midway("malformed"),
  UNKNOWN_ERROR: midway("unavailable"),
  INTERNAL_ERROR: midway("unavailable"),
  BACKUP_CREATE_FAILED: midway("unavailable"),
  BACKUP_RESTORE_FAILED: midway("unavailable"),
  BUCKET_MOUNT_ERROR: midway("unavailable"),
  BUCKET_UNMOUNT_ERROR: midway("unavailable"),
  S3FS_MOUNT_ERROR: midway("unavailable"),
  WATCH_START_ERROR: midway("unavailable"),
  WATCH_STOP_ERROR: midway("unavailable"),
  PORT_OPERATION_ERROR: midway("unavailable"),
  CODE_EXECUTION_ERROR: midway("unavailable"),
  GIT_NETWORK_ERROR: midway("unavailable"),
  GIT_CLONE_FAILED: midway("unavailable"),
  GIT_CHECKOUT_FAILED: midway("unavailable"),
  GIT_OPERATION_FAILED: midway("unavailable"),
  OPENCODE_STARTUP_FAILED: midway("unavailable"),
  // The remaining codes say that our request, or our image, is wrong.
  PERMISSION_DENIED: refused("invalid"),
  COMMAND_PERMISSION_DENIED: refused("invalid"),
  PROCESS_PERMISSION_DENIED: refused("invalid"),
  COMMAND_NOT_FOUND: refused("invalid"),
  INVALID_COMMAND: refused("invalid"),
  FILE_EXISTS: refused("invalid"),
  FILE_TOO_LARGE: refused("invalid"),
  IS_DIRECTORY: refused("invalid"),
  NOT_DIRECTORY: refused("invalid"),
  NAME_TOO_LONG: refused("invalid"),
  PORT_ALREADY_EXPOSED: refused("invalid"),
  PORT_IN_USE: refused("invalid"),
  INVALID_PORT: refused("invalid"),
  INVALID_PORT_NUMBER: refused("invalid"),
  CUSTOM_DOMAIN_REQUIRED: refused("invalid"),
  INVALID_GIT_URL: refused("invalid"),
  GIT_AUTH_FAILED: refused("invalid"),
  MISSING_CREDENTIALS: refused("invalid"),
  INVALID_MOUNT_CONFIG: refused("invalid"),
  INVALID_BACKUP_CONFIG: refused("invalid"),
  VALIDATION_FAILED: refused("invalid"),
  PYTHON_NOT_AVAILABLE: refused("invalid"),
  JAVASCRIPT_NOT_AVAILABLE: refused("invalid"),
};

/** Errors without a code: plain ones of the SDK, and those of the runtime. */
export const nameMeanings: Readonly<Record<string, Meaning>> = {
  RuntimeIdentityInactiveError: midway("unavailable"),
  SandboxLifetimeChangedError: midway("unavailable"),
  SessionInitInvalidatedError: midway("unavailable"),
  SandboxSecurityError: refused("invalid"),
  AbortError: midway("timed_out"),
  TimeoutError: midway("timed_out"),
};

/** Checked in this order. The first pattern that occurs in the message, or in the message of a cause, counts. */
const messageMeanings: readonly (readonly [RegExp, Meaning])[] = [
  [
    /no container instance (that can be provided|available)|maximum number of running container instances/i,
    refused("no_capacity"),
  ],
  [/too many containers per second/i, refused("no_capacity")],
  [new RegExp(startRefused, "i"), refused("refused_retired")],
  // Nothing was running that could have acted. The runtime says `is not running` of a stopped container.
  [/is not listening|container is not running|container port not found|connection refused/i, refused("unavailable")],
  [/no such image|no application that matches|no container application assigned/i, refused("invalid")],
];

/** `changes`: whether the call could have had an effect at all. A read never has one. */
export function sdkFailure(error: unknown, changes: boolean): ProviderFailure {
  const { code, effect } = meaningOf(error);
  const told = { code, message: wordsOf(error), effect: changes ? effect : "none" } as const;
  const retryAfterMs = retryAfterOf(error);
  return retryAfterMs === null ? told : { ...told, retryAfterMs };
}

function meaningOf(error: unknown): Meaning {
  for (const each of causes(error)) {
    // Capacity first: the SDK wraps such errors in classes that say less.
    const said = messageMeanings.find(([pattern]) => pattern.test(text(each, "message")));
    if (said !== undefined) return said[1];
  }
  // The object was reset or overloaded before our call ran in it, if the platform says that the call can be sent again.
  if (flag(error, "overloaded")) return refused("unavailable");
  for (const each of causes(error)) {
    const code = codeOf(each);
    if (code === "CONTAINER_UNAVAILABLE" && isCapacity(each)) return refused("no_capacity");
    if (code === "OPERATION_INTERRUPTED" && context(each)["admitted"] === false) return refused("unavailable");
    if (code === "RPC_TRANSPORT_ERROR") return transportMeaning(each);
    const byCode = code === null ? undefined : codeMeanings[code];
    if (byCode !== undefined) return byCode;
    const byName = nameMeanings[text(each, "name")];
    if (byName !== undefined) return byName;
  }
  return midway("unavailable");
}

function transportMeaning(error: unknown): Meaning {
  switch (context(error)["kind"]) {
    case "connection_failed":
    case "upgrade_failed":
      return refused("unavailable");
    case "invalid_frame":
    case "protocol_error":
      return midway("malformed");
    default:
      return midway("unavailable");
  }
}

function isCapacity(error: unknown): boolean {
  const { reason } = context(error);
  return reason === "no_container_instance_available" || reason === "max_container_instances_exceeded";
}

/** The SDK itself follows causes this far. */
function* causes(error: unknown): Iterable<unknown> {
  let current = error;
  for (let depth = 0; depth < 8 && current !== null && current !== undefined; depth += 1) {
    yield current;
    current = typeof current === "object" && "cause" in current ? current.cause : null;
  }
}

function codeOf(error: unknown): string | null {
  const code = text(error, "code") || text(field(error, "errorResponse"), "code");
  return code === "" ? null : code;
}

function context(error: unknown): Readonly<Record<string, unknown>> {
  const own = field(error, "context") ?? field(field(error, "errorResponse"), "context");
  return typeof own === "object" && own !== null ? (own as Readonly<Record<string, unknown>>) : {};
}

function retryAfterOf(error: unknown): number | null {
  const ms = context(error)["retryAfterMs"];
  return typeof ms === "number" && Number.isFinite(ms) && ms >= 0 ? ms : null;
}

function field(error: unknown, name: string): unknown {
  return typeof error === "object" && error !== null ? (error as Readonly<Record<string, unknown>>)[name] : undefined;
}

function text(error: unknown, name: string): string {
  if (typeof error === "string" && name === "message") return error;
  const value = field(error, name);
  return typeof value === "string" ? value : "";
}

function flag(error: unknown, name: string): boolean {
  return field(error, name) === true;
}

const maxWords = 500;

function wordsOf(error: unknown): string {
  const name = text(error, "name");
  const message = text(error, "message") || "it said nothing";
  return `${name === "" || name === "Error" ? "" : `${name}: `}${message}`.slice(0, maxWords);
}
