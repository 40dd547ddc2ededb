/**
 * What FleetControl answers over object RPC: the one object of the fleet, binding CONTROL, name `control`. Plain data.
 *
 * It owns who the tenants are, how many sandboxes each may have out of the global cap, the drain flag, the admin log, and
 * three small stores for its neighbours: runs of the cleanup layers, documents (audit plans and results), alert states.
 * It decides nothing about a session, and a session never waits for it but at a reservation.
 */
import type { TenantId } from "../../domain/state/ids.ts";

/**
 * A tenant's whole picture, never a difference: so it may be lost, repeated or overtaken. `held` is what counts against the
 * cap at the tenant now and is never argued with (it exists); what `wants` is above it is granted as far as the cap goes.
 */
export interface AllowanceOrder {
  readonly tenant: TenantId;
  /** Counts up for each order of this tenant; an older one than the newest heard changes nothing. */
  readonly version: number;
  readonly held: number;
  readonly wants: number;
}

export type AllowanceReply =
  | {
      readonly type: "answered";
      /** How many sandboxes the tenant may have, in all: at least `held`, at most `wants`. Until its next order. */
      readonly allowed: number;
      readonly limit: number;
      /** How much of the cap is booked by all tenants together, after this order. */
      readonly used: number;
      readonly draining: boolean;
      /** So much is free that a tenant may keep, for a while, what it does not use. Absent: it may not. */
      readonly roomy?: true;
    }
  /** Overtaken: number the next order above `version`. */
  | { readonly type: "stale"; readonly version: number };

/** What a tenant needs of control. May throw (object RPC): then nothing is known, and nothing may be granted. */
export interface AllowancePort {
  allow(order: AllowanceOrder): Promise<AllowanceReply>;
}

export interface TenantEntry {
  readonly tenant: TenantId;
  readonly registeredAt: number;
  /** What it may have out of the global cap: at least what it has. */
  readonly allowed: number;
}

export interface CapacityView {
  readonly limit: number;
  /** Granted to all tenants together. May be above `limit` only after the limit was lowered or a sandbox turned up unasked. */
  readonly used: number;
  readonly tenants: number;
  readonly draining: DrainView | null;
}

export interface DrainView {
  readonly since: number;
  readonly by: string;
  readonly reason: string;
}

/** One act of an operator, or of the fleet by itself (`actor: "fleet"`). */
export interface AdminAct {
  readonly actor: string;
  /** `cleanup.emergency`, `session.resolve`, `key.revoke` … */
  readonly action: string;
  /** What it was done to: a session id, a tenant, a plan; "" for the whole fleet. */
  readonly target: string;
  readonly reason: string;
  readonly requestId: string;
  /** How it ended, in a few words. */
  readonly outcome: string;
}
export interface AdminLogEntry extends AdminAct {
  /** Counts up; the keyset position of the page. */
  readonly sequence: number;
  readonly at: number;
}

/** One run of one layer, whatever started it. */
export interface FleetRun {
  readonly id: string;
  /** `sweep`, `age`, `audit`, `shedding`, `cleanup`, `emergency`, `rebuild` … */
  readonly layer: string;
  /** `cron`, or who asked. */
  readonly by: string;
  readonly reason: string;
  readonly startedAt: number;
  /** null: under way, or it never came to its end. */
  readonly endedAt: number | null;
  /** null while under way. `partial`: it ended, and some of it failed or was left for the next. */
  readonly outcome: "ok" | "partial" | "failed" | null;
  readonly found: number;
  readonly done: number;
  readonly skipped: number;
  readonly failed: number;
  /** JSON of the layer's own, at most 1,000,000 characters: per-id results, a cursor to go on from. */
  readonly detail: string;
}

export interface RunQuery {
  readonly layer: string | null;
  readonly limit: number;
  /** Strictly older than this start. */
  readonly before: number | null;
}

/** Counted over the last 100 ended runs of a layer. */
export interface LayerSummary {
  readonly layer: string;
  readonly lastStartedAt: number;
  /** The newest ended run; null: none ever ended. */
  readonly lastEndedAt: number | null;
  readonly lastOutcome: FleetRun["outcome"];
  readonly lastOkAt: number | null;
  readonly ended: number;
  readonly ok: number;
  /** Failures since the last one that was ok. */
  readonly failuresInRow: number;
}

/** Something kept whole under a name: an audit's plan, its result. */
export interface FleetDocument {
  readonly kind: "audit_plan" | "audit_result" | "reaper_receipt" | "alert_state" | "cursor" | "probe";
  readonly id: string;
  /** When it was first put. */
  readonly at: number;
  /** JSON, at most 1,000,000 characters. */
  readonly body: string;
}

/** How one alert stands, with all that a reader needs of it. */
export interface AlertStanding {
  readonly name: string;
  readonly severity: "warning" | "critical";
  /** `pending`: it is bad, but not yet for long enough. */
  readonly phase: "clear" | "pending" | "firing";
  /** Of this phase. Epoch ms. */
  readonly since: number;
  readonly summary: string;
  /** What was seen; empty while clear. */
  readonly context: Readonly<Record<string, string | number>>;
  /** The section to read, and the first thing to run. */
  readonly page: string;
  readonly command: string;
  /** The same with Mooring's command line. Absent in what older code wrote. */
  readonly cli?: string;
  /** A change that the webhook has not taken yet; null: all told. */
  readonly untold: "fired" | "cleared" | null;
}

/** The body of the document of kind `alert_state` with the id `board`: what the watch found at its last look. */
export interface AlertBoard {
  /** When this fleet was first looked at. */
  readonly since: number;
  readonly lookedAt: number;
  readonly everyMs: number;
  readonly alerts: readonly AlertStanding[];
}

export interface FleetControlApi extends AllowancePort {
  /** In the order of the name, strictly after `after`. A tenant is here before its first sandbox can be. */
  tenants(after: TenantId | null, limit: number): Promise<readonly TenantEntry[]>;
  capacity(): Promise<CapacityView>;
  /** The id of this control plane, made by the first call and kept for ever. Sandbox hosts know their owner by it. */
  identity(): Promise<string>;

  /** Stops new sessions; what runs finishes, and may be relaunched. Answers how it stands now. */
  drain(order: { readonly by: string; readonly reason: string } | null): Promise<DrainView | null>;

  log(act: AdminAct): Promise<AdminLogEntry>;
  /** Newest first, strictly before `before`. */
  logPage(before: number | null, limit: number): Promise<readonly AdminLogEntry[]>;

  /** Put at the start and again at the end, by id; the newest 2,000 are kept. */
  putRun(run: FleetRun): Promise<void>;
  run(id: string): Promise<FleetRun | null>;
  /** Newest first. */
  runs(query: RunQuery): Promise<readonly FleetRun[]>;
  layers(): Promise<readonly LayerSummary[]>;

  /** Overwrites the body; the newest 1,000 of a kind are kept. */
  putDocument(document: Omit<FleetDocument, "at">): Promise<FleetDocument>;
  document(kind: FleetDocument["kind"], id: string): Promise<FleetDocument | null>;
  /** Newest first. */
  documents(kind: FleetDocument["kind"], limit: number): Promise<readonly FleetDocument[]>;
  /** true: it was there. */
  dropDocument(kind: FleetDocument["kind"], id: string): Promise<boolean>;
}
