/**
 * Carries out what reconcile asks for: each step stores its intent through an event, calls the provider within a bound,
 * and reports what came of it as another event. It never decides: a result that is too late is for the machine to ignore.
 */
import type { Step } from "../domain/reconcile.ts";
import type { Opening } from "./opening.ts";
import type { Preparing } from "./preparing.ts";
import type { ProviderCalls } from "./provider-calls.ts";
import type { Renewing } from "./renewing.ts";
import type { Saving } from "./saving.ts";
import type { Stopping } from "./stopping.ts";

export class StepRunner {
  readonly #calls: ProviderCalls;
  readonly #opening: Opening;
  readonly #renewing: Renewing;
  readonly #stopping: Stopping;
  readonly #saving: Saving;
  readonly #preparing: Preparing;
  /** Set by the engine, which knows how to report the erasure first. */
  onErase: () => Promise<void> = () => Promise.resolve();

  constructor(
    calls: ProviderCalls,
    opening: Opening,
    renewing: Renewing,
    stopping: Stopping,
    saving: Saving,
    preparing: Preparing,
  ) {
    this.#calls = calls;
    this.#opening = opening;
    this.#renewing = renewing;
    this.#stopping = stopping;
    this.#saving = saving;
    this.#preparing = preparing;
  }

  async run(step: Step): Promise<void> {
    switch (step.type) {
      case "openLease":
        return this.#opening.open();
      case "launch":
        return this.#opening.relaunch(step.generation);
      case "renew":
        return this.#renewing.renew(step.generation);
      case "stop":
        return this.#stopping.stop(step.generation);
      case "probe":
        return this.#stopping.probe(step.generation);
      case "becomeGhost":
        this.#calls.dispatch({ type: "ghostNeeded" });
        return;
      case "cancelReservation":
        return this.#opening.cancel(step.generation);
      case "erase":
        return this.onErase();
      case "prepare":
        return this.#preparing.prepare(step.generation);
      case "drain":
        return this.#saving.drain(step.generation);
      case "save":
        return this.#saving.save(step.generation);
      case "deleteSnapshot":
        return this.#saving.deleteSnapshot(step.snapshot);
    }
  }
}
