/**
 * Between rows and what they mean: JSON with its schemas (session-record.ts, lease-record.ts) beside plain columns. Decoding never throws and never
 * guesses: what does not match is null, and the plain columns say what is left of it.
 */
import type { ContainerId, Generation, InstanceId, SandboxId, SessionId, TenantId } from "../../domain/state/ids.ts";
import type { Lease, LeaseIdentity } from "../../domain/state/lease.ts";
import { providerNames, type ProviderName } from "../../domain/state/provider-names.ts";
import type { Session } from "../../domain/state/session.ts";
import { ownSnapshot } from "../../domain/rules/saved-files.ts";
import type { SqlRow } from "../../storage/sql.ts";
import { leaseColumns, leaseRecord } from "./lease-record.ts";
import { savedFiles, type SavedFiles } from "./session-record.ts";

/** The columns that survive an unreadable record. */
export interface PlainSession {
  readonly id: SessionId;
  readonly tenant: TenantId;
  readonly createdAt: number;
  readonly deleteRequestedAt: number | null;
  readonly version: number;
  /** null: a name that this code does not know. */
  readonly provider: ProviderName | null;
  /** null: not known, so that its rows cannot go. */
  readonly saved: SavedFiles | null;
}

/** A lease and its place: what is the newest now need not be the last one written. */
export interface LeaseWithStanding {
  readonly standing: "newest" | "ghost" | "past";
  readonly lease: Lease;
}

/** The plain columns of a lease whose record cannot be read: enough to aim a stop. */
export interface UnreadableLease extends LeaseIdentity {
  readonly standing: "newest" | "ghost" | "past";
}

/** The columns and the record; leases are rows of their own. */
export const rowFields = [
  "nextGeneration",
  "limits",
  "lifecycle",
  "profile",
  "desired",
  "endAt",
  "startedAt",
  "refreshedAt",
  "activity",
  "alive",
  "relaunches",
  "warnedOfPause",
  "warnedOfEnd",
  "budget",
  "pauseTries",
  "setback",
  "template",
  "network",
  "workspace",
  "snapshot",
  "discarded",
  "forgotten",
  "cancellations",
  "taken",
  "restoreProof",
] as const satisfies readonly (keyof Session)[];

export function encodeSession(session: Session): string {
  const inRecord = rowFields.filter((field) => field !== "nextGeneration");
  return JSON.stringify(Object.fromEntries(inRecord.map((field) => [field, session[field]])));
}

export function savedOf(session: Pick<Session, "snapshot" | "discarded">): SavedFiles {
  const own = ownSnapshot(session);
  const all = own === null ? session.discarded : [own, ...session.discarded];
  return {
    files: all.map(({ id, provider, takenAt, generation }) => ({ id, provider, takenAt, generation })),
    settled: [],
  };
}

const inColumns: ReadonlySet<string> = new Set(leaseColumns);

export function encodeLease(lease: Lease): string {
  return JSON.stringify(Object.fromEntries(Object.entries(lease).filter(([field]) => !inColumns.has(field))));
}

export function decodeLease(row: SqlRow): Lease | null {
  const record = leaseRecord.safeParse(parseJson(row["record"]));
  if (!record.success || !isProvider(row["provider"])) return null;
  return { ...identityColumnsOf(row), ...record.data };
}

export function identityColumnsOf(row: SqlRow): LeaseIdentity {
  const container = row["container"];
  return {
    ...(typeof container === "string" ? { container: container as ContainerId } : {}),
    generation: Number(row["generation"]) as Generation,
    instanceId: row["instance_id"] as InstanceId,
    sandboxId: row["sandbox_id"] as SandboxId,
    provider: row["provider"] as ProviderName,
    host: row["host"] as string | null,
    secret: row["secret"] as string,
    openedAt: row["opened_at"] as number,
  };
}

export function isProvider(value: unknown): value is ProviderName {
  return providerNames.some((name) => name === value);
}

export function plainOf(row: SqlRow): PlainSession {
  return {
    id: row["id"] as SessionId,
    tenant: row["tenant"] as TenantId,
    createdAt: Number(row["created_at"]),
    deleteRequestedAt: row["delete_requested_at"] === null ? null : Number(row["delete_requested_at"]),
    version: Number(row["version"]),
    provider: isProvider(row["provider"]) ? row["provider"] : null,
    saved: savedFiles.safeParse(parseJson(row["saved"])).data ?? null,
  };
}

/** undefined when it is no JSON: the schema then says no. */
export function parseJson(text: unknown): unknown {
  if (typeof text !== "string") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
