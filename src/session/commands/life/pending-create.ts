/**
 * The create request that waits for the first answer about quota and space.
 *
 * While it waits, a refusal is the answer to that request and undoes the session; at any other time a refusal is stored and
 * tried again. For the same reason nothing is reported while it waits: a refusal would have to be taken back.
 */
import type { Refusal } from "../../steps/open/reserving.ts";

export type FirstAnswer =
  | { readonly type: "refused"; readonly refusal: Refusal }
  /** Generations up to `above` belong to an earlier session of this id. */
  | { readonly type: "idUsedBefore"; readonly above: number };

export class PendingCreate {
  readonly #wake: () => void;
  #waits = false;
  #answer: FirstAnswer | null = null;

  /** `wake` makes the waiting request look at the answer. */
  constructor(wake: () => void) {
    this.#wake = wake;
  }

  get waits(): boolean {
    return this.#waits;
  }

  get answer(): FirstAnswer | null {
    return this.#answer;
  }

  /** Also before the second try with a later creation time. */
  begin(): void {
    this.#waits = true;
    this.#answer = null;
  }

  end(): void {
    this.#waits = false;
    this.#answer = null;
  }

  /** true: a create waits and takes the answer. */
  take(answer: FirstAnswer): boolean {
    if (!this.#waits) return false;
    this.#answer = answer;
    this.#wake();
    return true;
  }
}
