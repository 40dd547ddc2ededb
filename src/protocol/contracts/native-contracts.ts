/** Every route of Mooring's own API: what the typed client covers. The compatible surfaces are other people's APIs. */
import { adminContracts } from "./admin-contracts.ts";
import { auditContracts, cleanupContracts } from "./cleanup-contracts.ts";
import { containerContracts } from "./container-contracts.ts";
import { jobContracts } from "./job-contracts.ts";
import { secretContracts } from "./secret-contracts.ts";
import { serviceContracts } from "./service-contracts.ts";
import { sessionContracts } from "./session-contracts.ts";
import { webhookContracts } from "./webhook-contracts.ts";

export const nativeContracts = [
  ...Object.values(sessionContracts),
  ...Object.values(jobContracts),
  ...Object.values(webhookContracts),
  ...Object.values(adminContracts),
  ...Object.values(containerContracts),
  ...Object.values(cleanupContracts),
  ...Object.values(auditContracts),
  ...Object.values(secretContracts),
  ...Object.values(serviceContracts),
] as const;
export type Native = (typeof nativeContracts)[number];
