/** Watches that a client polls instead of keeping a stream open. A watch that is no longer polled is closed. */
import { randomBytes } from "node:crypto";
import type { WaitingChanges } from "./waiting-changes.ts";

const forgottenMs = 600_000;

export class PolledWatches<T extends { readonly waiting: WaitingChanges }> {
  readonly #kept = new Map<string, { readonly value: T; forget: NodeJS.Timeout }>();

  /** Its name. */
  add(value: T): string {
    const id = randomBytes(12).toString("hex");
    this.#kept.set(id, { value, forget: this.#timer(id) });
    return id;
  }

  get(id: string): T | null {
    const found = this.#kept.get(id);
    if (found === undefined) return null;
    clearTimeout(found.forget);
    found.forget = this.#timer(id);
    return found.value;
  }

  remove(id: string): void {
    const found = this.#kept.get(id);
    if (found === undefined) return;
    clearTimeout(found.forget);
    found.value.waiting.close();
    this.#kept.delete(id);
  }

  #timer(id: string): NodeJS.Timeout {
    return setTimeout(() => this.remove(id), forgottenMs).unref();
  }
}
