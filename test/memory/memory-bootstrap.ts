/**
 * A workspace being prepared in the memory world: the steps of one order as jobs of its instance, one after the other, with
 * the rules of the real one: the first that fails is the last, a step that hangs ends at its limit with all it started, and
 * nothing that is told holds a value of its environment.
 */
import { longestOf, redacted, secretsIn } from "../../src/protocol/sandbox/redaction.ts";
import {
  lastOutput,
  stepNames,
  type BootstrapOrder,
  type BootstrapReply,
  type BootstrapStep,
} from "../../src/protocol/sandbox/workspace.ts";
import type { WrapperJob, WrapperJobOrder } from "../../src/protocol/sandbox/wrapper.ts";
import type { MemoryJob } from "./memory-job.ts";

export interface BootstrapDependencies {
  readonly env: Readonly<Record<string, string>>;
  /** Starts a job of this instance; `ended` is called when nothing of it is left. */
  readonly start: (order: WrapperJobOrder, ended: () => void) => MemoryJob;
  readonly changed: () => void;
  /** Nothing new is begun any more. */
  readonly isOver: () => boolean;
}

const shownBytes = 8_192;

export class MemoryBootstrap {
  readonly fingerprint: string;
  readonly jobs: MemoryJob[] = [];
  readonly #orders: readonly WrapperJobOrder[];
  readonly #names: readonly string[];
  readonly #secrets: readonly string[];
  readonly #world: BootstrapDependencies;
  #version = 1;

  constructor(order: BootstrapOrder, world: BootstrapDependencies) {
    this.fingerprint = bootstrapFingerprint(order);
    this.#names = stepNames(order);
    this.#orders = commandsOf(order).map((command, index) => ({
      id: `bootstrap-${index + 1}`,
      command,
      env: order.env,
      timeout_ms: order.step_timeout_ms,
    }));
    this.#secrets = secretsIn({ ...world.env, ...order.env }, order.git?.authorization);
    this.#world = world;
    this.#next();
  }

  get version(): number {
    return this.#version;
  }

  get done(): boolean {
    return this.jobs.length === this.#orders.length && this.jobs.every((job) => job.view().state === "succeeded");
  }

  get busy(): boolean {
    return this.jobs.some((job) => !job.ended);
  }

  reply(): BootstrapReply {
    return { version: this.#version, steps: this.jobs.map((job, index) => this.#told(job, this.#names[index] ?? "")) };
  }

  #next(): void {
    const order = this.#orders[this.jobs.length];
    if (order === undefined || this.#world.isOver()) return;
    // One that ends at once ends before it is in the list.
    let endedAtOnce = false;
    let listed = false;
    const job = this.#world.start(order, () => {
      if (listed) this.#ended(job);
      else endedAtOnce = true;
    });
    this.jobs.push(job);
    listed = true;
    this.#version += 1;
    if (endedAtOnce) this.#ended(job);
  }

  #ended(job: MemoryJob): void {
    this.#version += 1;
    if (job.view().state === "succeeded") this.#next();
    this.#world.changed();
  }

  #told(job: MemoryJob, name: string): BootstrapStep {
    const view = job.view();
    const state = stateOf(view.state);
    const margin = longestOf(this.#secrets);
    const tail = job.output.tail(shownBytes + 4 * margin);
    const text = redacted(new TextDecoder().decode(tail.bytes), this.#secrets);
    return {
      name,
      state,
      started_ago_ms: view.started_ago_ms,
      ended_ago_ms: state === "running" ? null : view.ended_ago_ms,
      exit_code: state === "running" ? null : view.exit_code,
      disk_full: state === "failed" && text.includes("No space left on device"),
      last_output: lastOutput(tail.offset > 0 ? text.slice(margin) : text),
    };
  }
}

export function bootstrapFingerprint(order: BootstrapOrder): string {
  const { git, setup, env, step_timeout_ms } = order;
  return JSON.stringify([
    git?.url,
    git?.ref,
    git?.depth,
    git?.authorization,
    setup,
    Object.entries(env),
    step_timeout_ms,
  ]);
}

function commandsOf({ git, setup }: BootstrapOrder): readonly string[] {
  return git === undefined ? setup : [`git-clone ${git.url} ${git.ref ?? ""}`, ...setup];
}

/** Ended with its instance says nothing about the step. */
function stateOf(state: WrapperJob["state"]): BootstrapStep["state"] {
  return state === "cancelled" || state === "interrupted" ? "running" : state;
}
