/** Renewals: what keeps a wrapper alive, makes a launch a held lease, and brings news of its jobs. */
import { failed, type ProviderFailure } from "../domain/failure.ts";
import type { Generation } from "../domain/ids.ts";
import type { OpenLease } from "../domain/lease.ts";
import type { JobRunner } from "./jobs.ts";
import type { SessionPorts } from "./ports.ts";
import type { ProviderCalls } from "./provider-calls.ts";

export class Renewing {
  readonly #ports: SessionPorts;
  readonly #calls: ProviderCalls;
  readonly #jobs: JobRunner;

  constructor(ports: SessionPorts, calls: ProviderCalls, jobs: JobRunner) {
    this.#ports = ports;
    this.#calls = calls;
    this.#jobs = jobs;
  }

  async renew(generation: Generation): Promise<void> {
    const lease = this.#calls.lease(generation);
    if (lease?.phase !== "held" && lease?.phase !== "launching") return;
    const { clock, policy } = this.#ports;
    const sequence = lease.renewals.sequence + 1;
    const sentAt = clock.now();
    if (this.#calls.dispatch({ type: "renewalStarted", generation, sequence }).type !== "moved") return;
    const wrapper = this.#jobs.wrapperOf(lease);
    const result =
      wrapper === null
        ? failed("unavailable", `No adapter for provider ${lease.provider} is wired.`, "none")
        : await this.#calls.call(policy.observeMs, "renew", (bound) =>
            wrapper.renew({ sequence, sent_at: sentAt, ttl_ms: policy.leaseTtlMs }, bound),
          );
    if (!result.ok) return this.#renewalFailed(lease, sequence, result.failure);
    const reply = result.value;
    // The lease first: however slow the details of its jobs are, it was renewed. What the idle clock needs is in the reply.
    this.#calls.dispatch(
      {
        type: "renewalAccepted",
        generation,
        sequence,
        sentAt,
        protocol: reply.protocol,
        activeJobs: reply.active_jobs,
        idleMs: reply.idle_ms,
      },
      "sandbox",
    );
    await this.#jobs.learnAll(lease, reply.jobs);
  }

  async #renewalFailed(lease: OpenLease, sequence: number, failure: ProviderFailure): Promise<void> {
    const { generation } = lease;
    const failedEvent = {
      type: "renewalFailed",
      generation,
      sequence,
      failure,
      jitter: this.#ports.ids.random(),
    } as const;
    if (this.#calls.dispatch(failedEvent, "sandbox").type !== "moved") return;
    const still = this.#calls.lease(generation);
    if (still === null || still.phase === "stopping") return;
    const observation = await this.#calls.look(still);
    const type = { present: "observedPresent", absent: "observedAbsent", unknown: "observedUnknown" } as const;
    this.#calls.dispatch({ type: type[observation.answer], generation, observation }, "sandbox");
  }
}
