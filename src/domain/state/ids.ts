/** Branded identifiers. A plain string or number becomes one only where it is parsed (protocol) or minted (shell). */

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** 20 lower-case alphanumerics: fits a DNS label with a generation appended. */
export type SessionId = Brand<string, "SessionId">;
/** The tenant an API key was issued for: 1 to 32 of `a-z 0-9 -`. */
export type TenantId = Brand<string, "TenantId">;
/** The physical container or directory. An isolated one is `<session>-g<generation>` and serves that generation only. */
export type SandboxId = Brand<string, "SandboxId">;
/** A container that many sessions of one tenant share. Never used twice. */
export type ContainerId = Brand<string, "ContainerId">;
/** One launch of a wrapper. */
export type InstanceId = Brand<string, "InstanceId">;
/** Per session, strictly increasing, never reused; it starts from the creation time in ms, so erasure cannot rewind it. */
export type Generation = Brand<number, "Generation">;
/** One try of one effect (a launch call, a stop). A result that names another attempt is late and is ignored. */
export type AttemptId = Brand<string, "AttemptId">;
/** Unique within its session: 1 to 64 of `A-Z a-z 0-9 _ -`; chosen by the client or minted. */
export type JobId = Brand<string, "JobId">;

/** The sandbox id of an isolated session's generation. */
export function isolatedSandboxId(session: SessionId, generation: Generation): SandboxId {
  return `${session}-g${generation}` as SandboxId;
}

/** Named by the place that it was made for: a sandbox id is granted once, so neither is this one used twice. */
export function containerId(founder: SandboxId): ContainerId {
  return `shared-${founder}` as ContainerId;
}

/** The first generation of a session created at `createdAt` (epoch ms), above any that the registry remembers. */
export function firstGeneration(createdAt: number, above: number): Generation {
  return Math.max(Math.floor(createdAt), Math.floor(above) + 1) as Generation;
}

export function nextGeneration(generation: Generation): Generation {
  return (generation + 1) as Generation;
}
