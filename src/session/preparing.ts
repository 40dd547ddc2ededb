/**
 * Asks a sandbox to prepare its workspace, and hears how far it is. The wrapper owns the progress and takes the same order
 * any number of times, so an eviction, a lost reply or a second asker costs a question and nothing else.
 */
import { failed, succeeded, type ProviderResult } from "../domain/failure.ts";
import type { Generation } from "../domain/ids.ts";
import type { Held } from "../domain/lease.ts";
import type { StepReport } from "../domain/workspace.ts";
import {
  bootstrapOrderOf,
  type BootstrapOrder,
  type BootstrapReply,
  type BootstrapStep,
} from "../protocol/workspace.ts";
import type { JobRunner } from "./jobs.ts";
import type { SessionPorts } from "./ports.ts";
import type { ProviderCalls } from "./provider-calls.ts";
import type { SessionSecrets } from "./secrets.ts";

export class Preparing {
  readonly #ports: SessionPorts;
  readonly #calls: ProviderCalls;
  readonly #jobs: JobRunner;
  readonly #secrets: SessionSecrets;
  /** The version of the last reply of that generation's wrapper. Forgotten with this object: the next question is answered at once. */
  #seen: { readonly generation: Generation; readonly version: number } | null = null;

  constructor(ports: SessionPorts, calls: ProviderCalls, jobs: JobRunner, secrets: SessionSecrets) {
    this.#ports = ports;
    this.#calls = calls;
    this.#jobs = jobs;
    this.#secrets = secrets;
  }

  async prepare(generation: Generation): Promise<void> {
    const lease = this.#calls.lease(generation);
    if (lease?.phase !== "held") return;
    if (this.#calls.dispatch({ type: "preparationAsked", generation }).type !== "moved") return;
    const { clock } = this.#ports;
    const order = await this.#order();
    const answer = order.ok ? await this.#ask(lease, order.value) : order;
    if (!answer.ok) {
      this.#calls.dispatch({ type: "preparationUnanswered", generation, failure: answer.failure }, "sandbox");
      return;
    }
    this.#seen = { generation, version: answer.value.version };
    const steps = answer.value.steps.map((step) => heard(step, clock.now()));
    this.#calls.dispatch({ type: "preparationReported", generation, steps }, "sandbox");
  }

  async #order(): Promise<ProviderResult<BootstrapOrder>> {
    const { policy } = this.#ports;
    const secrets = await this.#secrets.launch(this.#calls.session().id);
    // A key that is missing may come back: the deadline decides for how long that is waited for.
    if (!secrets.ok) return failed("unavailable", `The order for the workspace cannot be read: ${secrets.why}`, "none");
    const { workspace } = secrets.value;
    return workspace === undefined
      ? failed("invalid", "There is no order for a workspace.", "none")
      : succeeded(bootstrapOrderOf(workspace, policy.prepareStepMs));
  }

  async #ask(lease: Held, order: BootstrapOrder): Promise<ProviderResult<BootstrapReply>> {
    const { policy } = this.#ports;
    const wrapper = this.#jobs.wrapperOf(lease);
    if (wrapper === null) return failed("unavailable", `No adapter for provider ${lease.provider} is wired.`, "none");
    const seen = this.#seen?.generation === lease.generation ? this.#seen.version : 0;
    // Half of the bound: the answer needs some of it.
    const request = { order, seen, wait_ms: Math.floor(policy.observeMs / 2) };
    return this.#calls.call(policy.observeMs, "prepare", (bound) => wrapper.prepare(request, bound));
  }
}

function heard(step: BootstrapStep, now: number): StepReport {
  return {
    name: step.name,
    state: step.state,
    startedAt: now - step.started_ago_ms,
    endedAt: step.ended_ago_ms === null ? null : now - step.ended_ago_ms,
    exitCode: step.exit_code,
    diskFull: step.disk_full,
    // The whole of it counts only for the step that failed: a session's record is bounded.
    lastOutput: step.last_output.slice(step.state === "failed" || step.state === "timed_out" ? -4_096 : -512),
  };
}
