/** What went wrong in steps that threw at their last try: a defect, or failing storage. In memory only: the next try says it again. */

/** How much of an error message a view shows. */
const maxChars = 300;

export class StepTrouble {
  readonly #thrown = new Map<string, string>();

  /** What the last step that threw said; null: none is in trouble. */
  get says(): string | null {
    const last = [...this.#thrown].at(-1);
    return last === undefined ? null : `A step of Mooring's own failed and is tried again (${last[0]}): ${last[1]}`;
  }

  threw(lane: string, words: string): void {
    this.#thrown.delete(lane);
    this.#thrown.set(lane, words.slice(0, maxChars));
  }

  wentWell(lane: string): void {
    this.#thrown.delete(lane);
  }

  forget(): void {
    this.#thrown.clear();
  }
}
