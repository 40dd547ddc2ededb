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
const process = (clients: Clients) => session(clients).process(42);
const job = (clients: Clients) => session(clients).job("job-1");

/** Does not compile with an operation missing. */
export const clientCalls: Readonly<Record<OperationId, (clients: Clients) => Promise<unknown>>> = {
  createSession: ({ mooring }) => mooring.create({ labels: { a: "b" } }, { waitSeconds: 5 }),
  listSessions: ({ mooring }) => first(mooring.list({ limit: 2, label: { team: "a b" }, status: "running" })),
  getSession: (clients) => session(clients).read(),
  updateSession: (clients) => session(clients).setNetwork({ mode: "open" }),
  deleteSession: (clients) => session(clients).delete(),
  setSessionTimeout: (clients) => session(clients).setTimeout(60),
  refreshSession: (clients) => session(clients).refresh(60),
  setSessionBudget: (clients) => session(clients).setBudget(2.5),
  keepSessionAlive: (clients) => session(clients).keepalive(),
  listPorts: (clients) => session(clients).ports(),
  createSnapshot: (clients) => session(clients).snapshot("base", { replace: true }),
  listSnapshots: ({ mooring }) => first(mooring.snapshots.list({ name: "base" })),
  getSnapshot: ({ mooring }) => mooring.snapshots.get("base"),
  deleteSnapshot: ({ mooring }) => mooring.snapshots.delete("base"),
  forkSession: (clients) => session(clients).fork({ count: 1 }),
  sharePort: (clients) => session(clients).sharePort(8_000),
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
  readFile: (clients) => session(clients).files.readText("a b"),
  writeFile: (clients) => session(clients).files.write("a b", "content", { mode: 0o644 }),
  removeFile: (clients) => session(clients).files.remove("a", { recursive: true }),
  listFiles: (clients) => first(session(clients).files.list("a", { depth: 2 })),
  statFile: (clients) => session(clients).files.stat("a"),
  makeDirectory: (clients) => session(clients).files.mkdir("a"),
  moveFile: (clients) => session(clients).files.move("a", "b", { overwrite: false }),
  packFiles: (clients) => session(clients).files.download("a", { gzip: true }),
  unpackFiles: (clients) => session(clients).files.upload("a", new Uint8Array(1)),
  watchFiles: (clients) => first(session(clients).files.watch("a", { recursive: true })),
  startProcess: (clients) => session(clients).start({ command: "true" }),
  listProcesses: (clients) => session(clients).processes({ ended: true }),
  getProcess: (clients) => process(clients).read(),
  endProcess: (clients) => process(clients).end({ graceSeconds: 1 }),
  followProcess: (clients) => first(process(clients).output({ offset: 3 })),
  writeProcessInput: (clients) => process(clients).write("input", { end: true }),
  signalProcess: (clients) => process(clients).signal("SIGINT", { group: true }),
  resizeTerminal: (clients) => process(clients).resize(80, 24),
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
  getSessionReceipts: (clients) => session(clients).receipts(),
  listReceipts: ({ mooring }) => first(mooring.receipts({ limit: 2, cursor: 1 })),
  getReceiptKeys: ({ mooring }) => mooring.receiptKeys(),
  resealSecrets: ({ admin }) => admin.resealSecrets(),
  inspectSession: ({ admin }) => admin.inspect(sampleId),
  endSession: ({ admin }) => admin.endSession(sampleId),
  assertLostSession: ({ admin }) => admin.assertLost(sampleId, { tenant: "acme", reason: "the machine was scrapped" }),
  resolveSession: ({ admin }) => admin.resolve(sampleId, { action: "retry_stop", reason: "looked at the host" }, '"9"'),
  getAttention: ({ mooring }) => mooring.attention(),
  getFleetAttention: ({ admin }) => admin.attention(),
  listAnySessionEvents: ({ admin }) => first(admin.history(sampleId)),
  listAnySessionJobs: ({ admin }) => first(admin.jobs(sampleId)),
  getAnySessionJob: ({ admin }) => admin.job(sampleId, "job-1"),
  streamAnySessionOutput: ({ admin }) => admin.output(sampleId, "job-1"),
  getAnySessionUsage: ({ admin }) => admin.sessionUsage(sampleId),
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
  listKeys: ({ admin }) => admin.keys("acme"),
  revokeAllKeys: ({ admin }) => admin.revokeAllKeys("acme"),
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
