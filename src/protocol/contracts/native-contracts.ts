/** Every route of Mooring's own API: what the typed client covers. The compatible surfaces are other people's APIs. */
import { adminContracts } from "./operator/admin-contracts.ts";
import { anySessionContracts } from "./operator/any-session-contracts.ts";
import { attentionContracts } from "./operator/attention-contracts.ts";
import { auditContracts, cleanupContracts } from "./operator/cleanup-contracts.ts";
import { containerContracts } from "./operator/container-contracts.ts";
import { fileContracts } from "./sandbox/file-contracts.ts";
import { jobContracts } from "./session/job-contracts.ts";
import { receiptContracts } from "./session/receipt-contracts.ts";
import { processContracts } from "./sandbox/process-contracts.ts";
import { secretContracts } from "./operator/secret-contracts.ts";
import { serviceContracts } from "./service/service-contracts.ts";
import { sessionContracts } from "./session/session-contracts.ts";
import { sessionReadContracts } from "./session/session-read-contracts.ts";
import { trafficContracts } from "./sandbox/traffic-contracts.ts";
import { webhookContracts } from "./tenant/webhook-contracts.ts";
import { snapshotContracts } from "./tenant/snapshot-contracts.ts";
import { usageContracts } from "./tenant/usage-contracts.ts";

export const nativeContracts = [
  ...Object.values(sessionContracts),
  ...Object.values(sessionReadContracts),
  ...Object.values(jobContracts),
  ...Object.values(snapshotContracts),
  ...Object.values(trafficContracts),
  ...Object.values(fileContracts),
  ...Object.values(processContracts),
  ...Object.values(usageContracts),
  ...Object.values(webhookContracts),
  ...Object.values(anySessionContracts),
  ...Object.values(adminContracts),
  ...Object.values(attentionContracts),
  ...Object.values(containerContracts),
  ...Object.values(cleanupContracts),
  ...Object.values(auditContracts),
  ...Object.values(receiptContracts),
  ...Object.values(secretContracts),
  ...Object.values(serviceContracts),
] as const;
export type Native = (typeof nativeContracts)[number];
