/** `/v1/admin/secrets`: rotating the key that seals what clients give as secrets. */
import { contract } from "../../contract.ts";
import { resealBody, resealView } from "../../resources/operator/secrets.ts";

export const secretContracts = {
  reseal: contract({
    access: "admin",
    tag: "Operating",
    operation: "resealSecrets",
    method: "POST",
    path: "/v1/admin/secrets/reseal",
    summary: "Seal anew what an older ENV_ENCRYPTION_KEY sealed",
    description:
      "One page of a round over every tenant and session; send `next_cursor` as `cursor` until it is null. When a whole round renewed nothing and left nothing, the older key may be removed.",
    body: { schema: resealBody, required: false },
    answers: { 200: { means: "How this page stands.", body: resealView } },
  }),
} as const;
