/**
 * A shared container: who may join it, when it is to end, and what proves that it is gone (docs/decisions/0013). Pure; its
 * tenant's registry stores it and serialises every call, and that registry's reservations are its members.
 *
 * - `stopping` is written in the transaction that finds no reason for the container any more, and is never joined or left.
 * - It is gone by the evidence of a lease and by no other: retired, then two looks after the last effect.
 */
import type { AttemptId, ContainerId, Generation, SandboxId, SessionId } from "./ids.ts";
import { observationsKept, type Retirement } from "./lease.ts";
import { stopBackoff } from "../rules/backoff.ts";
import type { Observation } from "./observation.ts";
import type { Policy } from "../rules/policy.ts";
import { stillAhead } from "../rules/instants.ts";
import { judgeAbsence } from "../rules/proof.ts";
import type { ProviderName } from "./provider-names.ts";

interface Identity {
  readonly id: ContainerId;
  readonly provider: ProviderName;
  /** Epoch ms. */
  readonly createdAt: number;
  /** The host that its first launched member named; null before. */
  readonly host: string | null;
}

export interface OpenContainer extends Identity {
  readonly phase: "open";
  /** Evidence that its filesystem takes no writes; null: none. */
  readonly condemned: { readonly at: number; readonly why: string } | null;
}

/** An operator's word that it is gone: kept apart from every proof, and dropped when a look finds it. */
export interface Assertion {
  readonly at: number;
  readonly by: string;
  readonly reason: string;
}

export interface StoppingContainer extends Identity {
  readonly phase: "stopping";
  readonly reason: "empty" | "stranded";
  readonly requestedAt: number;
  readonly step:
    | { readonly type: "waiting"; readonly nextAttemptAt: number }
    | { readonly type: "acting"; readonly attemptId: AttemptId; readonly deadline: number };
  /** Of this round: an operator may begin another. */
  readonly attempts: number;
  readonly earlierAttempts: number;
  readonly assertion: Assertion | null;
  readonly retired: Retirement | null;
  /** The newest, oldest first. */
  readonly observations: readonly Observation[];
  readonly lastError: string | null;
}

export interface GoneContainer extends Identity {
  readonly phase: "gone";
  readonly reason: StoppingContainer["reason"];
  readonly requestedAt: number;
  readonly attempts: number;
  readonly earlierAttempts: number;
  readonly assertion: Assertion | null;
  readonly retired: Retirement;
  readonly observations: readonly Observation[];
  readonly verifiedAbsentAt: number;
}

export type Container = OpenContainer | StoppingContainer | GoneContainer;

/** One reservation in it that was not released. */
export interface Member {
  readonly sessionId: SessionId;
  readonly generation: Generation;
  readonly sandboxId: SandboxId;
  readonly state: "reserved" | "launching" | "held" | "stopping" | "asserted";
  /** Since when it is in that state, at the latest. */
  readonly since: number;
}

export interface ContainerWithMembers {
  readonly container: Container;
  readonly members: readonly Member[];
}

export interface ContainerTerms {
  readonly maxMembers: number;
  readonly policy: Policy;
}

/** How long all members may have been stopping before the container is ended around them: two whole attempts of each. */
export function strandedAfterMs(policy: Policy): number {
  return 2 * (policy.stopAttemptMs + policy.stopBackoffBaseMs);
}

/** How long one attempt to end it may take: retire, destroy, two looks with their gap. */
export function containerAttemptMs(policy: Policy): number {
  return policy.stopAttemptMs + 3 * policy.observeMs + policy.absenceLookGapMs;
}

export function newContainer(id: ContainerId, provider: ProviderName, now: number): OpenContainer {
  return { phase: "open", id, provider, createdAt: now, host: null, condemned: null };
}

/** The oldest that may be joined: filling that one lets the others run empty. null: a new one is needed. */
export function containerFor(
  all: readonly ContainerWithMembers[],
  order: { readonly sessionId: SessionId; readonly provider: ProviderName },
  { maxMembers, policy }: ContainerTerms,
  now: number,
): ContainerId | null {
  const joinable = all.filter(
    ({ container, members }) =>
      container.phase === "open" &&
      container.provider === order.provider &&
      container.condemned === null &&
      members.length < maxMembers &&
      // Its own older generation could not be proven gone there: a container to stay away from.
      members.every((member) => member.sessionId !== order.sessionId) &&
      !members.some((member) => isStuck(member, policy, now)),
  );
  return joinable.toSorted((a, b) => a.container.createdAt - b.container.createdAt)[0]?.container.id ?? null;
}

function isOver({ state }: Member): boolean {
  return state === "stopping" || state === "asserted";
}

function isStuck(member: Member, policy: Policy, now: number): boolean {
  return isOver(member) && now - member.since >= strandedAfterMs(policy);
}

/** What becomes of an open container with these members: the same one, or the beginning of its end. */
export function reviewed(container: OpenContainer, members: readonly Member[], policy: Policy, now: number): Container {
  const reason =
    members.length === 0 ? "empty" : members.every((each) => isStuck(each, policy, now)) ? "stranded" : null;
  if (reason === null) return container;
  const { condemned: _, ...identity } = container;
  return {
    ...identity,
    phase: "stopping",
    reason,
    requestedAt: now,
    step: { type: "waiting", nextAttemptAt: now },
    attempts: 0,
    earlierAttempts: 0,
    assertion: null,
    retired: null,
    observations: [],
    lastError: null,
  };
}

/** When to look at it again though nothing happens; null: only when a member joins, moves or leaves. */
export function nextReviewAt(container: Container, members: readonly Member[], policy: Policy): number | null {
  switch (container.phase) {
    case "open":
      if (members.length > 0 && !members.every(isOver)) return null;
      return Math.max(0, ...members.map(({ since }) => since + strandedAfterMs(policy)));
    case "stopping":
      return container.step.type === "waiting" ? container.step.nextAttemptAt : container.step.deadline;
    case "gone":
      return null;
  }
}

export function condemned(container: OpenContainer, why: string, now: number): OpenContainer {
  return container.condemned === null ? { ...container, condemned: { at: now, why: why.slice(0, 500) } } : container;
}

/** null: no attempt is due. */
export function attemptStarted(
  container: StoppingContainer,
  attemptId: AttemptId,
  policy: Policy,
  now: number,
): StoppingContainer | null {
  if (container.step.type !== "waiting") return null;
  const { nextAttemptAt } = container.step;
  if (stillAhead(nextAttemptAt, now, 2 * policy.parkedProbeSlowMs)) return null;
  return {
    ...container,
    attempts: container.attempts + 1,
    step: { type: "acting", attemptId, deadline: now + containerAttemptMs(policy) },
  };
}

export interface AttemptResult {
  readonly attemptId: AttemptId;
  readonly retired: Retirement | null;
  readonly looks: readonly Observation[];
  readonly settledAt: number;
  readonly error: string | null;
  /** In [0, 1). */
  readonly jitter: number;
}

/** null: the result of an older attempt. */
export function attemptFinished(
  container: StoppingContainer,
  result: AttemptResult,
  policy: Policy,
  now: number,
): StoppingContainer | GoneContainer | null {
  if (container.step.type !== "acting" || container.step.attemptId !== result.attemptId) return null;
  // Another host's word retires nothing here.
  const ours = result.retired !== null && (container.host === null || container.host === result.retired.host);
  const retired = ours ? result.retired : container.retired;
  const observations = [...container.observations, ...result.looks].slice(-observationsKept);
  const absentee = {
    sandboxId: container.id as string as SandboxId,
    generation: generationOf(container),
    provider: container.provider,
    host: container.host,
  };
  const verdict = judgeAbsence(absentee, retired, result.looks, result.settledAt, policy);
  if (verdict.type === "proven" && retired !== null) {
    const { phase: _, step: _step, lastError: _error, ...kept } = container;
    const host = container.host ?? retired.host;
    return { ...kept, phase: "gone", host, retired, observations, verifiedAbsentAt: verdict.at };
  }
  // The operator's assertion was wrong: drop it and begin a new round of attempts.
  if (verdict.type === "present" && container.assertion !== null) {
    const lastError = `${verdict.why}, although ${container.assertion.by} had said that it is gone`;
    return newRound({ ...container, retired, observations, lastError, assertion: null }, now);
  }
  const why = verdict.type === "proven" ? "its retirement is not known" : verdict.why;
  const lastError = result.error ?? why;
  return again({ ...container, retired, observations, lastError }, result.jitter, policy, now);
}

/** Its bound passed with nothing heard. null: that is not so. */
export function attemptAbandoned(
  container: StoppingContainer,
  jitter: number,
  policy: Policy,
  now: number,
): StoppingContainer | null {
  if (container.step.type !== "acting" || container.step.deadline > now) return null;
  return again({ ...container, lastError: "The attempt did not finish within its bound." }, jitter, policy, now);
}

/** A lease is parked once its attempts are used up. Here nobody can own what is struck, so attempts only get rare. */
function again(container: StoppingContainer, jitter: number, policy: Policy, now: number): StoppingContainer {
  const { attempts, assertion } = container;
  const slow = assertion === null ? policy.parkedProbeSlowMs : policy.assertedProbeMs;
  const few = attempts < policy.stopAttempts && assertion === null;
  const delay = few ? stopBackoff(attempts, jitter, policy) : slow;
  return { ...container, step: { type: "waiting", nextAttemptAt: now + delay } };
}

export function newRound(container: StoppingContainer, now: number): StoppingContainer {
  const { attempts, earlierAttempts } = container;
  const step = { type: "waiting", nextAttemptAt: now } as const;
  return { ...container, attempts: 0, earlierAttempts: earlierAttempts + attempts, step };
}

/** Under which generation a provider knows it: its id is never used twice, so when it was made does. */
export function generationOf(container: Container): Generation {
  return container.createdAt as Generation;
}
