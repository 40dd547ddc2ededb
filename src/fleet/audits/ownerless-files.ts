/**
 * Files on a provider's disk that belong to nobody: a workspace or a snapshot whose session has no record of itself, that no
 * registry counts and no operator forgot. Nothing would ever remove them.
 *
 * A session's rows may be put back from a backup, and what is removed here never comes back. So a file must be older than
 * `fileGraceMs`, every registry must have answered, and only an operator applies such a finding: never the cron.
 */
import type { Generation, SandboxId, SessionId } from "../../domain/state/ids.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { StoredFile } from "../../sandbox/agent-sandbox.ts";
import { inLanes } from "../../calls/in-lanes.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { AuditPorts, AuditTerms } from "./audit-ports.ts";
import type { Inventory } from "./inventory.ts";
import { hasNoRecord } from "./owners.ts";
import type { AppliedFinding, FileFinding } from "./plan.ts";
import { reap } from "./reaper.ts";

type Verdict = Omit<AppliedFinding, "finding">;

/** Longer than an incident in which rows are lost and put back. */
export const fileGraceMs = 24 * 3_600_000;

export async function ownerlessFiles(
  ports: AuditPorts,
  terms: AuditTerms,
  inventory: Inventory,
  notes: string[],
): Promise<readonly FileFinding[]> {
  if (!inventory.recordsComplete) return [];
  const found: FileFinding[] = [];
  for (const provider of ports.providers.wired) {
    const files = await filesOf(ports, terms, provider);
    // A provider without such a list is named among those that cannot list, or has no disk to look at.
    if (files === "none") continue;
    if (files === "silent") {
      notes.push(`Provider ${provider} did not list its files: those without an owner were not looked for there.`);
      continue;
    }
    const candidates = files.flatMap((file) => findingOf(provider, file) ?? []);
    const owned = await inLanes(candidates, terms.concurrency, (each) => isOwned(ports, terms, inventory, each));
    found.push(...candidates.filter((_, at) => owned[at] === false));
  }
  return found;
}

/** Looked at again, from the start: whether it is still there, and still nobody's. */
export async function applyFile(
  ports: AuditPorts,
  terms: AuditTerms,
  finding: FileFinding,
  by: string,
  now: Inventory | null,
): Promise<Verdict> {
  if (by === "cron")
    return { outcome: "skipped", why: "Removing files is left to an operator: apply this plan by hand." };
  if (now === null || !now.recordsComplete) return { outcome: "failed", why: "Not every registry answered." };
  if (!(await isListed(ports, terms, finding)))
    return { outcome: "skipped", why: `${finding.provider} does not list it any more.` };
  if (await isOwned(ports, terms, now, finding)) return { outcome: "skipped", why: "It may belong to a session now." };
  const failure =
    finding.file.kind === "snapshot"
      ? await removeSnapshot(ports, terms, finding)
      : await removeWorkspace(ports, terms, finding);
  if (failure !== null) return { outcome: "failed", why: failure };
  return (await isListed(ports, terms, finding))
    ? { outcome: "failed", why: `${finding.provider} still lists it after its removal.` }
    : { outcome: "done", why: "Removed: nobody owned it." };
}

/** null: it is young, is being removed already, or cannot be aimed at from here. */
function findingOf(provider: ProviderName, file: StoredFile): FileFinding | null {
  const { kind, name, host, removal, container } = file;
  if (removal !== null || kind === "container" || file.ageMs === null || file.ageMs < fileGraceMs) return null;
  const place = container === undefined ? {} : { container };
  const common = { kind: "file_without_owner", provider, host, ...place } as const;
  const detail = `${provider} has a ${kind} ${name}, ${Math.floor(file.ageMs / 3_600_000)} hours old, and no session owns it`;
  if (kind === "snapshot") {
    const { sessionId } = file;
    return sessionId === null
      ? null
      : { ...common, sessionId, sandboxId: null, generation: null, file: { kind, name }, detail };
  }
  const [, session, minted] = /^(.+)-g(\d+)$/.exec(name) ?? [];
  if (session === undefined || minted === undefined) return null;
  const sessionId = file.sessionId ?? (session as SessionId);
  const generation = file.generation ?? (Number(minted) as Generation);
  return { ...common, sessionId, sandboxId: name as SandboxId, generation, file: { kind, name }, detail };
}

/** Also when that cannot be told. */
async function isOwned(
  ports: AuditPorts,
  terms: AuditTerms,
  inventory: Inventory,
  { sessionId, file }: FileFinding,
): Promise<boolean> {
  if (inventory.records.some((each) => each.sessionId === sessionId)) return true;
  if (inventory.listed.some((each) => each.sessionId === sessionId)) return true;
  if (file.kind === "snapshot" && (inventory.forgotten.has(file.name) || inventory.kept.has(file.name))) return true;
  return !(await hasNoRecord(ports, terms, sessionId));
}

async function isListed(ports: AuditPorts, terms: AuditTerms, { provider, host, file }: FileFinding): Promise<boolean> {
  const files = await filesOf(ports, terms, provider);
  if (typeof files === "string") return false;
  return files.some(
    (each) => each.host === host && each.kind === file.kind && each.name === file.name && each.removal === null,
  );
}

async function removeSnapshot(ports: AuditPorts, terms: AuditTerms, finding: FileFinding): Promise<string | null> {
  const snapshots = ports.providers.get(finding.provider)?.snapshots;
  if (snapshots === undefined) return `Provider ${finding.provider} has no snapshots here.`;
  const answer = await outcomeWithin(ports.clock, terms.callMs, (bound) =>
    snapshots.remove(finding.sessionId, finding.file.name, bound),
  );
  if (answer.type !== "answered") return `The provider did not answer (${answer.type}).`;
  return answer.value.ok ? null : `${answer.value.failure.code}: ${answer.value.failure.message}`;
}

/** By the reaper: a workspace is removed only after nothing is proven to run in it. */
async function removeWorkspace(ports: AuditPorts, terms: AuditTerms, finding: FileFinding): Promise<string | null> {
  const { sessionId, sandboxId, generation, host, container, provider } = finding;
  if (sandboxId === null || generation === null) return "Its sandbox cannot be named.";
  const place = container === undefined ? {} : { container };
  const reaped = await reap(ports, terms, { sessionId, sandboxId, generation, host, ...place }, provider);
  return reaped.proven ? null : reaped.why;
}

async function filesOf(
  ports: AuditPorts,
  terms: AuditTerms,
  provider: ProviderName,
): Promise<readonly StoredFile[] | "none" | "silent"> {
  const adapter = ports.providers.get(provider);
  const files = adapter?.files?.bind(adapter);
  if (files === undefined) return "none";
  const answer = await outcomeWithin(ports.clock, terms.callMs, files);
  return answer.type === "answered" && answer.value.ok ? answer.value.value : "silent";
}
