/**
 * Where each operation of the API is. The compiler holds this table against the contracts: a missing operation, a wrong
 * method or a wrong path does not compile. It repeats them as text because importing the contracts would put every schema,
 * and zod with them, into the client.
 */
import type { MethodOf, OperationId, ParametersOf, PathOf } from "../../protocol/contracts/contract-types.ts";

const operations = {
  createSession: "POST /v1/sessions",
  listSessions: "GET /v1/sessions",
  getSession: "GET /v1/sessions/:id",
  updateSession: "PATCH /v1/sessions/:id",
  deleteSession: "DELETE /v1/sessions/:id",
  setSessionTimeout: "POST /v1/sessions/:id/timeout",
  refreshSession: "POST /v1/sessions/:id/refresh",
  setSessionBudget: "POST /v1/sessions/:id/budget",
  keepSessionAlive: "POST /v1/sessions/:id/keepalive",
  pauseSession: "POST /v1/sessions/:id/pause",
  resumeSession: "POST /v1/sessions/:id/resume",
  rebuildSession: "POST /v1/sessions/:id/rebuild",
  interruptSession: "POST /v1/sessions/:id/interrupt",
  getTeardown: "GET /v1/sessions/:id/teardown",
  explainSession: "GET /v1/sessions/:id/explain",
  getUsage: "GET /v1/sessions/:id/usage",
  getLogs: "GET /v1/sessions/:id/logs",
  getResources: "GET /v1/sessions/:id/resources",
  createJob: "POST /v1/sessions/:id/jobs",
  listJobs: "GET /v1/sessions/:id/jobs",
  getJob: "GET /v1/sessions/:id/jobs/:job",
  cancelJob: "DELETE /v1/sessions/:id/jobs/:job",
  writeStdin: "POST /v1/sessions/:id/jobs/:job/stdin",
  streamOutput: "GET /v1/sessions/:id/jobs/:job/output",
  listPorts: "GET /v1/sessions/:id/ports",
  createSnapshot: "POST /v1/sessions/:id/snapshots",
  listSnapshots: "GET /v1/snapshots",
  getSnapshot: "GET /v1/snapshots/:snapshot",
  deleteSnapshot: "DELETE /v1/snapshots/:snapshot",
  forkSession: "POST /v1/sessions/:id/fork",
  sharePort: "POST /v1/sessions/:id/ports",
  readFile: "GET /v1/sessions/:id/files",
  writeFile: "PUT /v1/sessions/:id/files",
  removeFile: "DELETE /v1/sessions/:id/files",
  listFiles: "GET /v1/sessions/:id/files/list",
  statFile: "GET /v1/sessions/:id/files/stat",
  makeDirectory: "POST /v1/sessions/:id/files/mkdir",
  moveFile: "POST /v1/sessions/:id/files/move",
  packFiles: "GET /v1/sessions/:id/files/archive",
  unpackFiles: "PUT /v1/sessions/:id/files/archive",
  watchFiles: "GET /v1/sessions/:id/files/watch",
  startProcess: "POST /v1/sessions/:id/processes",
  listProcesses: "GET /v1/sessions/:id/processes",
  getProcess: "GET /v1/sessions/:id/processes/:pid",
  endProcess: "DELETE /v1/sessions/:id/processes/:pid",
  followProcess: "GET /v1/sessions/:id/processes/:pid/output",
  writeProcessInput: "POST /v1/sessions/:id/processes/:pid/stdin",
  signalProcess: "POST /v1/sessions/:id/processes/:pid/signal",
  resizeTerminal: "POST /v1/sessions/:id/processes/:pid/resize",
  listEvents: "GET /v1/sessions/:id/events",
  getOwnUsage: "GET /v1/usage",
  createWebhook: "POST /v1/webhooks",
  listWebhooks: "GET /v1/webhooks",
  getWebhook: "GET /v1/webhooks/:id",
  changeWebhook: "PATCH /v1/webhooks/:id",
  deleteWebhook: "DELETE /v1/webhooks/:id",
  rotateWebhookSecret: "POST /v1/webhooks/:id/rotate",
  listDeliveries: "GET /v1/webhooks/:id/deliveries",
  testWebhook: "POST /v1/webhooks/:id/test",
  redeliver: "POST /v1/webhooks/:id/deliveries/:delivery/redeliver",
  inspectSession: "GET /v1/admin/sessions/:id",
  endSession: "DELETE /v1/admin/sessions/:id",
  assertLostSession: "POST /v1/admin/sessions/:id/assert-lost",
  resolveSession: "POST /v1/admin/sessions/:id/resolve",
  explainAnySession: "GET /v1/admin/sessions/:id/explain",
  getAnySessionLogs: "GET /v1/admin/sessions/:id/logs",
  getAnySessionResources: "GET /v1/admin/sessions/:id/resources",
  listAnySessionEvents: "GET /v1/admin/sessions/:id/events",
  listAnySessionJobs: "GET /v1/admin/sessions/:id/jobs",
  getAnySessionJob: "GET /v1/admin/sessions/:id/jobs/:job",
  streamAnySessionOutput: "GET /v1/admin/sessions/:id/jobs/:job/output",
  getAnySessionUsage: "GET /v1/admin/sessions/:id/usage",
  getFleetAttention: "GET /v1/admin/attention",
  getAttention: "GET /v1/attention",
  getStats: "GET /v1/admin/stats",
  listAllSessions: "GET /v1/admin/sessions",
  getLedger: "GET /v1/admin/ledger",
  getTenantUsage: "GET /v1/admin/usage",
  listAdminLog: "GET /v1/admin/log",
  rebuildIndex: "POST /v1/admin/shards/rebuild",
  listKeys: "GET /v1/admin/keys/:tenant",
  revokeAllKeys: "DELETE /v1/admin/keys/:tenant",
  revokeKey: "DELETE /v1/admin/keys/:tenant/:key",
  listAlerts: "GET /v1/admin/alerts",
  listContainers: "GET /v1/admin/containers",
  inspectContainer: "GET /v1/admin/containers/:id",
  resolveContainer: "POST /v1/admin/containers/:id/resolve",
  cleanUp: "POST /v1/admin/cleanup",
  cleanUpEmergency: "POST /v1/admin/cleanup/emergency",
  listCleanupRuns: "GET /v1/admin/cleanup/runs",
  getCleanupRun: "GET /v1/admin/cleanup/runs/:run",
  drain: "POST /v1/admin/drain",
  planAudit: "POST /v1/admin/audits",
  listAudits: "GET /v1/admin/audits",
  getAudit: "GET /v1/admin/audits/:id",
  applyAudit: "POST /v1/admin/audits/:id/apply",
  resealSecrets: "POST /v1/admin/secrets/reseal",
  getSessionReceipts: "GET /v1/sessions/:id/receipts",
  listReceipts: "GET /v1/receipt-chain",
  getReceiptKeys: "GET /.well-known/mooring-keys",
  getHealth: "GET /healthz",
  getReadiness: "GET /readyz",
  getOpenApi: "GET /openapi.json",
  getMetrics: "GET /metrics",
} as const satisfies { readonly [O in OperationId]: `${MethodOf<O>} ${PathOf<O>}` };

/** Method and path of an operation, with the segments that vary filled in and escaped. */
export function placeOf<O extends OperationId>(
  operation: O,
  parameters: Partial<Record<string, string>> | ParametersOf<O> | undefined,
): { readonly method: string; readonly path: string } {
  const [method = "", template = ""] = operations[operation].split(" ");
  const given: Partial<Record<string, string>> = parameters ?? {};
  const path = template.replace(/:([a-z]+)/g, (_, name: string) => encodeURIComponent(given[name] ?? ""));
  return { method, path };
}

/** The operation that a call is, with what its path gives for the segments that vary; null: there is none. */
export function operationAt(
  method: string,
  path: string,
): { readonly operation: string; readonly given: readonly string[] } | null {
  const segments = (path.split("?")[0] ?? "").split("/");
  for (const [operation, place] of Object.entries(operations)) {
    const [by, template = ""] = place.split(" ");
    const wanted = template.split("/");
    if (by !== method || wanted.length !== segments.length) continue;
    if (!wanted.every((each, at) => each.startsWith(":") || each === segments[at])) continue;
    return { operation, given: segments.filter((_, at) => wanted[at]?.startsWith(":") === true) };
  }
  return null;
}
