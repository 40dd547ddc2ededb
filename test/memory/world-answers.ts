/** How a memory world words what it sees and what it refuses. */
import { failed, type ProviderFailureCode, type ProviderResult } from "../../src/domain/state/failure.ts";
import type { Residue } from "../../src/domain/state/observation.ts";
import type { Target } from "../../src/sandbox/agent-sandbox.ts";
import type { Process } from "./journal.ts";

/** What a host saw: the part of an observation that is not the asker's. */
export interface Seen {
  readonly host: string;
  readonly boot: string;
  readonly residue: readonly Residue[];
}

export const launchRefusals = {
  refused_retired: { code: "refused_retired", words: "this generation is retired there" },
  refused_late: { code: "refused_late", words: "it arrived after launchNotAfter" },
  occupied: { code: "foreign_instance", words: "the sandbox belongs to another instance" },
} as const satisfies Record<string, { code: ProviderFailureCode; words: string }>;

export function noHost(target: Target): ProviderResult<never> {
  return failed("unavailable", `no host ${target.host ?? ""} answers`, "none");
}

export function residueOf(process: Process): Residue {
  return { kind: process.kind, instanceId: process.instanceId, pid: process.pid };
}
