/**
 * Both sides of the books: every sandbox id that a registry counts, and everything a provider lists by itself.
 * The providers are asked first: a reservation comes before its launch, so whatever they list is in a registry that is
 * read afterwards, or it has no record. A side that does not answer is a note, never an empty page.
 */
import type { SandboxId, SessionId, TenantId } from "../../domain/state/ids.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { Enumerated } from "../../sandbox/agent-sandbox.ts";
import type { OpenCursor } from "../../tenant/tenant-api.ts";
import type { Reservation } from "../../tenant/quota/reservations.ts";
import { outcomeWithin, type CallOutcome } from "../../calls/outcome-within.ts";
import type { FleetRow, ListPosition } from "../shard/shard-api.ts";
import type { AuditPorts, AuditTerms } from "./audit-ports.ts";

export interface Listed extends Enumerated {
  readonly provider: ProviderName;
}
export interface CountedRecord extends Reservation {
  readonly tenant: TenantId;
}

export interface Inventory {
  /** What providers list. Its presence is evidence; that something is missing here is none. */
  readonly listed: readonly Listed[];
  readonly records: readonly CountedRecord[];
  /** Every registry answered whole: only then does a missing record mean anything. */
  readonly recordsComplete: boolean;
  /** Every provider that can list did. */
  readonly listsComplete: boolean;
  /** Where each session's sandbox was last reported, by session. */
  readonly rows: ReadonlyMap<SessionId, Pick<FleetRow, "provider" | "asOf">>;
  /** Names of snapshots that operators took off their sessions. */
  readonly forgotten: ReadonlySet<string>;
  /** Snapshots that tenants keep, or are still deleting: their sessions may be long gone. */
  readonly kept: ReadonlySet<string>;
  readonly tenants: number;
  readonly notes: readonly string[];
}

const page = 500;

export async function takeInventory(ports: AuditPorts, terms: AuditTerms): Promise<Inventory> {
  const notes: string[] = [];
  const lists = await listProviders(ports, terms, notes);
  const tenants = await allTenants(ports, terms, notes);
  const records: CountedRecord[] = [];
  const forgotten = new Set<string>();
  const kept = new Set<string>();
  let recordsComplete = tenants.complete;
  for (const tenant of tenants.names) {
    const whole = await openOf(ports, terms, tenant, records);
    const told = await noteForgotten(ports, terms, tenant, notes, forgotten);
    const known = await keptOf(ports, terms, tenant, kept);
    if (whole && told && known) continue;
    recordsComplete = false;
    notes.push(`The registry of tenant ${tenant} did not answer: what it counts was not looked at.`);
  }
  if (!recordsComplete) notes.push("Without every registry nothing can be called a sandbox without a record.");
  const rows = await indexRows(ports, terms, notes);
  const { listed, complete: listsComplete } = lists;
  return {
    listed,
    listsComplete,
    records,
    recordsComplete,
    rows,
    forgotten,
    kept,
    tenants: tenants.names.length,
    notes,
  };
}

/** Mooring gave up deleting these, and no provider lists its snapshots: the audit repeats them for the operator who cleans the store. */
async function noteForgotten(
  ports: AuditPorts,
  terms: AuditTerms,
  tenant: TenantId,
  notes: string[],
  into: Set<string>,
): Promise<boolean> {
  const answer = await outcomeWithin(ports.clock, terms.callMs, () => ports.tenant(tenant).forgottenSnapshots(page));
  if (answer.type !== "answered") return false;
  for (const { sessionId, id, provider, by, reason } of answer.value) {
    into.add(id);
    notes.push(
      `Snapshot ${id} of session ${sessionId} (tenant ${tenant}, provider ${provider}) was taken off its session by ${by}: ${reason}. Its files may still be there.`,
    );
  }
  // A full page may be followed by more: then what is forgotten is not known whole.
  return answer.value.length < page;
}

/** true: the registry answered whole. */
async function keptOf(ports: AuditPorts, terms: AuditTerms, tenant: TenantId, into: Set<string>): Promise<boolean> {
  let after: string | null = null;
  for (;;) {
    const from: string | null = after;
    const answer: CallOutcome<readonly { readonly id: string }[]> = await outcomeWithin(ports.clock, terms.callMs, () =>
      ports.tenant(tenant).unreleasedSnapshots(from, page),
    );
    if (answer.type !== "answered") return false;
    for (const { id } of answer.value) into.add(id);
    if (answer.value.length < page) return true;
    after = answer.value.at(-1)?.id ?? null;
  }
}

async function listProviders(
  ports: AuditPorts,
  terms: AuditTerms,
  notes: string[],
): Promise<{ readonly listed: readonly Listed[]; readonly complete: boolean }> {
  const listed: Listed[] = [];
  let complete = true;
  for (const name of ports.providers.wired) {
    const provider = ports.providers.get(name);
    const enumerate = provider?.enumerate?.bind(provider);
    if (enumerate === undefined) {
      notes.push(`Provider ${name} cannot list its sandboxes: those without a record cannot be found there.`);
      continue;
    }
    const answer = await outcomeWithin(ports.clock, terms.callMs, enumerate);
    if (answer.type === "answered" && answer.value.ok) {
      listed.push(...answer.value.value.map((each) => ({ ...each, provider: name })));
      continue;
    }
    complete = false;
    const why = answer.type === "answered" && !answer.value.ok ? answer.value.failure.code : answer.type;
    notes.push(
      `Provider ${name} did not list its sandboxes (${why}): those without a record were not looked for there.`,
    );
  }
  return { listed, complete };
}

async function allTenants(
  ports: AuditPorts,
  terms: AuditTerms,
  notes: string[],
): Promise<{ readonly names: readonly TenantId[]; readonly complete: boolean }> {
  const names: TenantId[] = [];
  for (;;) {
    const answer = await outcomeWithin(ports.clock, terms.callMs, () =>
      ports.control.tenants(names.at(-1) ?? null, page),
    );
    if (answer.type !== "answered") {
      notes.push("The directory of tenants did not answer whole: not every registry was looked at.");
      return { names, complete: false };
    }
    names.push(...answer.value.map((each) => each.tenant));
    if (answer.value.length < page) return { names, complete: true };
  }
}

/** true: the registry answered whole. */
async function openOf(ports: AuditPorts, terms: AuditTerms, tenant: TenantId, into: CountedRecord[]): Promise<boolean> {
  let after: OpenCursor | null = null;
  for (;;) {
    const from: OpenCursor | null = after;
    const answer: CallOutcome<readonly Reservation[]> = await outcomeWithin(ports.clock, terms.callMs, () =>
      ports.tenant(tenant).open(from, page),
    );
    if (answer.type !== "answered") return false;
    into.push(...answer.value.map((each) => ({ ...each, tenant })));
    const last = answer.value.at(-1);
    if (last === undefined || answer.value.length < page) return true;
    after = { sessionId: last.sessionId, generation: last.generation };
  }
}

async function indexRows(ports: AuditPorts, terms: AuditTerms, notes: string[]): Promise<Map<SessionId, FleetRow>> {
  const rows = new Map<SessionId, FleetRow>();
  for (const { name, api } of ports.shards) {
    let after: { readonly after?: ListPosition } = {};
    for (;;) {
      const from = after;
      const answer: CallOutcome<readonly FleetRow[]> = await outcomeWithin(ports.clock, terms.callMs, () =>
        api.select({ open: true, order: "oldest", limit: page, ...from }),
      );
      if (answer.type !== "answered") {
        // Only a hint is lost: the sessions of this shard are asked one by one.
        notes.push(`${name} did not answer: its sessions were asked themselves.`);
        break;
      }
      for (const row of answer.value) rows.set(row.sessionId, row);
      const last = answer.value.at(-1);
      if (last === undefined || answer.value.length < page) break;
      after = { after: { createdAt: last.createdAt, id: last.sessionId } };
    }
  }
  return rows;
}

/** The ids that a registry counts. */
export function countedIds(inventory: Pick<Inventory, "records">): ReadonlySet<SandboxId> {
  return new Set(inventory.records.map((each) => each.sandboxId));
}
