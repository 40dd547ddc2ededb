/**
 * Every call that Mooring tells people to make, once: refusals, explanations and diagnoses name calls from here and from
 * nowhere else, so that a test can hold each against the routes there are and make it.
 */

export interface CallHint {
  readonly method: "GET" | "POST" | "DELETE";
  /** `{id}` stands for the session, or for the shared container, `{job}` for a job of it. */
  readonly path: string;
  /** What to send; null: nothing. */
  readonly body: Readonly<Record<string, string | number | boolean>> | null;
  /** `admin`: an operator's, with the admin token. */
  readonly access: "tenant" | "admin";
  /** Needs `If-Match` with the session's present ETag. */
  readonly ifMatch?: true;
}

const session = "/v1/sessions/{id}";
const job = `${session}/jobs/{job}`;
const asAdmin = "/v1/admin/sessions/{id}";

export const nextCalls = {
  create: { method: "POST", path: "/v1/sessions", body: {}, access: "tenant" },
  list: { method: "GET", path: "/v1/sessions", body: null, access: "tenant" },
  usage: { method: "GET", path: "/v1/usage", body: null, access: "tenant" },
  read: { method: "GET", path: session, body: null, access: "tenant" },
  end: { method: "DELETE", path: session, body: null, access: "tenant" },
  setEnd: { method: "POST", path: `${session}/timeout`, body: { timeout_seconds: 3_600 }, access: "tenant" },
  keepalive: { method: "POST", path: `${session}/keepalive`, body: null, access: "tenant" },
  budget: { method: "POST", path: `${session}/budget`, body: { max_cost: 1 }, access: "tenant" },
  pause: { method: "POST", path: `${session}/pause`, body: null, access: "tenant" },
  resume: { method: "POST", path: `${session}/resume`, body: {}, access: "tenant" },
  rebuild: { method: "POST", path: `${session}/rebuild`, body: { confirm: true }, access: "tenant" },
  events: { method: "GET", path: `${session}/events`, body: null, access: "tenant" },
  teardown: { method: "GET", path: `${session}/teardown`, body: null, access: "tenant" },
  explain: { method: "GET", path: `${session}/explain`, body: null, access: "tenant" },
  resources: { method: "GET", path: `${session}/resources`, body: null, access: "tenant" },
  logs: { method: "GET", path: `${session}/logs`, body: null, access: "tenant" },
  jobs: { method: "GET", path: `${session}/jobs`, body: null, access: "tenant" },
  readJob: { method: "GET", path: job, body: null, access: "tenant" },
  jobOutput: { method: "GET", path: `${job}/output`, body: null, access: "tenant" },
  /** The bytes are the body. */
  stdin: { method: "POST", path: `${job}/stdin`, body: null, access: "tenant" },
  cancelJob: { method: "DELETE", path: job, body: null, access: "tenant" },
  inspect: { method: "GET", path: asAdmin, body: null, access: "admin" },
  retryStop: {
    method: "POST",
    path: `${asAdmin}/resolve`,
    body: { action: "retry_stop", reason: "the provider answers again" },
    access: "admin",
    ifMatch: true,
  },
  assertAbsent: {
    method: "POST",
    path: `${asAdmin}/resolve`,
    body: { action: "assert_absent", reason: "its host is gone for good" },
    access: "admin",
    ifMatch: true,
  },
  abandon: {
    method: "POST",
    path: `${asAdmin}/resolve`,
    body: { action: "abandon", reason: "its host is gone for good" },
    access: "admin",
    ifMatch: true,
  },
  forgetSnapshots: {
    method: "POST",
    path: `${asAdmin}/resolve`,
    body: { action: "forget_snapshots", reason: "the bucket is gone for good" },
    access: "admin",
    ifMatch: true,
  },
  listContainers: { method: "GET", path: "/v1/admin/containers", body: null, access: "admin" },
  inspectContainer: { method: "GET", path: "/v1/admin/containers/{id}", body: null, access: "admin" },
} as const satisfies Readonly<Record<string, CallHint>>;

/** As a sentence names it: the call, and what it must carry to be accepted. */
export function say(call: CallHint): string {
  const fields = call.body === null || Object.keys(call.body).length === 0 ? "" : ` with ${JSON.stringify(call.body)}`;
  return `${call.method} ${call.path}${fields}`;
}
