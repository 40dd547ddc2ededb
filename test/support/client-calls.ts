/** One call of the typed client for each native route: what tests of the client go through. */
import type { Mooring, MooringAdmin, OperationId } from "../../src/client/mooring.ts";
import { samplePlan } from "./http-client.ts";
import { sampleId } from "./sample-views.ts";

export interface Clients {
  readonly mooring: Mooring;
  readonly admin: MooringAdmin;
}

const first = async <T>(items: AsyncIterable<T>): Promise<T | undefined> => {
  for await (const item of items) return item;
  return undefined;
};
const webhook = "wh_00000000000000000000";
const container = `shared-${sampleId}-g1`;
const session = ({ mooring }: Clients) => mooring.session(sampleId);
const job = (clients: Clients) => session(clients).job("job-1");

/** Does not compile with an operation missing. */
export const clientCalls: Readonly<Record<OperationId, (clients: Clients) => Promise<unknown>>> = {
  createSession: ({ mooring }) => mooring.create({ labels: { a: "b" } }, { waitSeconds: 5 }),
  listSessions: ({ mooring }) => first(mooring.list({ limit: 2, label: { team: "a b" }, status: "running" })),
  getSession: (clients) => session(clients).read(),
  deleteSession: (clients) => session(clients).delete(),
  setSessionTimeout: (clients) => session(clients).setTimeout(60),
  refreshSession: (clients) => session(clients).refresh(60),
  keepSessionAlive: (clients) => session(clients).keepalive(),
  pauseSession: (clients) => session(clients).pause(),
  resumeSession: (clients) => session(clients).resume({ timeout_seconds: 60 }, { waitSeconds: 1 }),
  rebuildSession: (clients) => session(clients).rebuild({ confirm: true }),
  interruptSession: (clients) => session(clients).interrupt(),
  getTeardown: (clients) => session(clients).teardown(),
  explainSession: (clients) => session(clients).explain(),
  getUsage: (clients) => session(clients).usage(),
  getLogs: (clients) => session(clients).logs({ tailBytes: 100 }),
  getResources: (clients) => session(clients).resources(),
  createJob: (clients) => session(clients).run("true"),
  listJobs: (clients) => first(session(clients).jobs({ limit: 3 })),
  getJob: (clients) => job(clients).read({ waitSeconds: 1 }),
  cancelJob: (clients) => job(clients).cancel(),
  writeStdin: (clients) => job(clients).write("input", { end: true }),
  streamOutput: (clients) => first(job(clients).output({ offset: 3 })),
  listEvents: (clients) => first(session(clients).history({ after: 1 })),
  createWebhook: ({ mooring }) => mooring.webhooks.create({ url: "https://example.com/hook" }),
  listWebhooks: ({ mooring }) => mooring.webhooks.list(),
  getWebhook: ({ mooring }) => mooring.webhooks.get(webhook),
  changeWebhook: ({ mooring }) => mooring.webhooks.change(webhook, { enabled: false }),
  deleteWebhook: ({ mooring }) => mooring.webhooks.delete(webhook),
  rotateWebhookSecret: ({ mooring }) => mooring.webhooks.rotate(webhook),
  listDeliveries: ({ mooring }) => first(mooring.webhooks.deliveries(webhook, { limit: 2, state: "pending" })),
  testWebhook: ({ mooring }) => mooring.webhooks.test(webhook),
  redeliver: ({ mooring }) => mooring.webhooks.redeliver(webhook, "dl_00000000000000000000"),
  resealSecrets: ({ admin }) => admin.resealSecrets(),
  inspectSession: ({ admin }) => admin.inspect(sampleId),
  endSession: ({ admin }) => admin.endSession(sampleId),
  resolveSession: ({ admin }) => admin.resolve(sampleId, { action: "retry_stop", reason: "looked at the host" }, '"9"'),
  getAnySessionLogs: ({ admin }) => admin.logs(sampleId),
  explainAnySession: ({ admin }) => admin.explain(sampleId),
  getAnySessionResources: ({ admin }) => admin.resources(sampleId),
  getStats: ({ admin }) => admin.stats(),
  listAllSessions: ({ admin }) => first(admin.sessions({ critical: false, stuck: "true" })),
  listContainers: ({ admin }) => first(admin.containers({ tenant: "acme", phase: "stopping" })),
  inspectContainer: ({ admin }) => admin.inspectContainer(container, { tenant: "acme" }),
  resolveContainer: ({ admin }) =>
    admin.resolveContainer(container, { action: "retry_stop", reason: "looked at the host" }, '"1"', {
      tenant: "acme",
    }),
  getLedger: ({ admin }) => admin.ledger({ tenant: "acme" }),
  getTenantUsage: ({ admin }) => admin.usage("acme"),
  listAdminLog: ({ admin }) => first(admin.log()),
  rebuildIndex: ({ admin }) => admin.rebuildIndex({ reason: "a test" }),
  listRevokedKeys: ({ admin }) => admin.revokedKeys("acme"),
  revokeKey: ({ admin }) => admin.revokeKey("acme", "zzzzzz.0.0123456789"),
  listAlerts: ({ admin }) => admin.alerts(),
  cleanUp: ({ admin }) => admin.cleanUp({ dry_run: true }),
  cleanUpEmergency: ({ admin }) => admin.cleanUpEmergency({ reason: "a test", dry_run: true }),
  listCleanupRuns: ({ admin }) => admin.cleanupRuns({ limit: 1 }),
  getCleanupRun: ({ admin }) => admin.cleanupRun("run00000000000000000"),
  drain: ({ admin }) => admin.drain({ draining: true, reason: "a test" }),
  planAudit: ({ admin }) => admin.planAudit(),
  listAudits: ({ admin }) => admin.audits(),
  getAudit: ({ admin }) => admin.audit(samplePlan().id),
  applyAudit: ({ admin }) => admin.applyAudit(samplePlan().id, { plan_hash: samplePlan().hash }),
  getHealth: ({ mooring }) => mooring.health(),
  getReadiness: ({ mooring }) => mooring.ready(),
  getMetrics: ({ admin }) => admin.metrics(),
  getOpenApi: ({ mooring }) => mooring.openApi(),
};
