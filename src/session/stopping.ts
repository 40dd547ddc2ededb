/** Stopping: retire, end, look twice; and the slow probes of what is parked. Reports what it saw; the machine judges it. */
import type { EventOf } from "../domain/events.ts";
import type { AttemptId, Generation } from "../domain/ids.ts";
import type { Retirement, Stopping as StoppingLease } from "../domain/lease.ts";
import type { Observation } from "../domain/observation.ts";
import type { Target } from "../sandbox/agent-sandbox.ts";
import type { JobRunner } from "./jobs.ts";
import type { SessionPorts } from "./ports.ts";
import type { ProviderCalls } from "./provider-calls.ts";

export class Stopping {
  readonly #ports: SessionPorts;
  readonly #calls: ProviderCalls;
  readonly #jobs: JobRunner;

  constructor(ports: SessionPorts, calls: ProviderCalls, jobs: JobRunner) {
    this.#ports = ports;
    this.#calls = calls;
    this.#jobs = jobs;
  }

  async stop(generation: Generation): Promise<void> {
    const attemptId = this.#calls.attempt();
    if (this.#calls.dispatch({ type: "stopStarted", generation, attemptId }).type !== "moved") return;
    const lease = this.#calls.lease(generation);
    if (lease?.phase !== "stopping" || lease.step.type !== "acting") return;
    const { clock, ids } = this.#ports;
    // First of all nothing new may start there; then what runs is ended.
    const retired = await this.#retire(lease);
    // An attempt that was given up meanwhile strikes nobody: the next one is the one that counts (FEN-2, LEA-8).
    const current = (): boolean => this.#isActing(generation, attemptId);
    if (!current()) return;
    const fatal = await this.#end(lease, lease.step.deadline, current);
    if (!current()) return;
    const settledAt = clock.now();
    const looks = await this.#lookTwice(lease);
    const finished: EventOf<"stopFinished"> = {
      type: "stopFinished",
      generation,
      attemptId,
      retired,
      looks,
      settledAt,
      error: fatal,
      jitter: ids.random(),
    };
    this.#closed(generation, this.#calls.dispatch(finished, "sandbox").type === "moved", lease);
  }

  #isActing(generation: Generation, attemptId: AttemptId): boolean {
    const lease = this.#calls.lease(generation);
    return lease?.phase === "stopping" && lease.step.type === "acting" && lease.step.attemptId === attemptId;
  }

  /** null: done, or nothing was there. Otherwise what went wrong, in words. */
  async #end(lease: StoppingLease, deadline: number, current: () => boolean): Promise<string | null> {
    const { clock, policy } = this.#ports;
    const provider = this.#calls.provider(lease);
    if (provider === null) return `No adapter for provider ${lease.provider} is wired.`;
    const looks = 2 * policy.observeMs + policy.absenceLookGapMs;
    if (lease.attempts.length === 1) {
      // Their results are worth a moment, as long as the stop itself keeps its full time.
      const spare = deadline - clock.now() - looks - policy.observeMs - policy.stopGraceMs;
      const ids = this.#jobs.handedTo(lease);
      if (ids.length > 0) await this.#jobs.end(lease, ids, "interrupted", Math.min(spare, policy.jobGraceMs + 2_000));
    }
    if (!current()) return null;
    const left = Math.max(1_000, Math.min(policy.stopGraceMs + policy.observeMs, deadline - clock.now() - looks));
    const stopped = await this.#calls.call(left, "stop", (bound) =>
      provider.stop(this.#aim(lease), policy.stopGraceMs, bound),
    );
    if (stopped.ok || stopped.failure.code === "not_found") return null;
    return `${stopped.failure.code}: ${stopped.failure.message}`;
  }

  /**
   * Whoever was found in our place carries another name: there, everything of that generation is meant, never a newer one.
   * So is what a first attempt left. The generation is retired: a stranger with its marks would hold the lease for ever.
   */
  #aim(lease: StoppingLease): Target {
    const target = this.#calls.target(lease);
    const all = lease.reason === "orphaned" || lease.reason === "foreign" || lease.attempts.length > 1;
    return all ? { ...target, instanceId: null } : target;
  }

  async #retire(lease: StoppingLease): Promise<Retirement | null> {
    const provider = this.#calls.provider(lease);
    if (provider === null) return null;
    const { clock, policy } = this.#ports;
    const retired = await this.#calls.call(policy.observeMs, "retire", (bound) =>
      provider.retire(this.#calls.target(lease), bound),
    );
    return retired.ok ? { at: clock.now(), host: retired.value.host, boot: retired.value.boot } : null;
  }

  /** The second look is worth its while only when the first said absent. */
  async #lookTwice(lease: StoppingLease): Promise<readonly Observation[]> {
    const { clock, policy } = this.#ports;
    const first = await this.#calls.look(lease);
    if (first.answer !== "absent") return [first];
    // Not until an instant: a clock that goes back meanwhile would make that a wait of hours.
    await clock.sleep(policy.absenceLookGapMs);
    return [first, await this.#calls.look(lease)];
  }

  /** Parked: no more kills. Retiring is no kill, and without it no look could ever prove anything. */
  async probe(generation: Generation): Promise<void> {
    if (this.#calls.dispatch({ type: "probeStarted", generation }).type !== "moved") return;
    const lease = this.#calls.lease(generation);
    if (lease?.phase !== "stopping") return;
    const retired = await this.#retire(lease);
    const settledAt = this.#ports.clock.now();
    const looks = await this.#lookTwice(lease);
    this.#closed(
      generation,
      this.#calls.dispatch({ type: "probeFinished", generation, retired, looks, settledAt }).type === "moved",
      lease,
    );
  }

  /** After the receipt: what is left on disk. Failing is harmless; the sandbox id is never used again. */
  #closed(generation: Generation, moved: boolean, lease: StoppingLease): void {
    if (!moved || this.#calls.lease(generation) !== null) return;
    const provider = this.#calls.provider(lease);
    if (provider === null) return;
    void this.#calls
      .call(this.#ports.policy.observeMs, "destroy", (bound) => provider.destroy(this.#calls.target(lease), bound))
      .then((result) => {
        if (!result.ok)
          this.#ports.logger.warn("could not remove a sandbox's files", {
            sandbox: lease.sandboxId,
            code: result.failure.code,
          });
      });
  }
}
