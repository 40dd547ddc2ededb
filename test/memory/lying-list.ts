/** Keeps the lies of process lists survivable: see `Lie` in fault-plan.ts for what is and why. */
import type { SandboxId } from "../../src/domain/state/ids.ts";
import type { Residue } from "../../src/domain/state/observation.ts";

export class LyingList {
  /** Sandboxes about which the last delivered answer hid something. */
  readonly #owesTruth = new Set<SandboxId>();

  mayHide(sandboxId: SandboxId): boolean {
    return !this.#owesTruth.has(sandboxId);
  }

  /** To be told of every answer that reached its caller. */
  delivered(sandboxId: SandboxId, shown: readonly Residue[], truth: readonly Residue[]): void {
    if (shown.length === 0 && truth.length > 0) this.#owesTruth.add(sandboxId);
    else this.#owesTruth.delete(sandboxId);
  }
}
