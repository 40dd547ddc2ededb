/** One session of a check: its ids, its orders, and the calls with bounds that fit a test. Knows no provider. */
import assert from "node:assert/strict";
import type { ProviderFailureCode, ProviderResult } from "../../src/domain/state/failure.ts";
import {
  firstGeneration,
  isolatedSandboxId,
  type Generation,
  type InstanceId,
  type JobId,
} from "../../src/domain/state/ids.ts";
import type { Observation } from "../../src/domain/state/observation.ts";
import type {
  CallBound,
  InstanceRef,
  LaunchOrder,
  Launched,
  Stopped,
  Target,
  WrapperClient,
} from "../../src/sandbox/agent-sandbox.ts";
import type { RenewalReply } from "../../src/protocol/sandbox/wrapper.ts";
import type { Power, ProviderWorld, WorldPowers } from "./provider-harness.ts";

/** Real processes of a busy machine need seconds to start. A bound that only ends a check that has failed. */
const callMs = 60_000;
const comesMs = 60_000;
/** What a busy machine may add to a bound that a call was given. Whoever does not keep the bound waits far longer, or for ever. */
export const lateMs = 20_000;
const graceMs = 2_000;
const jobGraceMs = 400;
/** Longer than any check takes. */
const ttlMs = 300_000;

export function bound(timeoutMs = callMs): CallBound {
  return { timeoutMs, signal: new AbortController().signal };
}

export class ContractSession {
  readonly world: ProviderWorld;
  readonly order: LaunchOrder;
  #renewals = 0;

  constructor(world: ProviderWorld, change: Partial<LaunchOrder> = {}) {
    this.world = world;
    const sessionId = change.sessionId ?? world.sessionId();
    const generation = change.generation ?? firstGeneration(world.now(), 0);
    this.order = {
      sessionId,
      generation,
      sandboxId: isolatedSandboxId(sessionId, generation),
      instanceId: `i${sessionId}` as InstanceId,
      secret: `${sessionId}${sessionId}${sessionId}${sessionId}`.slice(0, 64),
      launchNotAfter: world.now() + 300_000,
      leaseTtlMs: ttlMs,
      jobGraceMs,
      stopGraceMs: graceMs,
      env: {},
      ...change,
    };
  }

  /** The same session, one generation on, in a sandbox of its own. */
  successor(): ContractSession {
    const generation = (this.order.generation + 1) as Generation;
    const { sessionId, instanceId } = this.order;
    return new ContractSession(this.world, { sessionId, generation, instanceId: `j${instanceId}` as InstanceId });
  }

  target(change: Partial<Target> = {}): Target {
    const { sessionId, sandboxId, container, generation, instanceId } = this.order;
    const target = { sessionId, sandboxId, generation, instanceId, host: null };
    return { ...target, ...(container === undefined ? {} : { container }), ...change };
  }

  ref(change: Partial<InstanceRef> = {}): InstanceRef {
    return { ...this.target(), instanceId: this.order.instanceId, secret: this.order.secret, ...change };
  }

  launch(change: Partial<LaunchOrder> = {}, timeoutMs = callMs): Promise<ProviderResult<Launched>> {
    return this.world.settle(this.world.provider.launch({ ...this.order, ...change }, bound(timeoutMs)));
  }

  async launched(): Promise<Launched> {
    return valueOf(await this.launch(), "launch");
  }

  /** Launched, and renewed once: it may act. */
  async held(): Promise<WrapperClient> {
    await this.launched();
    valueOf(await this.renew(), "the first renewal");
    return this.wrapper();
  }

  retire(change: Partial<Target> = {}): ReturnType<ProviderWorld["provider"]["retire"]> {
    return this.world.settle(this.world.provider.retire(this.target(change), bound()));
  }

  observe(change: Partial<Target> = {}, timeoutMs = callMs): Promise<Observation> {
    return this.world.settle(this.world.provider.observe(this.target(change), this.world.now(), bound(timeoutMs)));
  }

  stop(grace = graceMs, change: Partial<Target> = {}): Promise<ProviderResult<Stopped>> {
    return this.world.settle(this.world.provider.stop(this.target(change), grace, bound()));
  }

  wrapper(change: Partial<InstanceRef> = {}): WrapperClient {
    return this.world.provider.wrapper(this.ref(change));
  }

  async renew(
    change: Partial<InstanceRef> = {},
    leaseMs = this.order.leaseTtlMs,
  ): Promise<ProviderResult<RenewalReply>> {
    this.#renewals += 1;
    return this.renewAs(this.#renewals, change, leaseMs);
  }

  renewAs(
    sequence: number,
    change: Partial<InstanceRef> = {},
    leaseMs = this.order.leaseTtlMs,
  ): Promise<ProviderResult<RenewalReply>> {
    const request = { sequence, sent_at: this.world.now(), ttl_ms: leaseMs };
    return this.world.settle(this.wrapper(change).renew(request, bound()));
  }

  async startJob(id: string, command: string, stdinOpen = false): Promise<JobId> {
    const order = { id, command, timeout_ms: 600_000, ...(stdinOpen ? { stdin_open: true } : {}) };
    valueOf(await this.world.settle(this.wrapper().startJob(order, bound())), `job ${id}`);
    return id as JobId;
  }

  /** Polls until it is so. Fails after `withinMs`, saying what was seen last. */
  async becomes<T>(what: string, look: () => Promise<T>, isSo: (seen: T) => boolean, withinMs = comesMs): Promise<T> {
    const until = this.world.now() + withinMs;
    for (;;) {
      const seen = await look();
      if (isSo(seen)) return seen;
      assert.ok(this.world.now() < until, `${what}: not within ${withinMs} ms; last seen: ${JSON.stringify(seen)}`);
      await this.world.wait(50);
    }
  }

  becomesAbsent(withinMs = comesMs): Promise<Observation> {
    return this.becomes(
      "absent",
      () => this.observe(),
      ({ answer }) => answer === "absent",
      withinMs,
    );
  }
}

/**
 * For a check of a call that lands late, after something else. `overtake` makes the call and, before it can have landed, that other thing.
 * On a machine that stands still in between, the call lands first, and the check would say nothing: then another session is tried.
 */
export async function overtaken<T>(
  world: ProviderWorld,
  lateByMs: number,
  overtake: () => Promise<{ readonly late: Promise<unknown>; readonly value: T }>,
): Promise<T> {
  for (let tries = 0; tries < 4; tries += 1) {
    const began = world.now();
    const { late, value } = await overtake();
    const isFirst = world.now() - began < lateByMs;
    await world.settle(late);
    if (isFirst) return value;
  }
  assert.fail("the machine stood still at every try");
}

/** Fails when it began longer ago than the bounds of its calls together allow. */
export function assertWithin(world: ProviderWorld, began: number, boundsMs: number): void {
  const took = world.now() - began;
  assert.ok(took < boundsMs + lateMs, `it took ${took} ms, longer than its bound of ${boundsMs} ms allows`);
}

export function valueOf<T>(result: ProviderResult<T>, what: string): T {
  assert.ok(result.ok, `${what}: ${result.ok ? "" : `${result.failure.code}: ${result.failure.message}`}`);
  return result.value;
}

export function assertFailed<T>(
  result: ProviderResult<T>,
  code: ProviderFailureCode | readonly ProviderFailureCode[],
  effect?: "none" | "unknown",
): void {
  assert.ok(!result.ok, "it must not succeed");
  const codes: readonly ProviderFailureCode[] = typeof code === "string" ? [code] : code;
  assert.ok(
    codes.includes(result.failure.code),
    `${result.failure.code} (${result.failure.message}), not ${codes.join(" or ")}`,
  );
  if (effect !== undefined) assert.equal(result.failure.effect, effect, result.failure.message);
}

export function assertAnswer(observation: Observation, ...answers: readonly Observation["answer"][]): void {
  assert.ok(
    answers.includes(observation.answer),
    `${observation.answer} (${observation.detail}), not ${answers.join(" or ")}`,
  );
}

/** The kit runs a check only where its powers are there. */
export function power<P extends Power>(world: ProviderWorld, name: P): NonNullable<WorldPowers[P]> {
  const able = world.can[name];
  assert.ok(able !== undefined, `the harness has no ${name}`);
  return able;
}
