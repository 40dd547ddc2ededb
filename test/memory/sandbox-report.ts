/**
 * What the memory world can say of a sandbox's log and use. Its units are its own: a step of a job
 * is a millisecond of CPU and an operation, a process holds eight megabytes beside the output it keeps.
 */
import { failed, succeeded, type ProviderResult } from "../../src/domain/state/failure.ts";
import type { SandboxId } from "../../src/domain/state/ids.ts";
import type { SandboxLogs, SandboxResources } from "../../src/sandbox/agent-sandbox.ts";
import type { JournalEntry } from "./journal.ts";
import type { MemoryWorld } from "./memory-world.ts";

const processBytes = 8 * 2 ** 20;

export function logsOf(world: MemoryWorld, sandboxId: SandboxId, tailBytes: number): ProviderResult<SandboxLogs> {
  const now = world.advance();
  if (world.sandbox(sandboxId) === null) return failed("not_found", `no sandbox ${sandboxId}`, "none");
  const entries = world.journal.since(0).filter((entry) => sandboxOf(entry) === sandboxId);
  const text = entries.map((entry) => `${new Date(entry.at).toISOString()} ${wordsOf(entry)}\n`).join("");
  const last = entries.at(-1);
  return succeeded({
    text: text.slice(Math.max(0, text.length - tailBytes)),
    lastWrittenAgoMs: last === undefined ? null : now - last.at,
  });
}

export function resourcesOf(world: MemoryWorld, sandboxId: SandboxId): ProviderResult<SandboxResources> {
  const record = world.sandbox(sandboxId);
  if (record === null) return failed("not_found", `no sandbox ${sandboxId}`, "none");
  const jobs = record.instances.flatMap((instance) => instance.jobs);
  const steps = jobs.reduce((sum, job) => sum + job.stepsRun, 0);
  const bytes = jobs.reduce((sum, job) => sum + job.output.kept, 0);
  const processes = world.processes().filter((process) => process.sandboxId === sandboxId).length;
  return succeeded({
    processes,
    cpuSeconds: steps / 1_000,
    memoryBytes: processes * processBytes + bytes,
    diskUsedBytes: bytes,
    operations: steps,
  });
}

function sandboxOf(entry: JournalEntry): SandboxId | null {
  if (entry.type === "signalled") return entry.process.sandboxId;
  return "sandboxId" in entry ? entry.sandboxId : null;
}

function wordsOf(entry: JournalEntry): string {
  switch (entry.type) {
    case "signalled":
      return `${entry.signal} to ${entry.process.kind} ${entry.process.pid}`;
    case "launchRefused":
      return `a launch was refused: ${entry.code}`;
    case "renewed":
      return `renewal ${entry.sequence} accepted`;
    case "jobAccepted":
      return `job ${entry.jobId} accepted`;
    case "served":
      return `traffic served: ${entry.path}`;
    case "ending":
      return `ending: ${entry.why}`;
    case "saved":
      return `saved as ${entry.snapshotId}`;
    case "snapshotRemoved":
      return `snapshot ${entry.snapshotId} removed`;
    case "reclaimed":
      return `removed to make room for ${entry.forSession}`;
    case "containerRetired":
    case "containerDestroyed":
    case "launched":
    case "smuggled":
    case "launchRepeated":
    case "retired":
    case "ended":
    case "hostRestarted":
    case "hostRebooted":
      return entry.type;
  }
}
