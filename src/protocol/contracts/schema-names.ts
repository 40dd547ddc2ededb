/**
 * The names that schemas of the protocol carry in the OpenAPI document. A schema that is in several answers, or that people
 * talk about, has one; everything else is written out where it is used.
 */
import { inspectionView } from "../resources/operator/admin.ts";
import { alertView } from "../resources/operator/alerts.ts";
import { attentionItem } from "../resources/operator/attention.ts";
import { auditPlanView, auditResultView, findingView } from "../resources/operator/audits.ts";
import { cleanupReply, layerView, runView } from "../resources/operator/cleanup.ts";
import { containerView } from "../resources/operator/containers.ts";
import { cubeReply } from "../compat/cube.ts";
import { e2bError, e2bListedSandbox, e2bSandbox, e2bSandboxDetail } from "../compat/e2b.ts";
import { eventsEnd, eventView } from "../resources/session/events.ts";
import { clockView, explainView, nextCallView } from "../resources/session/explain.ts";
import { fleetListItem, tenantLedgerView, usageFigure } from "../resources/operator/fleet.ts";
import { hintView, jobLogView, logsView, resourceSampleView, resourcesView } from "../resources/session/insight.ts";
import { jobFailure, leftRunning, outputGap } from "../job-failure.ts";
import { jobView, outputEnd, outputEvent } from "../resources/session/jobs.ts";
import { receiptStatement, signedReceipt } from "../resources/session/receipts.ts";
import { fileChange, fileEntry, watchNothing, watchEnd } from "../resources/sandbox/files.ts";
import { processExit, processOutput, processView } from "../resources/sandbox/processes.ts";
import { fieldError, problemBody } from "../problem.ts";
import { sharedPort } from "../resources/sandbox/ports.ts";
import { deliveryView, webhookMessage, webhookView } from "../resources/tenant/webhooks.ts";
import {
  observationView,
  sessionListItem,
  sessionView,
  stopAttemptView,
  teardownView,
} from "../resources/session/sessions.ts";
import { snapshotView } from "../resources/tenant/snapshots.ts";

export const schemaNames = {
  Alert: alertView,
  AttentionItem: attentionItem,
  AuditPlan: auditPlanView,
  AuditResult: auditResultView,
  CleanupResult: cleanupReply,
  Clock: clockView,
  Container: containerView,
  CubeReply: cubeReply,
  E2bError: e2bError,
  E2bListedSandbox: e2bListedSandbox,
  E2bSandbox: e2bSandbox,
  E2bSandboxDetail: e2bSandboxDetail,
  Event: eventView,
  EventsEnd: eventsEnd,
  Explanation: explainView,
  FieldError: fieldError,
  FileChange: fileChange,
  FileEntry: fileEntry,
  Finding: findingView,
  FleetListItem: fleetListItem,
  Hint: hintView,
  Inspection: inspectionView,
  Job: jobView,
  JobFailure: jobFailure,
  JobLog: jobLogView,
  Layer: layerView,
  Logs: logsView,
  NextCall: nextCallView,
  Observation: observationView,
  LeftRunning: leftRunning,
  OutputEnd: outputEnd,
  OutputEvent: outputEvent,
  OutputGap: outputGap,
  Problem: problemBody,
  ReceiptStatement: receiptStatement,
  SignedReceipt: signedReceipt,
  Process: processView,
  ProcessExit: processExit,
  ProcessOutput: processOutput,
  Resources: resourcesView,
  ResourceSample: resourceSampleView,
  Run: runView,
  Session: sessionView,
  SharedPort: sharedPort,
  Snapshot: snapshotView,
  SessionListItem: sessionListItem,
  StopAttempt: stopAttemptView,
  Teardown: teardownView,
  TenantLedger: tenantLedgerView,
  UsageFigure: usageFigure,
  Delivery: deliveryView,
  WatchEnd: watchEnd,
  WatchReady: watchNothing,
  Webhook: webhookView,
  WebhookMessage: webhookMessage,
} as const;
