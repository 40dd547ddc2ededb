/** What the composition root hands to the object of a tenant. */
import type { ContainerId, SessionId, TenantId } from "../domain/state/ids.ts";
import type { ProviderName } from "../domain/state/provider-names.ts";
import type { AllowancePort } from "../fleet/control/control-api.ts";
import type { CountsPort } from "../fleet/shard/shard-api.ts";
import type { AgentSandbox } from "../sandbox/agent-sandbox.ts";
import type { Clock, Ids, Logger } from "../runtime/clock-ids-logger.ts";
import type { QuotaTerms } from "./quota/quota.ts";
import type { ChainSignerPorts } from "./receipts/chain-signer.ts";
import type { WebhookPorts } from "./webhooks/webhook-ports.ts";

export interface TenantWiring {
  readonly control: AllowancePort;
  /** The shard that indexes this tenant. */
  index(tenant: TenantId): CountsPort;
  readonly terms: QuotaTerms;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  /** For what no session owns: shared containers. */
  readonly providers: { get(name: ProviderName): AgentSandbox | null };
  /** Asks a session to look at itself: it gives back what it will not use. `known` false: it has no record. May throw or hang. */
  poke(sessionId: SessionId, gone?: ContainerId): Promise<{ readonly known: boolean }>;
  /** The tenant's budget for the month is used up. May throw or hang. */
  budgetSpent(sessionId: SessionId): Promise<{ readonly known: boolean }>;
  /** A statement of the chain; null: no signing key is configured. */
  readonly sign: ChainSignerPorts["sign"];
  readonly webhooks: Pick<WebhookPorts, "seals" | "ids" | "terms" | "events" | "post">;
}
