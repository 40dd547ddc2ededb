/**
 * What an agent serves inside a sandbox beside jobs: files, processes and terminals, under `/traffic` (traffic.ts). The wrapper
 * checks the pass and hands the request to a process that runs as the user of the jobs. So the kernel decides what may be
 * read or written, and no path has to be judged by us.
 *
 *   GET HEAD PUT DELETE /files?path=      one file as bytes
 *   GET  /files/list  /files/stat         entries
 *   POST /files/mkdir /files/move
 *   GET PUT /files/archive?path=          a tree as tar
 *   GET  /files/watch?path=               changes as server-sent events
 *   GET POST /processes, /processes/{pid}[/output|/stdin|/signal|/resize]
 *   GET  /terminal                        a WebSocket
 *
 * A path in a query is percent-encoded bytes, because a name on Linux need not be UTF-8. `~` is the home of the jobs' user; a
 * relative path begins at the workspace.
 */
import { z } from "zod";

/** The names of the services of traffic that this process has. */
export const servicePaths = ["files", "processes", "terminal", "envd"] as const;

/** Every refusal of a service, with its status. */
export const serviceErrorStatus = {
  invalid: 422,
  not_found: 404,
  permission_denied: 403,
  read_only: 403,
  already_exists: 409,
  not_a_directory: 409,
  is_a_directory: 409,
  not_a_file: 409,
  directory_not_empty: 409,
  link_loop: 409,
  other_file_system: 409,
  busy: 409,
  name_too_long: 422,
  precondition_failed: 412,
  range_not_satisfiable: 416,
  no_space: 507,
  too_large: 413,
  cannot_start: 422,
  user_unavailable: 403,
  process_ended: 409,
  stdin_closed: 409,
  no_terminal: 409,
  too_many: 429,
  unsupported: 501,
  internal: 500,
} as const satisfies Record<string, number>;
export type ServiceErrorCode = keyof typeof serviceErrorStatus;
export const serviceErrorCodes = Object.keys(serviceErrorStatus) as [ServiceErrorCode, ...ServiceErrorCode[]];

export const serviceError = z.object({
  code: z.enum(serviceErrorCodes),
  message: z.string(),
  /** The path that it is about, as it was given. */
  path: z.string().optional(),
  /** With `range_not_satisfiable`. */
  size: z.int().nonnegative().optional(),
});
export type ServiceError = z.infer<typeof serviceError>;
