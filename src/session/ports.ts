/** Everything a session's engine touches outside itself. All required: a missing wire must not silently arm no alarm. */
import type { TenantId } from "../domain/ids.ts";
import type { Policy } from "../domain/policy.ts";
import type { ProviderName } from "../domain/provider-names.ts";
import type { GitScheme } from "../protocol/workspace.ts";
import type { AgentSandbox } from "../sandbox/agent-sandbox.ts";
import type { Seals } from "../storage/seals.ts";
import type { Sql } from "../storage/sql.ts";
import type { Clock, Ids, Logger } from "./ambient.ts";
import type { IndexPort, TenantPort } from "./reports.ts";
import type { Trace } from "./trace.ts";

/** The object's one alarm. Called inside the transaction of the state it belongs to. */
export interface AlarmPort {
  set(at: number): void;
  clear(): void;
  /** What an earlier incarnation has armed; null: nothing. undefined: this one has armed since, so it does not matter any more. */
  inherited(): Promise<number | null | undefined>;
  /** The transaction that it was last set in came to nothing, and that with it. */
  rolledBack(): void;
}

/** null: no adapter of that name is wired in this deployment. */
export interface Providers {
  get(name: ProviderName): AgentSandbox | null;
}

export interface SessionPorts {
  readonly sql: Sql;
  readonly seals: Seals;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  /** Whose request it works for; what reaches a host or a wrapper over HTTP carries it. */
  readonly trace: Trace;
  readonly policy: Policy;
  readonly providers: Providers;
  /** For new sessions; a lease's own record decides for what exists. */
  readonly defaultProvider: ProviderName;
  readonly tenant: (tenant: TenantId) => TenantPort;
  readonly index: (tenant: TenantId) => IndexPort;
  /** From where a workspace may be fetched. */
  readonly gitSchemes: readonly GitScheme[];
  readonly alarm: AlarmPort;
  /** Removes every row, table and alarm of this object. */
  readonly eraseStorage: () => Promise<void>;
}
