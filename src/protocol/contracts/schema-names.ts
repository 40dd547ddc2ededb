/**
 * The names that schemas of the protocol carry in the OpenAPI document. A schema that is in several answers, or that people
 * talk about, has one; everything else is written out where it is used.
 */
import { inspectionView } from "../admin.ts";
import { alertView } from "../alerts.ts";
import { auditPlanView, auditResultView, findingView } from "../audits.ts";
import { cleanupReply, layerView, runView } from "../cleanup.ts";
import { containerView } from "../containers.ts";
import { cubeReply } from "../cube.ts";
import { e2bError, e2bListedSandbox, e2bSandbox, e2bSandboxDetail } from "../e2b.ts";
import { eventsEnd, eventView } from "../events.ts";
import { clockView, explainView, nextCallView } from "../explain.ts";
import { fleetListItem, tenantLedgerView, usageFigure } from "../fleet.ts";
import { hintView, jobLogView, logsView, resourceSampleView, resourcesView } from "../insight.ts";
import { jobView, outputEnd, outputEvent } from "../jobs.ts";
import { fieldError, problemBody } from "../problem.ts";
import { deliveryView, webhookMessage, webhookView } from "../webhooks.ts";
import { observationView, sessionListItem, sessionView, stopAttemptView, teardownView } from "../sessions.ts";

export const schemaNames = {
  Alert: alertView,
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
  Finding: findingView,
  FleetListItem: fleetListItem,
  Hint: hintView,
  Inspection: inspectionView,
  Job: jobView,
  JobLog: jobLogView,
  Layer: layerView,
  Logs: logsView,
  NextCall: nextCallView,
  Observation: observationView,
  OutputEnd: outputEnd,
  OutputEvent: outputEvent,
  Problem: problemBody,
  Resources: resourcesView,
  ResourceSample: resourceSampleView,
  Run: runView,
  Session: sessionView,
  SessionListItem: sessionListItem,
  StopAttempt: stopAttemptView,
  Teardown: teardownView,
  TenantLedger: tenantLedgerView,
  UsageFigure: usageFigure,
  Delivery: deliveryView,
  Webhook: webhookView,
  WebhookMessage: webhookMessage,
} as const;
