/**
 * Saving a sandbox's files for a pause or a rebuild, and deleting what is saved. The order is the guarantee: no job is
 * admitted, none runs, then the files are read; only an acknowledged, read-back snapshot lets the sandbox go (DEL-12).
 */
import { failed } from "../domain/failure.ts";
import type { Generation } from "../domain/ids.ts";
import type { Held } from "../domain/lease.ts";
import type { SnapshotRef } from "../domain/session.ts";
import { bounded } from "./bounded.ts";
import type { JobRunner } from "./jobs.ts";
import type { SessionPorts } from "./ports.ts";
import type { ProviderCalls } from "./provider-calls.ts";

/** How often a draining wrapper is asked whether its jobs have ended. */
const drainPollMs = 500;

export class Saving {
  readonly #ports: SessionPorts;
  readonly #calls: ProviderCalls;
  readonly #jobs: JobRunner;

  constructor(ports: SessionPorts, calls: ProviderCalls, jobs: JobRunner) {
    this.#ports = ports;
    this.#calls = calls;
    this.#jobs = jobs;
  }

  /** Waits for running jobs until the gate's deadline, then interrupts them. */
  async drain(generation: Generation): Promise<void> {
    const { clock, policy } = this.#ports;
    for (;;) {
      const lease = this.#draining(generation);
      if (lease === null || lease.gate.type !== "draining") return;
      let empty = await this.#isEmpty(lease);
      const late = clock.now() >= lease.gate.deadline;
      // Nobody asked for an upgrade: it waits for the jobs, the jobs never for it.
      if (late && !empty && lease.gate.for !== "upgrade") {
        await this.#jobs.end(lease, this.#jobs.handedTo(lease), "interrupted", policy.jobGraceMs + policy.observeMs);
        empty = await this.#isEmpty(lease);
      }
      if (empty) {
        await this.#learn(lease);
        this.#calls.dispatch({ type: "drained", generation, attemptId: this.#calls.attempt() });
        return;
      }
      if (late) return this.#callOff(lease);
      await clock.sleep(drainPollMs);
    }
  }

  /** The wrapper says so itself: it admits no job, and none runs. */
  async #isEmpty(lease: Held): Promise<boolean> {
    const wrapper = this.#jobs.wrapperOf(lease);
    if (wrapper === null) return false;
    const answer = await this.#calls.call(this.#ports.policy.observeMs, "drain", (bound) => wrapper.drain(bound));
    return answer.ok && answer.value.activeJobs === 0;
  }

  /** What may still run is not saved around: the session runs on, and is told. */
  async #callOff(lease: Held): Promise<void> {
    const { generation } = lease;
    const why = "Jobs still ran, or could not be asked about, when the time to save had come.";
    this.#calls.dispatch({ type: "drainFailed", generation, why });
    await this.#admitAgain(lease);
  }

  /** Their results are kept before their sandbox goes. */
  async #learn(lease: Held): Promise<void> {
    for (const id of this.#jobs.handedTo(lease)) await this.#jobs.refresh(id);
  }

  async save(generation: Generation): Promise<void> {
    const lease = this.#draining(generation);
    if (lease?.gate.type !== "saving") return;
    const { clock, policy } = this.#ports;
    const { attemptId, deadline } = lease.gate;
    const snapshots = this.#calls.provider(lease)?.snapshots;
    const bound = Math.max(1_000, Math.min(policy.snapshotMs, deadline - clock.now()));
    const saved =
      snapshots === undefined
        ? failed("unsupported", `The provider ${lease.provider} cannot save a sandbox.`, "none")
        : await this.#calls.call(bound, "save", (call) => snapshots.save(this.#calls.target(lease), attemptId, call));
    if (saved.ok) {
      const snapshot: SnapshotRef = { id: attemptId, provider: lease.provider, takenAt: clock.now(), generation };
      this.#calls.dispatch({ type: "saveSucceeded", generation, attemptId, snapshot });
      return;
    }
    this.#calls.dispatch({ type: "saveFailed", generation, attemptId, failure: saved.failure });
    await this.#admitAgain(lease);
  }

  /** The session runs on. Should this not get through, the next delivery takes the drain back (jobs.ts). */
  async #admitAgain(lease: Held): Promise<void> {
    const wrapper = this.#jobs.wrapperOf(lease);
    if (wrapper !== null)
      await bounded(this.#ports.clock, this.#ports.policy.observeMs, (bound) => wrapper.admit(bound));
  }

  async deleteSnapshot(snapshot: SnapshotRef): Promise<void> {
    const snapshots = this.#ports.providers.get(snapshot.provider)?.snapshots;
    const session = this.#calls.session().id;
    const removed =
      snapshots === undefined
        ? failed("unsupported", `No adapter for provider ${snapshot.provider} is wired.`, "none")
        : await this.#calls.call(this.#ports.policy.observeMs, "remove snapshot", (bound) =>
            snapshots.remove(session, snapshot.id, bound),
          );
    if (removed.ok) this.#calls.dispatch({ type: "snapshotDeleted", snapshotId: snapshot.id });
    else
      this.#ports.logger.warn("a snapshot could not be deleted yet", {
        snapshot: snapshot.id,
        code: removed.failure.code,
      });
  }

  #draining(generation: Generation): Held | null {
    const lease = this.#calls.lease(generation);
    return lease?.phase === "held" ? lease : null;
  }
}
