/** Everything a session's engine touches outside itself. All required: a missing wire must not silently arm no alarm. */
import type { TenantId } from "../domain/state/ids.ts";
import type { NetworkMode } from "../domain/state/network.ts";
import type { Policy } from "../domain/rules/policy.ts";
import type { ProviderName } from "../domain/state/provider-names.ts";
import type { TrafficKeys } from "../protocol/sandbox/traffic.ts";
import type { GitScheme } from "../protocol/sandbox/workspace.ts";
import type { AgentSandbox } from "../sandbox/agent-sandbox.ts";
import type { Seals } from "../storage/seals.ts";
import type { Sql } from "../storage/sql.ts";
import type { Clock, Ids, Logger } from "../runtime/clock-ids-logger.ts";
import type { IndexPort, TenantPort } from "./reports/reports.ts";
import type { Trace } from "./trace.ts";

/** The object's one alarm. Called inside the transaction of the state it belongs to. */
export interface AlarmPort {
  /** No later than `at`: an earlier one that is still to come stays. */
  by(at: number): void;
  /** At exactly `at`. */
  set(at: number): void;
  clear(): void;
  /** The alarm that an earlier incarnation set; null: none. undefined: this incarnation has replaced it. */
  inherited(): Promise<number | null | undefined>;
  /** What this incarnation set and has not fired yet; null: nothing, or not known. */
  armedFor(): number | null;
  /** Forgets what was set last, so that the next call writes: its transaction was rolled back, or the platform may be late with it. */
  doubt(): void;
}

/** null: no adapter of that name is wired in this deployment. */
export interface Providers {
  get(name: ProviderName): AgentSandbox | null;
}

/** What a session that says nothing about it may reach. */
export interface NetworkDefault {
  readonly mode: NetworkMode;
  readonly allow?: readonly string[];
  readonly inject?: undefined;
}

export interface SessionPorts {
  readonly sql: Sql;
  readonly seals: Seals;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  /** The trace of the request it works for; calls to a host or a wrapper carry it. */
  readonly trace: Trace;
  readonly policy: Policy;
  readonly providers: Providers;
  /** For new sessions. An existing lease names its own provider. */
  readonly defaultProvider: ProviderName;
  readonly tenant: (tenant: TenantId) => TenantPort;
  readonly index: (tenant: TenantId) => IndexPort;
  /** The schemes of the addresses that a workspace may be fetched from. */
  readonly gitSchemes: readonly GitScheme[];
  /** How the passes for its sandbox are made. */
  readonly trafficKeys: TrafficKeys;
  readonly defaultNetwork: NetworkDefault;
  readonly alarm: AlarmPort;
  /** Removes every row, table and alarm of this object. */
  readonly eraseStorage: () => Promise<void>;
}
